"""Closed captions (CEA-608 in A53) put into the pictures of H.264 and MPEG-2 streams by hand."""

from __future__ import annotations

import re
from pathlib import Path

from video_helpers import ffmpeg

WORDS = "HELLO THERE FROM THE CAPTIONS "
# Resume roll-up of two rows, carriage return, a row's place.
CONTROL = ((0x14, 0x25), (0x14, 0x25), (0x14, 0x2D), (0x14, 0x2D), (0x14, 0x70), (0x14, 0x70))


def pairs() -> list[tuple[int, int]]:
    """Two bytes for each picture, with odd parity."""
    text = [(ord(a), ord(b)) for a, b in zip(WORDS[::2], WORDS[1::2], strict=True)]
    return [(_odd(a), _odd(b)) for a, b in (*CONTROL, *text, *CONTROL)]


def _odd(value: int) -> int:
    return value | (0x80 if value.bit_count() % 2 == 0 else 0)


def payload(pair: tuple[int, int]) -> bytes:
    """GA94 user data of one picture."""
    return b"GA94\x03" + bytes([0x41, 0xFF, 0xFC, *pair, 0xFF])


def captioned(path: Path, codec: str = "h264", seconds: float = 2) -> Path:
    """A video whose pictures carry captions. codec: "h264" or "mpeg2video"."""
    raw = path.with_suffix(".264" if codec == "h264" else ".m2v")
    encode = ("-c:v", "libx264", "-bf", 0, "-slices", 1) if codec == "h264" else ("-c:v", codec, "-bf", 0)
    ffmpeg("-f", "lavfi", "-i", f"testsrc2=s=64x48:r=25:d={seconds}", *encode, raw)
    told = iter(pairs() * 20)

    def before(found: re.Match[bytes]) -> bytes:
        data = payload(next(told))
        if codec == "h264":
            body = b"\xb5\x00\x31" + data
            return b"\x00\x00\x01\x06\x04" + bytes([len(body)]) + body + b"\x80" + found[0]
        return b"\x00\x00\x01\xb2" + data + found[0]

    # Before each picture's slice: NAL units of type 1 and 5, or the first slice of MPEG-2.
    slices = rb"\x00\x00\x01[\x01\x21\x41\x61\x25\x45\x65]" if codec == "h264" else rb"\x00\x00\x01\x01"
    raw.write_bytes(re.sub(slices, before, raw.read_bytes(), flags=re.DOTALL))
    ffmpeg("-fflags", "+genpts", "-r", 25, "-i", raw, "-c", "copy", path)
    return path
