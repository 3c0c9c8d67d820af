"""The committed graphs against the torch networks they were exported from, without and with the published weights."""

from __future__ import annotations

import importlib
import json
import math
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from sessions import run

from afitrt import build, weights
from afitrt.build import STAGES, bind, stage_model
from afitrt.build.folding import specialise
from afitrt.build.pieces import GRAPHS, MANIFEST
from afitrt.frames import Geometry

pytestmark = pytest.mark.export

UNITS = [(2, 5), (5, 3)]
"""Sizes in units of 64 pixels, down and across; the export traces (3, 4)."""
RIFE = [name for name in build.committed().pieces if name.startswith(("ifnet_", "rife48_fuse_"))]
"""One network at several scales. At low ones rounding in a flow counts up to 32 times, and the pictures are noise."""
TOLERANCE = {"flow": 5e-3, "grid": 1e-4, "backbone": 1e-4, "metric": 1e-4} | dict.fromkeys(RIFE, 1e-4)
CASES = [(name, seed) for name in build.committed().pieces for seed in ((1,) if name in RIFE else (1, 2))]


@pytest.fixture(scope="module")
def exporter(torch: ModuleType) -> ModuleType:
    return importlib.import_module("afitrt_export.to_onnx")


@pytest.fixture(scope="module")
def sources(exporter: ModuleType) -> Any:
    return importlib.import_module("afitrt_export.stages").PIECES


def random_module(torch: ModuleType, source: Any, seed: int) -> Any:
    """The piece with weights of its own, PReLU slopes of both signs included."""
    torch.manual_seed(seed)
    module = source.module().eval()
    for name, parameter in module.named_parameters():
        if parameter.numel() == 1:
            torch.nn.init.uniform_(parameter, -0.3, 0.6)
        elif "norm" in name or "beta" in name:
            torch.nn.init.normal_(parameter, 0.5, 0.2)
    return module


def inputs(torch: ModuleType, source: Any, units: tuple[int, int]) -> dict[str, Any]:
    shapes = {
        name: (1, each.channels, *(each.multiple * unit for unit in units)) if each.multiple else (1, 1, 1, 1)
        for name, each in source.inputs.items()
    }
    given = {name: torch.rand(shape) for name, shape in shapes.items()}
    return {name: (value - 0.5) * 12 if "flow" in name else value for name, value in given.items()}


@pytest.mark.parametrize(("name", "seed"), CASES)
def test_a_piece_with_any_weights_equals_its_network(torch: ModuleType, sources: Any, name: str, seed: int) -> None:
    module = random_module(torch, sources[name], seed)
    state = {key: value.numpy() for key, value in module.state_dict().items()}
    for units in UNITS:
        given = inputs(torch, sources[name], units)
        shapes = {each: tuple(value.shape) for each, value in given.items()}
        model = bind(specialise(build.committed().load(name), shapes), state)
        found = run(model, {each: value.numpy() for each, value in given.items()}, threads=1)
        with torch.inference_mode():
            expected = module(*given.values())
        expected = (expected,) if isinstance(expected, torch.Tensor) else expected
        for output, value in zip(sources[name].outputs, expected, strict=True):
            off = np.abs(found[output] - value.numpy())
            # MetricNet's occlusion is a hard threshold, which rounding may flip at single pixels.
            assert np.mean(off > TOLERANCE.get(name, 1e-5)) <= (2e-3 if name == "metric" else 0), output


@pytest.mark.slow
def test_a_fresh_export_equals_the_committed_graphs(exporter: ModuleType, tmp_path: Path) -> None:
    """Byte for byte, so whatever the committed graphs give for two sets of weights, a fresh export gives too.

    Of a network that is exported once a scale, two scales are: `make graphs` makes them all.
    """
    sampled = [name for name in exporter.PIECES if not name.endswith(("_0.25", "_2"))]
    exporter.export_all(tmp_path, sampled)
    fresh, committed = (json.loads((folder / MANIFEST).read_text()) for folder in (tmp_path, GRAPHS))
    assert {path.stem for path in GRAPHS.glob("*.onnx")} == {*exporter.PIECES} == {*committed["pieces"]}
    assert {path.stem for path in tmp_path.glob("*.onnx")} == {*sampled}
    for path in tmp_path.glob("*.onnx"):
        assert path.read_bytes() == (GRAPHS / path.name).read_bytes(), path.name
    committed["pieces"] = {name: committed["pieces"][name] for name in fresh["pieces"]}
    assert fresh == committed


