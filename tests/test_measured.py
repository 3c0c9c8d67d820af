"""What the measuring scripts committed: figures of the right shape, goals that are met, tables made of them."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import growth_report
import jsonschema
import numpy as np
import onnx
import pytest
import settings
import start
import unwritten
from sessions import run

from afitrt import build
from afitrt.build.cost import cost
from afitrt.build.folding import is_parameter
from afitrt.frames import Geometry

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "explanation" / "speed.md").read_text(encoding="utf-8")


def results(name: str) -> dict[str, Any]:
    """The committed figures of a script."""
    found: dict[str, Any] = json.loads((ROOT / "bench" / "results" / f"{name}.json").read_text())
    assert {"cpu", "cores"} <= found["hardware"].keys()
    return found


def put(command: str, table: str) -> str:
    """A table as it stands in the page."""
    return f"<!-- table: {command} -->\n{table}\n<!-- end of the table -->"


def test_the_table_of_the_start_is_made_of_its_figures() -> None:
    found = results("start")
    assert put(start.COMMAND, start.table(found)) in PAGE
    assert [row["what"] for row in found["results"] if row["goal"]] == [
        "`afitrt --help`",
        "`interpolate` to its first picture",
        "stages of a new size, made and loaded",
    ]


@pytest.mark.parametrize(
    "row", [row for row in results("start")["results"] if row["goal"]], ids=lambda row: row["what"]
)
def test_the_start_is_as_quick_as_it_should_be(row: dict[str, Any]) -> None:
    assert 0 < row["seconds"] < row["goal"]


# --- growth -----------------------------------------------------------------------------------------------------

GROWTH = results("growth")
PIXELS = GROWTH["pixels"]


def alike(committed: dict[str, Any], fitted: dict[str, Any]) -> bool:
    """Is this the fit that was committed, but for its five digits?"""
    numbers = [(committed[name], fitted[name]) for name in committed if name != "residuals"]
    numbers += zip(committed["residuals"], fitted["residuals"], strict=True)
    return all(left == pytest.approx(right, rel=1e-3, abs=1e-3) for left, right in numbers)


def test_the_figures_of_growth_have_their_schema() -> None:
    jsonschema.validate(GROWTH, json.loads(growth_report.SCHEMA.read_text()))
    for broken in (GROWTH | {"length": {}}, {**GROWTH, "pixels": PIXELS | {"rows": PIXELS["rows"][:4]}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(broken, json.loads(growth_report.SCHEMA.read_text()))


@pytest.mark.parametrize("stage", ["encode", "match", "splat", "fuse"])
def test_a_stage_grows_with_its_arithmetic(stage: str) -> None:
    work = [row["pixels"] if stage == "splat" else row["gflop"][stage] for row in PIXELS["rows"]]
    fit = growth_report.proportional(work, [row["seconds"][stage] for row in PIXELS["rows"]])
    assert alike(PIXELS["fits"][stage], fit)
    # What encode and splat hold leaves the processor's cache at the larger sizes, as the page says.
    least, most = (0.98, 0.4) if stage in ("match", "fuse") else (0.93, 0.9)
    assert fit["r2"] > least and max(map(abs, fit["residuals"])) < most


def test_the_flop_are_those_of_the_graphs() -> None:
    row = PIXELS["rows"][0]
    width, height = map(int, row["size"].split("x"))
    graph = build.stage_graph("gmfss", "fuse", Geometry(width, height))
    assert row["gflop"]["fuse"] == pytest.approx(cost(graph).flop / 1e9, rel=0.02)
    heavier = [row["gflop"]["match"] / row["pixels"] for row in PIXELS["rows"]]
    assert heavier == sorted(heavier) and heavier[-1] > 1.5 * heavier[0], "attention grows faster than pixels"


@pytest.mark.parametrize("name", ["n", "T"])
def test_cost_is_a_line_in_n_and_t(name: str) -> None:
    row = GROWTH["schedule"][name]
    fit = growth_report.linear(row["values"], row["seconds"])
    assert alike(row["fit"], fit)
    assert fit["r2"] > 0.95 and max(map(abs, fit["residuals"])) < 0.1 and fit["slope"] > 0


def test_memory_is_a_line_in_pixels() -> None:
    fit = growth_report.linear([row["pixels"] for row in PIXELS["rows"]], [row["peak_bytes"] for row in PIXELS["rows"]])
    assert alike(PIXELS["memory"], fit) and fit["r2"] > 0.98


def test_frame_ten_thousand_takes_as_long_as_the_first() -> None:
    length = GROWTH["length"]
    thousands = length["seconds_a_thousand"]
    total = [sum(thousands[: number + 1]) for number in range(len(thousands))]
    assert length["frames"] == [1000 * (number + 1) for number in range(10)]
    assert alike(length["fit"], growth_report.linear(length["frames"], total)) and length["fit"]["r2"] > 0.99
    drift = growth_report.linear(length["frames"], thousands)
    assert length["grown"] == pytest.approx(drift["slope"] * 9000 / (sum(thousands) / 10), abs=1e-3)
    assert length["grown"] < 0.1


def test_the_tables_of_growth_are_made_of_its_figures() -> None:
    tables = f"{growth_report.stage_table(GROWTH)}\n\n{growth_report.line_table(GROWTH)}"
    assert put(growth_report.COMMAND, tables) in PAGE


def test_the_fits_tell_a_line_from_a_curve() -> None:
    x = [1.0, 4.0, 16.0, 64.0, 256.0]
    line, curve = [3 * each for each in x], [each**1.5 for each in x]
    assert growth_report.proportional(x, line)["r2"] == pytest.approx(1)
    assert growth_report.proportional(x, line)["rate"] == pytest.approx(1 / 3)
    assert max(growth_report.proportional(x, curve)["residuals"]) > 1
    assert growth_report.linear(x, [2 + each for each in line]) == pytest.approx(
        {"slope": 3, "intercept": 2, "r2": 1, "residuals": pytest.approx([0] * 5, abs=1e-9)}
    )
    assert max(map(abs, growth_report.linear(x, curve)["residuals"])) > 1


# --- settings and rewrites --------------------------------------------------------------------------------------


def test_the_table_of_settings_is_made_of_its_figures() -> None:
    found = results("settings")
    assert put(settings.COMMAND, settings.table(found)) in PAGE
    assert [row["setting"] for row in found["results"]] == [setting.name for setting in settings.SETTINGS]
    first, *others = found["results"]
    for row in others:
        assert row["picture"] == pytest.approx(sum(row["seconds"].values()), abs=1e-3)
        assert row["gain"] == pytest.approx(first["picture"] / row["picture"] - 1, abs=1e-3)


def test_the_table_of_rewrites_is_made_of_its_figures() -> None:
    found = results("rewrites")
    for row in found["results"]:
        assert row["gain"] == pytest.approx(row["without"] / row["with"] - 1, abs=0.02)
        assert not row["taken"] or row["psnr"] is None or row["psnr"] >= 90, "a rewrite changes no picture"
    listed = re.findall(r"^\| (?:not taken: )?([^|]+) \| (\w+) \| (?:ONNX Runtime|torch) \|", PAGE, flags=re.M)
    assert sorted(listed) == sorted((row["rewrite"], row["stage"]) for row in found["results"])


@pytest.mark.parametrize("undo", [unwritten.prelu, unwritten.unfold_tail], ids=lambda undo: undo.__name__)
def test_a_rewrite_taken_back_gives_the_same_picture(undo: unwritten.Edit) -> None:
    check(undo, "fuse")


@pytest.mark.parametrize(
    "undo",
    [
        unwritten.unfold_projections,
        unwritten.rows_between_layers,
        unwritten.gelu_of_erf,
        unwritten.layer_norm_in_parts,
        unwritten.attention_without_scores,
    ],
    ids=lambda undo: undo.__name__,
)
def test_a_rewrite_taken_back_gives_the_same_motion(undo: unwritten.Edit) -> None:
    check(undo, "match")


@cache
def stage_as_it_is(stage: str) -> tuple[bytes, dict[str, Any], dict[str, Any]]:
    """A stage's graph with random weights, what it is given, and what it makes of that."""
    geometry = Geometry(64, 64)
    graph = build.stage_graph("gmfss", stage, geometry)
    random = np.random.default_rng(0)
    parameters = {
        tensor.name: (0.1 * random.standard_normal(tuple(tensor.dims))).astype(np.float32)
        for tensor in graph.graph.initializer
        if is_parameter(tensor)
    }
    given = {spec.name: random.random(spec.shape(geometry), np.float32) for spec in build.STAGES["gmfss"][stage].inputs}
    model = build.bind(graph, parameters)
    return model.SerializeToString(), given, run(model, given)


def check(undo: unwritten.Edit, stage: str) -> None:
    """The stage changed gives the same; it is changed indeed."""
    data, given, before = stage_as_it_is(stage)
    model = onnx.ModelProto.FromString(data)
    kinds = [node.op_type for node in model.graph.node]
    undo(model)
    assert kinds != [node.op_type for node in model.graph.node]
    after = run(model, given)
    for name, expected in before.items():
        np.testing.assert_allclose(after[name], expected, atol=2e-3 * max(1, np.abs(expected).max()))
