"""y4m on standard input: its header, and its frames on their way to an ffmpeg child."""

from __future__ import annotations

import os
import re
import threading
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import numpy as np

from afitrt.errors import InputError, UsageError
from afitrt.frames import Colour, VideoInfo
from afitrt.video.colour import pixel_format

STDIN = 0
STDIO = Path("-")
LINE_BYTES = 4096
CHUNK_BYTES = 1 << 20
Y4M = "y4m, as `ffmpeg -i FILE -strict -1 -f yuv4mpegpipe -` and `vspipe -c y4m` write it"

_MAGIC = b"YUV4MPEG2 "
_LAYOUT = re.compile(r"(420|422|444)(jpeg|mpeg2|paldv)?(?:p(10))?")
_CHROMA = {"jpeg": "center", "mpeg2": "left", "paldv": "topleft"}


def probe_pipe(rate: Fraction | None) -> VideoInfo:
    """Takes the header of the stream on standard input and tells its facts; rate: where the header names none.

    Raises InputError for whatever is no y4m of 8 or 10 bit, 4:2:0, 4:2:2 or 4:4:4; UsageError for a second rate.
    """
    if os.isatty(STDIN):
        raise InputError("standard input is a terminal", Y4M, "ffmpeg ... - | afitrt interpolate - OUT")
    try:
        header = _header()
    except OSError as error:
        raise InputError(f"standard input cannot be read: {error.strerror}", Y4M, "pipe something into it") from error
    return parse_header(header, rate)


def _header() -> bytes:
    """The first line without its end, and not a byte more."""
    line = b""
    while not line.endswith(b"\n") and len(line) < LINE_BYTES:
        byte = os.read(STDIN, 1)
        if not byte or not _MAGIC.startswith(line[: len(_MAGIC)]):
            break
        line += byte
    if not line:
        raise InputError("standard input is empty", Y4M, "look at what the program before the pipe says")
    if not (line.startswith(_MAGIC) and line.endswith(b"\n")):
        raise InputError(f"standard input begins with {line[:16]!r}", Y4M, "name the file instead of -, or convert it")
    return line.rstrip(b"\n")


def parse_header(line: bytes, rate: Fraction | None = None) -> VideoInfo:
    """The facts that a y4m header tells; see probe_pipe."""
    fields = {word[0]: word[1:] for word in line.decode("ascii", "replace").split()[1:] if word[0] != "X"}
    extra = dict(re.findall(r" X(\w+)=(\S+)", line.decode("ascii", "replace")))
    layout = _LAYOUT.fullmatch(fields.get("C", "420jpeg"))
    width, height = _number(fields.get("W")), _number(fields.get("H"))
    if layout is None or not width or not height:
        raise InputError(
            f"the y4m on standard input is {width}x{height} {fields.get('C', '')}".rstrip(),
            "8 or 10 bit 4:2:0, 4:2:2 or 4:4:4 without alpha",
            "convert it, as with ffmpeg's -pix_fmt yuv420p10le",
        )
    pix_fmt = f"yuv{layout[1]}p{'10le' if layout[3] else ''}"
    exact = _rate(fields.get("F", ""), rate)
    ranges = {"LIMITED": "tv", "FULL": "pc"}
    return VideoInfo(
        path=STDIO,
        width=width,
        height=height,
        rate=exact,
        time_base=1 / exact,
        pts=np.empty(0, np.int64),
        end=0,
        pix_fmt=pix_fmt,
        depth=pixel_format(pix_fmt).depth,
        colour=Colour(range=ranges.get(extra.get("COLORRANGE", "")), chroma_location=_CHROMA.get(layout[2])),
        sample_aspect=_ratio(fields.get("A", "")) or Fraction(1),
        codec="rawvideo",
        interlaced=fields.get("I", "p") not in "p?",
        piped=True,
    )


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() else 0


def _ratio(text: str) -> Fraction | None:
    above, _, below = text.partition(":")
    return Fraction(int(above), int(below)) if _number(above) and _number(below) else None


def _rate(text: str, given: Fraction | None) -> Fraction:
    told = _ratio(text)
    if told is None and given is None:
        raise UsageError("the y4m on standard input tells no frame rate", "one in its header", "--rate 24000/1001")
    if told is not None and given is not None and told != given:
        raise UsageError(
            f"--rate {given} for y4m of {told} frames a second", "its own rate", "leave --rate out, or see --normalize"
        )
    return told or given or Fraction(25)


@dataclass
class _Frames:
    """Takes a y4m stream apart, header already gone."""

    source: IO[bytes]
    size: int

    def copy(self, sink: Any) -> str:
        """Hands the bytes of all whole frames over; how the stream was damaged, or "" where it was not."""
        count = 0
        while line := self.source.readline(LINE_BYTES):
            if not (line.startswith(b"FRAME") and line.endswith(b"\n")):
                return f"standard input: what follows frame {count} is no y4m"
            left = self.size
            while left and (chunk := self.source.read(min(left, CHUNK_BYTES))):
                view = memoryview(chunk)
                while view:
                    view = view[sink.write(view) :]
                left -= len(chunk)
            if left:
                return f"standard input ended inside frame {count}"
            count += 1
        return ""


class Pump:
    """A thread that hands the frames on standard input to an ffmpeg child as rawvideo."""

    def __init__(self, info: VideoInfo) -> None:
        pixels = pixel_format(info.pix_fmt)
        chroma = -(-info.width // pixels.sub_width) * -(-info.height // pixels.sub_height)
        self._size = (info.width * info.height + 2 * chroma) * (2 if info.depth > 8 else 1)
        self.damage = ""

    def start(self, sink: IO[bytes]) -> None:
        """Begins, and closes the sink at the end. The thread is left behind where input stalls: nothing ends a read."""
        threading.Thread(target=self._run, args=(sink,), name="afitrt-stdin", daemon=True).start()

    def _run(self, sink: IO[bytes]) -> None:
        # A child that has what it needs closes its end; one that is ended may close ours in between.
        with suppress(BrokenPipeError, ValueError, OSError), open(STDIN, "rb", closefd=False) as source:
            self.damage = _Frames(source, self._size).copy(sink)
            sink.close()
