"""What a GPU makes of it: pictures, stages, whole runs, memory, and the seed's way in the same run.

    python bench/gpu.py [--quick] [--device N] [--runtime NAME] [--out FILE]

No network is needed once weights, engines' libraries and the published wheel (tests/oracle.py) are there. It writes
bench/results/gpu-<target>.json and a chart beside it, both with the hardware's name; --quick measures 448x256 alone.
Whole runs go through the pipeline, from a lossless file to an encoder that drops every picture; n 0 is plain
interpolation between neighbours, from memory. It also tells which libraries build and run for this GPU at all.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
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
from afitrt.runtimes import choosing, cuda
from afitrt.runtimes.choosing import Gpu
from afitrt.runtimes.protocol import Runtime
from afitrt.runtimes.tensorrt import installed
from afitrt.schedule import End, Frame

ROOT = Path(__file__).resolve().parent.parent
SIZES = {"448x256": 40, "1280x720": 40, "1920x1080": 32, "3840x2160": 20}
"""Frames measured at each size."""
RATES = {"2x": ScheduleOptions(times=2, n_forward=2), "2.5x": ScheduleOptions(None, Fraction(60), 2)}
SOURCE_RATE = Fraction(24)
DEPTHS = (1, 2, 3)
ROUNDS = 20
"""Calls of a stage in one measurement."""
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


def stage_times(runtime: Runtime, model: str, size: tuple[int, int], rounds: int) -> dict[str, float]:
    """Milliseconds of one call of each stage, queued `rounds` times and waited for once."""
    manifest = models.find(model)
    assert isinstance(manifest, models.StagedManifest)
    geometry = manifest.geometry(*size, 1.0)
    stages = {name: runtime.stage(name, geometry) for name in manifest.stages}
    runtime.reserve()
    pair = [runtime.upload(frame, geometry) for frame in clip(*size, 2, (1, 2, 3))]
    mark = runtime.to_device(np.full((1, 1, 1, 1), 0.5, np.float32))
    known = {"image": pair[0], "t": mark, "image_0": pair[0], "image_1": pair[1]}
    found = {}
    for name, stage in stages.items():
        given = {each: known[each] for each in stage.inputs}
        for warm in (1, rounds):
            began = time.perf_counter()
            for _ in range(warm):
                for tensor in stage(**given).values():
                    runtime.release(tensor)
            runtime.to_host(mark)
        found[name] = round(1000 * (time.perf_counter() - began) / rounds, 4)
        if name in manifest.of_picture:
            for side, image in enumerate(pair):
                known |= {f"{each}_{side}": tensor for each, tensor in stage(image=image).items()}
        else:
            known |= stage(**given)
    for tensor in {id(tensor): tensor for tensor in known.values()}.values():
        runtime.release(tensor)
    return found


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


def verdicts(gpu: Gpu, device: int) -> list[Row]:
    """Which libraries build engines for this GPU, and which run them: tried, not looked up."""
    found = []
    for name in (*(flavour.name for flavour in installed()), "onnx"):
        options = ModelOptions(runtime=name, precision="fp32" if name == "onnx" else "fp16", device=device)
        row: Row = {"runtime": name, "target": gpu.target, "builds": False, "runs": False, "words": ""}
        try:
            models.prepare(options, 448, 256, print, (str(gpu.target),))
            row["builds"] = True
            side = models.make(options, 448, 256, np.uint8, print)
            between(side, clip(448, 256, 2, (1, 2, 3)))
            side.close()
            row["runs"] = True
        except AfitrtError as error:
            row["words"] = error.found
        found.append(row)
    return found


def conformance() -> Row:
    """Counts of the contract's GPU tests."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", f"--junitxml={report}"]
        subprocess.run([*command, str(ROOT / "tests" / "test_conformance.py")], cwd=ROOT, check=False)
        return counted(report)


def counted(report: Path) -> Row:
    """Passed, failed and skipped tests of a JUnit file."""
    suite = next(ElementTree.parse(report).getroot().iter("testsuite"))
    total, skipped = int(suite.get("tests", 0)), int(suite.get("skipped", 0))
    failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
    return {"passed": total - failed - skipped, "failed": failed, "skipped": skipped}


