"""Seconds per source frame: afitrt against the published network driven the seed's way, interleaved in one run.

    python bench/run.py [--quick] [--rounds N] [--redraw]

All sides evaluate the same schedule (n_forward 2, 2x) over the same drawn frames, one source frame at a time in turn;
every pair of pictures is compared. The torch sides run at their best of 1, 2 and torch's own number of threads. The
largest size is measured on one pair. It writes bench/results/cpu.json, docs/images/speed.svg and the table of
docs/explanation/speed.md. 448x256 is in bench/results/quick.json too, and --quick measures it alone; --redraw measures
none.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from drawn import clip
from measuring import hardware, psnr, put_table
from sides import SeedsRife, SeedsWay, SeedWithCache, best_threads, sgemm_rate
from video_helpers import drawn

from afitrt import build, models
from afitrt.build.cost import cost
from afitrt.frames import Pixels
from afitrt.models.manifest import StagedManifest
from afitrt.models.protocol import Interpolator
from afitrt.options import EncodeOptions, ModelOptions, ScheduleOptions
from afitrt.render import Decoded, Rendered, render
from afitrt.schedule import End, Frame
from afitrt.video import Writer, choose_encoding, container_of, present_encoders, probe

ROOT = Path(__file__).resolve().parent.parent
COMMAND = "python bench/run.py"
SCHEDULE = ScheduleOptions(times=2, n_forward=2)
PER_FRAME = {"encode": 3, "match": 3, "splat": 3, "fuse": 3}
"""Calls a source frame at n_forward 2 and 2x: n+1 pairs are matched, n+T-1 pictures fused, each encoded once."""
LEAST_PSNR = 70.0
SETTLED = 0.05
"""Seconds before each measurement: threads of the side before go on spinning for a while."""


@dataclass(frozen=True)
class Case:
    """One row. pair: measured on one pair of pictures instead of a running schedule."""

    width: int
    height: int
    model: str = "gmfss"
    scale: float = 1.0
    pair: bool = False


CASES = (
    *(Case(448, 256), Case(448, 256, scale=0.5), Case(448, 256, "rife")),
    *(Case(896, 512), Case(896, 512, "rife")),
    Case(1920, 1088, pair=True),
)


def decoded(width: int, height: int, count: int) -> Iterator[Decoded | End]:
    """The drawn clip as the pipeline would hand it over."""
    for index, pixels in enumerate(clip(width, height, count, (1, 2, 3))):
        yield Decoded(Frame(Fraction(index, 24), cut=False), pixels)
    yield End(Fraction(count, 24))


def taken(pictures: Iterator[Rendered]) -> tuple[float, list[Pixels]]:
    """Seconds and the network's pictures of the next source frame."""
    time.sleep(SETTLED)
    began = time.perf_counter()
    results = [next(pictures) for _ in range(SCHEDULE.times or 1)]
    return time.perf_counter() - began, [each.pixels for each in results if each.interpolated]


def between(side: Interpolator, frames: Sequence[Pixels]) -> tuple[float, list[Pixels]]:
    """Seconds and picture of one pair from decoded frames on."""
    time.sleep(SETTLED)
    began = time.perf_counter()
    pair = [side.upload(frame) for frame in frames]
    middle = side.between(*pair, [Fraction(1, 2)])
    found = side.download(middle[0])
    for picture in (*pair, *middle):
        side.release(picture)
    return time.perf_counter() - began, [found]


def sides_of(case: Case, threads: int) -> list[Interpolator]:
    """Ours, the seed's way, and that with its cache."""
    options = ModelOptions(model=case.model, scale=case.scale, threads=threads)
    ours = models.make(options, case.width, case.height, np.float32, print)
    size = (case.width, case.height)
    if case.model == "rife":
        return [ours, SeedsRife(case.scale, size)]
    return [ours, SeedsWay(case.scale, size), SeedWithCache(case.scale, size)]


def rounds_of(case: Case, sides: list[Interpolator], rounds: int) -> Iterator[list[tuple[float, list[Pixels]]]]:
    """One measurement a side in turn, `rounds` times, warmed up."""
    if case.pair:
        frames = clip(case.width, case.height, 4, (1, 2, 3))[::3]
        for warm in range(rounds + 1):
            found = [between(side, frames) for side in sides]
            if warm:
                yield found
        return
    count = rounds + 2 * SCHEDULE.n_forward + 4
    running = [render(decoded(case.width, case.height, count), SCHEDULE, side) for side in sides]
    for number in range(rounds + 3):
        found = [taken(pictures) for pictures in running]
        if number == 2:
            for side in sides:
                side.clock.reset()
        if number > 2:
            yield found


