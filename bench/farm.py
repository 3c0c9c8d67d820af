"""What segments, processes and farms cost: start-up, two workers against one, overhead, and a farm by simulation.

    python bench/farm.py [--out bench/results/farm.json] [--rounds N]

Needs the published weights. The load of the machine is noted: figures in seconds suffer from it, ratios less.
"""

from __future__ import annotations

import argparse
import heapq
import json
import os
import platform
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SIZE = (320, 192)
STARTUP = """
import time
began = time.time()
import sys
from pathlib import Path
spent, notes = {"interpreter": (began - float(sys.argv[1]), time.process_time())}, []
def done(part, since=[began, time.process_time()]):
    now = [time.time(), time.process_time()]
    spent[part] = (now[0] - since[0], now[1] - since[1])
    since[:] = now
import av, cv2, numpy, onnx, onnxruntime
from afitrt import models, pipeline, segments, video
from afitrt.pipeline.preparing import make, prepare
done("imports")
plan = segments.read(Path(sys.argv[2]))
prepared = prepare(pipeline.placed(plan, pipeline.Placing(Path(sys.argv[3]), threads=1)), lambda event: None)
task = prepared.task
segments.check(plan.recipe, segments.recipe(task, prepared.encode, segments.index_source(task.info)))
done("job and source checked")
segments.fingerprint(task.job.model, task.info, notes.append)
interpolator = make(prepared, notes.append)
done("artefacts loaded")
from fractions import Fraction
height, width = task.info.height, task.info.width
pair = [interpolator.upload(numpy.full((height, width, 3), grey, numpy.uint8)) for grey in (40, 80)]
interpolator.download(interpolator.between(*pair, [Fraction(1, 2)])[0])
done("first picture")
interpolator.close()
import json
print(json.dumps({"spent": spent, "made": len(notes)}))
"""


def run(*words: object) -> float:
    """Seconds that the command line took; ends the run where it fails."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "afitrt", *map(str, words)], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def drawn(path: Path, size: tuple[int, int], frames: int) -> Path:
    """A drawn clip with a cut in every 36 frames, as x264 writes it."""
    import numpy as np
    from drawn import clip

    from afitrt import video

    scene = clip(*size, 36, (1, 2, 3))
    words = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{size[0]}x{size[1]}", "-r", "24000/1001", "-i", "-"]
    words += ["-c:v", "libx264", "-crf", "12", video.readable_path(path)]
    command = [video.find().path, "-v", "error", "-y", *words]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as encoder:
        assert encoder.stdin is not None
        for index in range(frames):
            picture = scene[index % 36]
            turned = picture[:, ::-1] if index // 36 % 2 else picture
            encoder.stdin.write(np.ascontiguousarray(turned).tobytes())
    return path


def start_up(job: Path, rounds: int) -> dict[str, Any]:
    """Median seconds, and seconds of CPU, of each part of what a render process does up to its first picture."""
    told = []
    for _ in range(rounds):
        command = [sys.executable, "-c", STARTUP, str(time.time()), str(job), str(job.with_suffix(".segments"))]
        told.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    facts: dict[str, Any] = {}
    for column, kind in enumerate(("seconds", "cpu_seconds")):
        names = list(told[0]["spent"])
        facts[kind] = {
            name: round(statistics.median(each["spent"][name][column] for each in told), 3) for name in names
        }
        facts[kind]["total"] = round(sum(facts[kind].values()), 3)
    return {**facts, "made_again": max(each["made"] for each in told)}


def crew(job: Path, count: int, workers: int) -> tuple[float, list[float]]:
    """Seconds until all segments are there, from the first that is; and seconds of each but the workers' first ones.

    From the first on, so that start-up, which is measured by itself, does not count.
    """
    from afitrt.pipeline import Placing, Processes

    with tempfile.TemporaryDirectory() as folder:
        run("render", job, "--segment", 0, "--folder", folder, "-q", "--threads", 1)
        last: dict[int, float] = {}
        seconds = []
        crew = Processes([None] * workers, 1)
        with crew.render(job, Placing(Path(folder)), range(1, count)) as lines:
            for worker, facts in lines:
                if facts["event"] == "segment":
                    now = time.perf_counter()
                    if worker in last:
                        seconds.append(now - last[worker])
                    last[worker] = now
    return sum(seconds) / workers / len(seconds), seconds


def scaling(job: Path, count: int, rounds: int) -> tuple[dict[str, Any], list[float]]:
    """Seconds a segment of one worker and of two, a thread each, in turn; and all those of the single one."""
    each: dict[int, list[float]] = {1: [], 2: []}
    spread = []
    for _ in range(rounds):
        for workers, rates in each.items():
            rate, seconds = crew(job, count, workers)
            rates.append(rate)
            spread += seconds if workers == 1 else []
    one, two = (statistics.median(rates) for rates in each.values())
    facts = {"one_worker": round(one, 3), "two_workers": round(two, 3), "ratio": round(one / two, 3)}
    return {"seconds_a_segment": facts, "segments": count}, spread


def cpu_seconds() -> float:
    """Of all children so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def overhead(folder: Path, rounds: int) -> dict[str, Any]:
    """Segments of the default length against one of the whole film: bytes, seconds and seconds of CPU, as ratios."""
    source = drawn(folder / "long.mkv", (640, 360), 750)
    sides: dict[str, dict[str, list[float]]] = {}
    for _ in range(rounds):
        for side, words in (("default", ()), ("one", ("--segment-outputs", 1000000))):
            out, before = folder / f"{side}.mkv", cpu_seconds()
            wall = run("interpolate", source, out, "--overwrite", "--model", "blend", "-q", *words)
            taken = sides.setdefault(side, {"bytes": [], "seconds": [], "cpu_seconds": []})
            for name, value in (
                ("bytes", out.stat().st_size),
                ("seconds", wall),
                ("cpu_seconds", cpu_seconds() - before),
            ):
                taken[name].append(value)
    medians = {
        side: {name: round(statistics.median(values), 2) for name, values in taken.items()}
        for side, taken in sides.items()
    }
    ratios = {name: round(medians["default"][name] / medians["one"][name], 4) for name in medians["one"]}
    return {"what": "blend, 640x360, libx265, 1500 pictures in 3 or more segments", "ratio": ratios, "medians": medians}


