"""Files that afitrt makes and finds again: where they live, what made them, whether they are whole.

An artefact is a folder with a file and a sidecar `<file>.json` that repeats its identity and its SHA-256. Loading
compares both and names the field that differs. The folder is written aside and renamed as one, so a file never
meets the sidecar of another process that made the same artefact at once (engines differ in their bytes from build
to build), and a killed process leaves nothing that could be mistaken for an artefact.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from afitrt.errors import ArtefactError, OutputError, RetryError
from afitrt.file_names import check_name, work_name

SCHEMA = 2
_ASIDE = ".making-"
_STALE_SECONDS = 24 * 3600
LONGEST_SUFFIX = 8
ANOTHER = "name another folder"
HOME_HINT = "set AFITRT_HOME to a writable folder, or free the disk"


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
def written_aside(path: Path, hint: str = ANOTHER) -> Iterator[Path]:
    """Yields a hidden path beside `path` to write to, of the same suffix unless that is long; it becomes `path` on
    success and vanishes on failure. Makes the folder.

    Raises RetryError where the disk is full, and OutputError with this hint when the folder cannot be made or written,
    and for a name that is too long.
    """
    check_name(path, "name it shorter")
    aside = path.with_name(work_name(path.suffix if len(path.suffix) <= LONGEST_SUFFIX else ""))
    with writing_in(path.parent, hint):
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.touch()
    try:
        yield aside
        aside.replace(path)
    finally:
        with suppress(FileNotFoundError):
            aside.unlink()


@contextmanager
def writing_in(folder: Path, hint: str = ANOTHER) -> Iterator[None]:
    """Translates the errors of writing in a folder: a full disk passes, everything else is the folder's fault."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise RetryError(
                f"the disk of {folder} is full", "room for what is written", "free space, then the same command again"
            ) from error
        raise OutputError(
            f"cannot write in {folder}: {error.strerror}",
            "a folder that this user may write",
            hint,
        ) from error


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
        """The artefact's folder; readable facts first, then a short hash of the whole identity."""
        digest = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:10]
        readable = f"{self.model}-{self.stage}-{self.width}x{self.height}-s{self.scale:g}-{self.precision}"
        return engines_home() / self.runtime / f"{readable}-{self.target}-{digest}"


def sidecar_path(path: Path) -> Path:
    """The sidecar of an artefact."""
    return path.with_name(path.name + ".json")


def file_path(identity: Identity, suffix: str) -> Path:
    """The artefact's file, which bears the name of its folder."""
    return identity.path / (identity.path.name + suffix)


def make(identity: Identity, suffix: str, write: Callable[[Path], None], about: dict[str, Any] | None = None) -> Path:
    """Runs `write(aside)` and publishes the file with its sidecar; returns its path.

    about: further facts for the sidecar. Where another process has published the same artefact meanwhile, its file
    stays. Raises OutputError where the folder cannot be written, RetryError where the disk is full.
    """
    path = file_path(identity, suffix)
    shelf = identity.path.parent
    folder = _aside_in(shelf)
    try:
        with writing_in(shelf, HOME_HINT):
            _sweep(shelf)
            folder.mkdir(parents=True)
            aside = folder / path.name
            write(aside)
            facts = {"schema": SCHEMA, **asdict(identity), "bytes": aside.stat().st_size, "sha256": sha256(aside)}
            sidecar_path(aside).write_text(json.dumps(facts | {"about": about or {}}, indent=1) + "\n")
            _publish(folder, path, identity)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return path


def _publish(folder: Path, path: Path, identity: Identity) -> None:
    """Renames the folder to the artefact's; a whole one that is there already stays, a damaged one goes."""
    while True:
        try:
            folder.rename(path.parent)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        with suppress(ArtefactError, OSError):
            check(path, identity)
            return
        discard(path.parent)


def discard(folder: Path) -> None:
    """Removes an artefact's folder; it is renamed first, so that nobody finds it half gone."""
    away = _aside_in(folder.parent)
    with suppress(FileNotFoundError):
        folder.rename(away)
        shutil.rmtree(away)


