"""ONNX Runtime on the CPU, with ncnn inside stages where that is quicker: tensors are float32 arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from afitrt.frames import Geometry, Pixels, from_planar, to_planar
from afitrt.options import ModelOptions
from afitrt.runtimes.onnx import sessions
from afitrt.runtimes.onnx.shared import Runner, runners
from afitrt.runtimes.protocol import CPU, DeviceUse
from afitrt.yuv import Yuv420

Array = npt.NDArray[np.float32]


class OnnxStage:
    """See Stage. Results are fresh arrays.

    runners: what runs one after the other. inputs, outputs: of the whole.
    """

    def __init__(self, name: str, runners: Sequence[Runner], inputs: Sequence[str], outputs: Sequence[str]) -> None:
        self._name, self._runners = name, runners
        self.inputs, self._outputs = tuple(inputs), tuple(outputs)
        last = {each: number for number, runner in enumerate(runners) for each in runner.inputs}
        self._done = [
            [each for each, place in last.items() if place == number and each not in self._outputs]
            for number in range(len(runners))
        ]

    def __call__(self, **tensors: Array) -> dict[str, Array]:
        """See Stage. Raises RenderError with the words of ONNX Runtime or ncnn."""
        with sessions.running(self._name):
            for runner, done in zip(self._runners, self._done, strict=True):
                tensors |= runner.run({each: tensors[each] for each in runner.inputs})
                for each in done:
                    del tensors[each]
        return {each: tensors[each] for each in self._outputs}


class OnnxRuntime:
    """See Runtime. threads 0 takes every core that this process may use."""

    def __init__(self, options: ModelOptions, say: Callable[[str], None]) -> None:
        self._options, self._say = options, say
        if options.precision == "fp16":
            say("fp16 on onnx emulates a GPU's rounding in float32: for judging pictures, no faster and no smaller")

    def stage(self, name: str, geometry: Geometry) -> OnnxStage:
        """See Runtime. Raises ArtefactError."""
        path = sessions.prepare(self._options, name, geometry, self._say)
        return OnnxStage(name, *runners(path, name, self._options))

    def reserve(self) -> None:
        """ONNX Runtime takes memory as it needs it."""

    def device_use(self) -> DeviceUse:
        """See Runtime."""
        return CPU

    def upload(self, frame: Pixels, geometry: Geometry, yuv: Yuv420 | None = None) -> Array:
        """See Runtime."""
        return yuv.to_planar(frame, geometry) if yuv else to_planar(frame, geometry)

    def download(
        self, tensor: Array, width: int, height: int, dtype: npt.DTypeLike, yuv: Yuv420 | None = None
    ) -> Pixels:
        """See Runtime."""
        return yuv.from_planar(tensor) if yuv else from_planar(tensor, width, height, dtype)

    def to_device(self, array: Array) -> Array:
        """See Runtime."""
        return array

    def to_host(self, tensor: Array) -> Array:
        """See Runtime."""
        return tensor

    def release(self, tensor: Array) -> None:
        """Memory is the garbage collector's."""

    def close(self) -> None:
        """Sessions end with their stages."""
