"""Pictures that say how they are to be shown are refused or told, never turned or recoloured in silence."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from command import afitrt

from afitrt.errors import InputError
from afitrt.video.image_metadata import marks

FAST = ("--model", "blend", "--preset", "ultrafast", "--rate", "25")


def folder(tmp_path: Path, suffix: str) -> Path:
    made = tmp_path / "in"
    made.mkdir()
    for number in range(3):
        assert cv2.imwrite(str(made / f"{number}.{suffix}"), np.full((48, 64, 3), 50 * number, np.uint8))
    return made


@pytest.mark.parametrize("turned", range(1, 9))
def test_a_jpeg_that_is_to_be_turned_is_refused_before_the_work(turned: int, tmp_path: Path) -> None:
    pictures = folder(tmp_path, "jpg")
    order, file = ("<", b"II*\0") if turned % 2 else (">", b"MM\0*")
    exif = b"Exif\0\0" + file + struct.pack(f"{order}IHHHIHHI", 8, 1, 0x0112, 3, 1, turned, 0, 0)
    whole = (pictures / "1.jpg").read_bytes()
    (pictures / "1.jpg").write_bytes(whole[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + whole[2:])
    ran = afitrt("interpolate", pictures, tmp_path / "out.mkv", *FAST)
    if turned == 1:
        assert ran.code == 0, ran.err
        return
    assert ran.code == 3 and f"1.jpg is to be turned (EXIF orientation {turned})" in ran.err, ran.err
    assert "-auto-orient" in ran.err and not list(tmp_path.glob("*out*"))


def test_a_jpeg_in_cmyk_is_refused(tmp_path: Path) -> None:
    inks = struct.pack(">BHHB", 8, 48, 64, 4) + bytes(12)
    (tmp_path / "2.jpg").write_bytes(b"\xff\xd8\xff\xc0" + struct.pack(">H", len(inks) + 2) + inks)
    with pytest.raises(InputError, match="holds CMYK"):
        marks(tmp_path / "2.jpg")


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        (b"gAMA", (100000).to_bytes(4, "big"), "gAMA"),
        (b"gAMA", (45455).to_bytes(4, "big"), ""),
        (b"cICP", bytes([9, 16, 0, 1]), "cICP"),
        (b"cICP", bytes([1, 13, 0, 1]), ""),
        (b"iCCP", b"any\0\0" + zlib.compress(bytes(128)), "an ICC profile"),
    ],
)
def test_what_a_png_says_of_its_colours_is_told(name: bytes, data: bytes, told: str, tmp_path: Path) -> None:
    pictures = folder(tmp_path, "png")
    whole, chunk = (pictures / "1.png").read_bytes(), name + data
    written = len(data).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")
    (pictures / "1.png").write_bytes(whole[:33] + written + whole[33:])
    ran = afitrt("interpolate", pictures, tmp_path / "out.mkv", *FAST)
    assert ran.code == 0, ran.err
    assert (f"{told} of the pictures are not applied" in ran.err) == bool(told)
    assert told or "not applied" not in ran.err
