"""Values that travel between the rooms: what a video is, what a picture looks like, how it is padded.

Sizes are width x height in pixels when named, height x width in array shapes. A decoded frame is an ndarray
[height, width, 3], RGB, uint8 or uint16 over its full range (stills may be float32, 0..1). A planar picture is
float32 [1, 3, H, W], RGB, 0..1, padded to a multiple by repeating its right and bottom edges.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from afitrt.buffers import pictures

Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16] | npt.NDArray[np.float32]
Planar = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Colour:
    """Colour facts of a stream, in ffmpeg's words; None where the stream does not say."""

    matrix: str | None = None
    primaries: str | None = None
    transfer: str | None = None
    range: str | None = None
    chroma_location: str | None = None


@dataclass(frozen=True)
class Mastering:
    """The display on which HDR pictures were graded (SMPTE ST 2086).

    red, green, blue, white: CIE x, y in units of 0.00002. brightest, darkest: in units of 0.0001 cd/m2.
    """

    red: tuple[int, int]
    green: tuple[int, int]
    blue: tuple[int, int]
    white: tuple[int, int]
    brightest: int
    darkest: int

    def __str__(self) -> str:
        """As x265 and ffmpeg take it: "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"."""
        places = {"G": self.green, "B": self.blue, "R": self.red, "WP": self.white}
        text = "".join(f"{name}({x},{y})" for name, (x, y) in places.items())
        return f"{text}L({self.brightest},{self.darkest})"


@dataclass(frozen=True)
class ContentLight:
    """The brightest pixel of an HDR video and the average of its brightest picture, in cd/m2 (CTA-861.3)."""

    maximum: int
    average: int

    def __str__(self) -> str:
        """As x265 and ffmpeg take it: "1000,400"."""
        return f"{self.maximum},{self.average}"


@dataclass(frozen=True)
class Facts:
    """What one picture is as ffmpeg hands it out. aspect: of one pixel, 1 where it is not told."""

    pix_fmt: str
    width: int
    height: int
    aspect: Fraction = Fraction(1)
    colour: Colour = Colour()


@dataclass(frozen=True)
class Crop:
    """Pixels that a container takes off every picture at each side, and the aspect of one pixel that it names."""

    left: int
    right: int
    above: int
    below: int
    aspect: Fraction = Fraction(1)


@dataclass(frozen=True)
class Change:
    """A picture that differs from the first one. seconds: when it is shown; facts: of the first one and of this."""

    seconds: Fraction
    facts: tuple[Facts, Facts]


