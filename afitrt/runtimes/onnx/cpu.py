"""ONNX Runtime on the CPU: tensors are float32 arrays."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from afitrt.frames import Geometry, Pixels, from_planar, to_planar
from afitrt.options import ModelOptions
from afitrt.runtimes.onnx import sessions
from afitrt.runtimes.onnx.places import Place
from afitrt.runtimes.protocol import CPU, DeviceUse
from afitrt.yuv import Yuv420

Array = npt.NDArray[np.float32]


class OnnxStage:
    """See Stage. Results are fresh arrays."""

    def __init__(self, name: str, session: ort.InferenceSession) -> None:
        self._name, self._session = name, session
        self.inputs = tuple(each.name for each in session.get_inputs())
        self._outputs = [each.name for each in session.get_outputs()]
        # Stages take turns, so each gives its scratch memory back: half the peak at no measurable time.
        self._run_options = ort.RunOptions()
        self._run_options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")

    def __call__(self, **tensors: Array) -> dict[str, Array]:
        """See Stage. Raises RenderError with ONNX Runtime's words."""
        with sessions.running(self._name):
            results = self._session.run(self._outputs, tensors, self._run_options)
        return dict(zip(self._outputs, results, strict=True))


class OnnxRuntime:
    """See Runtime. threads 0 takes every core that this process may use."""

    def __init__(self, options: ModelOptions, say: Callable[[str], None]) -> None:
        self._options, self._say = options, say
        if options.precision == "fp16":
            say("fp16 on onnx emulates a GPU's rounding in float32: for judging pictures, no faster and no smaller")

    def stage(self, name: str, geometry: Geometry) -> OnnxStage:
        """See Runtime. Raises ArtefactError."""
        path = sessions.prepare(self._options, name, geometry, self._say)
        return OnnxStage(name, sessions.load(path, name, self._options, Place()))

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
