"""Files that afitrt makes and finds again: where they live, what made them, whether they are whole.

An artefact is a file plus a sidecar `<file>.json` that repeats its identity and its SHA-256. Loading compares
both and names the field that differs. Writing happens aside, then renames, so two processes may make the same
artefact at once and a killed one leaves nothing that could be mistaken for it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from afitrt.errors import ArtefactError, OutputError

SCHEMA = 1


def home() -> Path:
    """The folder of all artefacts: AFITRT_HOME, else the platform's folder for user data."""
    if configured := os.environ.get("AFITRT_HOME"):
        return Path(configured)
    import platformdirs

    return Path(platformdirs.user_data_dir("afitrt", appauthor=False))


def weights_home() -> Path:
    """Folder of weight sets, one sub-folder a set."""
    return home() / "weights"


def engines_home() -> Path:
    """Folder of stages made ready for a runtime."""
    return home() / "engines"


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """Yields a path in the same folder to write to; it becomes `path` on success and vanishes on failure.

    Raises OutputError when the folder cannot be made or written.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.touch()
    except OSError as error:
        raise OutputError(
            f"cannot write in {path.parent}: {error.strerror}",
            "a folder that this user may write",
            "set AFITRT_HOME to a writable folder, or free the disk",
        ) from error
    try:
        yield aside
        aside.replace(path)
    finally:
        with suppress(FileNotFoundError):
            aside.unlink()


@dataclass(frozen=True)
class Identity:
    """Everything that decides the bytes of a stage made ready for a runtime.

    width and height are those of the padded picture, in pixels. Hashes are hexadecimal SHA-256.
    target is a GPU architecture such as "sm_89", or "cpu".
    """

    runtime: str
    runtime_version: str
    model: str
    stage: str
    weights: str
    graph: str
    export_version: int
    width: int
    height: int
    scale: float
    precision: str
    target: str

    @property
    def path(self) -> Path:
        """Where the artefact lives; readable facts first, then a short hash of the whole identity."""
        digest = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:10]
        readable = f"{self.model}-{self.stage}-{self.width}x{self.height}-s{self.scale:g}-{self.precision}"
        return engines_home() / self.runtime / f"{readable}-{self.target}-{digest}"


def sidecar_path(path: Path) -> Path:
    """The sidecar of an artefact."""
    return path.with_name(path.name + ".json")


def make(identity: Identity, suffix: str, write: Callable[[Path], None]) -> Path:
    """Runs `write(aside)` and publishes the file with its sidecar; returns its path."""
    path = identity.path.with_name(identity.path.name + suffix)
    with written_aside(path) as aside:
        write(aside)
        facts = {"schema": SCHEMA, **asdict(identity), "bytes": aside.stat().st_size, "sha256": sha256(aside)}
        with written_aside(sidecar_path(path)) as sidecar:
            sidecar.write_text(json.dumps(facts, indent=1) + "\n")
    return path


def read_sidecar(path: Path) -> dict[str, Any]:
    """The facts beside an artefact. Raises ArtefactError when they are missing or unreadable."""
    try:
        facts = json.loads(sidecar_path(path).read_text())
    except (OSError, ValueError) as error:
        raise ArtefactError(
            f"{path.name} has no readable sidecar ({error})",
            f"its facts in {sidecar_path(path).name}",
            f"delete {path} and run the command again",
        ) from error
    if not isinstance(facts, dict) or facts.get("schema") != SCHEMA:
        raise ArtefactError(
            f"{path.name} was written by another afitrt",
            f"sidecar schema {SCHEMA}",
            f"delete {path} and run the command again",
        )
    return facts


def check(path: Path, identity: Identity) -> None:
    """Raises ArtefactError naming the first field in which the artefact differs, or its damaged bytes."""
    facts = read_sidecar(path)
    for field, wanted in asdict(identity).items():
        if facts.get(field) != wanted:
            raise ArtefactError(
                f"{path.name} was made for {field} {facts.get(field)}",
                f"{field} {wanted}",
                f"delete {path} and run the command again",
            )
    if path.stat().st_size != facts["bytes"] or sha256(path) != facts["sha256"]:
        raise ArtefactError(
            f"{path} is damaged: its bytes differ from its sidecar",
            f"SHA-256 {facts['sha256'][:16]}…",
            f"delete {path} and run the command again",
        )


def find(identity: Identity, suffix: str) -> Path | None:
    """The artefact with this identity, checked, or None where none was made."""
    path = identity.path.with_name(identity.path.name + suffix)
    if not path.exists():
        return None
    check(path, identity)
    return path
