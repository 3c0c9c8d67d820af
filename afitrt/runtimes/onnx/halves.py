"""A stage whose halves do not meet before its outputs: each runs on a thread of its own.

That is the splat. Additions race between the threads of one session of ONNX Runtime, so that all must be done on one;
but those of the left picture have nothing to do with those of the right one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort

from afitrt.runtimes.onnx import sessions

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Part:
    """What a half makes of an output: `shape` of it, from channel `begin` on. value: what its own graph calls it."""

    output: str
    value: str
    shape: tuple[int, int, int, int]
    begin: int


@dataclass(frozen=True)
class Half:
    """A graph of some of a stage's outputs, and of some channels of others."""

    graph: onnx.ModelProto
    parts: tuple[Part, ...]


def halves(model: onnx.ModelProto) -> tuple[Half, Half]:
    """The halves of a graph of fixed size. Outputs that are two values one after the other along the channels are taken
    apart; the rest go to the halves in turn. Raises ValueError where both halves need the same arithmetic.
    """
    made = {node.output[0]: node for node in model.graph.node}
    parts: tuple[list[Part], list[Part]] = ([], [])
    turn = 0
    for output in model.graph.output:
        batch, channels, height, width = (dim.dim_value for dim in output.type.tensor_type.shape.dim)
        node = made[output.name]
        if node.op_type == "Concat" and len(node.input) == 2:
            shape = (batch, channels // 2, height, width)
            for number, value in enumerate(node.input):
                parts[number].append(Part(output.name, value, shape, number * channels // 2))
        else:
            parts[turn].append(Part(output.name, output.name, (batch, channels, height, width), 0))
            turn = 1 - turn
    nodes = [_needed(model.graph, [part.value for part in each]) for each in parts]
    if {node.output[0] for node in nodes[0]} & {node.output[0] for node in nodes[1]}:
        raise ValueError("both halves of this graph need the same arithmetic")
    left, right = (Half(_graph(model, some, each), tuple(each)) for some, each in zip(nodes, parts, strict=True))
    return left, right


def _needed(graph: onnx.GraphProto, values: Iterable[str]) -> list[onnx.NodeProto]:
    wanted, found = set(values), []
    for node in reversed(graph.node):
        if not wanted.isdisjoint(node.output):
            found.append(node)
            wanted.update(node.input)
    return found[::-1]


def _graph(model: onnx.ModelProto, nodes: list[onnx.NodeProto], parts: list[Part]) -> onnx.ModelProto:
    read = {each for node in nodes for each in node.input}
    outputs = [onnx.helper.make_tensor_value_info(part.value, onnx.TensorProto.FLOAT, part.shape) for part in parts]
    graph = onnx.helper.make_graph(
        nodes,
        model.graph.name,
        [each for each in model.graph.input if each.name in read],
        outputs,
        [each for each in model.graph.initializer if each.name in read],
    )
    return onnx.helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)


class HalvedRunner:
    """See Runner. Both halves write into the same fresh arrays."""

    def __init__(self, model: onnx.ModelProto, load: Callable[[onnx.ModelProto], ort.InferenceSession]) -> None:
        self._shapes = {
            output.name: tuple(dim.dim_value for dim in output.type.tensor_type.shape.dim)
            for output in model.graph.output
        }
        self._halves = [(load(half.graph), half.parts) for half in halves(model)]
        self.inputs = tuple(each.name for each in model.graph.input)
        self.outputs = tuple(self._shapes)
        self._other = ThreadPoolExecutor(1, thread_name_prefix="afitrt-half")

    def run(self, given: Mapping[str, Array]) -> dict[str, Array]:
        """See Runner. Raises ONNX Runtime's errors."""
        results = {name: np.empty(shape, np.float32) for name, shape in self._shapes.items()}
        left, right = self._halves
        begun = self._other.submit(self._half, *right, given, results)
        try:
            self._half(*left, given, results)
        finally:
            # Even after a failure: the other half still writes.
            begun.result()
        return results

    def _half(
        self,
        session: ort.InferenceSession,
        parts: Sequence[Part],
        given: Mapping[str, Array],
        results: Mapping[str, Array],
    ) -> None:
        binding = session.io_binding()
        for each in session.get_inputs():
            binding.bind_cpu_input(each.name, given[each.name])
        for part in parts:
            place = results[part.output][:, part.begin : part.begin + part.shape[1]]
            binding.bind_output(part.value, "cpu", 0, np.float32, part.shape, place.ctypes.data)
        session.run_with_iobinding(binding, sessions.frugal())
