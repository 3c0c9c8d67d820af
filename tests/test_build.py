"""Graphs and binding: what is committed, how stages are made of it, what is refused."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, numpy_helper

from afitrt import artefacts, build, weights
from afitrt.build import STAGES, Target, ensure_stage, read_library, stage_graph
from afitrt.build.folding import is_parameter
from afitrt.build.pieces import GRAPHS, MANIFEST
from afitrt.build.stages import IMAGE, TIME
from afitrt.errors import ArtefactError
from afitrt.frames import Geometry
from afitrt.models import MANIFESTS, StagedManifest
from afitrt.options import SCALES

CPU = Target("onnx", onnxruntime.__version__)
GEOMETRIES = (
    Geometry(448, 256),
    Geometry(64, 64),
    Geometry(384, 256, 0.5),
    Geometry(256, 512, 0.25),
    Geometry(128, 64, 2.0),
)
ARCHITECTURES = json.loads((Path(weights.__file__).parent / "architectures.json").read_text())
NETWORKS = ("feature", "flow", "metric", "grid", "ifnet", "rife48")
ALL_STAGES = [(model, stage) for model, stages in STAGES.items() for stage in stages.values()]


def random_weights(seed: int) -> dict[str, Any]:
    """A set for every network, by "<network>.<key>", small enough that no activation overflows."""
    rng = np.random.default_rng(seed)
    return {
        f"{network}.{key}": (rng.standard_normal(shape) / math.sqrt(max(math.prod(shape[1:]), 1))).astype(np.float32)
        for network in NETWORKS
        for key, shape in ARCHITECTURES[network].items()
    }


def dims(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    return tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)


# What is committed


def test_the_committed_graphs_are_structure_only() -> None:
    library = build.committed()
    assert sum(path.stat().st_size for path in GRAPHS.iterdir()) < 1 << 20
    assert {path.name for path in GRAPHS.iterdir()} == {f"{name}.onnx" for name in library.pieces} | {MANIFEST}
    for name, piece in library.pieces.items():
        graph = library.load(name).graph
        assert not graph.value_info and not graph.doc_string and not graph.metadata_props
        assert tuple(tensor.name for tensor in graph.initializer if is_parameter(tensor)) == piece.parameters
        for node in graph.node:
            assert not node.domain and not node.doc_string and not node.metadata_props
        assert [value.name for value in graph.input] == list(piece.inputs)
        assert [value.name for value in graph.output] == list(piece.outputs)
        assert len({node.name for node in graph.node}) == len(graph.node)
        assert set(piece.inputs).isdisjoint(piece.outputs)


def test_no_graph_holds_numbers_that_could_be_weights() -> None:
    library = build.committed()
    for name in library.pieces:
        graph = library.load(name).graph
        constants = [tensor for tensor in graph.initializer if not is_parameter(tensor)]
        constants += [each.t for node in graph.node for each in node.attribute if each.HasField("t")]
        for tensor in constants:
            assert tensor.data_type != TensorProto.FLOAT or math.prod(tensor.dims) <= 64


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("model", STAGES)
def test_a_model_takes_every_tensor_of_its_networks_once_or_none_that_is_known_to_be_unused(
    model: str, scale: float
) -> None:
    library = build.committed()
    taken: dict[str, tuple[int, ...]] = {}
    for stage in STAGES[model]:
        tensors = stage_graph(model, stage, Geometry(256, 256, scale)).graph.initializer
        own = {tensor.name: tuple(tensor.dims) for tensor in tensors if is_parameter(tensor)}
        assert taken.keys().isdisjoint(own), "a tensor lies in two stages"
        taken |= own
    networks = {name for stage in STAGES[model].values() for name in stage.networks(library)}
    shapes = {f"{network}.{key}": tuple(shape) for network in networks for key, shape in ARCHITECTURES[network].items()}
    unused = {f"{network}.{key}" for network in networks for key in library.unused[network]}
    assert taken == {key: shape for key, shape in shapes.items() if key not in unused}
    gmfss = {"feature.block1.0.weight", "grid.residual_model_head0.0.weight"}
    assert unused == (gmfss if model == "gmfss" else set())


def test_every_piece_belongs_to_a_stage() -> None:
    assert {piece for _, stage in ALL_STAGES for piece in stage.pieces} == build.committed().pieces.keys()


# Stages


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=lambda each: f"{each} s{each.scale:g}")
@pytest.mark.parametrize(("model", "stage"), ALL_STAGES, ids=[f"{model}-{stage.name}" for model, stage in ALL_STAGES])
def test_a_stage_has_the_shapes_of_the_table_and_nothing_open(
    model: str, stage: build.Stage, geometry: Geometry
) -> None:
    graph = stage_graph(model, stage.name, geometry).graph
    assert {value.name: dims(value) for value in graph.input} == {s.name: s.shape(geometry) for s in stage.inputs}
    assert {value.name: dims(value) for value in graph.output} == {s.name: s.shape(geometry) for s in stage.outputs}
    operators = {node.op_type for node in graph.node}
    assert operators.isdisjoint({"Shape", "Size", "Range", "Constant", "CastLike", "If", "Loop", "NonZero"})
    names = [node.name for node in graph.node]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    "manifest", [each for each in MANIFESTS.values() if isinstance(each, StagedManifest)], ids=lambda each: each.name
)
def test_later_stages_take_only_what_earlier_ones_give(manifest: StagedManifest) -> None:
    stages = STAGES[manifest.name]
    assert manifest.stages == tuple(stages)
    known = {IMAGE}
    for name in manifest.of_picture:
        assert set(stages[name].inputs) <= known
        known |= set(stages[name].outputs)
    known = {spec.of_side(side) for side in (0, 1) for spec in known}
    for name in (*manifest.of_pair, *manifest.of_time):
        known |= {TIME} if name in manifest.of_time else set()
        assert set(stages[name].inputs) <= known
        known |= set(stages[name].outputs)
    assert stages[manifest.of_time[-1]].outputs == (IMAGE,)


def test_a_scale_adds_its_resizes_and_scale_1_none() -> None:
    def factors(stage: str, scale: float) -> list[float]:
        graph = stage_graph("gmfss", stage, Geometry(512, 256, scale)).graph
        tensors = {
            tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer if not is_parameter(tensor)
        }
        return [
            float(tensors[node.input[2]][3]) for node in graph.node if node.op_type == "Resize" and "/" not in node.name
        ]

    assert factors("encode", 1.0) == factors("match", 1.0) == []
    for scale in (0.25, 0.5, 2.0):
        assert factors("encode", scale) == [scale]
        assert factors("match", scale) == [1 / scale, 1 / scale]


def test_a_large_size_carries_no_large_table() -> None:
    graph = stage_graph("gmfss", "match", Geometry(1920, 1088)).graph
    sizes = [math.prod(tensor.dims) for tensor in graph.initializer if not is_parameter(tensor)]
    assert max(sizes) <= 1 << 19
    assert graph.ByteSize() < 16 << 20


# Refusals


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return shutil.copytree(GRAPHS, tmp_path / "graphs")


def test_a_damaged_graph_is_named(copied: Path) -> None:
    path = copied / "metric.onnx"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ArtefactError, match=r"graph metric\.onnx is damaged: sha256"):
        stage_graph("gmfss", "match", Geometry(64, 64), read_library(copied))


def test_a_missing_graph_is_named(copied: Path) -> None:
    (copied / "grid.onnx").unlink()
    with pytest.raises(ArtefactError, match=r"grid\.onnx cannot be read"):
        stage_graph("gmfss", "fuse", Geometry(64, 64), read_library(copied))


@pytest.mark.parametrize(
    ("field", "value", "found"),
    [
        ("export_version", 0, "have export_version 0"),
        ("export_version", None, "KeyError.*export_version"),
        ("pieces", None, "lacks 'pieces'"),
        ("unused", None, "lacks 'unused'"),
    ],
)
def test_a_manifest_of_another_version_is_refused_by_field(copied: Path, field: str, value: Any, found: str) -> None:
    facts = json.loads((copied / MANIFEST).read_text())
    facts |= {field: value}
    if value is None:
        del facts[field]
    (copied / MANIFEST).write_text(json.dumps(facts))
    with pytest.raises(ArtefactError, match=found):
        read_library(copied)


def test_a_manifest_that_is_not_one_is_refused(copied: Path) -> None:
    (copied / MANIFEST).write_text("[")
    with pytest.raises(ArtefactError, match=r"manifest\.json is damaged"):
        read_library(copied)


@pytest.mark.parametrize("stage", ["match", "fuse"])
def test_a_size_that_does_not_divide_is_refused(stage: str) -> None:
    with pytest.raises(ArtefactError):
        stage_graph("gmfss", stage, Geometry(100, 72))


# Keeping


@pytest.fixture
def one_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A home with one weight set named `mine`; its values may be changed by the test."""
    values = random_weights(0)

    def load(name: str, network: str) -> dict[str, Any]:
        assert name == "mine"
        return {key.partition(".")[2]: array for key, array in values.items() if key.startswith(f"{network}.")}

    def digest(name: str, networks: Any) -> str:
        return str(sum(float(array.sum()) for network in networks for array in load(name, network).values()))

    monkeypatch.setenv("AFITRT_HOME", str(tmp_path))
    monkeypatch.setattr(weights, "load", load)
    monkeypatch.setattr(weights, "digest", digest)
    return values


