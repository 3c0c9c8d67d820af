"""A stage on the CPU as what runs one after the other: sessions of ONNX Runtime, and networks of ncnn between them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from afitrt.options import ModelOptions
from afitrt.runtimes.ncnn import version
from afitrt.runtimes.ncnn.regions import Part, parts
from afitrt.runtimes.onnx import sessions
from afitrt.runtimes.onnx.halves import HalvedRunner
from afitrt.runtimes.onnx.places import Place

Array = npt.NDArray[np.float32]

PAYS = {"gmfss": ("encode", "fuse"), "rife": ("fuse",)}
"""Stages that ncnn was measured to make quicker, by model: the table of docs/explanation/speed.md."""


class Runner(Protocol):
    """A piece of a stage. inputs: names of the values that it takes."""

    inputs: tuple[str, ...]

    def run(self, given: Mapping[str, Array]) -> dict[str, Array]:
        """Values by name from values by name."""


class SessionRunner:
    """See Runner."""

    def __init__(self, session: ort.InferenceSession) -> None:
        self._session = session
        self.inputs = tuple(each.name for each in session.get_inputs())
        self.outputs = tuple(each.name for each in session.get_outputs())
        self._options = sessions.frugal()

    def run(self, given: Mapping[str, Array]) -> dict[str, Array]:
        """See Runner. Raises ONNX Runtime's errors."""
        return dict(zip(self.outputs, self._session.run(self.outputs, given, self._options), strict=True))


def takes_ncnn(options: ModelOptions, stage: str) -> bool:
    """Whether ncnn may run parts of a stage: of those that it helps, in plain float32, where it is installed."""
    pays = stage in PAYS.get(options.model, ())
    return pays and options.on_cpu and options.precision == "fp32" and version() is not None


def takes_halves(options: ModelOptions, stage: str) -> bool:
    """Whether the two halves of a stage run beside each other."""
    return (options.model, stage, options.precision) == ("gmfss", "splat", "fp32") and sessions.threads(options) > 1


def runners(path: Path, stage: str, options: ModelOptions) -> tuple[list[Runner], tuple[str, ...], tuple[str, ...]]:
    """What runs a stage's file on the CPU, and names of the stage's inputs and outputs. Raises ArtefactError."""
    if takes_halves(options, stage):
        halved = _halved(path, stage, options)
        return [halved], halved.inputs, halved.outputs
    model = onnx.load(path) if takes_ncnn(options, stage) else None
    found = [] if model is None else parts(model)
    if model is None or len(found) == 1:
        whole = SessionRunner(sessions.load(path, stage, options, Place()))
        return [whole], whole.inputs, whole.outputs
    graph = model.graph
    made = [_runner(model, part, path, stage, options) for part in found]
    return made, tuple(each.name for each in graph.input), tuple(each.name for each in graph.output)


def _halved(path: Path, stage: str, options: ModelOptions) -> HalvedRunner:
    def load(half: onnx.ModelProto) -> ort.InferenceSession:
        return sessions.load(path, stage, options, Place(), half.SerializeToString())

    with sessions.loading(path, Place()):
        return HalvedRunner(onnx.load(path), load)


def _runner(model: onnx.ModelProto, part: Part, path: Path, stage: str, options: ModelOptions) -> Runner:
    if not part.ncnn:
        piece = extracted(model, part).SerializeToString()
        return SessionRunner(sessions.load(path, stage, options, Place(), piece))
    with sessions.loading(path, Place()):
        from afitrt.runtimes.ncnn.net import Net

        return Net(part, _constants(model, part), sessions.threads(options))


def extracted(model: onnx.ModelProto, part: Part) -> onnx.ModelProto:
    """A part as a model of its own."""
    read = {each for node in part.nodes for each in node.input}
    given, made = (
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names]
        for names in (part.inputs, part.outputs)
    )
    kept = [tensor for tensor in model.graph.initializer if tensor.name in read]
    graph = helper.make_graph(part.nodes, "part", given, made, kept)
    return helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)


def _constants(model: onnx.ModelProto, part: Part) -> dict[str, Array]:
    read = {each for node in part.nodes for each in node.input}
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer if tensor.name in read}
