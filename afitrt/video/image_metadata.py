"""What PNG and JPEG files say about how they are to be shown, beside their pixels: turning, gamma, profiles, inks."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from afitrt.errors import InputError

HEAD_BYTES = 1 << 20
# 1/2.2 in units of 0.00001, which is what everything without gAMA is taken for.
USUAL_GAMMA = range(45000, 46001)
USUAL_CODE_POINTS = (b"\x01\x0d\x00\x01",)
_FRAMES = frozenset({0xC0, 0xC1, 0xC2})


def marks(path: Path) -> tuple[str, ...]:
    """Names of what a picture says of its colours that is not applied to its pixels.

    Raises InputError for a JPEG that is to be turned, or that holds CMYK.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if head.startswith(b"\x89PNG"):
        return tuple(dict.fromkeys(_png(head)))
    if head.startswith(b"\xff\xd8"):
        return tuple(dict.fromkeys(_jpeg(path, head)))
    return ()


def _png(head: bytes) -> Iterator[str]:
    chunks, place = {}, 8
    while place + 12 <= len(head) and (name := head[place + 4 : place + 8]) != b"IDAT":
        size = int.from_bytes(head[place : place + 4], "big")
        chunks[name] = head[place + 8 : place + 8 + size]
        place += 12 + size
    if b"cICP" in chunks and chunks[b"cICP"] not in USUAL_CODE_POINTS:
        yield "cICP"
    elif b"iCCP" in chunks:
        yield "an ICC profile"
    elif b"gAMA" in chunks and b"sRGB" not in chunks and int.from_bytes(chunks[b"gAMA"], "big") not in USUAL_GAMMA:
        yield "gAMA"


def _jpeg(path: Path, head: bytes) -> Iterator[str]:
    place = 2
    while place + 4 <= len(head) and head[place] == 0xFF and (marker := head[place + 1]) != 0xDA:
        size = int.from_bytes(head[place + 2 : place + 4], "big")
        data = head[place + 4 : place + 2 + size]
        if marker == 0xE1 and data.startswith(b"Exif\0\0") and _orientation(data[6:]) > 1:
            raise InputError(
                f"{path} is to be turned (EXIF orientation {_orientation(data[6:])})",
                "pictures that are stored as they are shown",
                "turn them first, as with mogrify -auto-orient, or take EXIF out with exiftool -Orientation=",
            )
        if marker in _FRAMES and data[5:6] == b"\x04":
            raise InputError(f"{path} holds CMYK", "RGB or grey", "convert it to RGB first")
        if marker == 0xE2 and data.startswith(b"ICC_PROFILE\0") and b"sRGB" not in data:
            yield "an ICC profile"
        place += 2 + size


def _orientation(tiff: bytes) -> int:
    """EXIF's tag 0x0112 in its first directory, 1 where it is not told."""
    order = "<" if tiff.startswith(b"II") else ">"
    try:
        (begin,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, begin)
        for number in range(count):
            tag, _, _, value = struct.unpack_from(f"{order}HHIH", tiff, begin + 2 + 12 * number)
            if tag == 0x0112:
                return value if 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1