def _again(path: Path) -> str:
    return f"delete {path.parent} and run the command again"


def read_sidecar(path: Path) -> dict[str, Any]:
    """The facts beside an artefact. Raises ArtefactError when they are missing or unreadable."""
    try:
        facts = json.loads(sidecar_path(path).read_text())
    except (OSError, ValueError) as error:
        raise ArtefactError(
            f"{path.name} has no readable sidecar ({error})",
            f"its facts in {sidecar_path(path).name}",
            _again(path),
        ) from error
    if not isinstance(facts, dict) or facts.get("schema") != SCHEMA:
        raise ArtefactError(
            f"{path.name} was written by another afitrt",
            f"sidecar schema {SCHEMA}",
            _again(path),
        )
    return facts


def check(path: Path, identity: Identity) -> None:
    """Raises ArtefactError naming the first field in which the artefact differs, or its damaged bytes."""
    facts = read_sidecar(path)
    for field, wanted in asdict(identity).items():
        if facts.get(field) != wanted:
            raise ArtefactError(
                f"{path.name} was made for {field} {facts.get(field)}", f"{field} {wanted}", _again(path)
            )
    check_bytes(path, facts)


def check_bytes(path: Path, facts: dict[str, Any]) -> None:
    """Raises ArtefactError unless the file is the one that its sidecar's facts describe."""
    wanted = str(facts.get("sha256"))
    if not path.exists() or path.stat().st_size != facts.get("bytes") or sha256(path) != wanted:
        raise ArtefactError(
            f"{path} is damaged: its bytes differ from its sidecar", f"SHA-256 {wanted[:16]}…", _again(path)
        )


def find(identity: Identity, suffix: str) -> Path | None:
    """The artefact with this identity, checked, or None where none was made."""
    path = file_path(identity, suffix)
    if not path.exists():
        return None
    check(path, identity)
    return path


def folders() -> list[Path]:
    """Folders of all artefacts, whole or not, by name."""
    found = (path for path in engines_home().glob("*/*") if path.is_dir())
    return sorted(path for path in found if not path.name.startswith(_ASIDE))


def stored() -> list[Path]:
    """Sidecars of all artefacts, by name."""
    return [path for folder in folders() for path in sorted(folder.glob("*.json"))]


def check_folder(folder: Path) -> Path:
    """The file of an artefact's folder. Raises ArtefactError unless it is whole by its own sidecar."""
    sidecars = sorted(folder.glob("*.json"))
    if not sidecars:
        raise ArtefactError(f"{folder.name} has no sidecar", "a folder with a file and its facts", f"delete {folder}")
    path = sidecars[0].with_suffix("")
    check_bytes(path, read_sidecar(path))
    return path


def leftovers() -> list[Path]:
    """What nobody will find again: folders that a killed process left, files that older versions wrote."""
    now = time.time()
    old = (path for path in engines_home().glob("*/*") if path.is_file() and now - path.stat().st_mtime > 60)
    return sorted([*old, *(each for shelf in engines_home().glob("*") for each in _abandoned(shelf))])


def _aside_in(shelf: Path) -> Path:
    """A new name for a folder that this process works on."""
    return shelf / f"{_ASIDE}{_host()}-{os.getpid()}-{os.urandom(4).hex()}"


def _host() -> str:
    return "".join(each for each in platform.node() if each.isalnum())


def _sweep(shelf: Path) -> None:
    for folder in _abandoned(shelf):
        shutil.rmtree(folder, ignore_errors=True)


def _abandoned(shelf: Path) -> list[Path]:
    """Folders whose process has ended; those of other machines on a shared disk, when they are a day old."""
    found = []
    for folder in shelf.glob(f"{_ASIDE}*"):
        host, _, rest = folder.name.removeprefix(_ASIDE).partition("-")
        pid = rest.partition("-")[0]
        with suppress(OSError):
            old = time.time() - folder.stat().st_mtime > _STALE_SECONDS
            if old if host != _host() else not (pid.isdigit() and psutil.pid_exists(int(pid))):
                found.append(folder)
    return found
