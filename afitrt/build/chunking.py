"""Attention over many tokens in chunks of its queries, so that not all scores are alive at once.

Every row of softmax(q k^T) v is computed from one row of q alone: the split changes nothing but memory.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

LIMIT = 160 << 20
"""Bytes of scores above which attention is split. At 1920x1088 one global attention has 533 MB of them."""


@dataclass(frozen=True)
class _Attention:
    scores: onnx.NodeProto
    softmax: onnx.NodeProto
    value: onnx.NodeProto
    rows: int
    nbytes: int


def chunked(model: onnx.ModelProto, limit: int = LIMIT) -> onnx.ModelProto:
    """A copy of a graph of fixed size in which no attention keeps more than `limit` bytes of scores in one tensor.

    Only MatMul, Softmax, MatMul on [b, q, c], [b, c, k], [b, k, d] is split, where nothing else reads the scores.
    """
    split = onnx.ModelProto()
    split.CopyFrom(model)
    graph = split.graph
    found = {each.value.name: each for each in _attentions(split) if each.nbytes > limit}
    gone = {name for each in found.values() for name in (each.scores.name, each.softmax.name)}
    nodes: list[onnx.NodeProto] = []
    for node in list(graph.node):
        if node.name in found:
            nodes += _in_chunks(graph, found[node.name], limit)
        elif node.name not in gone:
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    return split


def _attentions(model: onnx.ModelProto) -> list[_Attention]:
    graph, inferred = model.graph, onnx.shape_inference.infer_shapes(model).graph
    shapes = {
        value.name: ([dim.dim_value for dim in value.type.tensor_type.shape.dim], value.type.tensor_type.elem_type)
        for value in inferred.value_info
    }
    makers = {output: node for node in graph.node for output in node.output}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for each in node.input:
            readers.setdefault(each, []).append(node)
    found = []
    for softmax in graph.node:
        scores = makers.get(softmax.input[0]) if softmax.op_type == "Softmax" else None
        if scores is None or scores.op_type != "MatMul":
            continue
        value, shape = readers[softmax.output[0]][0], shapes[scores.output[0]]
        alone = len(readers[scores.output[0]]) == len(readers[softmax.output[0]]) == 1
        if alone and value.op_type == "MatMul" and value.input[0] == softmax.output[0] and len(shape[0]) == 3:
            size = 2 if shape[1] == TensorProto.FLOAT16 else 4
            found.append(_Attention(scores, softmax, value, shape[0][1], size * math.prod(shape[0])))
    return found


def _in_chunks(graph: onnx.GraphProto, attention: _Attention, limit: int) -> list[onnx.NodeProto]:
    count = -(-attention.nbytes // limit)
    starts = np.linspace(0, attention.rows, count + 1).round().astype(np.int64)
    query, key = attention.scores.input
    axis = _constant(graph, f"{attention.value.name}/axis", 1)
    nodes, parts = [], []
    for index in range(count):
        name = f"{attention.value.name}/{index}"
        ends = [_constant(graph, f"{name}/{which}", int(starts[index + which])) for which in (0, 1)]
        nodes += [
            helper.make_node("Slice", [query, *ends, axis], [f"{name}/query"], f"{name}/Slice"),
            helper.make_node("MatMul", [f"{name}/query", key], [f"{name}/scores"], f"{name}/Scores"),
            _renamed(attention.softmax, [f"{name}/scores"], f"{name}/shares"),
            helper.make_node(
                "MatMul", [f"{name}/shares", attention.value.input[1]], [f"{name}/value"], f"{name}/Value"
            ),
        ]
        parts.append(f"{name}/value")
    return [*nodes, helper.make_node("Concat", parts, attention.value.output, attention.value.name, axis=1)]


def _renamed(node: onnx.NodeProto, inputs: list[str], output: str) -> onnx.NodeProto:
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    copy.name = output
    copy.input[:], copy.output[:] = inputs, [output]
    return copy


def _constant(graph: onnx.GraphProto, name: str, value: int) -> str:
    graph.initializer.append(numpy_helper.from_array(np.array([value], np.int64), name))
    return name
