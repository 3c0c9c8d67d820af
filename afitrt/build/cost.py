"""What a stage costs, counted on its graph: arithmetic, bytes moved, launches. No clock is involved."""

from __future__ import annotations

import math
from dataclasses import dataclass

import onnx
from onnx import TensorProto

_HEAVY = ("Conv", "ConvTranspose", "MatMul")
_PASSES = (
    *(*_HEAVY, "Softmax", "LayerNormalization", "InstanceNormalization", "GridSample", "Resize", "ReduceSum"),
    *("ReduceMean", "AveragePool", "Gather", "Concat", "Transpose", "DepthToSpace", "ScatterND", "Pad"),
)
"""Operators that a fused engine still runs as passes of their own; what is pointwise rides along with them."""

_BYTES = {TensorProto.FLOAT: 4, TensorProto.FLOAT16: 2, TensorProto.INT64: 8, TensorProto.INT32: 4}


@dataclass(frozen=True)
class Cost:
    """Of one call. flop: of convolutions and matrix products, a multiply-add being two; half_flop: those in FLOAT16.

    nbytes: read and written by those operators that a fused engine runs as passes of their own; launches: their
    number. casts: changes between FLOAT16 and float32. half_weights: see precision.half_share.
    """

    flop: int
    half_flop: int
    nbytes: int
    launches: int
    casts: int


def cost(model: onnx.ModelProto) -> Cost:
    """The cost of a graph of fixed size."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    values: dict[str, tuple[tuple[int, ...], int]] = {
        tensor.name: (tuple(tensor.dims), tensor.data_type) for tensor in graph.initializer
    }
    for value in (*graph.input, *graph.value_info, *graph.output):
        tensor_type = value.type.tensor_type
        values[value.name] = tuple(dim.dim_value for dim in tensor_type.shape.dim), tensor_type.elem_type
    flop = half_flop = nbytes = launches = casts = 0
    for node in graph.node:
        casts += node.op_type == "Cast"
        work = _flop(node, {name: values[name][0] for name in (*node.input, *node.output) if name in values})
        flop += work
        if values[node.output[0]][1] == TensorProto.FLOAT16:
            half_flop += work
        if node.op_type in _PASSES:
            launches += 1
            nbytes += sum(_size(*values[name]) for name in (*node.input, *node.output) if name)
    return Cost(flop, half_flop, nbytes, launches, casts)


def _size(shape: tuple[int, ...], kind: int) -> int:
    return math.prod(shape) * _BYTES.get(kind, 1)


def _flop(node: onnx.NodeProto, shapes: dict[str, tuple[int, ...]]) -> int:
    if node.op_type not in _HEAVY:
        return 0
    given, weight, made = shapes[node.input[0]], shapes[node.input[1]], shapes[node.output[0]]
    if node.op_type == "MatMul":
        return 2 * math.prod(made) * given[-1]
    if node.op_type == "Conv":
        return 2 * math.prod(made) * math.prod(weight[1:])
    return 2 * math.prod(given) * math.prod(weight[1:])
