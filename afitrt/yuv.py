"""Planar 4:2:0 pictures as decoders and encoders have them, and their way to RGB and back.

A frame is a contiguous array [samples] of uint8, or of uint16 with 9 to 16 bits in the low ones: Y [height, width],
then U and V, each [ceil(height / 2), ceil(width / 2)]. Equations: ITU-R BT.601, BT.709, BT.2020 (non-constant
luminance). The kernels of picture.cu do the same arithmetic on a GPU.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from afitrt.buffers import pictures
from afitrt.errors import InputError
from afitrt.frames import Geometry, Pixels, Planar

# Shares of red and blue in luma, by ITU-R BT.601, BT.709 and BT.2020.
MATRICES = {
    "smpte170m": (0.299, 0.114),
    "bt470bg": (0.299, 0.114),
    "bt709": (0.2126, 0.0722),
    "bt2020nc": (0.2627, 0.0593),
}
# Luma samples from the first of a 2x2 square to its chroma sample, rightwards and downwards.
CHROMA_LOCATIONS = {"left": (0.0, 0.5), "center": (0.5, 0.5), "topleft": (0.0, 0.0)}

Plane = npt.NDArray[np.float32]


@dataclass(frozen=True)
class YuvLayout:
    """Planar 4:2:0: Y, then U and V of ceil(width/2) x ceil(height/2). Colour facts in ffmpeg's words.

    depth: 8 in bytes, or 9 to 16 in the low bits of little-endian 16-bit words. Chroma is interpolated
    bilinearly; packing takes the mean of 2x2 where the chroma sample lies between luma samples, and weighs 1 2 1
    along an axis on whose samples it lies. Raises InputError for a depth, matrix, range or chroma location that
    is not known here.
    """

    depth: int = 8
    matrix: str = "smpte170m"
    range: str = "tv"
    chroma_location: str = "left"

    def __post_init__(self) -> None:
        for fact, value, known in (
            ("depth", self.depth, range(8, 17)),
            ("matrix", self.matrix, MATRICES),
            ("range", self.range, ("tv", "pc")),
            ("chroma location", self.chroma_location, CHROMA_LOCATIONS),
        ):
            if value not in known:
                raise InputError(
                    f"4:2:0 pictures with {fact} {value}",
                    f"{fact} {', '.join(map(str, known))}",
                    "let ffmpeg convert the source to RGB",
                )

    @property
    def dtype(self) -> type[np.uint8] | type[np.uint16]:
        """Of one sample."""
        return np.uint8 if self.depth == 8 else np.uint16

    def samples(self, width: int, height: int) -> int:
        """Samples of one picture."""
        return width * height + 2 * ((width + 1) // 2) * ((height + 1) // 2)

    def nbytes(self, width: int, height: int) -> int:
        """Bytes of one picture."""
        return self.samples(width, height) * np.dtype(self.dtype).itemsize

    def constants(self) -> dict[str, float]:
        """The numbers of the equations, as picture.cu calls them."""
        peak, unit = (1 << self.depth) - 1, 1 << (self.depth - 8)
        full = self.range == "pc"
        red, blue = MATRICES[self.matrix]
        right, below = CHROMA_LOCATIONS[self.chroma_location]
        return {
            "peak": peak,
            "luma_offset": 0 if full else 16 * unit,
            "luma_range": peak if full else 219 * unit,
            "chroma_middle": 128 * unit,
            "chroma_range": peak if full else 224 * unit,
            "red": red,
            "blue": blue,
            "right": right,
            "below": below,
        }


@dataclass(frozen=True)
class Yuv420:
    """Pictures of one size and layout."""

    width: int
    height: int
    layout: YuvLayout

    @property
    def shape(self) -> tuple[int]:
        """Of a frame's array."""
        return (self.layout.samples(self.width, self.height),)

    def planes(self, frame: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
        """Views [height, width] and [ceil(height / 2), ceil(width / 2)] of Y, U and V."""
        luma, chroma = np.split(frame, [self.width * self.height])
        u, v = chroma.reshape(2, (self.height + 1) // 2, (self.width + 1) // 2)
        return luma.reshape(self.height, self.width), u, v

    def to_planar(self, frame: Pixels, geometry: Geometry) -> Planar:
        """float32 [1, 3, H, W], RGB, clipped to 0..1, of a frame; right and bottom edges are repeated."""
        planar: Planar = pictures.empty((1, 3, geometry.height, geometry.width), np.float32)
        planes = [plane.astype(np.float32) for plane in self.planes(frame)]
        luma, u, v = self._unscaled(*planes)
        red, green, blue = planar[0, :, : self.height, : self.width]
        np.add(luma, self._full_size(v), out=red)
        np.add(luma, self._full_size(u), out=blue)
        self._green(luma, red, blue, green)
        for plane in (red, green, blue):
            np.clip(plane, 0, 1, out=plane)
        planar[0, :, : self.height, self.width :] = planar[0, :, : self.height, self.width - 1 : self.width]
        planar[0, :, self.height :, :] = planar[0, :, self.height - 1 : self.height, :]
        return planar

    def from_planar(self, planar: Planar) -> Pixels:
        """The frame of a planar picture, cropped, clipped and rounded (half to even)."""
        numbers = self.layout.constants()
        red, green, blue = np.clip(planar[0, :, : self.height, : self.width], 0, 1)
        luma = numbers["red"] * red + (1 - numbers["red"] - numbers["blue"]) * green + numbers["blue"] * blue
        frame: Pixels = pictures.empty(self.shape, self.layout.dtype)
        y, u, v = self.planes(frame)
        for plane, share, codes in ((blue, "blue", u), (red, "red", v)):
            np.subtract(plane, luma, out=plane)
            halved = _halved(plane, numbers["right"], numbers["below"])
            self._round(halved, numbers["chroma_range"] / (2 * (1 - numbers[share])), numbers["chroma_middle"], codes)
        self._round(luma, numbers["luma_range"], numbers["luma_offset"], y)
        return frame

    def small(self, frame: Pixels, step: int) -> npt.NDArray[np.uint8]:
        """uint8 [ceil(height / step), ceil(width / step), 3], RGB, of every step-th pixel; step is 2 or 4.

        Chroma is that of the 2x2 square in which the pixel lies. The same for a picture in any depth of limited range.
        """
        y, u, v = self.planes(frame)
        planes = (y[::step, ::step], u[:: step // 2, :: step // 2], v[:: step // 2, :: step // 2])
        luma, cb, cr = self._unscaled(*(plane.astype(np.float32) for plane in planes))
        levels = np.empty((*luma.shape, 3), np.float32)
        red, green, blue = levels.transpose(2, 0, 1)
        np.add(luma, cr, out=red)
        np.add(luma, cb, out=blue)
        self._green(luma, red, blue, green)
        levels *= 255
        np.rint(levels, out=levels)
        return np.clip(levels, 0, 255, out=levels).astype(np.uint8)

    def _unscaled(self, luma: Plane, u: Plane, v: Plane) -> tuple[Plane, Plane, Plane]:
        """Luma 0..1, blue less luma and red less luma, of codes; in place."""
        numbers = self.layout.constants()
        luma -= np.float32(numbers["luma_offset"])
        luma /= np.float32(numbers["luma_range"])
        u -= np.float32(numbers["chroma_middle"])
        u *= np.float32(2 * (1 - numbers["blue"]) / numbers["chroma_range"])
        v -= np.float32(numbers["chroma_middle"])
        v *= np.float32(2 * (1 - numbers["red"]) / numbers["chroma_range"])
        return luma, u, v

    def _green(self, luma: Plane, red: Plane, blue: Plane, out: Plane) -> None:
        kr, kb = MATRICES[self.layout.matrix]
        np.multiply(red, np.float32(-kr / (1 - kr - kb)), out=out)
        out += luma * np.float32(1 / (1 - kr - kb))
        out -= blue * np.float32(kb / (1 - kr - kb))

    def _full_size(self, plane: Plane) -> Plane:
        """[height, width] of a chroma plane: bilinear between the nearest samples, edges repeated."""
        import cv2

        right, below = CHROMA_LOCATIONS[self.layout.chroma_location]
        places = np.array([[0.5, 0, -right / 2], [0, 0.5, -below / 2]])
        full = cv2.warpAffine(
            plane,
            places,
            (self.width, self.height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return np.asarray(full, np.float32)

    def _round(self, levels: Plane, span: float, zero: float, out: npt.NDArray[Any]) -> None:
        levels *= np.float32(span)
        levels += np.float32(zero)
        np.rint(levels, out=levels)
        out[:] = np.clip(levels, 0, (1 << self.layout.depth) - 1, out=levels)


def _halved(plane: Plane, right: float, below: float) -> Plane:
    """Every second sample both ways, averaged around the chroma sample's place; edges are repeated."""
    return _halved_rows(_halved_rows(plane, below).T, right).T


def _halved_rows(plane: Plane, after: float) -> Plane:
    even = plane[::2]
    odd = plane[1::2] if len(plane) % 2 == 0 else np.concatenate([plane[1::2], plane[-1:]])
    if after:
        mean: Plane = (even + odd) * np.float32(0.5)
        return mean
    before = np.concatenate([plane[:1], odd[:-1]])
    mean = even * np.float32(0.5) + (before + odd) * np.float32(0.25)
    return mean
