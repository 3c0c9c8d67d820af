"""FP16: which nodes become half, what the emulation rounds, and what is left of the picture."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import precision as bench
import pytest
from measuring import psnr
from onnx import TensorProto, helper, numpy_helper
from sessions import run

from afitrt import models
from afitrt.build import STAGES, half_share, is_half, stage_model
from afitrt.build.precision import HALF, Rule, emulated, halved
from afitrt.errors import AfitrtError
from afitrt.frames import Geometry, to_planar
from afitrt.options import ModelOptions
from afitrt.runtimes.onnx import OnnxRuntime

FLOAT, HALF_TYPE = TensorProto.FLOAT, TensorProto.FLOAT16
LINEAR = Rule("linear", "net/", ("MatMul",), ("Relu", "Add"))


def graph(nodes: list[Any], inputs: dict[str, list[int]], outputs: list[str], **constants: Any) -> onnx.ModelProto:
    """A float32 graph; nodes as (operator, name, inputs, output, attributes)."""
    made = [helper.make_node(kind, given, [out], name, **more) for kind, name, given, out, more in nodes]
    body = helper.make_graph(
        made,
        "graph",
        [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return onnx.shape_inference.infer_shapes(model)


def types(model: onnx.ModelProto) -> dict[str, int]:
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    found = {tensor.name: tensor.data_type for tensor in inferred.initializer}
    return found | {
        value.name: value.type.tensor_type.elem_type
        for value in (*inferred.input, *inferred.value_info, *inferred.output)
    }


def operators(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


WEIGHT = np.random.default_rng(0).normal(size=(4, 4)).astype(np.float32)


def test_half_begins_and_ends_with_a_cast() -> None:
    net = graph(
        [
            ("MatMul", "net/a", ["x", "w"], "y", {}),
            ("Relu", "net/b", ["y"], "z", {}),
            ("Exp", "net/c", ["z"], "out", {}),
        ],
        {"x": [2, 4]},
        ["out"],
        w=WEIGHT,
    )
    typed = halved(net, (LINEAR,))
    assert operators(typed) == ["Cast", "MatMul", "Relu", "Cast", "Exp"]
    kinds = types(typed)
    assert (kinds["y"], kinds["z"], kinds["out"]) == (HALF_TYPE, HALF_TYPE, FLOAT)
    assert [tensor.data_type for tensor in typed.graph.initializer] == [HALF_TYPE]
    assert half_share(typed) == 1 and half_share(net) == 0


def test_a_follower_needs_everything_it_reads_in_half() -> None:
    net = graph(
        [
            ("MatMul", "net/a", ["x", "w"], "y", {}),
            ("Add", "net/b", ["y", "x"], "sum", {}),
            ("Add", "net/c", ["y", "bias"], "biased", {}),
        ],
        {"x": [2, 4]},
        ["sum", "biased"],
        w=WEIGHT,
        bias=np.ones(4, np.float32),
    )
    kinds = types(halved(net, (LINEAR,)))
    assert kinds["sum"] == FLOAT and kinds["bias/half"] == HALF_TYPE and kinds["biased/inner"] == HALF_TYPE


def test_movers_follow_their_neighbours_and_are_copied_where_both_types_are_wanted() -> None:
    moves = [
        ("MatMul", "net/a", ["x", "w"], "y", {}),
        ("Exp", "e", ["x"], "float", {}),
        ("Concat", "m1", ["y", "float"], "both", {"axis": 1}),
        ("Transpose", "m2", ["both"], "turned", {"perm": [1, 0]}),
        ("MatMul", "net/b", ["w2", "turned"], "half_use", {}),
        ("Exp", "f", ["turned"], "float_use", {}),
    ]
    constants = {"w": WEIGHT, "w2": np.ones((4, 8), np.float32)}
    typed = halved(graph(moves, {"x": [2, 4]}, ["half_use", "float_use"], **constants), (LINEAR,))
    kinds = types(typed)
    assert kinds["turned"] == FLOAT and kinds["turned/half"] == HALF_TYPE
    assert operators(typed).count("Transpose") == 2, "moved once in each type, not cast there and back"
    only = halved(graph(moves[:-1], {"x": [2, 4]}, ["half_use"], **constants), (LINEAR,))
    assert types(only)["turned"] == HALF_TYPE and operators(only).count("Transpose") == 1


def test_tensors_between_stages_travel_in_half() -> None:
    net = graph([("Exp", "e", ["f1_0"], "x1", {})], {"f1_0": [2, 4]}, ["x1"])
    kinds = types(halved(net))
    assert (kinds["f1_0"], kinds["x1"]) == (HALF_TYPE, HALF_TYPE)
    assert is_half("b8_1") and is_half("f3") and not is_half("flow01") and not is_half("half_0")


def test_a_constant_beyond_half_is_refused_by_name() -> None:
    net = graph([("MatMul", "net/a", ["x", "w"], "y", {})], {"x": [2, 4]}, ["y"], w=WEIGHT * 1e9)
    with pytest.raises(AfitrtError, match="w holds numbers beyond FLOAT16"):
        halved(net, (LINEAR,))


def test_the_emulation_rounds_after_every_half_node() -> None:
    net = graph(
        [("MatMul", "net/a", ["x", "w"], "y", {}), ("Add", "net/b", ["y", "y"], "z", {})],
        {"x": [64, 4]},
        ["z"],
        w=WEIGHT,
    )
    x = np.random.default_rng(1).normal(size=(64, 4)).astype(np.float32)
    found = run(emulated(halved(net, (LINEAR,))), {"x": x})["z"]
    product = x.astype(np.float16).astype(np.float32) @ WEIGHT.astype(np.float16).astype(np.float32)
    expected = (2 * product.astype(np.float16).astype(np.float32)).astype(np.float16).astype(np.float32)
    np.testing.assert_allclose(found, expected, rtol=2**-10)
    assert (found == found.astype(np.float16)).all()
    assert not (found == x @ WEIGHT * 2).all()


GEOMETRY = Geometry(*bench.SIZE)


@pytest.fixture(scope="module")
def stages(weights_home: Path) -> dict[str, onnx.ModelProto]:
    return {name: stage_model("gmfss", name, Geometry(448, 256), "gmfss-union", "fp16") for name in STAGES["gmfss"]}


@pytest.mark.weights
def test_weights_are_half_and_geometry_is_not(stages: dict[str, onnx.ModelProto]) -> None:
    for name, model in stages.items():
        assert half_share(model) >= 0.8, name
        onnx.checker.check_model(model, full_check=True)
        kinds = types(model)
        for node in model.graph.node:
            geometric = node.op_type in ("GridSample", "Resize", "Floor", "Exp", "Tanh", "Sigmoid", "ReduceSum", "Clip")
            correlation = node.op_type == "Softmax" and not node.name.startswith("flow/transformer")
            if geometric or correlation:
                assert kinds[node.output[0]] == FLOAT, node.name
            if node.op_type in ("Conv", "ConvTranspose"):
                assert kinds[node.output[0]] == HALF_TYPE, node.name
    assert all(
        any(node.name.startswith(rule.pattern.split("|")[0]) for m in stages.values() for node in m.graph.node)
        for rule in HALF
    )


@pytest.fixture(scope="module")
def pairs(weights_home: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return bench.pairs(bench.film())


def interpolated(precision: str, given: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    said: list[str] = []
    width, height = bench.SIZE
    made = models.make(ModelOptions(precision=precision), width, height, np.float32, said.append)
    try:
        found = {}
        for name, pair in given.items():
            pictures = [made.upload(frame) for frame in pair]
            pictures += made.between(*pictures, [Fraction(1, 2)])
            found[name] = made.download(pictures[2])
            for picture in pictures:
                made.release(picture)
        return found, said
    finally:
        made.close()


@pytest.mark.weights
def test_pictures_keep_55_db(pairs: dict[str, Any]) -> None:
    exact, _ = interpolated("fp32", pairs)
    half, said = interpolated("fp16", pairs)
    assert any("emulat" in line for line in said)
    for name in pairs:
        assert psnr(half[name], exact[name]) >= 55, name


@pytest.fixture(scope="module")
def emulation(weights_home: Path) -> Iterator[dict[str, Any]]:
    runtime = OnnxRuntime(ModelOptions(precision="fp16"), lambda text: None)
    yield {name: runtime.stage(name, GEOMETRY) for name in STAGES["gmfss"]}
    runtime.close()


@pytest.mark.weights
@pytest.mark.parametrize("name", bench.ADVERSARIAL)
def test_adversarial_pictures_stay_finite(name: str, emulation: dict[str, Any]) -> None:
    known: dict[str, Any] = {"t": np.full((1, 1, 1, 1), 0.5, np.float32)}
    for side, frame in enumerate(bench.ADVERSARIAL[name]()):
        made = emulation["encode"](image=to_planar(frame, GEOMETRY))
        known |= {f"{tensor}_{side}": value for tensor, value in made.items()}
    for stage in ("match", "splat", "fuse"):
        known |= emulation[stage](**{tensor: known[tensor] for tensor in emulation[stage].inputs})
    for tensor, value in known.items():
        assert np.isfinite(value).all(), tensor
    assert known["image"].min() >= 0 and known["image"].max() <= 1
