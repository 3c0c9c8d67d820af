"""Folders that a run makes for its output, and takes away again when nothing was put there."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from afitrt.errors import OutputError


def make_folder(folder: Path) -> list[Path]:
    """Makes a folder and its missing parents; returns those made, innermost first. Raises OutputError."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot make the folder {folder}: {error.strerror}", "a folder that can be made", "another output path"
        ) from error
    return missing


def remove_folders(made: list[Path]) -> None:
    """Removes those that are empty."""
    for folder in made:
        with suppress(OSError):
            folder.rmdir()