@pytest.fixture(scope="module")
def published(torch: ModuleType, sources: Any, weights_home: Path) -> dict[str, Any]:
    """Every piece as torch has it, with the published weights."""
    modules = {}
    for name, source in sources.items():
        modules[name] = module = source.module().eval()
        if source.network not in (None, "rife48"):
            state = weights.load("gmfss-union", source.network)
            taken = {key: torch.from_numpy(state[key]) for key in module.state_dict()}
            module.load_state_dict(taken, strict=True)
    return modules


def stages_in_torch(torch: ModuleType, nets: dict[str, Any], scale: float) -> dict[str, Any]:
    """The four stages as functions of tensors by name, as NETWORK's data flow has them."""

    def resized(image: Any, factor: float) -> Any:
        return torch.nn.functional.interpolate(image, scale_factor=factor, mode="bilinear")

    def encode(image: Any) -> tuple[Any, ...]:
        half = resized(image, 0.5)
        return (half, *nets["feature"](image), *nets["backbone"](half if scale == 1 else resized(half, scale)))

    def match(half_0: Any, *given: Any) -> tuple[Any, ...]:
        b4_0, b8_0, half_1, b4_1, b8_1 = given
        flows = nets["flow"](b4_0, b8_0, b4_1, b8_1)
        if scale != 1:
            flows = tuple(resized(flow, 1 / scale) / scale for flow in flows)
        return (*flows, *nets["metric"](half_0, half_1, *flows))

    def splat(*given: Any) -> tuple[Any, ...]:
        flow01, flow10, z0, z1, t = given[8:]
        left, right = nets["splat"](*given[:4], flow01, z0, t), nets["splat"](*given[4:8], flow10, z1, 1 - t)
        return (left[0], right[0], *(torch.cat(level, 1) for level in zip(left[1:], right[1:], strict=True)))

    def fuse(half_0: Any, half_1: Any, t: Any, x_a: Any, x_b: Any, *levels: Any) -> tuple[Any, ...]:
        x = torch.cat((x_a, nets["ifnet"](half_0, half_1, t), x_b), 1)
        return (nets["grid"](x, *levels).clamp(0, 1),)

    return {"encode": encode, "match": match, "splat": splat, "fuse": fuse}


def moving_pair(torch: ModuleType, geometry: Geometry) -> list[Any]:
    """A smooth random picture, and the same a few pixels on."""
    generator = torch.Generator().manual_seed(5)
    small = torch.rand(1, 3, geometry.height // 16 + 2, geometry.width // 16 + 2, generator=generator)
    size = (geometry.height + 16, geometry.width + 16)
    wide = torch.nn.functional.interpolate(small, size=size, mode="bicubic").clamp(0, 1)
    return [wide[:, :, y : y + geometry.height, x : x + geometry.width].contiguous() for y, x in ((0, 0), (5, 3))]


LIMITS = {"encode": 1e-4, "match": 5e-3, "splat": 1e-4, "fuse": 1e-4}


@pytest.mark.weights
@pytest.mark.parametrize("geometry", [Geometry(320, 192), Geometry(256, 128, 0.5)], ids=lambda each: f"s{each.scale}")
def test_stages_equal_their_composition_in_torch(
    torch: ModuleType, published: dict[str, Any], geometry: Geometry
) -> None:
    """Each stage on what torch gives to it; then the picture at the end of our own chain."""
    reference = stages_in_torch(torch, published, geometry.scale)
    models = {name: stage_model("gmfss", name, geometry, "gmfss-union") for name in STAGES["gmfss"]}
    known: dict[str, Any] = {"t": np.full((1, 1, 1, 1), 0.3, np.float32)}
    chain = dict(known)
    steps = [("encode", side) for side in (0, 1)] + [(name, None) for name in ("match", "splat", "fuse")]
    pictures = moving_pair(torch, geometry)
    for name, side in steps:
        stage = STAGES["gmfss"][name]
        image = {} if side is None else {"image": pictures[side].numpy()}
        with torch.inference_mode():
            given = [torch.from_numpy((known | image)[spec.name]) for spec in stage.inputs]
            expected = [value.numpy() for value in reference[name](*given)]
        found = run(models[name], known | image, threads=1)
        for spec, value in zip(stage.outputs, expected, strict=True):
            off = np.abs(found[spec.name] - value)
            assert np.mean(off > LIMITS[name]) <= (2e-3 if spec.name in ("z0", "z1") else 0), spec.name
        ours = run(models[name], chain | image, threads=1)
        for spec, value in zip(stage.outputs, expected, strict=True):
            known[spec.name if side is None else spec.of_side(side).name] = value
            chain[spec.name if side is None else spec.of_side(side).name] = ours[spec.name]
    assert -10 * math.log10(np.mean((chain["image"] - known["image"]) ** 2) + 1e-20) > 70
