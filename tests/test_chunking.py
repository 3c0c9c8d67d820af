"""Attention in chunks: the same numbers, with fewer of them alive at once."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from sessions import run
from test_build import random_weights

from afitrt.build import bind, chunked, stage_graph
from afitrt.frames import Geometry


def attention(*further: onnx.NodeProto, outputs: tuple[str, ...] = ("out",)) -> onnx.ModelProto:
    """softmax(q k) v on two pictures with 30 queries and 20 keys: 4800 bytes of scores."""
    nodes = [
        helper.make_node("MatMul", ["q", "k"], ["scores"], "scores"),
        helper.make_node("Softmax", ["scores"], ["shares"], "softmax", axis=2),
        helper.make_node("MatMul", ["shares", "v"], ["out"], "value"),
        *further,
    ]
    shapes = {"q": [2, 30, 8], "k": [2, 8, 20], "v": [2, 20, 3]}
    graph = helper.make_graph(
        nodes,
        "attention",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def largest_scores(model: onnx.ModelProto) -> int:
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    made = {node.output[0] for node in model.graph.node if node.op_type == "Softmax"}
    shapes = [value.type.tensor_type.shape.dim for value in inferred.value_info if value.name in made]
    return max(4 * int(np.prod([dim.dim_value for dim in shape])) for shape in shapes)


@pytest.mark.parametrize("limit", [4800, 2400, 1000, 170])
def test_chunks_give_the_same_and_keep_to_the_limit(limit: int) -> None:
    rng = np.random.default_rng(0)
    given = {
        n: rng.normal(size=s).astype(np.float32) for n, s in (("q", (2, 30, 8)), ("k", (2, 8, 20)), ("v", (2, 20, 3)))
    }
    whole, split = attention(), chunked(attention(), limit)
    np.testing.assert_allclose(run(split, given)["out"], run(whole, given)["out"], atol=2e-6)
    # A row cannot be split, and chunks of rows that do not divide evenly differ by one row.
    assert largest_scores(split) <= limit + 2 * 20 * 4
    assert (len(split.graph.node) == 3) == (limit >= 4800)


def test_scores_that_something_else_reads_stay_whole() -> None:
    read = attention(helper.make_node("Exp", ["scores"], ["more"], "exp"), outputs=("out", "more"))
    assert len(chunked(read, 100).graph.node) == 4


def test_the_flow_network_is_split_and_gives_the_same() -> None:
    geometry = Geometry(128, 128)
    model = bind(stage_graph("gmfss", "match", geometry), random_weights(0))
    split = chunked(model, 4096)
    assert len(split.graph.node) > len(model.graph.node)
    rng = np.random.default_rng(1)
    shapes = {value.name: [d.dim_value for d in value.type.tensor_type.shape.dim] for value in model.graph.input}
    given = {name: rng.random(shape, np.float32) for name, shape in shapes.items()}
    expected, found = run(model, given), run(split, given)
    for name in ("flow01", "flow10"):
        np.testing.assert_allclose(found[name], expected[name], atol=1e-2)