def test_a_stage_is_made_once_and_found_again(one_set: dict[str, Any]) -> None:
    said: list[str] = []
    geometry = Geometry(64, 64)
    path = ensure_stage("gmfss", "encode", geometry, "mine", CPU, said.append)
    assert said == ["making stage encode of gmfss for 64x64 at scale 1"]
    changed = path.stat().st_mtime_ns
    assert path.name.startswith("gmfss-encode-64x64-s1-fp32-cpu-")
    assert ensure_stage("gmfss", "encode", geometry, "mine", CPU, said.append) == path
    assert path.stat().st_mtime_ns == changed and len(said) == 1
    facts = artefacts.read_sidecar(path)
    assert (facts["stage"], facts["width"], facts["export_version"]) == ("encode", 64, build.EXPORT_VERSION)
    onnx.checker.check_model(onnx.load(path), full_check=True)
    one_set["flow.backbone.conv2.bias"] += 1
    assert ensure_stage("gmfss", "encode", geometry, "mine", CPU, said.append) != path


def test_stages_without_weights_are_shared_by_all_sets(one_set: dict[str, Any]) -> None:
    said: list[str] = []
    path = ensure_stage("gmfss", "splat", Geometry(64, 64), "mine", CPU, said.append)
    one_set["feature.block1.1.bias"] += 1
    assert ensure_stage("gmfss", "splat", Geometry(64, 64), "mine", CPU, said.append) == path


def test_a_damaged_stage_is_refused(one_set: dict[str, Any]) -> None:
    said: list[str] = []
    path = ensure_stage("gmfss", "encode", Geometry(64, 64), "mine", CPU, said.append)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ArtefactError, match="is damaged"):
        ensure_stage("gmfss", "encode", Geometry(64, 64), "mine", CPU, said.append)
