"""Fills a graph's parameters with weights."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from afitrt.build.folding import fold_parameters, is_parameter
from afitrt.errors import ArtefactError

Weights = Mapping[str, npt.NDArray[np.float32]]


def bind(model: onnx.ModelProto, weights: Weights) -> onnx.ModelProto:
    """A copy whose parameters hold these weights: float32 arrays by parameter name; others are ignored.

    What is computed of parameters alone is worked out, and PRelu with one slope becomes LeakyRelu, which runs
    faster and is the same function. Raises ArtefactError naming a tensor that is missing, or of another shape or
    type.
    """
    bound = onnx.ModelProto()
    bound.CopyFrom(model)
    graph = bound.graph
    parameters = [tensor for tensor in graph.initializer if is_parameter(tensor)]
    for tensor in parameters:
        tensor.raw_data = _checked(tensor, weights).tobytes()
    fold_parameters(graph, {tensor.name for tensor in parameters})
    _use_leaky_relu(graph)
    return bound


def _checked(parameter: onnx.TensorProto, weights: Weights) -> npt.NDArray[np.float32]:
    name, shape = parameter.name, tuple(parameter.dims)
    hint = "run `afitrt weights verify`, then `afitrt weights fetch`"
    if name not in weights:
        raise ArtefactError(f"the weights lack tensor {name}", f"float32 of shape {list(shape)}", hint)
    array = weights[name]
    if array.shape != shape or array.dtype != np.float32:
        raise ArtefactError(
            f"tensor {name} of the weights is {array.dtype} of shape {list(array.shape)}",
            f"float32 of shape {list(shape)}",
            hint,
        )
    return np.ascontiguousarray(array).astype("<f4", copy=False)


def _use_leaky_relu(graph: onnx.GraphProto) -> None:
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        slope = tensors.get(node.input[1]) if node.op_type == "PRelu" else None
        if slope is not None and np.prod(slope.dims) == 1:
            alpha = float(numpy_helper.to_array(slope).item())
            node.CopyFrom(helper.make_node("LeakyRelu", node.input[:1], node.output, node.name, alpha=alpha))
    read = {each for node in graph.node for each in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)