@dataclass(frozen=True)
class VideoInfo:
    """What probing told of a video stream.

    rate: frames per second (average where it varies). pts: presentation times in ascending order, in units of time_base
    seconds, one for each packet that is not to be discarded. end: last pts plus its duration, same units. depth: bits
    of one component. constant: every spacing of pts agrees with the rate to within a tick. stream: its index in the
    file. rivals: those of other streams of several pictures, of which this one was chosen. edited: an edit list shows
    it in several pieces. rotation: how players turn the picture, in degrees counter-clockwise, after mirroring it left
    to right if `mirrored`. damage: the first sign of a damaged or cut file met while demuxing. mastering,
    content_light: HDR10's facts of the whole video. dynamic: names of HDR metadata of single pictures; beside: of
    whatever else lies in them, such as closed captions. pictures: the files of a sequence of pictures, in order; a
    video has none. piped: it is a y4m stream on standard input, its header already taken; how long that is nobody
    knows, so its pts are empty. untimed: the file holds no time stamps at all, so pts are counted at the rate that its
    codec names, or at a guess. interlaced: marked so. scan: what a sample shows: "progressive", "interlaced" or
    "telecined". filters: ffmpeg's, through which the source is read; the facts are those of what they give. crop: what
    the container takes off; the size is without it. opaque: the format without alpha in which pictures are taken whose
    alpha is found to hide nothing. picture: the first one as ffmpeg hands it out, whose facts all others must have.
    change: the first key frame that is seen to differ while demuxing. marks: what pictures say of
    their colours that is not applied.
    """

    path: Path
    width: int
    height: int
    rate: Fraction
    time_base: Fraction
    pts: npt.NDArray[np.int64] = field(repr=False, compare=False)
    end: int
    pix_fmt: str
    depth: int
    colour: Colour = Colour()
    sample_aspect: Fraction = Fraction(1)
    constant: bool = True
    stream: int = 0
    codec: str = ""
    rotation: int = 0
    mirrored: bool = False
    interlaced: bool = False
    damage: str = ""
    mastering: Mastering | None = None
    content_light: ContentLight | None = None
    dynamic: tuple[str, ...] = ()
    pictures: tuple[Path, ...] = field(default=(), repr=False)
    piped: bool = False
    untimed: bool = False
    scan: str = "progressive"
    filters: str = ""
    rivals: tuple[int, ...] = ()
    edited: bool = False
    crop: Crop | None = None
    opaque: str = ""
    picture: Facts | None = None
    change: Change | None = None
    marks: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()

    @property
    def frames(self) -> int:
        """Number of frames, counted in packets; 0 of a pipe."""
        return len(self.pts)

    @property
    def alone(self) -> bool:
        """Is there nothing but pictures: no sound, no other track?"""
        return bool(self.pictures or self.piped)

    def at(self, rate: Fraction, frames: int) -> VideoInfo:
        """The same with so many frames at a constant rate: frame k is shown at k/rate seconds."""
        pts = np.arange(frames, dtype=np.int64)
        return replace(self, rate=rate, time_base=1 / rate, pts=pts, end=frames, constant=True)

    def seconds(self, index: int) -> Fraction:
        """Exact presentation time of a frame; index == frames gives the end of the last one."""
        ticks = self.end if index == self.frames else int(self.pts[index])
        return ticks * self.time_base

    def elapsed(self, index: int) -> Fraction:
        """Exact time from the first frame to another, or to the end: on the grid of the rate where it is constant.

        What lies beyond the end, because more frames decode than packets promise, goes on at the rate.
        """
        if self.constant:
            return index / self.rate
        beyond = max(0, index - self.frames)
        return self.seconds(index - beyond) - self.seconds(0) + beyond / self.rate


@dataclass(frozen=True)
class Geometry:
    """Size of the picture a stage works on (padded, pixels) and the scale of its optical flow."""

    width: int
    height: int
    scale: float = 1.0

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


def padded(width: int, height: int, multiple: int, scale: float = 1.0) -> Geometry:
    """Smallest geometry of whole multiples that holds the picture."""
    return Geometry(-(-width // multiple) * multiple, -(-height // multiple) * multiple, scale)


def to_planar(frame: Pixels, geometry: Geometry) -> Planar:
    """float32 [1, 3, H, W] in 0..1 of a frame [height, width, 3]; right and bottom edges are repeated."""
    height, width, _ = frame.shape
    planar: Planar = pictures.empty((1, 3, geometry.height, geometry.width), np.float32)
    np.divide(frame.transpose(2, 0, 1), _full_range(frame.dtype), out=planar[0, :, :height, :width], casting="unsafe")
    planar[0, :, :height, width:] = planar[0, :, :height, width - 1 : width]
    planar[0, :, height:, :] = planar[0, :, height - 1 : height, :]
    return planar


def from_planar(planar: Planar, width: int, height: int, dtype: npt.DTypeLike) -> Pixels:
    """Crops and clips a planar picture to [height, width, 3]; rounds (half to even) unless dtype is float32."""
    pixels = pictures.empty((height, width, 3), dtype)
    for channel in range(3):  # One at a time: what is needed beside the result is a third of a picture.
        levels = np.clip(planar[0, channel, :height, :width], 0, 1)
        if pixels.dtype != np.float32:
            levels *= _full_range(pixels.dtype)
            np.rint(levels, out=levels)
        pixels[:, :, channel] = levels
    return pixels


def _full_range(dtype: np.dtype[Any]) -> np.float32:
    return np.float32(1 if dtype == np.float32 else np.iinfo(dtype).max)
