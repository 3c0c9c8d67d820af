"""`--report` of `interpolate` and `scenes`: frames are watched while they pass, and a page is written about them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from afitrt.errors import AfitrtError, OutputError
from afitrt.file_names import check_name, readable
from afitrt.options import Job

if TYPE_CHECKING:
    from afitrt.events import Event, Tell
    from afitrt.pipeline.workers import Watch
    from afitrt.report import Heard, Watcher


def check(path: Path, overwrite: bool) -> None:
    """Raises OutputError where a report may not be written to this name."""
    check_name(path, "--report with a shorter name")
    if path.suffix.lower() not in (".html", ".htm"):
        raise OutputError(f"--report {path}", "a name that ends in .html", f"--report {path.stem or 'report'}.html")
    if path.is_dir() or (path.exists() and not overwrite):
        raise OutputError(f"{path} exists", "a new file", "--overwrite, or give the report another name")


def run(job: Job, path: Path, tell: Tell) -> None:
    """Runs a job and writes the page about it, also of a run that failed after its first frame.

    Raises as `pipeline.interpolate` does, and OutputError where only the report could not be written.
    """
    from afitrt import pipeline
    from afitrt.report import Heard, Watcher

    heard, watcher = Heard(), Watcher()

    def both(event: Event) -> None:
        heard(event)
        tell(event)

    try:
        pipeline.interpolate(job, both, watcher)
    except AfitrtError as error:
        if heard.started is not None:
            with suppress(AfitrtError):
                _write(job, path, heard, watcher, error)
        raise
    try:
        _write(job, path, heard, watcher, None)
    except AfitrtError as error:
        error.kept = heard.done.output if heard.done else None
        raise


@contextmanager
def seen(job: Job, path: Path | None) -> Iterator[Watch | None]:
    """Yields what is to see every frame, and at the end writes the page; None where no page is wanted."""
    from afitrt.report import Heard, Watcher

    if path is None:
        yield None
        return
    watcher = Watcher()
    yield watcher
    _write(job, path, Heard(), watcher, None)


def _write(job: Job, path: Path, heard: Heard, watcher: Watcher, error: AfitrtError | None) -> None:
    from afitrt import report
    from afitrt.artefacts import writing_in, written_aside

    watched = watcher.watched()
    text = report.page(readable(report.gather(job, heard, watched, error)), watched)
    with writing_in(path.parent), written_aside(path) as aside:
        aside.write_text(text, encoding="utf-8")
