"""The committed pieces: symbolic ONNX graphs of the sub-networks, without weights, and their manifest.

`make graphs` writes them (package afitrt_export) and this room reads them; both take every name from here.
A parameter is an initialiser with name, shape and type but no data; its name is the state dict's key.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import onnx

from afitrt.errors import ArtefactError

EXPORT_VERSION = 1
OPSET = 20
IR_VERSION = 10
GRAPHS = Path(__file__).parent.parent / "graphs"
MANIFEST = "manifest.json"
REMAKE = "reinstall afitrt, or run `make graphs` in a checkout"


@dataclass(frozen=True)
class Piece:
    """What the manifest says of one piece. network: whose state dict it takes, None where it has no weights."""

    name: str
    network: str | None
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    parameters: tuple[str, ...]
    sha256: str

    @property
    def file_name(self) -> str:
        """Name of the graph's file in the folder of graphs."""
        return f"{self.name}.onnx"


@dataclass(frozen=True)
class Library:
    """The pieces in one folder. unused: for each network, state-dict keys that no piece takes."""

    folder: Path
    pieces: dict[str, Piece]
    unused: dict[str, tuple[str, ...]]

    def load(self, name: str) -> onnx.ModelProto:
        """The graph of a piece. Raises ArtefactError where it is missing or damaged."""
        piece = self.pieces[name]
        data = _read(self.folder / piece.file_name)
        if (found := hashlib.sha256(data).hexdigest()) != piece.sha256:
            raise ArtefactError(
                f"graph {piece.file_name} is damaged: sha256 {found[:16]}…",
                f"sha256 {piece.sha256[:16]}…, as {MANIFEST} says",
                REMAKE,
            )
        return onnx.load_model_from_string(data)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArtefactError(f"graph {path} cannot be read: {error.strerror}", "a readable file", REMAKE) from error


def read_library(folder: Path = GRAPHS) -> Library:
    """The pieces of a folder. Raises ArtefactError naming the field that is missing or of another version."""
    try:
        manifest: dict[str, Any] = json.loads(_read(folder / MANIFEST))
        version = manifest["export_version"]
    except (ValueError, KeyError, TypeError) as error:
        raise ArtefactError(f"{folder / MANIFEST} is damaged ({error!r})", "a manifest of graphs", REMAKE) from error
    if version != EXPORT_VERSION:
        raise ArtefactError(
            f"the graphs in {folder} have export_version {version}", f"export_version {EXPORT_VERSION}", REMAKE
        )
    try:
        pieces = {name: _piece(name, facts) for name, facts in manifest["pieces"].items()}
        unused = {network: tuple(keys) for network, keys in manifest["unused"].items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise ArtefactError(f"{folder / MANIFEST} lacks {error}", "every field of each piece", REMAKE) from error
    return Library(folder, pieces, unused)


def _piece(name: str, facts: dict[str, Any]) -> Piece:
    return Piece(
        name,
        facts["network"],
        tuple(facts["inputs"]),
        tuple(facts["outputs"]),
        tuple(facts["parameters"]),
        facts["sha256"],
    )


@cache
def committed() -> Library:
    """The pieces that this afitrt was published with."""
    return read_library()