def likeness(options: ModelOptions, names: list[str]) -> list[Row]:
    """PSNR of a drawn pair's middle against the published network in float32 torch on the CPU."""
    from measuring import psnr
    from sides import SeedsWay

    found = []
    for name in names:
        size = sizes(name)
        pair = clip(*size, 4, (1, 2, 3))[::3]
        side = models.make(options, *size, np.float32, print)
        made = between(side, pair)
        side.close()
        found.append({"size": name, "psnr": round(psnr(made, between(SeedsWay(1.0, size), pair)), 1)})
    return found


def measure(options: ModelOptions, names: list[str]) -> dict[str, list[Row]]:
    """Stages, runs and the seed's way at each size."""
    found: dict[str, list[Row]] = {"stages": [], "runs": [], "seed": []}
    for name in names:
        size = sizes(name)
        frames = clip(*size, SIZES[name], (1, 2, 3))
        runtime = runtime_of(options, size)
        times = stage_times(runtime, options.model, size, ROUNDS)
        runtime.close()
        found["stages"] += [{"size": name, "stage": stage, "milliseconds": value} for stage, value in times.items()]
        with tempfile.TemporaryDirectory() as folder:
            source = written(Path(folder) / "in.mkv", frames, rate=SOURCE_RATE)
            for rate, schedule in RATES.items():
                found["runs"] += runs(options, name, rate, schedule, source, frames, found["stages"])
        found["seed"] += seeds(options, name, frames)
    return found


def runs(
    options: ModelOptions,
    name: str,
    rate: str,
    schedule: ScheduleOptions,
    source: Path,
    frames: list[Pixels],
    stages: list[Row],
) -> Iterator[Row]:
    """Rows of n 0 and of every depth at one size and rate."""
    side = models.make(options, *sizes(name), np.uint8, print, (6, 5))
    seconds = plain_run(side, frames, Fraction(rate.removesuffix("x")))
    use = models.device_use(side)
    side.close()
    yield row(name, rate, {"n_forward": 0, "seconds_per_source_frame": seconds} | _memory(use.planned, use.peak))
    for n_forward in DEPTHS:
        found = whole_run(source, options, replace(schedule, n_forward=n_forward))
        share = gpu_report.busy(stages, found.pop("calls"), name, found.pop("wall"))
        yield row(name, rate, found | {"busy": round(share, 3)})


def _memory(planned: int | None, peak: int | None) -> Row:
    return {"planned_bytes": planned, "peak_bytes": peak, "busy": None}


def row(name: str, rate: str, found: Row) -> Row:
    """One row of the runs, printed on the way."""
    made = {"size": name, "rate": rate} | found
    made["seconds_per_source_frame"] = round(made["seconds_per_source_frame"], 5)
    print(made, flush=True)
    return made


def seeds(options: ModelOptions, name: str, frames: list[Pixels]) -> list[Row]:
    """The seed's way at n 2, 2x; no row where torch with CUDA or cupy is missing, or the GPU's memory."""
    try:
        from gpu_sides import SeedsWayOnGpu

        side = SeedsWayOnGpu(1.0, sizes(name), options.gpu)
        seconds = seeds_run(side, frames[:12], RATES["2x"])
    except (ImportError, RuntimeError) as error:
        print(f"the seed's way cannot be measured at {name}: {error}", file=sys.stderr)
        return []
    return [{"size": name, "rate": "2x", "n_forward": 2, "seconds_per_source_frame": round(seconds, 5)}]


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="448x256 only")
    parser.add_argument("--device", type=int, default=0)
    parser.add_argument("--runtime", help="instead of the best one that runs")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    try:
        gpu = present(given.device)
        tried = verdicts(gpu, given.device)
        runtime = given.runtime or next((each["runtime"] for each in tried if each["runs"]), "onnx")
        options = ModelOptions(runtime=runtime, precision="fp16", device=given.device)
        names = [name for name in SIZES if (name == "448x256") == given.quick]
        found: Row = {"command": "python bench/gpu.py", "hardware": hardware(gpu, given.device)}
        found |= {"runtime": runtime, "precision": options.precision, "libraries": tried}
        found |= {"conformance": conformance(), "likeness": likeness(options, names[:2]), **measure(options, names)}
    except AfitrtError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    found["ratios"] = gpu_report.ratios(found["runs"], found["seed"])
    out = given.out or ROOT / "bench" / "results" / f"gpu-{gpu.target}.json"
    gpu_report.write(found, out, out.with_suffix(".svg"))
    print(gpu_report.table(found))


if __name__ == "__main__":
    main()
