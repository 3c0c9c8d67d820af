"""Launches of picture.cu: decoded pictures to planar tensors and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from afitrt.errors import InputError
from afitrt.frames import Colour, Geometry
from afitrt.runtimes.kernels.launch import VALUES, Launch, Precision, blocks

ARGUMENT = np.dtype(
    [("picture", "uintp"), ("tensor", "uintp")]
    + [(name, "int32") for name in ("width", "height", "padded_width", "padded_height")]
    + [(name, "float32") for name in ("peak", "luma_offset", "luma_range", "chroma_middle", "chroma_range")]
    + [(name, "float32") for name in ("red", "blue", "right", "below")],
    align=True,
)
# Shares of red and blue in luma, by ITU-R BT.601, BT.709 and BT.2020.
MATRICES = {
    "smpte170m": (0.299, 0.114),
    "bt470bg": (0.299, 0.114),
    "bt709": (0.2126, 0.0722),
    "bt2020nc": (0.2627, 0.0593),
}
# Luma samples from the first of a 2x2 square to its chroma sample, rightwards and downwards.
CHROMA_LOCATIONS = {"left": (0.0, 0.5), "center": (0.5, 0.5), "topleft": (0.0, 0.0)}


@dataclass(frozen=True)
class RgbLayout:
    """Packed RGB [height, width, 3] over the full range of uint8 or uint16."""

    depth: Literal[8, 16] = 8

    @property
    def kernel(self) -> str:
        """The layout's part of the kernels' names."""
        return f"rgb_{self.depth}"

    def nbytes(self, width: int, height: int) -> int:
        """Bytes of one picture."""
        return 3 * width * height * self.depth // 8

    def constants(self) -> dict[str, float]:
        """Fields of the kernels' argument that the layout decides."""
        return {"peak": (1 << self.depth) - 1}

    def packing_threads(self, width: int, height: int) -> int:
        """One thread a pixel."""
        return width * height


@dataclass(frozen=True)
class YuvLayout:
    """Planar 4:2:0: Y, then U and V of ceil(width/2) x ceil(height/2). Colour facts in ffmpeg's words.

    depth: 8 in bytes, or 9 to 16 in the low bits of little-endian 16-bit words. Chroma is interpolated
    bilinearly; packing takes the mean of 2x2 where the chroma sample lies between luma samples, and weighs 1 2 1
    along an axis on whose samples it lies. Raises InputError for a depth, matrix, range or chroma location that
    the kernels do not know.
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

    @classmethod
    def of(cls, colour: Colour, depth: int) -> YuvLayout:
        """The layout of a stream; what it does not say is taken as ffmpeg's own conversion takes it."""
        return cls(
            depth,
            colour.matrix or cls.matrix,
            colour.range or cls.range,
            colour.chroma_location or cls.chroma_location,
        )

    @property
    def kernel(self) -> str:
        """The layout's part of the kernels' names."""
        return "yuv_8" if self.depth == 8 else "yuv_16"

    def nbytes(self, width: int, height: int) -> int:
        """Bytes of one picture."""
        samples = width * height + 2 * self.packing_threads(width, height)
        return samples * (1 if self.depth == 8 else 2)

    def constants(self) -> dict[str, float]:
        """Fields of the kernels' argument that the layout decides."""
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

    def packing_threads(self, width: int, height: int) -> int:
        """One thread a chroma sample."""
        return ((width + 1) // 2) * ((height + 1) // 2)


@dataclass(frozen=True)
class Conversion:
    """Pictures of one layout and size to tensors [3, H, W], RGB, 0..1, and back.

    width, height: pixels of the picture. padded: of the tensor. Unpacking repeats the right and bottom edges into
    the padding; packing crops, clips and rounds half to even.
    """

    layout: RgbLayout | YuvLayout
    width: int
    height: int
    padded: Geometry
    precision: Precision = "fp32"

    @property
    def nbytes(self) -> int:
        """Bytes of one picture, planes and rows without gaps."""
        return self.layout.nbytes(self.width, self.height)

    def unpack(self, picture: int, tensor: int) -> Launch:
        """From the device address of a picture to that of a tensor."""
        return self._launch("unpack", self.padded.width * self.padded.height, picture, tensor)

    def pack(self, tensor: int, picture: int) -> Launch:
        """From the device address of a tensor to that of a picture."""
        return self._launch("pack", self.layout.packing_threads(self.width, self.height), picture, tensor)

    def _launch(self, direction: str, threads: int, picture: int, tensor: int) -> Launch:
        argument = np.zeros((), ARGUMENT)
        argument["picture"], argument["tensor"] = picture, tensor
        argument["width"], argument["height"] = self.width, self.height
        argument["padded_width"], argument["padded_height"] = self.padded.width, self.padded.height
        for name, value in self.layout.constants().items():
            argument[name] = value
        kernel = f"{direction}_{self.layout.kernel}_{VALUES[self.precision]}"
        return Launch(kernel, (blocks(threads), 1, 1), argument)
