"""Launches of picture.cu: decoded pictures to planar tensors and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from afitrt.frames import Geometry
from afitrt.runtimes.kernels.launch import VALUES, Launch, Precision, blocks
from afitrt.yuv import YuvLayout

ARGUMENT = np.dtype(
    [("picture", "uintp"), ("tensor", "uintp")]
    + [(name, "int32") for name in ("width", "height", "padded_width", "padded_height")]
    + [(name, "float32") for name in ("peak", "luma_offset", "luma_range", "chroma_middle", "chroma_range")]
    + [(name, "float32") for name in ("red", "blue", "right", "below")],
    align=True,
)


@dataclass(frozen=True)
class RgbLayout:
    """Packed RGB [height, width, 3] over the full range of uint8 or uint16."""

    depth: Literal[8, 16] = 8

    def nbytes(self, width: int, height: int) -> int:
        """Bytes of one picture."""
        return 3 * width * height * self.depth // 8

    def constants(self) -> dict[str, float]:
        """Fields of the kernels' argument that the layout decides."""
        return {"peak": (1 << self.depth) - 1}


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
        """From the device address of a picture to that of a tensor: one thread a pixel of the tensor."""
        return self._launch("unpack", self.padded.width * self.padded.height, picture, tensor)

    def pack(self, tensor: int, picture: int) -> Launch:
        """From the device address of a tensor to that of a picture: one thread a pixel, or a chroma sample."""
        yuv = isinstance(self.layout, YuvLayout)
        threads = ((self.width + 1) // 2) * ((self.height + 1) // 2) if yuv else self.width * self.height
        return self._launch("pack", threads, picture, tensor)

    def _launch(self, direction: str, threads: int, picture: int, tensor: int) -> Launch:
        argument = np.zeros((), ARGUMENT)
        argument["picture"], argument["tensor"] = picture, tensor
        argument["width"], argument["height"] = self.width, self.height
        argument["padded_width"], argument["padded_height"] = self.padded.width, self.padded.height
        for name, value in self.layout.constants().items():
            argument[name] = value
        codes = 8 if self.layout.depth == 8 else 16
        kind = "yuv" if isinstance(self.layout, YuvLayout) else "rgb"
        kernel = f"{direction}_{kind}_{codes}_{VALUES[self.precision]}"
        return Launch(kernel, (blocks(threads), 1, 1), argument)
