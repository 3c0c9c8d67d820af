"""The graphs of gmfss with one of their rewrites taken back, or with another form of an operator.

Each function changes a stage's graph (fixed size, weights bound) in place; what it computes stays the same, except
where it says so.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper
from onnx.shape_inference import infer_shapes

Edit = Callable[[onnx.ModelProto], None]
Made = list[onnx.NodeProto]
MICROSOFT = "com.microsoft"


def _constant(graph: onnx.GraphProto, name: str, value: npt.NDArray[np.generic]) -> str:
    graph.initializer.append(numpy_helper.from_array(value, name))
    return name


def _rewritten(graph: onnx.GraphProto, change: Callable[[onnx.NodeProto], Made]) -> None:
    """Every node by what `change` makes of it."""
    nodes = [made for node in graph.node for made in change(node)]
    del graph.node[:]
    graph.node.extend(nodes)


def _shapes(model: onnx.ModelProto) -> dict[str, list[int]]:
    graph = infer_shapes(model).graph
    known = {each.name: list(each.dims) for each in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        known[value.name] = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
    return known


def _projections(model: onnx.ModelProto) -> set[str]:
    """Results of the transformer's folded projections: by a square of weights, and without a bias."""
    graph = model.graph
    square = {each.name for each in graph.initializer if list(each.dims) == [128, 128]}
    biased = {each for node in graph.node if node.op_type == "Add" for each in node.input}
    found = (node.output[0] for node in graph.node if node.op_type == "MatMul" and node.input[1] in square)
    return {name for name in found if name not in biased}


def unfold_projections(model: onnx.ModelProto) -> None:
    """Two products of a token and weights where Wk'Wq, or Wm Wv, is one: the second is the identity here."""
    folded = _projections(model)
    unit = _constant(model.graph, "unit", np.eye(128, dtype=np.float32))

    def change(node: onnx.NodeProto) -> Made:
        if node.output[0] not in folded:
            return [node]
        first, result = f"{node.output[0]}/first", node.output[0]
        node.output[0] = first
        return [node, helper.make_node("MatMul", [first, unit], [result])]

    _rewritten(model.graph, change)


def unfold_tail(model: onnx.ModelProto) -> None:
    """The last two convolutions one by one, over the whole picture; no ring is redone."""
    graph = model.graph
    narrow = {each.name for each in graph.initializer if list(each.dims) == [12, 64, 5, 5]}
    (folded,) = (node for node in graph.node if node.op_type == "Conv" and node.input[1] in narrow)
    prefix = "grid.residual_model_tail"
    edge = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    wide, shuffled, image = "tail/wide", "tail/shuffled", "tail/image"
    upsample = [f"{prefix}.upsample.0.weight", f"{prefix}.upsample.0.bias"]
    last = [f"{prefix}.conv_last.weight", f"{prefix}.conv_last.bias"]
    graph.node.extend(
        [
            helper.make_node("Conv", [folded.input[0], *upsample], [wide], **edge),
            helper.make_node("DepthToSpace", [wide], [shuffled], blocksize=2, mode="CRD"),
            helper.make_node("Conv", [shuffled, *last], [image], **edge),
        ]
    )
    (clip,) = (node for node in graph.node if node.op_type == "Clip")
    clip.input[0] = image
    needed(model, [each.name for each in graph.output])


def needed(model: onnx.ModelProto, outputs: list[str]) -> None:
    """Leaves what these outputs need, in an order that can be run."""
    graph = model.graph
    makers = {name: node for node in graph.node for name in node.output}
    order: dict[int, onnx.NodeProto] = {}

    def visit(name: str) -> None:
        node = makers.get(name)
        if node is not None and id(node) not in order:
            for each in node.input:
                visit(each)
            order[id(node)] = node

    for name in outputs:
        visit(name)
    nodes = list(order.values())
    read = {each for node in nodes for each in node.input}
    kept = [each for each in graph.output if each.name in outputs]
    inputs = [each for each in graph.input if each.name in read]
    tensors = [each for each in graph.initializer if each.name in read]
    for field, values in ((graph.output, kept), (graph.input, inputs), (graph.initializer, tensors)):
        copies = [type(each).FromString(each.SerializeToString()) for each in values]
        del field[:]
        field.extend(copies)
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)


def only(*outputs: str) -> Edit:
    """What these outputs need, and nothing else."""
    return lambda model: needed(model, list(outputs))


def prelu(model: onnx.ModelProto) -> None:
    """PRelu with its slope as a tensor, as exported, where LeakyRelu is."""

    def change(node: onnx.NodeProto) -> Made:
        if node.op_type != "LeakyRelu":
            return [node]
        slope = np.array([[[node.attribute[0].f if node.attribute else 0.01]]], np.float32)
        name = _constant(model.graph, f"{node.output[0]}/slope", slope)
        return [helper.make_node("PRelu", [node.input[0], name], node.output)]

    _rewritten(model.graph, change)


