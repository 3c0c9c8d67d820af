"""How cost grows: with pixels, n, T and length. Each is compared with what the arithmetic says it should be.

    python bench/growth.py [--only length|schedule|pixels] [--redraw]

Stages of gmfss are timed from 256x128 to 1920x1088, a process a size, and fitted to their FLOP as `afitrt.build.cost`
counts them (the splat, which has none, to pixels); n and T with gmfss at 128x64; the length with blend at 64x48 from
file to file. It writes bench/results/growth.json, docs/images/growth.svg and the tables of docs/explanation/speed.md;
--only measures a part anew and keeps the others, --redraw measures none.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import growth_report
import numpy as np
from drawn import clip
from growth_report import linear, proportional
from measuring import hardware

from afitrt import build, events, models, pipeline, video
from afitrt.build.cost import cost
from afitrt.models.manifest import StagedManifest
from afitrt.models.protocol import Interpolator
from afitrt.options import EncodeOptions, Job, ModelOptions, ScheduleOptions
from afitrt.render import Decoded, render
from afitrt.schedule import Frame

SIZES = {"256x128": 6, "320x192": 6, "448x256": 4, "640x384": 3, "896x512": 2, "1280x768": 1, "1920x1088": 1}
"""Pairs timed at each size and pass; the quickest counts, since whatever else a machine does only makes them slower."""
PASSES = 2
TINY, THREADS = (128, 64), 2
LENGTH, EVERY, RUNS = 10_000, 1_000, 3
PAIR = {"encode": 2, "match": 1, "splat": 1, "fuse": 1}

Row = dict[str, Any]


def gmfss(width: int, height: int) -> Interpolator:
    """The network at a size, on the threads that all figures are for."""
    return models.make(ModelOptions(scale=1.0, threads=THREADS), width, height, np.float32, lambda text: None)


def pairs(width: int, height: int, count: int) -> Row:
    """Seconds of each stage in the quickest of the pairs, and the peak of this process."""
    frames = clip(width, height, 4, (1, 2, 3))[::3]
    network = gmfss(width, height)
    spent: dict[str, float] = {}
    for _ in range(count):
        network.clock.reset()
        pair = [network.upload(frame) for frame in frames]
        pair += network.between(pair[0], pair[1], [Fraction(1, 2)])
        network.download(pair[2])
        for picture in pair:
            network.release(picture)
        once = {stage: seconds / network.clock.calls[stage] for stage, seconds in network.clock.seconds.items()}
        spent = {stage: min(seconds, spent.get(stage, seconds)) for stage, seconds in once.items()}
    return {"seconds": spent, "peak_bytes": peak()}


def peak() -> int:
    """Bytes that this process had in memory at most; getrusage would count those of the process that started it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))


def gigaflop(width: int, height: int) -> dict[str, float]:
    """GFLOP of one call of each stage."""
    manifest = models.find("gmfss")
    assert isinstance(manifest, StagedManifest)
    geometry = manifest.geometry(width, height, 1.0)
    weights = ModelOptions().weights
    return {name: cost(build.stage_model("gmfss", name, geometry, weights)).flop / 1e9 for name in manifest.stages}


def _sides(size: str) -> tuple[int, int]:
    width, height = map(int, size.split("x"))
    return width, height


def over_pixels() -> Row:
    """Seconds and peak at every size, each in a process of its own, and the fits of both."""
    found: dict[str, list[Row]] = {}
    for _ in range(PASSES):
        for size, count in SIZES.items():
            gmfss(*_sides(size)).close()
            child = [sys.executable, __file__, "--child", size, str(count)]
            ran = subprocess.run(child, check=True, capture_output=True, text=True)
            found.setdefault(size, []).append(json.loads(ran.stdout))
            print(size, found[size][-1]["seconds"], file=sys.stderr)
    rows = []
    for size, each in found.items():
        width, height = _sides(size)
        seconds = {stage: min(one["seconds"][stage] for one in each) for stage in PAIR}
        facts = {"size": size, "pixels": width * height, "gflop": gigaflop(width, height), "seconds": seconds}
        rows.append({**facts, "peak_bytes": max(one["peak_bytes"] for one in each)})
    pixels = [row["pixels"] for row in rows]
    fits = {}
    for stage in PAIR:
        work = pixels if stage == "splat" else [row["gflop"][stage] for row in rows]
        fits[stage] = proportional(work, [row["seconds"][stage] for row in rows])
    return {"rows": rows, "fits": fits, "memory": linear(pixels, [row["peak_bytes"] for row in rows])}


