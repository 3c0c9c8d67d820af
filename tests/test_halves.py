"""A stage in two halves: the same bits as the whole, every time, and a failure of either is told once both are done."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from test_build_splat import splat_inputs

from afitrt import build
from afitrt.build import stage_graph
from afitrt.errors import RenderError
from afitrt.frames import Geometry
from afitrt.options import ModelOptions
from afitrt.runtimes.onnx import OnnxRuntime
from afitrt.runtimes.onnx.halves import HalvedRunner, halves

GEOMETRY = Geometry(128, 64)


@pytest.fixture
def splat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The stage's file; it has no weights."""
    monkeypatch.setenv("AFITRT_HOME", str(tmp_path))
    path = tmp_path / "splat.onnx"
    onnx.save(stage_graph("gmfss", "splat", GEOMETRY), path)
    monkeypatch.setattr(build, "ensure_stage", lambda *_: path)
    return path


def runtime(threads: int) -> OnnxRuntime:
    return OnnxRuntime(ModelOptions(threads=threads), lambda _: None)


def test_both_halves_give_the_bits_of_the_whole_every_time(splat: Path) -> None:
    given = splat_inputs(GEOMETRY)
    whole, halved = (runtime(threads).stage("splat", GEOMETRY) for threads in (1, 2))
    (alone,), (both,) = whole._runners, halved._runners
    assert not isinstance(alone, HalvedRunner) and isinstance(both, HalvedRunner)
    assert set(halved.inputs) == set(whole.inputs)
    expected = whole(**{name: given[name] for name in whole.inputs})
    for _ in range(10):
        found = halved(**{name: given[name] for name in halved.inputs})
        assert found.keys() == expected.keys()
        assert all(np.array_equal(found[name], expected[name]) for name in expected)


def test_each_half_takes_one_picture_and_makes_half_of_the_features(splat: Path) -> None:
    left, right = halves(onnx.load(splat))
    for half, side, begin in ((left, 0, 0), (right, 1, 1)):
        names = {each.name for each in half.graph.graph.input}
        assert names == {f"{name}_{side}" for name in ("half", "f1", "f2", "f3")} | {
            ("flow01", "flow10")[side],
            f"z{side}",
            "t",
        }
        found = {part.output: (part.begin, part.shape[1]) for part in half.parts}
        picture = ("x_a", "x_b")[side]
        assert found == {picture: (0, 3)} | {
            name: (begin * count, count) for name, count in (("x1", 64), ("x2", 128), ("x3", 192))
        }


def test_a_failure_of_either_half_is_told(splat: Path) -> None:
    halved = runtime(2).stage("splat", GEOMETRY)
    given = splat_inputs(GEOMETRY)
    for side in (0, 1):
        broken = given | {f"f1_{side}": given[f"f1_{side}"][:, :3].copy()}
        with pytest.raises(RenderError, match="stage splat"):
            halved(**broken)
    assert set(halved(**given)) == {"x_a", "x_b", "x1", "x2", "x3"}


def test_a_graph_whose_outputs_share_arithmetic_is_refused() -> None:
    image = [1, 2, 4, 4]
    nodes = [
        helper.make_node("Neg", ["x"], ["y"]),
        helper.make_node("Abs", ["y"], ["a"]),
        helper.make_node("Exp", ["y"], ["b"]),
    ]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, image) for name in ("x", "a", "b")]
    graph = helper.make_graph(nodes, "shared", values[:1], values[1:])
    with pytest.raises(ValueError, match="same arithmetic"):
        halves(helper.make_model(graph))
