"""Filling and folding on graphs small enough to read."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from sessions import run

from afitrt.build import bind
from afitrt.build.folding import is_parameter, specialise
from afitrt.errors import ArtefactError


def toy(slope: tuple[int, ...]) -> onnx.ModelProto:
    """PRelu whose slope has this shape, then a product with twice a parameter; nothing bound yet."""
    nodes = [
        helper.make_node("PRelu", ["x", "net.slope"], ["bent"]),
        helper.make_node("Add", ["net.gain", "net.gain"], ["twice"]),
        helper.make_node("Mul", ["bent", "twice"], ["y"]),
    ]
    parameters = [
        TensorProto(name="net.slope", dims=slope, data_type=TensorProto.FLOAT),
        TensorProto(name="net.gain", dims=[1], data_type=TensorProto.FLOAT),
    ]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 2, 2, 2]) for name in "xy")
    graph = helper.make_graph(nodes, "toy", [x], [y], parameters)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@pytest.mark.parametrize(("slope", "operator"), [((1,), "LeakyRelu"), ((2, 1, 1), "PRelu")])
def test_parameters_are_filled_folded_and_one_slope_becomes_leaky_relu(slope: tuple[int, ...], operator: str) -> None:
    values = {"net.slope": np.full(slope, -0.3, np.float32), "net.gain": np.array([1.5], np.float32)}
    bound = bind(toy(slope), values)
    assert [node.op_type for node in bound.graph.node] == [operator, "Mul"]
    assert not any(is_parameter(tensor) for tensor in bound.graph.initializer)
    x = np.random.default_rng(0).standard_normal((1, 2, 2, 2), np.float32)
    np.testing.assert_array_equal(run(bound, {"x": x})["y"], np.where(x < 0, x * np.float32(-0.3), x) * 3)


@pytest.mark.parametrize(
    ("gain", "found"),
    [
        (None, "the weights lack tensor net.gain"),
        (np.zeros((2,), np.float32), r"tensor net.gain of the weights is float32 of shape \[2\]"),
        (np.zeros((1,), np.float64), r"tensor net.gain of the weights is float64 of shape \[1\]"),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_name(gain: Any, found: str) -> None:
    given = {"net.slope": np.zeros((1,), np.float32)} | ({} if gain is None else {"net.gain": gain})
    with pytest.raises(ArtefactError, match=found) as caught:
        bind(toy((1,)), given)
    assert caught.value.expected == "float32 of shape [1]"


def test_tables_above_the_limit_stay_arithmetic_and_give_the_same() -> None:
    side = 1024
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"], start=1, end=2),
        helper.make_node("Squeeze", ["shape"], ["n"]),
        helper.make_node("Range", ["zero", "n", "one"], ["row"]),
        helper.make_node("Unsqueeze", ["row", "axis"], ["column"]),
        helper.make_node("Greater", ["row", "column"], ["mask"]),
        helper.make_node("Where", ["mask", "x", "low"], ["y"]),
    ]
    constants = {"zero": np.int64(0), "one": np.int64(1), "axis": np.array([1]), "low": np.float32(-1)}
    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, None])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, None])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    small, large = (specialise(model, {"x": (1, size)}) for size in (8, side))
    assert [node.op_type for node in small.graph.node] == ["Where"]
    assert [node.op_type for node in large.graph.node] == ["Greater", "Where"]
    x = np.arange(side, dtype=np.float32)[None]
    np.testing.assert_array_equal(run(large, {"x": x})["y"], np.where(np.tri(side, k=-1).T, x, -1))