def makespan(seconds: Sequence[float], machines: int) -> float:
    """When the last of these tasks ends that machines take in order, each the next one as soon as it is free."""
    free = [0.0] * machines
    for each in seconds:
        heapq.heapreplace(free, free[0] + each)
    return max(free)


def simulation(spread: Sequence[float], start: float, segments: int = 1000, machines: int = 100) -> dict[str, Any]:
    """Makespan over ideal with segments as unlike as those measured, in 200 draws.

    Segments last five minutes on average. start: seconds before each, where every segment is a process of its own.
    """
    mean = statistics.mean(spread)
    found = []
    for seed in range(200):
        draw = random.Random(seed)
        seconds = [start + 300 * draw.choice(spread) / mean for _ in range(segments)]
        found.append(makespan(seconds, machines) / (sum(each - start for each in seconds) / machines))
    return {
        "segments": segments,
        "gpus": machines,
        "measured_segments": len(spread),
        "deviation_of_segments": round(statistics.pstdev(spread) / mean, 3),
        "longest_over_mean": round(max(spread) / mean, 3),
        "makespan_over_ideal": {"mean": round(statistics.mean(found), 3), "worst": round(max(found), 3)},
    }


def hardware() -> dict[str, Any]:
    """What the figures were measured on, and how busy it was."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    cores = len(os.sched_getaffinity(0))
    return {"cpu": cpu, "cores": cores, "python": platform.python_version(), "load_at_start": os.getloadavg()[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("bench/results/farm.json"))
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    facts: dict[str, Any] = {"command": "python bench/farm.py", "hardware": hardware()}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        source = drawn(folder / "in.mkv", SIZE, 90)
        jobs = {name: folder / f"{name}.json" for name in ("gmfss", "rife")}
        for name, job in jobs.items():
            words = ("--model", name, "--segment-outputs", 12, "--codec", "libx264", "--runtime", "onnx")
            run("plan", source, "-o", job, *words)
        what = f"{SIZE[0]}x{SIZE[1]}, 1 thread"
        facts["start_up"] = {"what": f"gmfss, {what}", **start_up(jobs["gmfss"], 2 * given.rounds)}
        count = len(json.loads(jobs["rife"].read_text())["segments"])
        measured, spread = scaling(jobs["rife"], count, given.rounds)
        facts["scaling"] = {"what": f"rife, {what} a worker, 12 pictures a segment", **measured}
        facts["overhead"] = overhead(folder, given.rounds)
        facts["simulation"] = simulation(spread, facts["start_up"]["seconds"]["total"])
    facts["hardware"]["load_at_end"] = os.getloadavg()[0]
    given.out.write_text(json.dumps(facts, indent=1) + "\n")
    print(json.dumps(facts, indent=1))


if __name__ == "__main__":
    main()
