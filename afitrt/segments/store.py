"""The folder of finished segments: a file and a sidecar each, and the fingerprint of the machine that made them."""

from __future__ import annotations

import json
import os
import platform
import shutil
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from afitrt import video
from afitrt.artefacts import sha256, writing_in, written_aside
from afitrt.errors import AfitrtError, InputError, UsageError
from afitrt.frames import Pixels
from afitrt.schedule import Range
from afitrt.segments.identity import Fingerprint
from afitrt.segments.values import from_json, to_json

_FINGERPRINT = "fingerprint.json"


@dataclass(frozen=True)
class Sidecar:
    """What a finished segment is. recipe: digest of what it was made by; pictures: hashes, before encoding, in order.

    bytes and sha256 are those of the file; host is the machine that made it.
    """

    recipe: str
    segment: int
    outputs: Range
    bytes: int
    sha256: str
    pictures: tuple[str, ...]
    host: str


def picture_hash(pixels: Pixels) -> str:
    """16 hexadecimal digits over a picture's bytes."""
    return blake2b(pixels.data if pixels.flags.c_contiguous else pixels.tobytes(), digest_size=8).hexdigest()


class FrameHash:
    """Hashes decoded frames as they come: quick, and enough to tell a frame from its neighbours."""

    def __init__(self) -> None:
        self._each = b""
        self.first = ""

    def add(self, pixels: Pixels) -> None:
        """Takes the next frame."""
        self.add_checksum(checksum(pixels))

    def add_checksum(self, value: int) -> None:
        """The same for a checksum taken before."""
        self._each += value.to_bytes(4, "big")
        self.first = self.first or f"{value:08x}"

    @property
    def all(self) -> str:
        """16 hexadecimal digits over all frames so far."""
        return blake2b(self._each, digest_size=8).hexdigest()


def checksum(pixels: Pixels) -> int:
    """CRC-32 of a decoded frame."""
    return zlib.crc32(pixels.data)


class Store:
    """Finished segments of one recipe in a folder; it is made when the first one is written."""

    NOTE = "joined.json"

    def __init__(self, folder: Path, recipe: str) -> None:
        self.folder, self._recipe = folder, recipe
        self.note = folder / self.NOTE
        """Says that all is joined; the last thing that goes."""

    def path(self, segment: int) -> Path:
        """The video of a segment."""
        return self.folder / f"segment-{segment:06}.mkv"

    def aside(self, segment: int) -> Path:
        """Where this process writes a segment before it is finished."""
        return self.folder / f".segment-{segment:06}.{platform.node()}.{os.getpid()}.mkv"

    def finished(self, segment: int) -> Sidecar | None:
        """The sidecar of a segment that is whole and made by this recipe, else None."""
        path = self.path(segment)
        try:
            sidecar = from_json(Sidecar, json.loads(_sidecar(path).read_text()), path.name)
            whole = path.stat().st_size == sidecar.bytes and sha256(path) == sidecar.sha256
        except (OSError, ValueError, AfitrtError):
            return None
        right = sidecar.recipe == self._recipe and sidecar.segment == segment
        return sidecar if right and whole and len(sidecar.pictures) == sidecar.outputs[1] - sidecar.outputs[0] else None

    def all_finished(self) -> dict[int, Sidecar]:
        """Every finished segment by its number."""
        numbers = sorted(int(path.stem.removeprefix("segment-")) for path in self.folder.glob("segment-*.mkv"))
        found = ((number, self.finished(number)) for number in numbers)
        return {number: sidecar for number, sidecar in found if sidecar is not None}

    def publish(self, segment: int, outputs: Range, pictures: tuple[str, ...]) -> Sidecar:
        """Gives what was written aside its name, then its sidecar, which says that it is finished."""
        aside, path = self.aside(segment), self.path(segment)
        sidecar = Sidecar(
            recipe=self._recipe,
            segment=segment,
            outputs=outputs,
            bytes=aside.stat().st_size,
            sha256=sha256(aside),
            pictures=pictures,
            host=platform.node(),
        )
        with writing_in(self.folder):
            _sidecar(path).unlink(missing_ok=True)
            aside.replace(path)
            with written_aside(_sidecar(path)) as text:
                text.write_text(json.dumps(to_json(sidecar)) + "\n")
        return sidecar

    def make(self, fingerprint: Fingerprint, allow_mixed: bool) -> None:
        """Makes the folder and notes the machine's fingerprint there; see `_compare` for another one."""
        path = self.folder / _FINGERPRINT
        with writing_in(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self.sweep()
            if path.exists():
                _compare(path, fingerprint, allow_mixed)
                return
            with written_aside(path) as text:
                text.write_text(json.dumps(to_json(fingerprint), indent=1) + "\n")

    def sweep(self, ended: Callable[[int], bool] = lambda pid: not psutil.pid_exists(pid)) -> None:
        """Removes what processes of this machine that have ended left unfinished."""
        for path in self.folder.glob(".segment-*.mkv"):
            number, _, pid = path.stem.partition(f".{platform.node()}.")
            with suppress(ValueError, OSError):
                if number and ended(int(pid)):
                    path.unlink()

    def remove(self) -> None:
        """Removes the folder with everything in it."""
        for path in self.folder.glob("*"):
            if path != self.note:
                with suppress(OSError):
                    path.unlink()
        shutil.rmtree(self.folder, ignore_errors=True)


class PieceWriter:
    """Writes one segment aside, and hashes its pictures; `publish` makes it a finished one."""

    def __init__(self, store: Store, segment: int, first: int, open_writer: Callable[[Path], video.Writer]) -> None:
        self.segment = segment
        self._store, self._first = store, first
        self._writer = open_writer(store.aside(segment))
        self._pictures: list[str] = []

    @property
    def frames(self) -> int:
        """Pictures written so far."""
        return len(self._pictures)

    def __enter__(self) -> Self:
        self._writer.__enter__()
        return self

    def write(self, pixels: Pixels) -> None:
        """Encodes the next picture."""
        self._writer.write(pixels)
        self._pictures.append(picture_hash(pixels))

    def stop(self) -> None:
        """See Writer."""
        self._writer.stop()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.__exit__(kind, error, trace)

    def publish(self) -> Sidecar:
        """To be called once it is left without an error."""
        outputs = (self._first, self._first + len(self._pictures))
        return self._store.publish(self.segment, outputs, tuple(self._pictures))


def _sidecar(path: Path) -> Path:
    return path.with_suffix(".json")


def _compare(path: Path, found: Fingerprint, allow_mixed: bool) -> None:
    """Raises UsageError where another kind of machine made the segments before: bytes would depend on who made what."""
    try:
        known = from_json(Fingerprint, json.loads(path.read_text()), path.name)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error})", "a fingerprint", f"delete {path.parent}") from error
    if known == found or allow_mixed:
        return
    for name, wanted in to_json(known).items():
        here = to_json(found)[name]
        if here != wanted:
            raise UsageError(
                f"segments in {path.parent} were made with {name} {wanted}, and here it is {here}",
                "one kind of machine for a whole film, so that every run gives the same bytes",
                f"--allow-mixed, or delete {path.parent} to begin anew",
            )
