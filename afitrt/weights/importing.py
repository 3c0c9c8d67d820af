"""Weights that the user brings: recognised by the names and shapes of their tensors, kept as a named set."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NoReturn

import numpy as np

from afitrt import artefacts
from afitrt.errors import ArtefactError, InputError, UsageError
from afitrt.weights.pickles import ZIP_ERRORS, Tensors, read_pickle
from afitrt.weights.sets import DEFAULT_SET, Network, check_name, scratch_folder, write_set

PICKLES = (".pkl", ".pth", ".pt")
SINGLE = (*PICKLES, ".safetensors")
ARCHIVES = (".zip", ".whl")
MOST_BYTES = 1 << 30


@dataclass(frozen=True)
class Recognised:
    """A file that is one of our networks; left_out names tensors that the network does not have."""

    file: str
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class ImportReport:
    """What became of the files: networks found by name, and files not known, each with the reason."""

    name: str
    folder: Path
    networks: Mapping[str, Recognised]
    unknown: tuple[tuple[str, str], ...]


@cache
def architectures() -> Mapping[str, Mapping[str, tuple[int, ...]]]:
    """Shape of every parameter of every known network."""
    table = json.loads(Path(__file__).with_name("architectures.json").read_text(encoding="utf-8"))
    return {network: {name: tuple(shape) for name, shape in shapes.items()} for network, shapes in table.items()}


def recognise(tensors: Tensors) -> tuple[str, Tensors]:
    """The network that these are the weights of, and its tensors without the prefix "module.".

    Raises ArtefactError that says how far the most similar network is.
    """
    plain = {name.removeprefix("module."): array for name, array in tensors.items()}
    shapes = {name: array.shape for name, array in plain.items()}
    missing = {
        network: [name for name, shape in wanted.items() if shapes.get(name) != shape]
        for network, wanted in architectures().items()
    }
    whole = [network for network in missing if not missing[network]]
    if whole:
        network = max(whole, key=lambda each: len(architectures()[each]))
        return network, {name: plain[name] for name in architectures()[network]}
    nearest = min(missing, key=lambda each: len(missing[each]) / len(architectures()[each]))
    lacking = missing[nearest]
    raise ArtefactError(
        f"no known network: nearest is {nearest}, but {len(lacking)} of its {len(architectures()[nearest])} "
        f"tensors are missing or of another shape ({lacking[0]} first)",
        f"one of {', '.join(architectures())}",
        "leave the file out",
    )


def import_weights(paths: Sequence[Path], name: str) -> ImportReport:
    """Makes a set out of folders, zips and single .pkl, .pth, .pt or .safetensors files.

    A set need not be whole: loading a network that it lacks says so. Raises InputError for a path that is not
    there or cannot be read, UsageError for an impossible or taken name and for two files of one network,
    ArtefactError when no file is known.
    """
    _check_free(name)
    networks: dict[str, Network] = {}
    recognised: dict[str, Recognised] = {}
    unknown: list[tuple[str, str]] = []
    for file, data in _files(paths):
        try:
            tensors = _read(data, file)
            network, kept = recognise(tensors)
        except ArtefactError as error:
            unknown.append((file, error.found))
            continue
        found = Network(kept, file, hashlib.sha256(data).hexdigest())
        if network in networks:
            _check_same(network, networks[network], found)
            continue
        networks[network] = found
        left_out = {each.removeprefix("module.") for each in tensors} - kept.keys()
        recognised[network] = Recognised(file, tuple(sorted(left_out)))
    if not networks:
        reasons = "; ".join(f"{file}: {reason}" for file, reason in unknown[:5])
        raise ArtefactError(
            f"no known weights ({reasons or 'no ' + ', '.join(SINGLE) + ' file'})",
            f"state dicts of {', '.join(architectures())}",
            "afitrt weights import with the folder or zip that the weights were published in",
        )
    with scratch_folder() as scratch:
        source = ", ".join(path.resolve().name for path in paths)
        folder = write_set(name, source, sorted(networks.items()), scratch, lambda: _refuse_taken(name))
    return ImportReport(name, folder, recognised, tuple(unknown))


def _check_free(name: str) -> None:
    if check_name(name) == DEFAULT_SET:
        raise UsageError(f"--name {name}", "a name other than that of the published set", "--name my-weights")
    if (artefacts.weights_home() / name).exists():
        _refuse_taken(name)


def _refuse_taken(name: str) -> NoReturn:
    folder = artefacts.weights_home() / name
    raise UsageError(f"weights {name} exist", "a new name", f"--name {name}-2, or delete {folder}")


def _check_same(network: str, first: Network, second: Network) -> None:
    """Raises UsageError unless both files hold the same numbers."""
    if any(not np.array_equal(first.tensors[each], second.tensors[each]) for each in first.tensors):
        raise UsageError(
            f"two files for {network}: {first.source} and {second.source}",
            "one file a network",
            "name the single files instead of their folder",
        )


def _files(paths: Sequence[Path]) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of every file that could hold weights, one in memory at a time."""
    for path in paths:
        try:
            if path.is_dir():
                inside = sorted(each for each in path.rglob("*") if each.suffix.lower() in SINGLE and each.is_file())
                yield from ((str(each.relative_to(path)), each.read_bytes()) for each in inside)
            elif path.suffix.lower() in ARCHIVES:
                yield from _archived(path)
            elif path.suffix.lower() in SINGLE:
                yield path.name, path.read_bytes()
            elif path.exists():
                raise InputError(
                    f"{path} is no weights file",
                    f"a folder or {', '.join((*ARCHIVES, *SINGLE))}",
                    "name another",
                )
            else:
                raise InputError(f"{path} is not there", "weights to import", "check the path")
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror}", "a readable file", "check the path") from error


def _archived(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                if Path(entry.filename).suffix.lower() not in SINGLE:
                    continue
                if entry.file_size > MOST_BYTES:
                    raise InputError(
                        f"{entry.filename} in {path} takes {entry.file_size / 1e9:.0f} GB",
                        f"at most {MOST_BYTES / 1e9:.0f} GB",
                        "unpack the zip and name the file itself",
                    )
                yield entry.filename, archive.read(entry)
    except (FileNotFoundError, PermissionError):
        raise
    except ZIP_ERRORS as error:
        raise InputError(f"{path} is no whole zip ({error})", "a zip of weights", "download it again") from error


def _read(data: bytes, file: str) -> Tensors:
    """float32 arrays by name. Raises ArtefactError."""
    if not file.lower().endswith(".safetensors"):
        return read_pickle(data, file)
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        tensors = load(data)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ArtefactError(
            f"{file} is no readable safetensors file ({error})", "FP32 tensors", "get it anew"
        ) from error
    for name, array in tensors.items():
        if array.dtype != np.float32:
            raise ArtefactError(f"{file} holds {name} as {array.dtype}", "FP32 tensors", "get the FP32 file")
    return dict(tensors)
