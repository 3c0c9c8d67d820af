"""Files and facts for the tests of video: made by ffmpeg's own sources or drawn, small and quick to encode.

Files are made and looked at by the bundled ffmpeg, whichever one is under test."""

from __future__ import annotations

import hashlib
import os
import subprocess
from fractions import Fraction
from pathlib import Path
from unittest import mock

import av
import imageio_ffmpeg
import numpy as np
import psutil

from afitrt.frames import Colour, VideoInfo
from afitrt.options import EncodeOptions
from afitrt.video import Writer

BUNDLED = imageio_ffmpeg.get_ffmpeg_exe()
X264 = ("-c:v", "libx264", "-preset", "ultrafast")


def ffmpeg(*arguments: object) -> None:
    """Runs the bundled ffmpeg; its words are shown when it fails."""
    command = [BUNDLED, "-y", "-v", "error", "-nostdin", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")


def pattern(path: Path, *encode: object, seconds: float = 1, rate: str = "25", size: str = "64x48") -> Path:
    """A moving test picture."""
    source = f"testsrc2=s={size}:r={rate}:d={seconds}"
    ffmpeg("-f", "lavfi", "-i", source, *(encode or X264), path)
    return path


def facts(width: int = 64, height: int = 48, pix_fmt: str = "bgr0", **more: object) -> VideoInfo:
    """Facts of a source that needs no file."""
    return VideoInfo(
        path=Path("none.mkv"),
        width=width,
        height=height,
        rate=Fraction(25),
        time_base=Fraction(1, 25),
        pts=np.arange(10),
        end=10,
        pix_fmt=pix_fmt,
        **{"depth": 8, "colour": Colour(), **more},
    )


def drawn(path: Path, frames: list[np.ndarray], info: VideoInfo | None = None, rate: Fraction = Fraction(25)) -> Path:
    """Lossless RGB file of these frames (FFV1)."""
    height, width, _ = frames[0].shape
    deep = frames[0].dtype == np.uint16
    encode = EncodeOptions(codec="ffv1", pix_fmt="gbrp16le" if deep else "bgr0")
    with mock.patch.dict(os.environ, {"AFITRT_FFMPEG": BUNDLED}):
        writer = Writer(path, info or facts(width, height), rate, encode)
    with writer:
        for frame in frames:
            writer.write(frame)
    return path


def noise(count: int, height: int = 48, width: int = 64, dtype: type = np.uint8, seed: int = 0) -> list[np.ndarray]:
    """Random pictures over the full range."""
    draw = np.random.default_rng(seed)
    return [draw.integers(0, np.iinfo(dtype).max, (height, width, 3), dtype, endpoint=True) for _ in range(count)]


def packets(path: Path) -> dict[int, list[av.Packet]]:
    """All packets of all streams that have any."""
    found: dict[int, list[av.Packet]] = {}
    with av.open(str(path)) as container:
        for packet in container.demux():
            if packet.size:
                found.setdefault(packet.stream_index, []).append(packet)
    return found


def payload(path: Path, index: int) -> str:
    """SHA-256 over the bytes of all packets of one stream."""
    return hashlib.sha256(b"".join(bytes(packet) for packet in packets(path)[index])).hexdigest()


def children() -> set[int]:
    """Process numbers of the children that run or were not waited for."""
    return {child.pid for child in psutil.Process().children(recursive=True)}
