"""What a model asks of a runtime: named stages over opaque tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from afitrt.frames import Geometry, Pixels
from afitrt.yuv import Yuv420

Tensor = Any


@dataclass(frozen=True)
class Launching:
    """How a stage is started on a GPU. way: "plain" (call by call), "graph" (a CUDA graph), or "undecided" so far.

    plain, graph: milliseconds of one run, as the GPU measured them; None before. refused: why it cannot be a graph.
    """

    way: str
    plain: float | None
    graph: float | None
    refused: str


@dataclass(frozen=True)
class DeviceUse:
    """What a runtime works on. name: a GPU's, None for the CPU.

    planned, peak: bytes of the GPU's memory, as foreseen and at most so far; None where nothing tells. launching: of
    each stage, where there is a choice.
    """

    name: str | None = None
    planned: int | None = None
    peak: int | None = None
    launching: Mapping[str, Launching] = field(default_factory=dict)


CPU = DeviceUse()


class Stage(Protocol):
    """One fixed-size graph. inputs: the names it takes."""

    inputs: tuple[str, ...]

    def __call__(self, **tensors: Tensor) -> dict[str, Tensor]:
        """Tensors by name from tensors by name; the caller owns the results."""


class Runtime(Protocol):
    """Runs the stages of one model with one set of weights. Calls come from one thread."""

    def stage(self, name: str, geometry: Geometry) -> Stage:
        """A stage ready to run at this size; made on the way when it is missing."""

    def reserve(self) -> object:
        """Takes what memory the loaded stages need, where the runtime plans it; ResourceError where it is missing."""

    def device_use(self) -> DeviceUse:
        """What works, and its memory."""

    def to_device(self, array: npt.NDArray[np.float32]) -> Tensor:
        """A tensor with the array's values."""

    def upload(self, frame: Pixels, geometry: Geometry, yuv: Yuv420 | None = None) -> Tensor:
        """The image tensor, [1, 3, H, W], of a decoded frame: RGB, 0..1, padded by repeating its edges.

        yuv: what the frame is, where it is no RGB.
        """

    def download(
        self, tensor: Tensor, width: int, height: int, dtype: npt.DTypeLike, yuv: Yuv420 | None = None
    ) -> Pixels:
        """The picture of an image tensor as [height, width, 3], cropped, clipped and rounded to dtype.

        yuv: what to make of it instead.
        """

    def to_host(self, tensor: Tensor) -> npt.NDArray[np.float32]:
        """The tensor's values; valid after the tensor is released."""

    def release(self, tensor: Tensor) -> None:
        """Gives a tensor's memory back."""

    def close(self) -> None:
        """Gives everything back; no stage may be called afterwards."""


class OverlappingRuntime(Runtime, Protocol):
    """A runtime whose work is queued: stages return before they are done."""

    def begin_download(
        self, tensor: Tensor, width: int, height: int, dtype: npt.DTypeLike, yuv: Yuv420 | None = None
    ) -> Callable[[], Pixels]:
        """Starts what `download` does; the result waits for it. The tensor may be released at once."""
