"""Sequences of still pictures as a source: a folder in natural order, or a numbered pattern."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
import numpy.typing as npt

from afitrt.errors import InputError, UsageError
from afitrt.frames import Pixels, VideoInfo
from afitrt.video.image_metadata import marks
from afitrt.video.numbered import PICTURES, Numbered, natural, numbered
from afitrt.video.timeline import repeats
from afitrt.video.write import to_depth

LAST_BYTES = 4096
# PNG's colour types with a palette, and with alpha.
_MAY_BE_TRANSPARENT = frozenset({b"\3", b"\4", b"\6"})
# JPEG markers that begin a picture: SOF0..SOF15 without DHT, JPG and DAC among them.
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def probe_pictures(path: Path, rate: Fraction | None) -> VideoInfo:
    """The facts of a folder or pattern of pictures, shown at this rate; depth is that of the deepest one.

    Reads the head of every opaque PNG and JPEG and decodes every other picture. Raises InputError for a folder without
    pictures, a missing number, alpha, a picture of another size, to be turned or in CMYK; UsageError without a rate.
    """
    files = _numbered_files(path, found) if (found := numbered(path)) else _folder_files(path)
    if rate is None:
        raise UsageError(
            f"{path} holds pictures, which tell no frame rate", "their number for a second", "--rate 24000/1001"
        )
    width, height, depth = size(files[0])
    read_picture(files[0])
    for file in files[1:]:
        other = size(file)
        if other[:2] != (width, height):
            raise InputError(
                f"{file} is {other[0]}x{other[1]}",
                f"{width}x{height}, as {files[0].name} is",
                "pictures of one size: scale it, or take it out of the folder",
            )
        depth = max(depth, other[2])
    told = dict.fromkeys(mark for file in files for mark in marks(file))
    return VideoInfo(
        path=path,
        width=width,
        height=height,
        rate=rate,
        time_base=1 / rate,
        pts=np.arange(len(files), dtype=np.int64),
        end=len(files),
        pix_fmt="rgb24" if depth == 8 else "rgb48le",
        depth=depth,
        codec=files[0].suffix.lower().lstrip("."),
        pictures=tuple(files),
        marks=tuple(told),
    )


def _folder_files(folder: Path) -> list[Path]:
    named = (each for each in folder.iterdir() if each.suffix.lower() in PICTURES and not each.name.startswith("."))
    files = [each for each in named if each.is_file()]
    if not files:
        raise InputError(
            f"{folder} is a folder without pictures", f"files that end in {', '.join(PICTURES)}", "name another folder"
        )
    return sorted(files, key=natural)


def _numbered_files(path: Path, found: Numbered) -> list[Path]:
    numbers = [number for number in found.numbers() if found.path(number).is_file()]
    if not numbers:
        raise InputError(f"no picture is named like {path}", "files that differ in the number", "check folder and name")
    for left, right in pairwise(numbers):
        if right != left + 1:
            raise InputError(
                f"{found.path(left + 1)} is missing: {found.path(left).name} is followed by {found.path(right).name}",
                "numbers without a gap",
                f"add what is missing, or give the folder {found.folder} to close the gaps",
            )
    return [found.path(number) for number in numbers]


def size(path: Path) -> tuple[int, int, int]:
    """Width, height and bits of a component (8 or 16). Raises InputError."""
    try:
        with path.open("rb") as file:
            facts = _head(file)
    except (OSError, struct.error) as error:
        raise _unreadable(path, getattr(error, "strerror", None) or "it ends early") from error
    if facts is None:
        picture = read_picture(path)
        facts = picture.shape[1], picture.shape[0], 8 * picture.itemsize
    return facts


def _head(file: BinaryIO) -> tuple[int, int, int] | None:
    """The same from the head of a PNG without alpha or JPEG; None for what is to be decoded to know it."""
    head = file.read(26)
    if head.startswith(b"\x89PNG") and head[25:26] not in _MAY_BE_TRANSPARENT:
        width, height, bits = struct.unpack(">16xIIBx", head)
        return width, height, 16 if bits == 16 else 8
    if not head.startswith(b"\xff\xd8"):
        return None
    file.seek(2)
    while True:
        marker, length = struct.unpack(">xBH", file.read(4))
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack(">xHH", file.read(5))
            return width, height, 8
        file.seek(length - 2, 1)


def read_picture(path: Path) -> npt.NDArray[Any]:
    """[height, width, 3], RGB, uint8 or uint16 over its full range. Raises InputError."""
    import cv2

    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # What is wrong is said by us.
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error.strerror or "no reason given") from error
    # Where a JPEG is cut off the decoder makes up the rest.
    cut = data.startswith(b"\xff\xd8") and b"\xff\xd9" not in data[-LAST_BYTES:]
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if data and not cut else None
    if picture is None:
        raise _unreadable(path, "it does not decode, or ends early" if data else "it is empty")
    if picture.dtype not in (np.uint8, np.uint16):
        raise _unreadable(path, f"it holds {picture.dtype}")
    if picture.ndim == 3 and picture.shape[2] == 4 and picture[:, :, 3].min() == np.iinfo(picture.dtype).max:
        picture = np.ascontiguousarray(picture[:, :, :3])
    if picture.ndim == 3 and picture.shape[2] != 3:
        raise InputError(
            f"{path} has an alpha channel, and it hides something",
            "opaque pictures; transparency cannot be interpolated",
            "flatten the pictures onto a background",
        )
    rgb: npt.NDArray[Any] = cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB if picture.ndim == 2 else cv2.COLOR_BGR2RGB)
    return rgb


def _unreadable(path: Path, reason: str) -> InputError:
    return InputError(
        f"{path} cannot be read ({reason})", "a picture of 8 or 16 bit", "make it again, or take it out of the sequence"
    )


class PictureReader:
    """Reader's interface over a sequence of pictures; all have the depth of the deepest one."""

    def __init__(
        self, info: VideoInfo, span: tuple[int, int | None] | None = None, rate: Fraction | None = None
    ) -> None:
        self._files = list(info.pictures)
        if rate is not None:
            shown = zip(self._files, repeats(info, rate), strict=True)
            self._files = [file for file, times in shown for _ in range(times)]
        self._files = self._files[slice(*span) if span else slice(None)]
        self._dtype: type[np.uint8] | type[np.uint16] = np.uint8 if info.depth == 8 else np.uint16
        self._shape = (info.height, info.width, 3)
        self.errors: tuple[str, ...] = ()
        self.frames = 0

    @property
    def complete(self) -> bool:
        """See Reader."""
        return self.frames == len(self._files)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """See Reader."""
        self._files = self._files[: self.frames]

    def __iter__(self) -> Iterator[Pixels]:
        while self.frames < len(self._files):
            file = self._files[self.frames]
            picture = to_depth(read_picture(file), self._dtype)
            if picture.shape != self._shape:
                raise _unreadable(file, "it was changed meanwhile")
            self.frames += 1
            yield picture