def gelu_of_erf(model: onnx.ModelProto) -> None:
    """x (1 + erf(x / sqrt 2)) / 2, operator by operator."""
    constants = [("root", np.sqrt(2)), ("one", 1), ("half", 0.5)]
    root, one, half = (_constant(model.graph, f"gelu/{name}", np.float32(value)) for name, value in constants)

    def change(node: onnx.NodeProto) -> Made:
        if node.op_type != "Gelu":
            return [node]
        x, y = node.input[0], node.output[0]
        steps = [("Div", [x, root], "a"), ("Erf", [f"{y}/a"], "b"), ("Add", [f"{y}/b", one], "c")]
        steps.append(("Mul", [x, f"{y}/c"], "d"))
        made = [helper.make_node(kind, given, [f"{y}/{name}"]) for kind, given, name in steps]
        return [*made, helper.make_node("Mul", [f"{y}/d", half], [y])]

    _rewritten(model.graph, change)


def gelu_of_tanh(model: onnx.ModelProto) -> None:
    """The approximation by tanh: not the same."""
    for node in model.graph.node:
        if node.op_type == "Gelu":
            del node.attribute[:]
            node.attribute.append(helper.make_attribute("approximate", "tanh"))


def gelu_of_microsoft(model: onnx.ModelProto) -> None:
    """ONNX Runtime's own operator."""
    _microsoft(model)
    for node in model.graph.node:
        if node.op_type == "Gelu":
            del node.attribute[:]
            node.domain = MICROSOFT


def _microsoft(model: onnx.ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid(MICROSOFT, 1))


def layer_norm_in_parts(model: onnx.ModelProto) -> None:
    """Mean, difference, variance, quotient, scale and shift, operator by operator."""
    graph = model.graph
    axes = _constant(graph, "norm/axes", np.array([-1]))

    def change(node: onnx.NodeProto) -> Made:
        if node.op_type != "LayerNormalization":
            return [node]
        (x, scale, shift), y = node.input, node.output[0]
        epsilon = next((each.f for each in node.attribute if each.name == "epsilon"), 1e-5)
        small = _constant(graph, f"{y}/epsilon", np.float32(epsilon))
        names = {
            name: f"{y}/{name}" for name in ("mean", "apart", "square", "spread", "safe", "root", "unit", "scaled")
        }
        steps = [
            ("ReduceMean", [x, axes], "mean"),
            ("Sub", [x, names["mean"]], "apart"),
            ("Mul", [names["apart"], names["apart"]], "square"),
            ("ReduceMean", [names["square"], axes], "spread"),
            ("Add", [names["spread"], small], "safe"),
            ("Sqrt", [names["safe"]], "root"),
            ("Div", [names["apart"], names["root"]], "unit"),
            ("Mul", [names["unit"], scale], "scaled"),
        ]
        made = [helper.make_node(kind, given, [names[name]]) for kind, given, name in steps]
        return [*made, helper.make_node("Add", [names["scaled"], shift], [y])]

    _rewritten(graph, change)


def rows_between_layers(model: onnx.ModelProto) -> None:
    """Tokens brought from windows to rows and back around every attention, as the published code does: twice two
    gathers a layer, here by an order and its inverse.
    """
    graph, shapes = model.graph, _shapes(model)
    folded = _projections(model)

    def change(node: onnx.NodeProto) -> Made:
        result = node.output[0]
        if result not in folded:
            return [node]
        count = int(np.prod(shapes[result][:-1]))
        order = np.random.default_rng(0).permutation(count)
        there = _constant(graph, f"{result}/there", order)
        back = _constant(graph, f"{result}/back", np.argsort(order))
        flat = _constant(graph, f"{result}/flat", np.array([-1, 128]))
        shape = _constant(graph, f"{result}/shape", np.array(shapes[result]))
        names = [f"{result}/{step}" for step in ("plain", "rows", "moved", "again")]
        node.output[0] = names[0]
        return [
            node,
            helper.make_node("Reshape", [names[0], flat], [names[1]]),
            helper.make_node("Gather", [names[1], there], [names[2]], axis=0),
            helper.make_node("Gather", [names[2], back], [names[3]], axis=0),
            helper.make_node("Reshape", [names[3], shape], [result]),
        ]

    _rewritten(graph, change)


def attention_without_scores(model: onnx.ModelProto) -> None:
    """ONNX Runtime's MultiHeadAttention, which stores no scores, wherever attention has no bias."""
    graph = model.graph
    _microsoft(model)
    makers = {node.output[0]: node for node in graph.node}
    gone: set[str] = set()
    made: dict[str, onnx.NodeProto] = {}
    for node in graph.node:
        softmax = makers.get(node.input[0]) if node.op_type == "MatMul" else None
        if softmax is None or softmax.op_type != "Softmax":
            continue
        scores = makers[softmax.input[0]]
        turned = makers.get(scores.input[1]) if scores.op_type == "MatMul" else None
        if turned is None or turned.op_type != "Transpose" or node.input[1] not in makers:
            continue
        given = [scores.input[0], turned.input[0], node.input[1]]
        attributes = {"domain": MICROSOFT, "num_heads": 1, "scale": 1.0}
        made[node.output[0]] = helper.make_node("MultiHeadAttention", given, node.output, **attributes)
        gone |= {softmax.output[0], scores.output[0]}
    _rewritten(graph, lambda node: [] if node.output[0] in gone else [made.get(node.output[0], node)])
