"""What a network tells about itself, and how it is made: the other half of the door for interpolators."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy.typing as npt

from afitrt.build import GraphStage
from afitrt.frames import Geometry, padded
from afitrt.models.protocol import Interpolator, Memory
from afitrt.options import SCALES, ModelOptions
from afitrt.yuv import Yuv420


@dataclass(frozen=True)
class Request:
    """What an interpolator is made for.

    width, height: of the pictures, in pixels. dtype: of what `download` gives, uint8 or uint16; float32 (0..1) for
    stills. say: to be told in one line what has to be made on the way. yuv: pictures come and go as planar 4:2:0 of
    this kind instead, see `afitrt.yuv`; always None for models of other packages, whose pictures are converted.
    """

    width: int
    height: int
    dtype: npt.DTypeLike
    options: ModelOptions
    say: Callable[[str], None]
    yuv: Yuv420 | None = None


@dataclass(frozen=True, kw_only=True)
class Facts:
    """A network as the rooms above need it.

    about: one line for people. multiple(scale): padded sides are whole multiples of this many pixels, so that windows
    and pyramids divide evenly; 1 where nothing is padded. memory(geometry): an upper bound of the host's bytes at a
    padded size, for stages on ONNX Runtime in float32. scales: what --scale may be. least_side: pixels that the padded
    shorter side times the scale must have; 0 where every size will do.
    """

    name: str
    about: str
    multiple: Callable[[float], int]
    memory: Callable[[Geometry], Memory]
    scales: tuple[float, ...] = SCALES
    least_side: int = 0

    def geometry(self, width: int, height: int, scale: float) -> Geometry:
        """Padded geometry of a picture."""
        return padded(width, height, self.multiple(scale), scale)

    def serves(self, width: int, height: int, scale: float) -> bool:
        """Is the picture large enough for the network at this scale?"""
        size = self.geometry(width, height, scale)
        return min(size.width, size.height) * scale >= self.least_side

    def automatic_scale(self, width: int, height: int) -> float:
        """The smallest scale from 1.0 on that serves the size, the largest where none does."""
        offered = sorted(scale for scale in self.scales if scale >= 1) or sorted(self.scales)
        return next((scale for scale in offered if self.serves(width, height, scale)), offered[-1])


@dataclass(frozen=True, kw_only=True)
class Manifest(Facts):
    """A network that brings its own arithmetic. make: gives an Interpolator for a request."""

    make: Callable[[Request], Interpolator]


@dataclass(frozen=True, kw_only=True)
class StagedManifest(Facts):
    """A network of ONNX stages, run by our runtimes: some once for a picture, some once for a pair, some for a time.

    Stages run in this order and find tensors by name. A picture starts as `image` [1, 3, H, W], RGB, 0..1; in a pair
    every tensor of a picture is `<name>_0` (left) or `<name>_1` (right); `t` [1, 1, 1, 1] is the time. The last stage
    of a time gives `image`. graphs: the stages themselves, where they are files of another package. published: whether
    the default weights hold its networks; otherwise they are imported, or lie in the graphs.
    """

    of_picture: tuple[str, ...] = ()
    of_pair: tuple[str, ...] = ()
    of_time: tuple[str, ...]
    published: bool = True
    graphs: tuple[GraphStage, ...] = ()

    @property
    def stages(self) -> tuple[str, ...]:
        """Names of all stages."""
        return (*self.of_picture, *self.of_pair, *self.of_time)
