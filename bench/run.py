"""Seconds per source frame: afitrt against the published network driven the seed's way, interleaved in one run.

    python bench/run.py [--quick] [--rounds N] [--out bench/results/cpu.json]

Both sides evaluate the same schedule (n_forward 2, 2x) over the same drawn frames, one source frame at a time in
turn; every pair of pictures is compared. The baseline runs at its best of 1, 2 and torch's own number of threads.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import time
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from drawn import clip
from oracle import Published

from afitrt import models
from afitrt.frames import Pixels
from afitrt.models.protocol import Interpolator, StageClock
from afitrt.options import ModelOptions, ScheduleOptions
from afitrt.render import Decoded, Rendered, render
from afitrt.schedule import End, Frame

SCHEDULE = ScheduleOptions(times=2, n_forward=2)
LEAST_PSNR = 70.0


class SeedsWay:
    """The published network as AFI-ForwardDeduplicate calls it: everything anew in every pair, nothing kept.

    A picture is a tensor [1, 3, H, W]; sizes must be whole multiples of the network's.
    """

    def __init__(self, scale: float) -> None:
        self.clock = StageClock()
        self._net = Published(scale)

    def upload(self, frame: Pixels) -> torch.Tensor:
        return torch.from_numpy(frame.transpose(2, 0, 1).astype(np.float32) / np.iinfo(frame.dtype).max)[None]

    def between(self, left: torch.Tensor, right: torch.Tensor, times: Sequence[Fraction]) -> list[torch.Tensor]:
        with self.clock.timed("reuse"):
            reused = self._net.reuse(left, right)
        pictures = []
        for t in times:
            with self.clock.timed("inference"):
                pictures.append(self._net.inference(left, right, reused, float(t)))
        return pictures

    def download(self, picture: torch.Tensor) -> Pixels:
        return np.ascontiguousarray(picture[0].numpy().transpose(1, 2, 0))

    def release(self, picture: torch.Tensor) -> None:
        pass

    def close(self) -> None:
        pass


def best_threads(width: int, height: int, scale: float) -> int:
    """The thread count at which torch does one pair fastest."""
    frames, way = clip(width, height, 2, (1, 2, 3)), SeedsWay(scale)
    pair = [way.upload(frame) for frame in frames]
    seconds = {}
    for threads in dict.fromkeys((1, 2, torch.get_num_threads())):
        torch.set_num_threads(threads)
        for _ in range(2):
            began = time.perf_counter()
            way.between(pair[0], pair[1], [Fraction(1, 2)])
            seconds[threads] = time.perf_counter() - began
    return min(seconds, key=lambda threads: seconds[threads])


def decoded(width: int, height: int, count: int) -> Iterator[Decoded | End]:
    """The drawn clip as the pipeline would hand it over."""
    for index, pixels in enumerate(clip(width, height, count, (1, 2, 3))):
        yield Decoded(Frame(Fraction(index, 24), cut=False), pixels)
    yield End(Fraction(count, 24))


def one_frame(pictures: Iterator[Rendered]) -> tuple[float, list[Rendered]]:
    """Seconds and results of the next source frame."""
    began = time.perf_counter()
    results = [next(pictures) for _ in range(SCHEDULE.times or 1)]
    return time.perf_counter() - began, results


def psnr(left: Pixels, right: Pixels) -> float:
    """Peak signal-to-noise ratio of two float pictures in 0..1, in dB."""
    error = float(np.mean((left.astype(np.float64) - right) ** 2))
    return float("inf") if error == 0 else -10 * np.log10(error)


def same_pictures(width: int, height: int, *sides: Interpolator) -> float:
    """PSNR of both sides' picture between the same two frames; ends the run where they differ.

    Through the pyramid the difference grows with each pass, more so at small sizes: that is reported, not refused.
    """
    frames = clip(width, height, 4, (1, 2, 3))
    made = []
    for side in sides:
        left, right = side.upload(frames[0]), side.upload(frames[3])
        made.append(side.download(side.between(left, right, [Fraction(1, 2)])[0]))
    alike = psnr(made[0], made[1])
    if alike < LEAST_PSNR:
        raise SystemExit(f"pictures differ: {alike:.1f} dB")
    return alike


def compare(width: int, height: int, scale: float, rounds: int, threads: int) -> dict[str, Any]:
    """Runs both sides in turn; medians of `rounds` source frames after a warm-up."""
    torch.set_num_threads(baseline_threads := best_threads(width, height, scale))
    ours = models.make(ModelOptions(scale=scale, threads=threads), width, height, np.float32, print)
    seed = SeedsWay(scale)
    alike = same_pictures(width, height, ours, seed)
    count = rounds + 2 * SCHEDULE.n_forward + 4
    sides = [render(decoded(width, height, count), SCHEDULE, side) for side in (ours, seed)]
    for pictures in sides:
        for _ in range(3):
            one_frame(pictures)
    ours.clock.reset()
    seed.clock.reset()
    seconds: tuple[list[float], list[float]] = ([], [])
    worst = float("inf")
    for _ in range(rounds):
        results = [one_frame(pictures) for pictures in sides]
        for taken, (spent, _) in zip(seconds, results, strict=True):
            taken.append(spent)
        pairs = zip(results[0][1], results[1][1], strict=True)
        worst = min([worst, *(psnr(a.pixels, b.pixels) for a, b in pairs if a.interpolated)])
    medians = [statistics.median(taken) for taken in seconds]
    return {
        "size": f"{width}x{height}",
        "model": "gmfss",
        "scale": scale,
        "n_forward": SCHEDULE.n_forward,
        "times": SCHEDULE.times,
        "device": "cpu",
        "threads": threads,
        "seed_threads": baseline_threads,
        "rounds": rounds,
        "seconds_per_source_frame": round(medians[0], 3),
        "seed_seconds_per_source_frame": round(medians[1], 3),
        "speedup_vs_seed": round(medians[1] / medians[0], 3),
        "psnr_of_a_pair": round(alike, 1),
        "worst_psnr_through_the_pyramid": round(worst, 1),
        "stages": {
            name: {"calls": calls, "seconds_per_call": round(ours.clock.seconds[name] / calls, 4)}
            for name, calls in ours.clock.calls.items()
        },
    }


def hardware() -> dict[str, Any]:
    """What the figures were measured on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    return {
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "onnxruntime": onnxruntime.__version__,
        "torch": torch.__version__,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="448x256 only")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("bench/results/cpu.json"))
    given = parser.parse_args()
    sizes = [(448, 256)] if given.quick else [(448, 256), (896, 512)]
    results = []
    for width, height in sizes:
        results.append(compare(width, height, 1.0, given.rounds, given.threads))
        print(json.dumps(results[-1], indent=1))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    given.out.parent.mkdir(parents=True, exist_ok=True)
    facts = {"command": "python bench/run.py", "hardware": hardware(), "peak_bytes": peak, "results": results}
    given.out.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
