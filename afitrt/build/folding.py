"""Constant folding: makes a graph of any size into one of a fixed size, and works out what parameters decide.

ONNX Runtime does the arithmetic and onnx the shape inference; which nodes are folded is decided here, so that
parameters keep their names and large tables (shift masks, 130 MB at 1920x1088) stay what they are: arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from afitrt.build.pieces import IR_VERSION, OPSET
from afitrt.errors import ArtefactError

LARGEST_TABLE = 1 << 19
"""Elements of the largest table that folding leaves in a graph, unless it is made of parameters."""

TOO_LARGE = (LARGEST_TABLE + 1,)

Array = npt.NDArray[np.generic]


@dataclass(frozen=True)
class Inferred:
    """What shape inference found: shapes known in full, and element types (onnx.TensorProto's numbers)."""

    shapes: dict[str, tuple[int, ...]]
    types: dict[str, int]


def is_parameter(tensor: onnx.TensorProto) -> bool:
    """Whether the initialiser is a place for a weight: it has a shape but no data yet."""
    data = (tensor.raw_data, tensor.float_data, tensor.int64_data, tensor.int32_data)
    return not any(data) and 0 not in tensor.dims


def specialise(model: onnx.ModelProto, inputs: Mapping[str, tuple[int, ...]]) -> onnx.ModelProto:
    """A copy in which the inputs have these shapes and every other shape is fixed too.

    Raises ArtefactError where a shape still depends on more than the inputs' shapes.
    """
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    graph = fixed.graph
    for value in graph.input:
        _set_shape(value, inputs[value.name])
    for value in graph.output:
        value.type.tensor_type.ClearField("shape")
    before, found = -1, _infer(fixed)
    while len(graph.node) != before:
        before = len(graph.node)
        _fold_shapes(graph, found)
        found = _infer(fixed)
    if unknown := [each for node in graph.node for each in node.output if each and each not in found.shapes]:
        raise _unfit(f"{len(unknown)} tensors keep no fixed shape, first {unknown[0]}")
    for value in graph.output:
        _set_shape(value, found.shapes[value.name])
    return fixed


def fold_parameters(graph: onnx.GraphProto, parameters: set[str]) -> None:
    """Replaces whatever is computed of parameters (now with data) and constants by its value, in place."""
    known = {tensor.name for tensor in graph.initializer}
    made = set(parameters)
    foldable = []
    for node in graph.node:
        if not made.isdisjoint(node.input) and all(each in known or each in made for each in node.input):
            foldable.append(node)
            made.update(node.output)
    _replace(graph, foldable, _frontier(graph, foldable))


def _set_shape(value: onnx.ValueInfoProto, shape: tuple[int, ...]) -> None:
    element = value.type.tensor_type.elem_type
    value.CopyFrom(helper.make_tensor_value_info(value.name, element, shape))


def _unfit(found: str) -> ArtefactError:
    return ArtefactError(
        f"the graph does not fit this size: {found}",
        "sides that are whole multiples of what the model asks for",
        "report this as a defect of the graphs if they are",
    )


def _infer(model: onnx.ModelProto) -> Inferred:
    try:
        graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    except onnx.shape_inference.InferenceError as error:
        raise _unfit(str(error)) from error
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        tensor = value.type.tensor_type
        types[value.name] = tensor.elem_type
        if tensor.HasField("shape") and all(dim.HasField("dim_value") for dim in tensor.shape.dim):
            shapes[value.name] = tuple(dim.dim_value for dim in tensor.shape.dim)
    return Inferred(shapes, types)


def _fold_shapes(graph: onnx.GraphProto, found: Inferred) -> None:
    """Folds what known shapes decide, except for tables above the limit and what needs them."""
    for node in graph.node:
        if node.op_type == "Shape" and node.input[0] in found.shapes:
            _become_constant(node, found.shapes[node.input[0]])
        elif node.op_type == "CastLike" and found.types.get(node.input[1]):
            to = found.types[node.input[1]]
            node.CopyFrom(helper.make_node("Cast", node.input[:1], node.output, node.name, to=to))
    known = {tensor.name for tensor in graph.initializer if not is_parameter(tensor)}
    small = [
        node
        for node in _closure(graph.node, known)
        if all(math.prod(found.shapes.get(each, TOO_LARGE)) <= LARGEST_TABLE for each in node.output)
    ]
    foldable = _closure(small, known)
    _replace(graph, foldable, _frontier(graph, foldable))


def _become_constant(shape_node: onnx.NodeProto, shape: tuple[int, ...]) -> None:
    ends = {attribute.name: attribute.i for attribute in shape_node.attribute}
    value = np.array(shape[ends.get("start", 0) : ends.get("end")], np.int64)
    shape_node.CopyFrom(
        helper.make_node("Constant", [], shape_node.output, shape_node.name, value=numpy_helper.from_array(value))
    )


def _closure(nodes: Iterable[onnx.NodeProto], known: set[str]) -> list[onnx.NodeProto]:
    """The nodes, in order, that need nothing beyond what is known."""
    found, reached = [], known | {""}
    for node in nodes:
        if reached.issuperset(node.input):
            found.append(node)
            reached.update(node.output)
    return found


def _frontier(graph: onnx.GraphProto, folded: list[onnx.NodeProto]) -> list[str]:
    """Values made by the folded nodes that something else still reads."""
    made = {output: None for node in folded for output in node.output if output}
    inside = {id(node) for node in folded}
    read = {value.name for value in graph.output}
    read.update(each for node in graph.node if id(node) not in inside for each in node.input)
    return [name for name in made if name in read]


def _replace(graph: onnx.GraphProto, folded: list[onnx.NodeProto], frontier: list[str]) -> None:
    """Puts the frontier's values where the folded nodes were; drops what nothing reads any more."""
    values = _evaluate(folded, graph.initializer, frontier)
    inside = {id(node) for node in folded}
    kept = [node for node in graph.node if id(node) not in inside]
    read = {value.name for value in graph.output}
    needed: list[onnx.NodeProto] = []
    for node in reversed(kept):
        if not read.isdisjoint(node.output):
            needed.append(node)
            read.update(node.input)
    tensors = [tensor for tensor in graph.initializer if tensor.name in read]
    tensors += [numpy_helper.from_array(value, name) for name, value in values.items() if name in read]
    needed.reverse()
    del graph.node[:], graph.initializer[:]
    graph.node.extend(needed)
    graph.initializer.extend(tensors)


def _evaluate(
    nodes: list[onnx.NodeProto], initializers: Iterable[onnx.TensorProto], names: list[str]
) -> dict[str, Array]:
    """Values that the nodes give, worked out by ONNX Runtime."""
    if not names:
        return {}
    import onnxruntime

    read = {each for node in nodes for each in node.input}
    given = [tensor for tensor in initializers if tensor.name in read]
    outputs = [onnx.ValueInfoProto(name=name) for name in names]
    graph = helper.make_graph(nodes, "constants", [], outputs, given)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
        return dict(zip(names, session.run(names, {}), strict=True))
    except Exception as error:  # ONNX Runtime's own have no common base
        raise _unfit(f"ONNX Runtime cannot work out its constants ({error})") from error
