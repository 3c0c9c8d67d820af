"""One loaded engine: what it takes and gives, and how its work is queued on a stream."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from afitrt.errors import ArtefactError, RenderError, ResourceError
from afitrt.runtimes.tensorrt.builder import BuilderLog, logger, no_start
from afitrt.runtimes.tensorrt.flavours import Flavour


@dataclass(frozen=True)
class Slot:
    """A tensor that an engine reads or writes, contiguous on the device."""

    name: str
    shape: tuple[int, ...]
    dtype: npt.DTypeLike

    @property
    def nbytes(self) -> int:
        """Bytes on the device."""
        return int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize


class Engine:
    """An engine with its weights on the device of the current context. scratch: bytes it works in while it runs.

    Raises ArtefactError with TensorRT's words where it cannot be loaded, MissingToolError where the library does not
    start at all.
    """

    def __init__(self, flavour: Flavour, stage: str, path: Path) -> None:
        self._trt, self._stage, self._log = flavour.load(), stage, BuilderLog()
        # The logger must outlive everything made with it.
        self._logger = logger(self._trt, self._log)
        try:
            self._runtime = self._trt.Runtime(self._logger)
        except TypeError as error:  # So the library's binding tells of a constructor that gave nothing.
            raise no_start(flavour, self._log) from error
        self._engine = self._runtime.deserialize_cuda_engine(path.read_bytes())
        if self._engine is None:
            raise ArtefactError(
                f"{flavour.name} cannot load {path.name}: {self._said()}",
                "an engine for this GPU, driver and version",
                f"delete {path.parent} and run the command again",
            )
        names = [self._engine.get_tensor_name(index) for index in range(self._engine.num_io_tensors)]
        mode = self._trt.TensorIOMode
        self.inputs = tuple(self._slot(name) for name in names if self._engine.get_tensor_mode(name) == mode.INPUT)
        self.outputs = tuple(self._slot(name) for name in names if self._engine.get_tensor_mode(name) == mode.OUTPUT)
        self.scratch = int(self._engine.device_memory_size_v2)
        self._context: Any = None

    def prepare(self, scratch: int, nbytes: int) -> None:
        """Gives the engine an address to work at, shared with others that run on the same stream, before and after.

        Raises ResourceError where TensorRT cannot make what it runs in.
        """
        strategy = self._trt.ExecutionContextAllocationStrategy.USER_MANAGED
        self._context = self._engine.create_execution_context(strategy)
        if self._context is None:
            raise ResourceError(
                f"stage {self._stage} cannot be made ready: {self._said()}",
                "enough free GPU memory",
                "close other programs on the GPU, or choose a smaller size or --scale 0.5",
            )
        self._context.set_device_memory(scratch, nbytes)

    def enqueue(self, addresses: Mapping[str, int], stream: int) -> None:
        """Queues one run; addresses: of every tensor by name. Raises RenderError with TensorRT's words."""
        set_all = all([self._context.set_tensor_address(name, address) for name, address in addresses.items()])
        if not (set_all and self._context.execute_async_v3(stream)):
            raise RenderError(
                f"stage {self._stage} failed on the GPU: {self._said()}",
                "a stage that runs at this size",
                "a smaller size or --scale 0.5 if memory ran out; else report it with `afitrt doctor --json`",
            )

    def capturable(self, stream: int) -> bool:
        """Can its work be taken down on this stream? True where the library cannot tell."""
        ask = getattr(self._context, "is_stream_capturable", None)
        return ask is None or bool(ask(stream))

    def close(self) -> None:
        """Gives the weights back; its work must be done."""
        self._context = self._engine = self._runtime = None

    def _slot(self, name: str) -> Slot:
        shape = tuple(int(side) for side in self._engine.get_tensor_shape(name))
        return Slot(name, shape, self._trt.nptype(self._engine.get_tensor_dtype(name)))

    def _said(self) -> str:
        return self._log.errors[-1].splitlines()[0] if self._log.errors else "it does not say why"
