"""Parts of stages that ncnn runs: each operator, what is left to ONNX Runtime, and whole stages beside it alone."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from command import afitrt
from onnx import TensorProto, helper, numpy_helper
from sessions import run

from afitrt import build, doctor, models
from afitrt.errors import ArtefactError, RenderError
from afitrt.frames import Geometry
from afitrt.options import ModelOptions
from afitrt.runtimes.ncnn import net as nets
from afitrt.runtimes.ncnn import version
from afitrt.runtimes.ncnn.net import Net
from afitrt.runtimes.ncnn.regions import Part, parts
from afitrt.runtimes.onnx import OnnxRuntime, shared

LEAST_DB = 90.0
OPSETS = [helper.make_opsetid("", 20)]


def decibels(found: Any, wanted: Any) -> float:
    """Of the difference, beside the largest number wanted."""
    error = float(np.sqrt(np.mean((found - wanted) ** 2)))
    return float(20 * np.log10(np.abs(wanted).max() / max(error, 1e-12)))


def random(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def graph(
    nodes: list[onnx.NodeProto], inputs: dict[str, tuple[int, ...]], outputs: list[str], constants: dict[str, Any]
) -> onnx.ModelProto:
    given = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()]
    made = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    kept = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    model = helper.make_model(helper.make_graph(nodes, "test", given, made, kept), opset_imports=OPSETS, ir_version=10)
    return onnx.shape_inference.infer_shapes(model, strict_mode=True)


def chain(*nodes: onnx.NodeProto, channels: int = 16, height: int = 7, width: int = 9, **constants: Any) -> Any:
    """x, a 3x3 convolution to a, the nodes from a to b, and a 3x3 convolution to y: a part from end to end."""
    shape = (1, channels, height, width)
    first = helper.make_node("Conv", ["x", "w0"], ["a"], pads=[1] * 4)
    probe = graph([first, *nodes], {"x": shape}, ["b"], {"w0": random(channels, channels, 3, 3)} | constants)
    last = probe.graph.output[0].type.tensor_type.shape.dim[1].dim_value
    kept = {"w0": random(channels, channels, 3, 3) / 12, "w1": random(16, last, 3, 3, seed=1) / 12}
    end = helper.make_node("Conv", ["b", "w1"], ["y"], pads=[1] * 4)
    return graph([first, *nodes, end], {"x": shape}, ["y"], kept | constants)


def through_ncnn(model: onnx.ModelProto, given: dict[str, Any], threads: int = 2) -> dict[str, Any]:
    """What the parts of a model give, one after the other."""
    known = dict(given)
    for part in parts(model, least=1):
        if part.ncnn:
            constants = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
            runner = Net(part, constants, threads)
            known |= runner.run({each: known[each] for each in runner.inputs})
        else:
            known |= run(shared.extracted(model, part), known)
    return {value.name: known[value.name] for value in model.graph.output}


def kinds(found: list[Part]) -> list[tuple[bool, list[str]]]:
    return [(part.ncnn, [node.op_type for node in part.nodes]) for part in found]


SUPPORTED = {
    "Conv of stride 2": (
        [helper.make_node("Conv", ["a", "w", "v"], ["b"], pads=[1] * 4, strides=[2, 2])],
        {"w": random(24, 16, 3, 3) / 12, "v": random(24)},
    ),
    "Conv of 5x3, padded on one side": (
        [helper.make_node("Conv", ["a", "w", "v"], ["b"], pads=[2, 1, 0, 1])],
        {"w": random(20, 16, 5, 3) / 12, "v": random(20)},
    ),
    "Conv of 1x1 without bias": ([helper.make_node("Conv", ["a", "w"], ["b"])], {"w": random(12, 16, 1, 1)}),
    "ConvTranspose": (
        [helper.make_node("ConvTranspose", ["a", "w", "v"], ["b"], pads=[1] * 4, strides=[2, 2])],
        {"w": random(16, 20, 4, 4) / 12, "v": random(20)},
    ),
    "LeakyRelu behind a convolution": ([helper.make_node("LeakyRelu", ["a"], ["b"], alpha=0.2801927626132965)], {}),
    "LeakyRelu that falls": ([helper.make_node("LeakyRelu", ["a"], ["b"], alpha=-0.010021121241152287)], {}),
    "Relu behind a convolution": ([helper.make_node("Relu", ["a"], ["b"])], {}),
    "LeakyRelu of what is read twice": (
        [helper.make_node("LeakyRelu", ["a"], ["c"], alpha=0.2), helper.make_node("Add", ["c", "a"], ["b"])],
        {},
    ),
    "Add of one value twice": ([helper.make_node("Add", ["a", "a"], ["b"])], {}),
    "Concat": ([helper.make_node("Concat", ["a", "a"], ["b"], axis=1)], {}),
    "InstanceNormalization": (
        [
            helper.make_node("InstanceNormalization", ["a", "w", "v"], ["c"], epsilon=1e-5),
            helper.make_node("Relu", ["c"], ["b"]),
        ],
        {"w": random(16), "v": random(16)},
    ),
}


@pytest.mark.parametrize("size", [(7, 9), (8, 12)])
@pytest.mark.parametrize("name", SUPPORTED)
def test_an_operator_is_what_onnx_runtime_makes_of_it(name: str, size: tuple[int, int]) -> None:
    nodes, constants = SUPPORTED[name]
    model = chain(*nodes, height=size[0], width=size[1], **constants)
    assert [part.ncnn for part in parts(model, least=1)] == [True]
    given = {"x": random(1, 16, *size)}
    before = given["x"].copy()
    assert decibels(through_ncnn(model, given)["y"], run(model, given)["y"]) > LEAST_DB
    assert np.array_equal(given["x"], before), "inputs are not written to"


REFUSED = {
    "an operator that ncnn is not given": ([helper.make_node("Sigmoid", ["a"], ["b"])], {}),
    "groups": ([helper.make_node("Conv", ["a", "w"], ["b"], group=2)], {"w": random(16, 8, 3, 3)}),
    "dilation": ([helper.make_node("Conv", ["a", "w"], ["b"], dilations=[2, 2])], {"w": random(16, 16, 3, 3)}),
    "broadcast": ([helper.make_node("Add", ["a", "w"], ["b"])], {"w": random(1, 16, 1, 1)}),
    "another axis": ([helper.make_node("Concat", ["a", "a"], ["b"], axis=2)], {}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_stays_with_onnx_runtime(name: str) -> None:
    nodes, constants = REFUSED[name]
    model = chain(*nodes, **constants)
    found = kinds(parts(model, least=1))
    assert found == [(True, ["Conv"]), (False, [node.op_type for node in nodes]), (True, ["Conv"])]
    given = {"x": random(1, 16, 7, 9)}
    assert decibels(through_ncnn(model, given)["y"], run(model, given)["y"]) > LEAST_DB


def test_a_batch_too_few_channels_and_too_little_work_stay_too() -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"], pads=[1] * 4)
    weights = {"w": random(16, 16, 3, 3)}
    assert not parts(graph([node], {"x": (2, 16, 8, 8)}, ["y"], weights), least=1)[0].ncnn
    assert not parts(graph([node], {"x": (1, 4, 8, 8)}, ["y"], {"w": random(16, 4, 3, 3)}), least=1)[0].ncnn
    model = graph([node], {"x": (1, 16, 8, 8)}, ["y"], weights)
    flop = 2 * 16 * 16 * 9 * 64
    assert [(part.ncnn, part.flop) for part in parts(model, flop)] == [(True, flop)]
    assert not parts(model, flop + 1)[0].ncnn


def test_parts_begin_and_end_with_convolutions_and_are_brought_together() -> None:
    conv = {"pads": [1] * 4}
    nodes = [
        helper.make_node("LeakyRelu", ["x"], ["r"]),
        helper.make_node("Conv", ["r", "w"], ["early"], **conv),
        helper.make_node("Conv", ["x", "w"], ["c"], **conv),
        helper.make_node("Sigmoid", ["c"], ["s"]),
        helper.make_node("Conv", ["s", "w"], ["d"], **conv),
        helper.make_node("Add", ["early", "d"], ["e"]),
        helper.make_node("Conv", ["e", "w"], ["f"], **conv),
        helper.make_node("Relu", ["f"], ["g"]),
        helper.make_node("Add", ["g", "e"], ["y"]),
    ]
    model = graph(nodes, {"x": (1, 16, 9, 7)}, ["y", "e"], {"w": random(16, 16, 3, 3) / 12})
    found = parts(model, least=1)
    assert kinds(found) == [
        (False, ["LeakyRelu"]),
        (True, ["Conv"]),
        (False, ["Sigmoid"]),
        (True, ["Conv", "Conv", "Add", "Conv", "Relu"]),
        (False, ["Add"]),
    ]
    assert found[3].inputs == ("r", "s")
    assert found[3].outputs == ("e", "g")
    given = {"x": random(1, 16, 9, 7)}
    through, wanted = through_ncnn(model, given), run(model, given)
    assert min(decibels(through[name], wanted[name]) for name in ("y", "e")) > LEAST_DB


def made(options: ModelOptions, stage: str, geometry: Geometry) -> Any:
    return OnnxRuntime(options, lambda _: None).stage(stage, geometry)


def inputs(model: str, stage: str, geometry: Geometry) -> dict[str, Any]:
    rng = np.random.default_rng(3)
    given = {each.name: rng.random(each.shape(geometry), np.float32) for each in build.STAGES[model][stage].inputs}
    for name in ("image_0", "image_1"):
        if name in given:  # Flow through noise would make much of the last bits.
            coarse = rng.random((8, 8, 3), np.float32)
            smooth = cv2.resize(coarse, (geometry.width, geometry.height), interpolation=cv2.INTER_CUBIC)
            given[name] = np.ascontiguousarray(smooth.transpose(2, 0, 1)[np.newaxis])
    return given | ({"t": np.full((1, 1, 1, 1), 0.3, np.float32)} if "t" in given else {})


@pytest.fixture
def home(weights_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The published weights, and nothing made of them."""
    (tmp_path / "weights").symlink_to(weights_home / "weights", target_is_directory=True)
    monkeypatch.setenv("AFITRT_HOME", str(tmp_path))


