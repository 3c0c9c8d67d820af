"""What a TensorRT runtime queues for a stage: an engine, or the kernels of the splat."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from afitrt import build
from afitrt.frames import Geometry
from afitrt.runtimes import cuda
from afitrt.runtimes.tensorrt import memory
from afitrt.runtimes.tensorrt.engine import Engine, Slot


@dataclass(frozen=True)
class DeviceTensor:
    """A tensor in planned device memory, contiguous."""

    block: cuda.Block
    shape: tuple[int, ...]
    dtype: npt.DTypeLike

    @property
    def nbytes(self) -> int:
        """Bytes that it fills."""
        return int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize


class Work(Protocol):
    """What a stage does: an engine or a kernel of ours."""

    inputs: tuple[Slot, ...]
    outputs: tuple[Slot, ...]
    scratch: int
    weights: int

    def enqueue(self, addresses: dict[str, int], stream: cuda.Stream) -> None:
        """Queues one run."""

    def capturable(self, stream: cuda.Stream) -> bool:
        """May it become a CUDA graph?"""


class EngineWork:
    """A stage that is an engine. weights: bytes on the device, as its builder told."""

    def __init__(self, engine: Engine, weights: int) -> None:
        self.engine, self.weights = engine, weights
        self.inputs, self.outputs, self.scratch = engine.inputs, engine.outputs, engine.scratch

    def enqueue(self, addresses: dict[str, int], stream: cuda.Stream) -> None:
        """Queues one run."""
        self.engine.enqueue(addresses, stream.handle)

    def capturable(self, stream: cuda.Stream) -> bool:
        """As its library says."""
        return self.engine.capturable(stream.handle)


class SplatWork:
    """The splat stage: two launches of our own kernels. lists: addresses of its two work areas, set once planned."""

    def __init__(self, device: cuda.Device, path: Path, geometry: Geometry, precision: str) -> None:
        self._program = cuda.Program(device, "splat", path.read_bytes())
        self._splat = memory.splat_of(geometry, precision)
        description = build.STAGES["gmfss"]["splat"]
        self.inputs, self.outputs = (
            tuple(Slot(s.name, s.shape(geometry), tensor_dtype(s.name, precision)) for s in specs)
            for specs in (description.inputs, description.outputs)
        )
        self.scratch = self.weights = 0
        self.lists: dict[str, int] = {}

    @property
    def lists_bytes(self) -> dict[str, int]:
        """Bytes of the two work areas, by the kernels' names."""
        return {"heads": self._splat.heads_bytes, "landings": self._splat.landings_bytes}

    def enqueue(self, addresses: dict[str, int], stream: cuda.Stream) -> None:
        """Queues one run."""
        stream.fill(self.lists["heads"], 0xFF, self._splat.heads_bytes)
        for launch in self._splat.launches(addresses | self.lists):
            stream.launch(self._program, launch)

    def capturable(self, stream: cuda.Stream) -> bool:
        """Fills and launches always may."""
        return True


def tensor_dtype(name: str, precision: str) -> npt.DTypeLike:
    """Type of a tensor between stages, by its name."""
    return np.float16 if precision == "fp16" and build.is_half(name) else np.float32
