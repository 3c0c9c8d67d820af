"""ONNX Runtime on the CPU: tensors are float32 arrays, stages are sessions of fixed-size graphs."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from afitrt import build
from afitrt.errors import ArtefactError, RenderError
from afitrt.frames import Geometry, Pixels, from_planar, to_planar
from afitrt.options import ModelOptions
from afitrt.runtimes.protocol import CPU, DeviceUse

Array = npt.NDArray[np.float32]


def prepare(options: ModelOptions, stage: str, geometry: Geometry, say: Callable[[str], None]) -> Path:
    """The file of a stage for this runtime, made when it is missing. Raises ArtefactError, OutputError."""
    target = build.Target("onnx", ort.__version__, options.precision)
    return build.ensure_stage(options.model, stage, geometry, options.weights, target, say)


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
        try:
            results = self._session.run(self._outputs, tensors, self._run_options)
        except Exception as error:  # ONNX Runtime's exceptions have no common base of their own
            raise RenderError(
                f"stage {self._name} failed: {str(error).splitlines()[0]}",
                "a stage that runs at this size",
                "a smaller --scale or size if memory ran out; else report it with `afitrt doctor --json`",
            ) from error
        return dict(zip(self._outputs, results, strict=True))


class OnnxRuntime:
    """See Runtime. threads 0 takes every core that this process may use."""

    def __init__(self, options: ModelOptions, say: Callable[[str], None]) -> None:
        self._options, self._say = options, say
        self._threads = options.threads or len(os.sched_getaffinity(0))
        if options.precision == "fp16":
            say("fp16 on onnx emulates a GPU's rounding in float32: for judging pictures, no faster and no smaller")

    def stage(self, name: str, geometry: Geometry) -> OnnxStage:
        """See Runtime. Raises ArtefactError."""
        path = prepare(self._options, name, geometry, self._say)
        try:
            session = ort.InferenceSession(path, self._session_options(name), providers=["CPUExecutionProvider"])
        except Exception as error:
            raise ArtefactError(
                f"{path} cannot be loaded: {str(error).splitlines()[0]}",
                "a stage made by this afitrt",
                f"delete {path} and run the command again",
            ) from error
        return OnnxStage(name, session)

    def reserve(self) -> None:
        """ONNX Runtime takes memory as it needs it."""

    def device_use(self) -> DeviceUse:
        """See Runtime."""
        return CPU

    def upload(self, frame: Pixels, geometry: Geometry) -> Array:
        """See Runtime."""
        return to_planar(frame, geometry)

    def download(self, tensor: Array, width: int, height: int, dtype: npt.DTypeLike) -> Pixels:
        """See Runtime."""
        return from_planar(tensor, width, height, dtype)

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

    def _session_options(self, stage: str) -> ort.SessionOptions:
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = self._threads
        if stage == "splat":
            # Adding ScatterND races between threads and is then wrong; patterns would only keep its largest buffers.
            options.intra_op_num_threads = 1
            options.enable_mem_pattern = False
        return options
