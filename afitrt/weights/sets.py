"""Sets of weights on disk: a folder each, one safetensors file a network and a manifest with their hashes."""

from __future__ import annotations

import errno
import hashlib
import json
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from afitrt import artefacts
from afitrt.errors import ArtefactError, OutputError, RetryError, UsageError
from afitrt.options import ModelOptions
from afitrt.weights.pickles import Tensors

SCHEMA = 1
MANIFEST = "manifest.json"
DEFAULT_SET = ModelOptions.weights
STALE_SECONDS = 24 * 3600


@dataclass(frozen=True)
class NetworkFile:
    """One network of a set; sha256 and bytes are those of `file`, source_sha256 of the file it came from."""

    file: str
    sha256: str
    bytes: int
    tensors: int
    parameters: int
    source: str
    source_sha256: str


@dataclass(frozen=True)
class WeightSet:
    """A set as its manifest describes it; problem says why the manifest could not be read, else empty."""

    name: str
    source: str = ""
    networks: Mapping[str, NetworkFile] = field(default_factory=dict)
    problem: str = ""

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return artefacts.weights_home() / self.name


@dataclass(frozen=True)
class Network:
    """Tensors on their way into a set, and where they were read."""

    tensors: Tensors
    source: str
    source_sha256: str


def check_name(name: str) -> str:
    """The name, if it can name a folder everywhere. Raises UsageError."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
        raise UsageError(f"weights named {name!r:.80}", "letters, digits, '.', '_' and '-'", "--name my-weights")
    return name


def read_set(name: str) -> WeightSet:
    """A set by name. Raises ArtefactError when there is none or its manifest cannot be read."""
    folder = artefacts.weights_home() / check_name(name)
    if not folder.is_dir():
        others = ", ".join(each.name for each in available()) or "none"
        fetch = name == DEFAULT_SET
        raise ArtefactError(
            f"no weights {name} in {artefacts.weights_home()}",
            f"one of the sets there: {others}",
            "afitrt weights fetch" if fetch else f"afitrt weights import PATH --name {name}",
        )
    found = _read_manifest(folder)
    if found.problem:
        raise ArtefactError(
            f"weights {name}: {found.problem}",
            f"a {MANIFEST} written by afitrt",
            f"delete {folder} and make it anew",
        )
    return found


def available() -> list[WeightSet]:
    """All sets, by name; one whose manifest is damaged is listed with its problem."""
    home = artefacts.weights_home()
    if not home.is_dir():
        return []
    folders = sorted(each for each in home.iterdir() if each.is_dir() and not each.name.startswith("."))
    return [_read_manifest(folder) for folder in folders]


def _read_manifest(folder: Path) -> WeightSet:
    try:
        facts: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if facts["schema"] != SCHEMA:
            raise ValueError(f"schema {facts['schema']}, not {SCHEMA}")
        networks = {network: _network_file(network, each) for network, each in facts["networks"].items()}
        return WeightSet(folder.name, facts["source"], networks)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return WeightSet(folder.name, problem=f"{MANIFEST} cannot be read ({error})")


def _network_file(network: str, facts: Mapping[str, Any]) -> NetworkFile:
    made = NetworkFile(**facts)
    typed = isinstance(made.bytes, int) and isinstance(made.sha256, str)
    if made.file != f"{network}.safetensors" or not typed:
        raise ValueError(f"it describes {network} wrongly")
    return made


def load(set_name: str, network: str) -> Tensors:
    """float32 arrays of one network ("feature", "flow", "metric", "grid", "ifnet") by parameter name.

    The file's hash is compared once per process. Raises ArtefactError that names what is missing or damaged.
    """
    from safetensors.numpy import load_file

    found, facts = _network(set_name, network)
    path = found.folder / facts.file
    if problem := _damage(path, facts):
        raise ArtefactError(f"weights {set_name}: {problem}", f"SHA-256 {facts.sha256[:16]}…", _repair(found))
    return dict(load_file(path))


def digest(set_name: str, networks: Iterable[str]) -> str:
    """One SHA-256 over the file hashes of the named networks, whatever their order."""
    lines = [f"{each} {_network(set_name, each)[1].sha256}\n" for each in sorted(set(networks))]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def verify(set_name: str) -> None:
    """Reads all files of a set anew. Raises ArtefactError that names all that are damaged, missing or foreign."""
    found = read_set(set_name)
    expected = {MANIFEST, *(facts.file for facts in found.networks.values())}
    foreign = sorted(each.name for each in found.folder.iterdir() if each.name not in expected)
    problems = [*damages(found), *(f"{each} does not belong to the set" for each in foreign)]
    if problems:
        raise ArtefactError(
            f"weights {set_name}: {'; '.join(problems)}", "the files of the manifest, unchanged", _repair(found)
        )


def damages(found: WeightSet) -> list[str]:
    """What is wrong with the files that a set should have, read anew."""
    _file_sha256.cache_clear()
    problems = (_damage(found.folder / facts.file, facts) for facts in found.networks.values())
    return [problem for problem in problems if problem]


def _network(set_name: str, network: str) -> tuple[WeightSet, NetworkFile]:
    found = read_set(set_name)
    if network not in found.networks:
        raise ArtefactError(
            f"weights {set_name} have no network {network}",
            f"{network} beside {', '.join(found.networks) or 'nothing'}",
            f"import it together with the others: afitrt weights import PATH --name {set_name}-whole",
        )
    return found, found.networks[network]


def _damage(path: Path, facts: NetworkFile) -> str:
    """What is wrong with a file, or nothing."""
    try:
        state = path.stat()
        if state.st_size != facts.bytes:
            return f"{path.name} has {state.st_size} bytes, not {facts.bytes}"
        if _file_sha256(path, state.st_size, state.st_mtime_ns, state.st_ino) != facts.sha256:
            return f"{path.name} is damaged: its bytes differ from the manifest"
    except OSError as error:
        return f"{path.name} cannot be read ({error.strerror})"
    return ""


@lru_cache(maxsize=64)
def _file_sha256(path: Path, size: int, modified_ns: int, inode: int) -> str:
    """Keyed by what changes when the file does, so that a process hashes each file once."""
    return artefacts.sha256(path)


def _repair(found: WeightSet) -> str:
    command = "fetch" if found.name == DEFAULT_SET else f"import PATH --name {found.name}"
    return f"delete {found.folder} and run: afitrt weights {command}"


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder beside the sets that vanishes at the end, whatever happens; old ones of killed runs go too.

    Raises RetryError for a full disk, OutputError when nothing can be written there.
    """
    home, scratch = artefacts.weights_home(), None
    try:
        home.mkdir(parents=True, exist_ok=True)
        for left in home.glob(".making-*"):
            if time.time() - left.stat().st_mtime > STALE_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
        scratch = Path(mkdtemp(prefix=".making-", dir=home))
        yield scratch
    except OSError as error:
        kind = RetryError if error.errno == errno.ENOSPC else OutputError
        raise kind(
            f"cannot write in {home}: {error.strerror or error}",
            "a writable folder with room for the weights",
            "free the disk, or set AFITRT_HOME to another folder",
        ) from error
    finally:
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)


