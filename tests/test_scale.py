"""The automatic scale: what the network needs decides, and everything that is kept holds the number."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command import afitrt
from video_helpers import pattern

from afitrt import models
from afitrt.artefacts import read_sidecar
from afitrt.errors import UsageError
from afitrt.models.gmfss import LEAST_SIDE
from afitrt.options import SCALES, ModelOptions

SIZES = [(1920, 1080), (1280, 720), (640, 384), (512, 320), (448, 256), (320, 180), (64, 48)]


@pytest.mark.parametrize(
    ("model", "size", "scale"),
    [
        *(("gmfss", size, 1.0) for size in SIZES[:4]),
        *(("gmfss", size, 2.0) for size in SIZES[4:]),
        *((model, size, 1.0) for model in ("rife", "rife48", "blend") for size in SIZES),
    ],
)
def test_what_automatic_means(model: str, size: tuple[int, int], scale: float) -> None:
    assert models.resolved(ModelOptions(model=model), *size).scale == scale
    for given in SCALES:
        assert models.resolved(ModelOptions(model=model, scale=given), *size).scale == given


@pytest.mark.parametrize(("size", "scale"), [((640, 384), 0.5), ((448, 256), 1.0), ((64, 48), 2.0)])
def test_a_scale_that_the_network_cannot_do_is_warned_of(size: tuple[int, int], scale: float) -> None:
    (warning,) = models.advice(ModelOptions(scale=scale), *size)
    best = models.resolved(ModelOptions(), *size)
    served = min(best_side(size, best.scale), LEAST_SIDE) == LEAST_SIDE
    assert (f"try --scale {best.scale:g}" in warning) == served and f"at scale {scale:g}" in warning
    assert models.advice(ModelOptions(model="rife", scale=scale), *size) == []
    assert (models.advice(ModelOptions(), *size) == []) == served


def best_side(size: tuple[int, int], scale: float) -> float:
    return -(-min(size) // 64) * 64 * scale


@pytest.mark.parametrize("text", ["0", "0.0", "-1", "3", "nan", "automatic"])
def test_what_is_no_scale(tmp_path: Path, text: str) -> None:
    ran = afitrt("interpolate", tmp_path / "in.mkv", "--scale", text)
    assert ran.code == 2 and f"--scale {text}" in ran.err and "auto" in ran.err + "auto" * (text in ("-1", "3", "nan"))
    with pytest.raises(UsageError):
        ModelOptions(scale=-1.0)


def test_a_job_keeps_the_number(tmp_path: Path) -> None:
    source, job = pattern(tmp_path / "in.mkv", seconds=0.2), tmp_path / "job.json"
    assert afitrt("plan", source, "-o", job, "--model", "blend").code == 0
    assert json.loads(job.read_text())["recipe"]["options"]["model"]["scale"] == 1.0


@pytest.mark.weights
@pytest.mark.slow
@pytest.mark.usefixtures("weights_home")
def test_engines_and_runs_keep_the_number_and_a_dry_run_warns_as_the_run_does(tmp_path: Path) -> None:
    source = pattern(tmp_path / "in.mkv", seconds=0.16)
    built = afitrt("build-engine", "--for", source, "--runtime", "onnx", "--json")
    assert built.code == 0, built.err
    engines = json.loads(built.out)["engines"]
    assert {read_sidecar(Path(each["path"]))["scale"] for each in engines} == {2.0}
    dry = afitrt("interpolate", source, "--dry-run", "--json", "--runtime", "onnx")
    told = json.loads(dry.out)
    assert told["scale"] == 2.0 and any("small for gmfss" in each for each in told["warnings"])
    ran = afitrt(
        "interpolate", source, tmp_path / "out.mkv", "--json", "--runtime", "onnx", "--report", tmp_path / "r.html"
    )
    assert ran.code == 0, ran.err
    events = [json.loads(line) for line in ran.out.splitlines()]
    assert [each["text"] for each in events if each["event"] == "warning"] == told["warnings"]
    assert [each["scale"] for each in events if each["event"] == "start"] == [2.0]
    assert any("--scale auto is 2 for 64x48" in each["text"] for each in events if each["event"] == "note")
    assert '"scale": 2.0' in (tmp_path / "r.html").read_text()
