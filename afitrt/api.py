"""What a Python program calls: the main job without the command line."""

from __future__ import annotations

from pathlib import Path

from afitrt import pipeline
from afitrt.events import Done, Event, Tell
from afitrt.options import Job, Options

DEFAULT = Options()


def _silent(_event: Event) -> None:
    """Nobody listens."""


def interpolate(source: str | Path, options: Options = DEFAULT, tell: Tell = _silent) -> Done:
    """Smooths a video (or a folder or pattern of pictures), as `afitrt interpolate SOURCE` does with these options.

    `tell` hears every `afitrt.Event` in this thread.

    Returns what was made, with counts and seconds. Raises `afitrt.AfitrtError`: its subclasses, one for each kind of
    failure, say what was found, what was expected and what to do; `kept` names the file with the work finished so far.
    """
    return pipeline.interpolate(Job(source=Path(source), **vars(options)), tell)
