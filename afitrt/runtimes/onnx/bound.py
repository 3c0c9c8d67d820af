"""ONNX Runtime on a device of its own: tensors stay there between the stages, bound to their inputs and outputs.

It needs onnxruntime-gpu and no pycuda: memory and the one stream that everything runs on are ONNX Runtime's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from afitrt.errors import AfitrtError
from afitrt.frames import Geometry, Pixels, from_planar, to_planar
from afitrt.options import ModelOptions
from afitrt.runtimes.onnx import sessions
from afitrt.runtimes.onnx.places import Place
from afitrt.runtimes.protocol import DeviceUse
from afitrt.yuv import Yuv420


class BoundTensor:
    """A tensor on the device, until it is released."""

    def __init__(self, value: Any) -> None:
        self.value: Any = value
        self.nbytes = int(value.tensor_size_in_bytes())


class BoundStage:
    """See Stage. Results are fresh tensors on the device; a call returns when they are done."""

    def __init__(self, name: str, session: ort.InferenceSession, runtime: BoundRuntime, place: Place) -> None:
        self._name, self._session, self._runtime, self._place = name, session, runtime, place
        self.inputs = tuple(each.name for each in session.get_inputs())
        self._outputs = [each.name for each in session.get_outputs()]

    def __call__(self, **tensors: BoundTensor) -> dict[str, BoundTensor]:
        """See Stage. Raises RenderError with ONNX Runtime's words."""
        with sessions.running(self._name):
            binding = self._session.io_binding()
            for name in self.inputs:
                binding.bind_ortvalue_input(name, tensors[name].value)
            for name in self._outputs:
                binding.bind_output(name, self._place.kind, self._place.ordinal)
            self._session.run_with_iobinding(binding)
            values = binding.get_outputs()
        return {name: self._runtime.hold(value) for name, value in zip(self._outputs, values, strict=True)}


class BoundRuntime:
    """See Runtime. held: bytes of the tensors that are alive."""

    def __init__(self, options: ModelOptions, place: Place, say: Callable[[str], None]) -> None:
        self._options, self._place, self._say = options, place, say
        self.held = 0

    def stage(self, name: str, geometry: Geometry) -> BoundStage:
        """See Runtime. Raises ArtefactError, and UsageError, ResourceError, MissingToolError where the GPU fails."""
        path = sessions.prepare(self._options, name, geometry, self._say)
        return BoundStage(name, sessions.load(path, name, self._options, self._place), self, self._place)

    def reserve(self) -> None:
        """ONNX Runtime takes memory as it needs it."""

    def device_use(self) -> DeviceUse:
        """See Runtime: what stages work in is not told."""
        return DeviceUse(f"GPU {self._place.ordinal} (ONNX Runtime)")

    def hold(self, value: Any) -> BoundTensor:
        """A value that the caller owns from now on."""
        tensor = BoundTensor(value)
        self.held += tensor.nbytes
        return tensor

    def to_device(self, array: npt.NDArray[np.float32]) -> BoundTensor:
        """See Runtime."""
        with sessions.running("upload"):
            value = ort.OrtValue.ortvalue_from_numpy(array, self._place.kind, self._place.ordinal)
        return self.hold(value)

    def upload(self, frame: Pixels, geometry: Geometry, yuv: Yuv420 | None = None) -> BoundTensor:
        """See Runtime."""
        return self.to_device(yuv.to_planar(frame, geometry) if yuv else to_planar(frame, geometry))

    def to_host(self, tensor: BoundTensor) -> npt.NDArray[np.float32]:
        """See Runtime."""
        with sessions.running("download"):
            array: npt.NDArray[np.float32] = tensor.value.numpy().astype(np.float32)
        return array

    def download(
        self, tensor: BoundTensor, width: int, height: int, dtype: npt.DTypeLike, yuv: Yuv420 | None = None
    ) -> Pixels:
        """See Runtime."""
        planar = self.to_host(tensor)
        return yuv.from_planar(planar) if yuv else from_planar(planar, width, height, dtype)

    def release(self, tensor: BoundTensor) -> None:
        """See Runtime. Raises AfitrtError when it was released before."""
        if tensor.value is None:
            raise AfitrtError("a tensor was released twice", "each tensor released once", "report this")
        tensor.value = None
        self.held -= tensor.nbytes

    def close(self) -> None:
        """Sessions end with their stages."""