@pytest.mark.weights
@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "stage", "size", "scale"),
    [
        ("gmfss", "encode", (192, 128), 1.0),
        ("gmfss", "fuse", (64, 64), 1.0),
        ("gmfss", "fuse", (320, 192), 1.0),
        ("gmfss", "fuse", (128, 128), 0.5),
        ("rife", "fuse", (448, 256), 1.0),
    ],
)
def test_a_stage_is_what_onnx_runtime_alone_makes_and_the_same_every_time(
    home: None, model: str, stage: str, size: tuple[int, int], scale: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    geometry = models.find(model).geometry(*size, scale)
    options = ModelOptions(model=model, threads=2, scale=scale)
    given = inputs(model, stage, geometry)
    kept = {name: array.copy() for name, array in given.items()}
    with_ncnn = made(options, stage, geometry)
    assert any(isinstance(each, Net) for each in with_ncnn._runners)
    found, again = with_ncnn(**given), with_ncnn(**given)
    assert all(np.array_equal(found[name], again[name]) for name in found)
    assert all(np.array_equal(given[name], kept[name]) for name in given)
    monkeypatch.setattr(shared, "version", lambda: None)
    alone = made(options, stage, geometry)
    assert not any(isinstance(each, Net) for each in alone._runners)
    assert alone.inputs == with_ncnn.inputs
    wanted = alone(**given)
    assert list(found) == list(wanted)
    assert min(decibels(found[name], wanted[name]) for name in wanted) > LEAST_DB


@pytest.mark.weights
def test_threads_of_either_leave_the_cores_to_the_other(home: None) -> None:
    (whole,) = made(ModelOptions(), "match", Geometry(64, 64, 1.0))._runners
    entry = "session.intra_op.allow_spinning"
    assert whole._session.get_session_options().get_session_config_entry(entry) == "0"
    assert int(os.environ["GOMP_SPINCOUNT"]) <= 1000


@pytest.mark.weights
@pytest.mark.slow
def test_emulated_half_and_what_ncnn_cannot_read(home: None, monkeypatch: pytest.MonkeyPatch) -> None:
    geometry = Geometry(64, 64, 1.0)
    half = made(ModelOptions(precision="fp16"), "fuse", geometry)
    assert len(half._runners) == 1
    stage = made(ModelOptions(threads=1), "fuse", geometry)
    part = next(each for each in stage._runners if isinstance(each, Net))
    monkeypatch.setattr(part, "_net", FailingNet())
    with pytest.raises(RenderError, match="stage fuse failed: ncnn gives -100"):
        stage(**inputs("gmfss", "fuse", geometry))
    monkeypatch.setattr(nets, "_MAGIC", "0")
    with pytest.raises(ArtefactError, match="ncnn does not read its layers"):
        made(ModelOptions(), "fuse", geometry)


class FailingNet:
    """Where memory ran out."""

    def create_extractor(self) -> FailingNet:
        return self

    def set_blob_allocator(self, _: object) -> None:
        pass

    set_workspace_allocator = set_blob_allocator

    def input(self, *_: object) -> None:
        pass

    def extract(self, *_: object) -> tuple[int, None]:
        return -100, None


def test_only_what_was_measured_on_the_cpu_in_float32_is_shared() -> None:
    assert shared.takes_ncnn(ModelOptions(), "fuse")
    assert not shared.takes_ncnn(ModelOptions(), "splat")
    assert not shared.takes_ncnn(ModelOptions(model="rife48", weights="mine"), "fuse")
    assert not shared.takes_ncnn(ModelOptions(device=0), "fuse")
    assert not shared.takes_ncnn(ModelOptions(precision="fp16"), "fuse")


def test_a_missing_package_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    assert version()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert version() is None


def test_doctor_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor._ncnn().ok and str(version()) in doctor._ncnn().found
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert not doctor._ncnn().ok and doctor._ncnn().hint == "pip install ncnn"


@pytest.mark.weights
@pytest.mark.slow
def test_explain_tells_the_share_by_winograd(home: None) -> None:
    ran = afitrt("build-engine", "--runtime", "onnx", "--size", "64x64", "--explain", "--json")
    assert ran.code == 0, ran.err
    stages = {each["stage"]: each for each in json.loads(ran.out)["plans"][0]["stages"]}
    assert stages["splat"]["winograd_flop"] == stages["encode"]["winograd_flop"] == 0  # Too small to pay.
    assert 0.7 * stages["fuse"]["flop"] < stages["fuse"]["winograd_flop"] < stages["fuse"]["flop"]
