"""The splat stage against its definition in float64, and its repeatability."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from sessions import run

from afitrt.build import STAGES, stage_graph
from afitrt.frames import Geometry


def splat_reference(value: Any, flow: Any, z: Any) -> Any:
    """Softmax splatting of [c, h, w] in float64, pixel by pixel of the source."""
    _, height, width = value.shape
    total, weight = np.zeros(value.shape), np.full((height, width), 1e-7)
    for y, x in np.ndindex(height, width):
        to_x, to_y = x + flow[0, y, x], y + flow[1, y, x]
        for row, column in np.ndindex(2, 2):
            at_x, at_y = math.floor(to_x) + column, math.floor(to_y) + row
            if 0 <= at_x < width and 0 <= at_y < height:
                share = (1 - abs(to_x - at_x)) * (1 - abs(to_y - at_y)) * math.exp(z[0, y, x])
                total[:, at_y, at_x] += value[:, y, x] * share
                weight[at_y, at_x] += share
    return total / weight


def splat_inputs(geometry: Geometry) -> dict[str, Any]:
    rng = np.random.default_rng(7)
    inputs = {s.name: rng.random(s.shape(geometry), np.float32) for s in STAGES["gmfss"]["splat"].inputs}
    for name in ("flow01", "flow10"):
        inputs[name] = rng.normal(0, 9, inputs[name].shape).astype(np.float32)
    for name in ("z0", "z1"):
        inputs[name] = rng.uniform(-10, 10, inputs[name].shape).astype(np.float32)
    return inputs | {"t": np.full((1, 1, 1, 1), 0.3, np.float32)}


def halved(array: Any, times: int) -> Any:
    """Bilinear reduction by 2 or 4: the mean of the middle 2x2 of each cell."""
    cell, first = 2**times, 2 ** (times - 1) - 1
    return sum(array[..., first + y :: cell, first + x :: cell] for y in (0, 1) for x in (0, 1)) / 4


def test_both_sides_are_splatted_as_in_float64() -> None:
    geometry = Geometry(64, 64)
    given = splat_inputs(geometry)
    found = run(stage_graph("gmfss", "splat", geometry), given, threads=1)
    exact = {name: array[0].astype(np.float64) for name, array in given.items()}
    t = exact["t"].item()
    expected: dict[str, list[Any]] = {"x": [], "x1": [], "x2": [], "x3": []}
    for side, (name, share) in enumerate((("01", t), ("10", 1 - t))):
        flow, z = exact[f"flow{name}"] * share, exact[f"z{side}"] * share
        expected["x"].append(splat_reference(exact[f"half_{side}"], flow, z))
        expected["x1"].append(splat_reference(exact[f"f1_{side}"], flow, z))
        for level in (2, 3):
            small = halved(flow, level - 1) / 2 ** (level - 1)
            expected[f"x{level}"].append(splat_reference(exact[f"f{level}_{side}"], small, halved(z, level - 1)))
    np.testing.assert_allclose(found["x_a"][0], expected["x"][0], atol=1e-4)
    np.testing.assert_allclose(found["x_b"][0], expected["x"][1], atol=1e-4)
    for level in ("x1", "x2", "x3"):
        np.testing.assert_allclose(found[level][0], np.concatenate(expected[level]), atol=1e-4)


def test_splatting_gives_the_same_bits_each_time() -> None:
    geometry = Geometry(192, 128)
    given, model = splat_inputs(geometry), stage_graph("gmfss", "splat", geometry)
    first, *others = (run(model, given, threads=1) for _ in range(20))
    for other in others:
        assert all(np.array_equal(first[name], other[name]) for name in first)
