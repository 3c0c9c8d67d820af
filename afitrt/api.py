"""What a Python program calls: the main job without the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from afitrt import pipeline
from afitrt.events import Done, Event, Tell
from afitrt.options import Job


def _silent(_event: Event) -> None:
    """Nobody listens."""


def interpolate(source: str | Path, output: str | Path | None = None, *, tell: Tell = _silent, **options: Any) -> Done:
    """Smooths a video (or a folder or pattern of pictures), as `afitrt interpolate SOURCE OUTPUT` does.

    options are the fields of `afitrt.options.Job`: schedule, scenes, model and encode as `afitrt.ScheduleOptions`,
    `SceneOptions`, `ModelOptions` and `EncodeOptions`; start and end in seconds as Fractions; overwrite and the rest.
    output None names the file beside the source after its rate. `tell` hears every `afitrt.Event` in this thread.

    Returns what was made, with counts and seconds. Raises `afitrt.AfitrtError`: its subclasses, one for each kind of
    failure, say what was found, what was expected and what to do; `kept` names the file with the work finished so far.
    """
    job = Job(Path(source), None if output is None else Path(output), **options)
    return pipeline.interpolate(job, tell)