def write_set(
    name: str,
    source: str,
    networks: Iterable[tuple[str, Network]],
    scratch: Path,
    settled: Callable[[], bool],
) -> Path:
    """Writes a set inside the scratch folder and renames it into place; returns its folder.

    settled: asked when a set of this name is in the way. True keeps that one, False replaces it.
    """
    from safetensors.numpy import save

    made = scratch / "set"
    made.mkdir()
    files: dict[str, dict[str, Any]] = {}
    for network, content in networks:
        path = made / f"{network}.safetensors"
        path.write_bytes(save(content.tensors))
        arrays = content.tensors.values()
        facts = NetworkFile(
            file=path.name,
            sha256=artefacts.sha256(path),
            bytes=path.stat().st_size,
            tensors=len(arrays),
            parameters=sum(array.size for array in arrays),
            source=content.source,
            source_sha256=content.source_sha256,
        )
        files[network] = asdict(facts)
    manifest = {"schema": SCHEMA, "name": name, "source": source, "networks": files}
    (made / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    return _publish(made, artefacts.weights_home() / name, scratch, settled)


def _publish(made: Path, target: Path, scratch: Path, settled: Callable[[], bool]) -> Path:
    """Renames a finished folder; another process may do the same at any moment."""
    for attempt in range(10):
        try:
            made.rename(target)
        except OSError:
            if not target.exists():
                raise
            if settled():
                return target
            with suppress(FileNotFoundError):
                target.rename(scratch / f"replaced-{attempt}")
        else:
            return target
    raise RetryError(f"{target} keeps changing", "one process that writes it", "run the command again")