def steady(network: Interpolator, schedule: ScheduleOptions, frames: int = 4) -> float:
    """Seconds of the quickest of some source frames in the middle of a long scene."""
    drawn = clip(*TINY, frames + 4 * schedule.n_forward + 4, (1, 2, 3))
    decoded = (Decoded(Frame(Fraction(k, 24), cut=False), pixels) for k, pixels in enumerate(drawn))
    times = schedule.times or 1
    pictures = render(decoded, schedule, network)
    # Outputs of the scene's edge come first.
    list(islice(pictures, times * (schedule.n_forward + 2)))
    spent = []
    for _ in range(frames):
        began = time.perf_counter()
        list(islice(pictures, times))
        spent.append(time.perf_counter() - began)
    pictures.close()  # type: ignore[attr-defined]
    return min(spent)


def over_schedule() -> Row:
    """Seconds per source frame against n and T at 128x64, and their fits to a line."""
    network = gmfss(*TINY)
    steady(network, ScheduleOptions(times=2, n_forward=1))
    over = {
        "n": [(n, ScheduleOptions(times=2, n_forward=n, correct=False)) for n in range(1, 7)],
        "T": [(times, ScheduleOptions(times=times, n_forward=2, correct=False)) for times in range(2, 7)],
    }
    found = {}
    for name, cases in over.items():
        passes = [[steady(network, schedule) for _, schedule in cases] for _ in range(PASSES)]
        seconds = [min(each) for each in zip(*passes, strict=True)]
        values = [value for value, _ in cases]
        found[name] = {"values": values, "seconds": seconds, "fit": linear(values, seconds)}
    return found


def along(folder: Path) -> list[float]:
    """When, in seconds since the first frame, every thousandth frame of one long run was rendered."""
    source, out = folder / "in.mkv", folder / "out.mkv"
    if not source.exists():
        drawn = ["-f", "lavfi", "-i", "testsrc2=s=64x48:r=24", "-frames:v", str(LENGTH)]
        coded = ["-c:v", "libx264", "-preset", "ultrafast", "-threads", "1", video.readable_path(source)]
        subprocess.run([video.find().path, "-v", "error", *drawn, *coded], check=True)
    marks: dict[int, float] = {}

    def hear(event: events.Event) -> None:
        if isinstance(event, events.Progress):
            marks.setdefault(event.frames // EVERY * EVERY, time.perf_counter())

    schedule, encode = ScheduleOptions(times=2, n_forward=1), EncodeOptions("libx264", preset="ultrafast")
    job = Job(out, schedule, source=source, model=ModelOptions(model="blend"), encode=encode, overwrite=True)
    pipeline.interpolate(job, hear)
    return [marks[frames] - marks[0] for frames in range(0, LENGTH + 1, EVERY)]


def over_length() -> Row:
    """Seconds of each thousand frames of a run, the quickest of several; the fit of the run, and of its drift."""
    with tempfile.TemporaryDirectory() as folder:
        runs = [along(Path(folder)) for _ in range(RUNS)]
    spent = [[after - before for before, after in pairwise(run)] for run in runs]
    thousands = [min(each) for each in zip(*spent, strict=True)]
    frames = list(range(EVERY, LENGTH + 1, EVERY))
    total = [sum(thousands[: number + 1]) for number in range(len(thousands))]
    drift = linear(frames, thousands)
    grown = drift["slope"] * (frames[-1] - frames[0]) / (total[-1] / len(thousands))
    return {"frames": frames, "seconds_a_thousand": thousands, "fit": linear(frames, total), "grown": grown}


PARTS: dict[str, Callable[[], Row]] = {"length": over_length, "schedule": over_schedule, "pixels": over_pixels}


def rounded(value: Any) -> Any:
    """The same with five significant digits in every number."""
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=PARTS, help="the part to measure")
    parser.add_argument("--redraw", action="store_true", help="tables and chart from the figures that are there")
    parser.add_argument("--child", nargs=2, metavar=("SIZE", "PAIRS"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        size, count = given.child
        print(json.dumps(pairs(*_sides(size), int(count))))
        return
    if not given.redraw:
        facts: Row = {"command": growth_report.COMMAND, "hardware": hardware(), "threads": THREADS}
        if given.only:
            facts = json.loads(growth_report.OUT.read_text()) | facts
        for name, part in PARTS.items():
            if given.only in (None, name):
                facts[name] = rounded(part())
        growth_report.OUT.write_text(json.dumps(facts, indent=1) + "\n")
    growth_report.publish()


if __name__ == "__main__":
    main()
