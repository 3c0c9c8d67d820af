"""Half precision: which nodes of a float32 stage compute in FLOAT16, and the strongly typed graph that follows.

HALF is the one table of that choice; docs/explanation/precision.md has the measurements behind every row.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from afitrt.errors import AfitrtError

LINEAR = ("Conv", "ConvTranspose", "MatMul")
"""Operators that may hold a weight; a MatMul of two activations holds none."""

POINTWISE = ("Relu", "LeakyRelu", "Add")


@dataclass(frozen=True)
class Rule:
    """Nodes that compute in half: those whose name the pattern matches at its beginning, with one of the operators.

    following: further operators there, which compute in half where all they read is half already: activations and
    sums behind a convolution do, sums of coordinates do not. Names are `<piece>/<module>/<operator>_<number>`.
    """

    name: str
    pattern: str
    operators: tuple[str, ...]
    following: tuple[str, ...] = ()

    def takes(self, node: onnx.NodeProto, reads_half: bool) -> bool:
        """Whether the node is one of them. reads_half: all values it reads are half, constants aside."""
        if re.match(self.pattern, node.name) is None:
            return False
        return node.op_type in self.operators or (reads_half and node.op_type in self.following)


HALF = (
    Rule("features", "feature/", ("Conv",), POINTWISE),
    Rule("backbone", "backbone/", ("Conv",), ("InstanceNormalization", *POINTWISE)),
    Rule("transformer", "flow/transformer", ("MatMul", "Add", "LayerNormalization"), ("Softmax", "Gelu")),
    Rule("flow attention's projections", "flow/feature_flow_attn", ("MatMul",), ("Add",)),
    Rule("upsampler", "flow/upsampler", ("Conv",), ("Relu",)),
    Rule("metric", "metric/", ("Conv",), POINTWISE),
    Rule("ifnet", "ifnet|rife48", ("Conv", "ConvTranspose"), POINTWISE),
    Rule("grid", "grid/", ("Conv", "ConvTranspose"), POINTWISE),
)
"""Everything else stays float32: flow and its geometry, coordinates and warps, both correlations with their softmax,
flow attention's softmax, convex upsampling, Z, the splat's sums, the clamp."""

HALF_TENSORS = ("f1", "f2", "f3", "b4", "b8", "x1", "x2", "x3")
"""Tensors between stages, of either side, that travel as FLOAT16."""

_MOVERS = (
    *("Concat", "DepthToSpace", "Expand", "Gather", "Identity", "Pad"),
    *("Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"),
)
"""Operators that only move numbers: they give the same in either precision, so they follow their neighbours."""


def halved(model: onnx.ModelProto, rules: Sequence[Rule] = HALF) -> onnx.ModelProto:
    """A strongly typed copy of a float32 stage of fixed size: nodes under the rules compute in FLOAT16.

    Casts stand wherever the type changes; HALF_TENSORS among inputs and outputs are FLOAT16. Raises AfitrtError for
    a constant that FLOAT16 cannot hold.
    """
    typed = onnx.ModelProto()
    typed.CopyFrom(onnx.shape_inference.infer_shapes(model))
    _Typing(typed.graph).run(rules)
    del typed.graph.value_info[:]
    return typed


def emulated(typed: onnx.ModelProto) -> onnx.ModelProto:
    """The same for a CPU that has no half arithmetic: half nodes compute in float32, each result rounded to half.

    ONNX Runtime would run a half node in float32 too, but drops the roundings between them; it keeps these, since
    they are casts of the graph's own.
    """
    model = onnx.ModelProto()
    model.CopyFrom(typed)
    graph = model.graph
    types = _types(onnx.shape_inference.infer_shapes(model).graph)
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        halves = [each for each in node.input if types.get(each) == TensorProto.FLOAT16]
        if node.op_type in (*_MOVERS, "Cast") or types.get(node.output[0]) != TensorProto.FLOAT16:
            nodes.append(node)
            continue
        wide = {each: f"{node.name}/{each}/wide" for each in dict.fromkeys(halves)}
        nodes += [_cast(each, name, TensorProto.FLOAT) for each, name in wide.items()]
        inner = _copied(node)
        inner.input[:] = [wide.get(each, each) for each in node.input]
        inner.output[:] = [f"{each}/unrounded" for each in node.output]
        nodes.append(inner)
        nodes += [_cast(f"{each}/unrounded", each, TensorProto.FLOAT16) for each in node.output]
    del graph.node[:]
    graph.node.extend(nodes)
    return model


def half_share(model: onnx.ModelProto) -> float:
    """Share of the weights of convolutions and linear layers, by number, that are FLOAT16; 1 where there are none."""
    tensors = {each.name: each for each in model.graph.initializer}
    held = {name for node in model.graph.node if (name := _weight_of(node)) in tensors}
    counts = {True: 0, False: 0}
    for name in held:
        counts[tensors[name].data_type == TensorProto.FLOAT16] += int(np.prod(tensors[name].dims))
    return counts[True] / (sum(counts.values()) or 1) if held else 1.0


def _weight_of(node: onnx.NodeProto) -> str:
    return node.input[1] if node.op_type in LINEAR else ""


def rules_text() -> str:
    """Everything that decides the types of a graph, as one line for the identity of what is made of it."""
    return repr((HALF, HALF_TENSORS, _MOVERS))


def is_half(tensor: str) -> bool:
    """Whether a tensor between stages travels as FLOAT16 at precision fp16; `<name>` or `<name>_<side>`."""
    return tensor.removesuffix("_0").removesuffix("_1") in HALF_TENSORS


def _cast(value: str, result: str, to: int) -> onnx.NodeProto:
    return helper.make_node("Cast", [value], [result], f"{result}/Cast", to=to)


def _copied(node: onnx.NodeProto) -> onnx.NodeProto:
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    return copy


def _types(graph: onnx.GraphProto) -> dict[str, int]:
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        types[value.name] = value.type.tensor_type.elem_type
    return types


class _Typing:
    """Gives every float value of a graph its type, and writes the casts that follow."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._graph = graph
        self._floats = {name for name, kind in _types(graph).items() if kind == TensorProto.FLOAT}
        self._initializers = {tensor.name: tensor for tensor in graph.initializer}
        self._half: set[str] = set()
        self._producers = {each: node for node in graph.node for each in node.output}
        self._made: dict[str, onnx.TensorProto | None] = {}
        self._originals: dict[str, onnx.NodeProto] = {}
        self._nodes: list[onnx.NodeProto] = []

    def run(self, rules: Sequence[Rule]) -> None:
        """Types the graph, in place."""
        graph = self._graph
        for value in (*graph.input, *graph.output):
            if is_half(value.name):
                value.type.tensor_type.elem_type = TensorProto.FLOAT16
        halves = self._chosen(rules)
        self._half = {value.name for value in graph.input if is_half(value.name)}
        self._originals = {node.name: _copied(node) for node in graph.node}
        for node in list(graph.node):
            self._emit(node, node.name in halves)
        self._finish_outputs()
        read = {each for node in self._nodes for each in node.input}
        made = [tensor for tensor in self._made.values() if tensor is not None]
        kept = [tensor for tensor in (*graph.initializer, *made) if tensor.name in read]
        del graph.node[:], graph.initializer[:]
        graph.node.extend(self._nodes)
        graph.initializer.extend(kept)

    def _chosen(self, rules: Sequence[Rule]) -> set[str]:
        """Names of the nodes that compute in half: those under a rule, and movers between such."""
        chosen: set[str] = set()
        half = {value.name for value in self._graph.input if is_half(value.name)}
        for node in self._graph.node:
            given = [each for each in self._data(node) if each not in self._initializers]
            reads_half = bool(given) and half.issuperset(given)
            moved = reads_half and node.op_type in _MOVERS
            if moved or any(rule.takes(node, reads_half) for rule in rules):
                chosen.add(node.name)
                half.update(node.output)
        wanted = {value.name: {is_half(value.name)} for value in self._graph.output}
        for node in reversed(self._graph.node):
            if node.op_type in _MOVERS and wanted.get(node.output[0]) == {True} and self._data(node):
                chosen.add(node.name)
            for each in self._data(node):
                wanted.setdefault(each, set()).add(node.name in chosen)
        return chosen

    def _data(self, node: onnx.NodeProto) -> list[str]:
        """Inputs whose type is the node's own."""
        inputs = node.input[:1] if node.op_type == "Resize" else node.input
        return [each for each in inputs if each in self._floats]

    def _emit(self, node: onnx.NodeProto, half: bool) -> None:
        data = set(self._data(node))
        inputs = [self._typed(each, half) if each in data else each for each in node.input]
        node.input[:] = inputs
        self._nodes.append(node)
        if half:
            self._half.update(each for each in node.output if each in self._floats)

    def _typed(self, value: str, half: bool) -> str:
        if (value in self._half) == half:
            return value
        name = f"{value}/{'half' if half else 'float'}"
        if name not in self._made:
            self._made[name] = None
            if value in self._initializers:
                self._made[name] = _half_tensor(self._initializers[value], name)
            elif half and self._half_inside(value):
                self._copy_mover(value, name)
            else:
                self._nodes.append(_cast(value, name, TensorProto.FLOAT16 if half else TensorProto.FLOAT))
        return name

    def _half_inside(self, value: str) -> bool:
        """Whether this float value was only moved since some of it was half."""
        node = self._producers.get(value)
        if node is None or node.op_type not in _MOVERS:
            return False
        return any(each in self._half or self._half_inside(each) for each in self._data(self._originals[node.name]))

    def _copy_mover(self, value: str, name: str) -> None:
        """Moves in half too what is also moved in float, instead of casting there and back.

        It saves traffic, and TensorRT-RTX 1.7.1 finds no kernel for a half convolution behind such casts.
        """
        original = self._originals[self._producers[value].name]
        data = set(self._data(original))
        copy = _copied(original)
        copy.input[:] = [self._typed(each, True) if each in data else each for each in original.input]
        copy.output[:] = [name]
        copy.name = f"{original.name}/half"
        self._nodes.append(copy)

    def _finish_outputs(self) -> None:
        """Outputs keep their names; where the type was another one, the value before the cast gets a new one."""
        renamed = {
            value.name: f"{value.name}/inner"
            for value in self._graph.output
            if (value.name in self._half) != is_half(value.name)
        }
        for node in self._nodes:
            node.input[:] = [renamed.get(each, each) for each in node.input]
            node.output[:] = [renamed.get(each, each) for each in node.output]
        for name, inner in renamed.items():
            self._nodes.append(_cast(inner, name, TensorProto.FLOAT16 if is_half(name) else TensorProto.FLOAT))


def _half_tensor(tensor: onnx.TensorProto, name: str) -> onnx.TensorProto:
    with np.errstate(over="ignore"):
        array = numpy_helper.to_array(tensor).astype(np.float16)
    if not np.isfinite(array).all():
        raise AfitrtError(
            f"{tensor.name} holds numbers beyond FLOAT16", "numbers up to 65504", "keep the nodes that read it in FP32"
        )
    return numpy_helper.from_array(array, name)
