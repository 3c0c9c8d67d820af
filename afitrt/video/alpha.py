"""Does transparency hide anything? Many formats have an alpha channel that their files use nowhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from afitrt.errors import InputError
from afitrt.frames import VideoInfo
from afitrt.video.colour import pixel_format
from afitrt.video.ffmpeg import Child, read_whole
from afitrt.video.input_options import front, through

PALETTE = "pal8"
# Formats whose alpha extractplanes does not take out as it is, with one in which it does.
_CLEARER = {PALETTE: "rgba", "ya8": "rgba", "ya16le": "rgba64le", "ya16be": "rgba64le"}
_RGB = {"bgra": "bgr0", "rgba": "rgb0", "argb": "0rgb", "abgr": "0bgr", PALETTE: "rgb24"}


def without_alpha(info: VideoInfo) -> VideoInfo:
    """A source whose pictures have alpha, or a palette that may have it, to be read without; decodes all of it.

    Raises InputError where a pixel is transparent.
    """
    opaque = _twin(info.pix_fmt)
    if not _opaque(info):
        raise transparent(info.path, info.pix_fmt, opaque)
    return replace(info, opaque=opaque)


def _twin(name: str) -> str:
    """The same format without alpha."""
    if name.startswith("ya"):
        return {"ya8": "gray"}.get(name, name.replace("ya", "gray"))
    if name.startswith(("rgba64", "bgra64")):
        return name.replace("a64", "48")
    return _RGB.get(name, name.replace("a", "", 1))


def transparent(path: Path, found: str, opaque: str, *more: str) -> InputError:
    """The refusal of a file, with the command that drops its alpha. found: what tells it; more: options of that."""
    return InputError(
        f"{path} has an alpha channel ({found}), and it hides something",
        "opaque pictures; transparency cannot be interpolated",
        " ".join(["ffmpeg -i", path.name, "-map 0 -c copy -c:v ffv1 -pix_fmt", opaque, *more, "opaque.mkv"]),
    )


def _opaque(info: VideoInfo) -> bool:
    """Is alpha at its peak in every pixel of every picture? Ends at the first one where it is not."""
    name = _CLEARER.get(info.pix_fmt, info.pix_fmt)
    depth = pixel_format(name).depth
    sample = np.dtype(np.uint8 if depth == 8 else ">u2" if name.endswith("be") else "<u2")
    planes = [*front(info), f"format={name}", "extractplanes=a"]
    peak, size = 2**depth - 1, info.width * info.height * sample.itemsize
    with Child(through(info, planes, "-f", "rawvideo", "pipe:1", level=("-v", "error")), stdout=True) as child:
        picture = bytearray(size)
        while read_whole(child.stdout, memoryview(picture)):
            if np.frombuffer(picture, sample).min() < peak:
                return False
        return child.wait() == 0
