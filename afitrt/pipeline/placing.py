"""The last step: a joined film gets its name, and its work folder goes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from afitrt.artefacts import sha256, writing_in
from afitrt.segments import Store
from afitrt.segments.values import to_json


@dataclass(frozen=True)
class Joined:
    """What is known of a film that is joined; bytes and sha256 are those of the file."""

    bytes: int
    sha256: str
    frames: int
    outputs: int
    scenes: int


def joined_file(store: Store, output: Path) -> Path:
    """Where a film is joined before it gets its name: in the folder, so that what a kill leaves there goes with it."""
    return store.folder / f"joined{output.suffix}"


def put_in_place(store: Store, joined: Path, output: Path, facts: tuple[int, int, int]) -> None:
    """Gives a joined film its name and removes the folder. facts: frames, outputs and scenes."""
    with writing_in(store.folder):
        known = Joined(joined.stat().st_size, sha256(joined), *facts)
        store.note.write_text(json.dumps(to_json(known)) + "\n")
        joined.replace(output)
    store.remove()
