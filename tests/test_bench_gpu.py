"""The GPU script on a computer without one: what it refuses, its arithmetic, and a whole run on the fake machine."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import fake_machine
import gpu
import gpu_report
import jsonschema
import numpy as np
import pytest
from drawn import clip
from fake_cuda import Gpu
from video_helpers import drawn

from afitrt import models
from afitrt.models.gmfss import GMFSS
from afitrt.options import ModelOptions, ScheduleOptions
from afitrt.runtimes import choosing, onnx

SCHEMA = json.loads(gpu_report.SCHEMA.read_text())


def run(size: str = "1920x1080", n: int = 2, rate: str = "2x", seconds: float = 0.05, **more: Any) -> dict[str, Any]:
    found = {"size": size, "n_forward": n, "rate": rate, "seconds_per_source_frame": seconds}
    return found | {"planned_bytes": 2_500_000_000, "peak_bytes": 2_400_000_000, "busy": 0.97} | more


FOUND = {
    "command": "python bench/gpu.py",
    "finished": True,
    "preflight": {"torch": {"ok": False, "words": "not installed; no seed, likeness"}},
    "failures": [{"part": "seed", "size": "3840x2160", "runtime": "tensorrt", "words": "it took more than 240 s"}],
    "hardware": {
        "gpu": "Fake RTX",
        "target": "sm_89",
        "memory_bytes": 1 << 34,
        "driver_cuda": "13.0",
        "cores": 2,
        "versions": {"tensorrt": "99.1"},
    },
    "runtime": "tensorrt",
    "precision": "fp16",
    "libraries": [{"runtime": "tensorrt", "target": "sm_89", "builds": True, "runs": True, "words": ""}],
    "conformance": {"passed": 12, "failed": 0, "skipped": 48},
    "likeness": [{"size": "448x256", "psnr": 60.1}],
    "stages": [
        {"size": "1920x1080", "stage": "fuse", "milliseconds": 4.0},
        {
            **{"size": "1920x1080", "stage": "match", "milliseconds": 5.0},
            **{"way": "graph", "plain": 5.2, "graph": 4.9, "refused": ""},
        },
    ],
    "runs": [run(), run(n=0, seconds=0.02, planned_bytes=None, peak_bytes=None, busy=None)],
    "seed": [{"size": "1920x1080", "n_forward": 2, "rate": "2x", "seconds_per_source_frame": 0.5}],
    "ratios": [{"size": "1920x1080", "n_forward": 2, "rate": "2x", "speedup_vs_seed": 10.0}],
}


# --- arithmetic and pages ---------------------------------------------------------------------------------------


def test_time_is_counted_after_the_first_third() -> None:
    marks = [(float(k), k) for k in range(6)] + [(5 + 0.25 * k, 5 + k) for k in range(1, 13)]
    assert gpu_report.steady(marks, 2) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="too few"):
        gpu_report.steady(marks[:3], 2)


def test_ratios_are_of_what_was_measured_alike() -> None:
    seed = [{"size": "1920x1080", "n_forward": 2, "rate": "2x", "seconds_per_source_frame": 0.5}]
    found = gpu_report.ratios([run(), run(n=1), run(size="1280x720"), run(rate="2.5x")], seed)
    assert found == [{"size": "1920x1080", "n_forward": 2, "rate": "2x", "speedup_vs_seed": 10.0}]
    assert gpu_report.ratios([run()], []) == []


def test_the_gpu_is_busy_while_stages_run() -> None:
    stages = [
        {"size": "a", "stage": "match", "milliseconds": 5.0},
        {"size": "a", "stage": "fuse", "milliseconds": 4.0},
        {"size": "b", "stage": "fuse", "milliseconds": 400.0},
    ]
    assert gpu_report.busy(stages, {"match": 100, "fuse": 100}, "a", 1.0) == pytest.approx(0.9)


def test_the_table_has_every_run_and_says_what_it_lacks() -> None:
    lines = gpu_report.table(FOUND).splitlines()
    assert lines[0] == "Fake RTX, tensorrt, fp16:"
    assert lines[4] == "| 1920x1080 | 2 | 2x | 50.0 | 10.00x | 2.50 | 2.40 | 97 % |"
    assert lines[5] == "| 1920x1080 | 0 | 2x | 20.0 | - | - | - | - |"


def test_the_chart_has_a_bar_for_every_run_as_long_as_it_took(tmp_path: Path) -> None:
    gpu_report.write(FOUND, tmp_path / "gpu.json", tmp_path / "gpu.svg")
    root = ElementTree.parse(tmp_path / "gpu.svg").getroot()
    bars = [float(each.get("width", 0)) for each in root.iter("{http://www.w3.org/2000/svg}rect")]
    assert len(bars) == 3 and sorted(bars)[-1] / sorted(bars)[0] == pytest.approx(25, rel=0.1)
    text = " ".join(each.text or "" for each in root.iter("{http://www.w3.org/2000/svg}text"))
    assert "Fake RTX" in text and "500.0" in text and "seed" in text
    assert json.loads((tmp_path / "gpu.json").read_text()) == FOUND


def test_the_schema_takes_it_and_nothing_less() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(FOUND, SCHEMA)
    without_name = {**FOUND, "hardware": {**FOUND["hardware"], "gpu": ""}}  # type: ignore[dict-item]
    lacking = {name: value for name, value in FOUND.items() if name != "ratios"}
    for wrong in (without_name, lacking, {**FOUND, "runs": [{"size": "1920x1080"}]}):
        assert not jsonschema.Draft202012Validator(SCHEMA).is_valid(wrong)


def test_committed_results_obey_the_schema() -> None:
    for path in gpu_report.SCHEMA.parent.glob("gpu-*.json"):
        jsonschema.validate(json.loads(path.read_text()), SCHEMA)


def test_tests_are_counted_from_their_report(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text('<testsuites><testsuite tests="9" failures="1" errors="1" skipped="3"/></testsuites>')
    assert gpu.counted(report) == {"passed": 4, "failed": 2, "skipped": 3}


def test_places_of_pictures_between_neighbours() -> None:
    found = [place for index in range(2) for place in gpu._places(index, Fraction(5, 2))]
    assert found == [Fraction(2 * k, 5) for k in range(5)]


# --- measuring --------------------------------------------------------------------------------------------------


def test_without_a_gpu_it_refuses_in_three_parts() -> None:
    if choosing.present_gpu().target is not None:
        pytest.skip("there is a GPU")
    ran = subprocess.run([sys.executable, gpu.__file__, "--quick"], capture_output=True, text=True, check=False)
    assert ran.returncode == 5, ran.stderr
    assert "no GPU to measure" in ran.stderr and "expected:" in ran.stderr and "afitrt doctor" in ran.stderr
    assert "Traceback" not in ran.stderr and "LACKS  GPU: " in ran.stdout


def test_a_whole_run_goes_through_the_pipeline_and_keeps_no_picture(tmp_path: Path) -> None:
    source = drawn(tmp_path / "in.mkv", clip(64, 48, 12, (1, 2, 3)), rate=gpu.SOURCE_RATE)
    for schedule in gpu.RATES.values():
        found = gpu.whole_run(source, ModelOptions(model="blend"), schedule)
        assert found["seconds_per_source_frame"] > 0 and found["calls"]["match"] > 10
        assert (found["planned_bytes"], found["peak_bytes"]) == (None, None)
    assert [path.name for path in tmp_path.iterdir()] == ["in.mkv"]


def test_the_sides_are_timed_from_memory() -> None:
    frames = clip(64, 48, 10, (1, 2, 3))
    for ratio, made in ((Fraction(2), 9), (Fraction(5, 2), 18)):
        side = models.make(ModelOptions(model="blend"), 64, 48, np.uint8, print)
        assert gpu.plain_run(side, frames, ratio) > 0
        assert side.clock.calls["fuse"] == made
    side = models.make(ModelOptions(model="blend"), 64, 48, np.uint8, print)
    assert gpu.seeds_run(side, frames, ScheduleOptions(times=2, n_forward=2)) > 0


@pytest.mark.weights
@pytest.mark.usefixtures("weights_home")
def test_every_stage_is_timed_and_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "WARMING", 1)
    runtime = onnx.BoundRuntime(ModelOptions(device=0, threads=2), onnx.Place(), print)
    times = {row["stage"]: row["milliseconds"] for row in gpu.stage_times(runtime, "gmfss", (64, 64), 2)}
    assert set(times) == {"encode", "match", "splat", "fuse"} and min(times.values()) > 0
    assert runtime.held == 0


def inline(name: str, options: ModelOptions, size: str, seconds: float) -> tuple[list[dict[str, Any]], str]:
    """As gpu.apart, in this process, where the fake machine is."""
    rows: list[dict[str, Any]] = []
    assert seconds > 10
    try:
        rows += map(json.loads, map(json.dumps, gpu.PARTS[name](options, size)))
    except Exception as error:
        return rows, f"{type(error).__name__}: {error}"
    return rows, ""


@pytest.mark.slow
@pytest.mark.weights
@pytest.mark.export
def test_the_whole_script_on_the_fake_machine(
    weights_home: Path, torch: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    (tmp_path / "weights").symlink_to(weights_home / "weights", target_is_directory=True)
    monkeypatch.setenv("AFITRT_HOME", str(tmp_path))
    for name, value in (
        ("SIZES", {"448x256": 6, "64x64": 5}),
        *(("RATES", {"2x": gpu.RATES["2x"]}), ("DEPTHS", (1,)), ("ROUNDS", 1), ("WARMING", 12), ("apart", inline)),
    ):
        monkeypatch.setattr(gpu, name, value)

    def conformance(*_: object) -> Iterator[Any]:
        yield FOUND["conformance"]

    monkeypatch.setitem(gpu.PARTS, "conformance", conformance)
    out = tmp_path / "gpu.json"
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--out", str(out)])
    with fake_machine.booted(Gpu(memory=4 << 30)):
        gpu.main()
    found = json.loads(out.read_text())
    jsonschema.validate(found, SCHEMA)
    assert [(row["n_forward"], row["rate"]) for row in found["runs"]] == [(1, "2x"), (0, "2x")]
    assert found["finished"] and found["hardware"]["gpu"] == "Fake RTX" and found["likeness"][0]["psnr"] > 30
    tried = {row["runtime"]: row for row in found["libraries"]}
    assert tried["tensorrt"]["runs"] and tried["onnx"]["words"]
    assert {row["stage"]: row["way"] for row in found["stages"]} == dict.fromkeys(GMFSS.stages, "graph")
    # No cupy is here, nor a GPU that torch sees: told, and nothing else is missing for it.
    assert [each["part"] for each in found["failures"]] == ["seed"]
    assert found["preflight"]["cupy"] == {"ok": False, "words": "not installed; no seed"}
    said = capsys.readouterr().out
    assert "| 64x64 | 1 | 2x |" in said and out.with_suffix(".svg").exists()
    assert "failed: seed 64x64" in said and "LACKS  cupy" in said


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("raise SystemExit(0)", ""),
        ("print('error: no GPU\\n  expected: one', file=sys.stderr); sys.exit(5)", "no GPU"),
        ("raise TypeError('no such argument')", "TypeError: no such argument"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV: it said nothing"),
        ("time.sleep(60)", "it took more than 2 s"),
    ],
)
def test_a_part_that_fails_crashes_or_hangs_keeps_its_rows_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, words: str
) -> None:
    script = tmp_path / "part.py"
    script.write_text(
        "import os, signal, sys, time\nassert sys.argv[1:3] == ['--part', 'runs']\n"
        f"open(sys.argv[sys.argv.index('--out') + 1], 'w').write('{{\"size\": 1}}\\n')\n{code}\n"
    )
    monkeypatch.setattr(gpu, "__file__", str(script))
    assert gpu.apart("runs", ModelOptions(), "448x256", 2) == ([{"size": 1}], words)


def test_what_was_measured_is_in_the_file_after_every_part_and_time_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def some(name: str, options: ModelOptions, size: str, seconds: float) -> tuple[list[dict[str, Any]], str]:
        asked.append(name)
        if name == "stages":
            return [{"size": size, "stage": "fuse", "milliseconds": 10.0}], "SIGSEGV: it said nothing"
        if name == "runs":
            assert len(json.loads((tmp_path / "gpu.json").read_text())["stages"]) == 1
            made = run(size, busy=None) | {"calls": {"fuse": 50}, "wall": 1.0}
            return [made, made | {"calls": {"match": 1}}], ""
        report._deadline = 0.0
        return [], "no module named cupy"

    monkeypatch.setattr(gpu, "apart", some)
    found = FOUND | {name: [] for name in ("stages", "runs", "seed", "likeness", "failures")}
    report = gpu.Report(found, tmp_path / "gpu.json", gpu.time.monotonic() + 1000)
    gpu.measure(report, ModelOptions(), ["448x256"])
    kept = json.loads((tmp_path / "gpu.json").read_text())
    jsonschema.validate(kept, SCHEMA)
    assert asked == ["stages", "runs", "seed"] and [row["busy"] for row in kept["runs"]] == [0.5, None]
    assert [each["words"] for each in kept["failures"]] == [
        *("SIGSEGV: it said nothing", "no module named cupy", "no time was left", "no time was left")
    ]
    assert kept["conformance"] is None and kept["finished"]


@pytest.mark.weights
@pytest.mark.slow
def test_libraries_are_tried_on_the_gpu_that_is_there(
    weights_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "weights").symlink_to(weights_home / "weights", target_is_directory=True)
    monkeypatch.setenv("AFITRT_HOME", str(tmp_path))
    with fake_machine.booted(Gpu(memory=4 << 30)) as machine:
        machine.trt.failures.add("deserialize")
        tried = {
            name: list(gpu.verdict(ModelOptions(runtime=name, precision=precision, device=0), ""))[-1]
            for name, precision in (("tensorrt", "fp16"), ("onnx", "fp32"))
        }
    assert tried["tensorrt"]["builds"] and not tried["tensorrt"]["runs"]
    assert "made by another version" in tried["tensorrt"]["words"]
    assert tried["onnx"]["builds"] and "has no CUDA" in tried["onnx"]["words"]