def measure(case: Case, rounds: int, threads: int, rate: float, known: dict[str, int]) -> dict[str, Any]:
    """One row of the results: medians of `rounds`. Ends the run where the pictures of a pair differ.

    known: each model's best number of threads in torch, which the largest size takes from the smaller ones.
    """
    sides = sides_of(case, threads)
    frames = clip(case.width, case.height, 4, (1, 2, 3))[::3]
    if case.pair:
        torch.set_num_threads(known[case.model])
    else:
        known[case.model] = best_threads(sides[1], frames)
    alike = psnr(*(between(side, frames)[1][0] for side in sides[:2]))
    if alike < LEAST_PSNR:
        raise SystemExit(f"pictures differ: {alike:.1f} dB")
    seconds: list[list[float]] = [[] for _ in sides]
    worst = float("inf")
    for found in rounds_of(case, sides, 1 if case.pair else rounds):
        for spent, (second, _) in zip(seconds, found, strict=True):
            spent.append(second)
        worst = min([worst, *map(psnr, found[0][1], found[1][1])])
    ours, seed, cached = map(statistics.median, (*seconds, *([seconds[1]] if len(seconds) == 2 else [])))
    flop = arithmetic(case)
    clock = sides[0].clock
    return {
        "size": f"{case.width}x{case.height}",
        "model": case.model,
        "scale": case.scale,
        "n_forward": 0 if case.pair else SCHEDULE.n_forward,
        "times": SCHEDULE.times,
        "device": "cpu",
        "per": "pair" if case.pair else "source frame",
        "threads": threads,
        "seed_threads": known[case.model],
        "rounds": len(seconds[0]),
        "seconds": round(ours, 4),
        "seed_seconds": round(seed, 4),
        "cached_seed_seconds": round(cached, 4),
        "speedup_vs_seed": round(seed / ours, 3),
        "speedup_vs_cached_seed": round(cached / ours, 3),
        "gflop": round(flop / 1e9, 1),
        "share_of_bound": round(flop / rate / ours, 3),
        "psnr_of_a_pair": round(alike, 1),
        "worst_psnr_through_the_pyramid": round(worst, 1),
        "seconds_with_encoder": None if case.pair else round(ours + encoding(case), 4),
        "stages": {name: round(clock.seconds[name] / calls, 4) for name, calls in clock.calls.items()},
        "peak_bytes_so_far": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def arithmetic(case: Case) -> int:
    """FLOP of convolutions and matrix products that our graphs need for a source frame, or for a pair."""
    manifest = models.find(case.model)
    assert isinstance(manifest, StagedManifest)
    geometry = manifest.geometry(case.width, case.height, case.scale)
    calls = {"encode": 2, "match": 1, "splat": 1, "fuse": 1} if case.pair else PER_FRAME
    weights = ModelOptions().weights
    return sum(
        calls[stage] * cost(build.stage_model(case.model, stage, geometry, weights)).flop
        for stage in build.STAGES[case.model]
    )


def encoding(case: Case) -> float:
    """Seconds that the default encoder takes for the pictures of one source frame, alone on the machine."""
    frames = clip(case.width, case.height, 16, (1, 2, 3))
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.mkv"
        info = probe(drawn(Path(folder) / "in.mkv", frames))
        encode, _ = choose_encoding(info, EncodeOptions(), container_of(out), present_encoders())
        began = time.perf_counter()
        with Writer(out, info, Fraction(48), encode) as writer:
            for frame in frames:
                writer.write(frame.astype(np.uint16) * 257)
    return (time.perf_counter() - began) / len(frames) * (SCHEDULE.times or 1)


def table(found: dict[str, Any]) -> str:
    """Rows for people."""
    lines = [
        "| size | model | per | afitrt | published network | with its cache | faster | of the bound |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in found["results"]:
        model = row["model"] if row["scale"] == 1 else f"{row['model']}, scale {row['scale']}"
        figures = [f"{row[name]:.2f}" for name in ("seconds", "seed_seconds", "cached_seed_seconds")]
        shares = [f"{row['speedup_vs_seed']:.2f}x", f"{row['share_of_bound']:.0%}"]
        lines.append("| " + " | ".join([row["size"], model, row["per"], *figures, *shares]) + " |")
    return "\n".join(lines)


def chart(found: dict[str, Any], path: Path) -> None:
    """Bars of the ratio to the seed's way, one a row."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    rows = found["results"][::-1]
    names = [f"{row['model']} {row['size']} s={row['scale']:g}" for row in rows]
    figure, axes = pyplot.subplots(figsize=(7, 0.45 * len(rows) + 1))
    for name, colour, offset in (("speedup_vs_seed", "#4477aa", 0.2), ("speedup_vs_cached_seed", "#ccbb44", -0.2)):
        bars = axes.barh(
            [place + offset for place in range(len(rows))], [row[name] for row in rows], 0.38, color=colour
        )
        axes.bar_label(bars, fmt="%.2fx", color="#888888", padding=2)
    axes.set_yticks(range(len(rows)), names, color="#888888")
    axes.axvline(1, color="#888888", linewidth=1)
    axes.tick_params(colors="#888888")
    axes.set_xlabel(
        "times as fast as the published network: blue the seed's way, yellow with its cache", color="#888888"
    )
    for spine in axes.spines.values():
        spine.set_visible(False)
    figure.savefig(path, transparent=True, bbox_inches="tight", metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="448x256 only")
    parser.add_argument("--redraw", action="store_true", help="table and chart from the figures that are there")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    out = ROOT / "bench" / "results" / ("quick.json" if given.quick else "cpu.json")
    if not given.redraw:
        rate = sgemm_rate(given.threads)
        facts = {
            "command": f"{COMMAND}{' --quick' if given.quick else ''}",
            "hardware": hardware(torch=torch.__version__),
            "sgemm_gflop_a_second": rate / 1e9,
        }
        results: list[dict[str, Any]] = []
        known: dict[str, int] = {}
        for case in CASES:
            if not given.quick or case.width == CASES[0].width:
                results.append(measure(case, given.rounds, given.threads, rate, known))
                print(json.dumps(results[-1]), flush=True)
        quick = [row for row in results if row["size"] == results[0]["size"]]
        for path, rows in ((out, results), (out.with_name("quick.json"), quick)):
            path.write_text(json.dumps({**facts, "results": rows}, indent=1) + "\n")
    found = json.loads(out.read_text())
    put_table(ROOT / "docs" / "explanation" / "speed.md", COMMAND, table(found))
    chart(found, ROOT / "docs" / "images" / "speed.svg")


if __name__ == "__main__":
    main()
