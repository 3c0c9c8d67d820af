"""Where an output goes: its folder, taken away again when nothing was put there, and no second run that writes it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from afitrt.errors import OutputError
from afitrt.locks import held
from afitrt.video import STDIO


@contextmanager
def reserved(output: Path) -> Iterator[None]:
    """Inside, the folder of an output is there and no other run writes that output; a pipe needs neither.

    Whether it exists is to be asked again inside: another run may just have ended. Raises RetryError where another run
    is at work on it, OutputError where the folder cannot be made or written.
    """
    if output == STDIO:
        yield
        return
    made = _make_folder(output.parent)
    try:
        with held(output):
            yield
    finally:
        for folder in made:
            with suppress(OSError):
                folder.rmdir()


def _make_folder(folder: Path) -> list[Path]:
    """Makes a folder and its missing parents; returns those made, innermost first. Raises OutputError."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot make the folder {folder}: {error.strerror}", "a folder that can be made", "another output path"
        ) from error
    return missing
