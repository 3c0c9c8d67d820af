"""What `--hold exact` saves: gmfss over drawn clips whose cels are on ones, twos and threes before a still background.

    python bench/hold.py [--rounds N]

Both ways run in turn, a whole clip at a time, after a warm-up. It writes bench/results/hold.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from drawn import clip
from measuring import hardware

from afitrt import models
from afitrt.models.protocol import Interpolator
from afitrt.options import ModelOptions, ScheduleOptions
from afitrt.render import Decoded, Renderer
from afitrt.schedule import End, Frame

OUT = Path(__file__).parent / "results" / "hold.json"
SCHEDULE = ScheduleOptions(times=2, n_forward=2)
SIZE, FRAMES = (448, 256), 12


def run(interpolator: Interpolator, hold: int, exact: bool) -> float:
    """Seconds for the clip."""
    pictures = clip(*SIZE, FRAMES, (hold, hold), pan=0)
    decoded = [Decoded(Frame(Fraction(k, 24), cut=False), pixels) for k, pixels in enumerate(pictures)]
    renderer = Renderer(interpolator, hold=exact)
    began = time.perf_counter()
    for _ in renderer.render([*decoded, End(Fraction(FRAMES, 24))], SCHEDULE):
        pass
    return time.perf_counter() - began


def measure(interpolator: Interpolator, hold: int, rounds: int) -> dict[str, Any]:
    """One row: medians of `rounds`."""
    seconds: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(rounds):
        for exact in (False, True):
            seconds[exact].append(run(interpolator, hold, exact))
    off, on = (statistics.median(seconds[exact]) / FRAMES for exact in (False, True))
    return {
        "held_for": hold,
        "seconds_off": round(off, 3),
        "seconds_exact": round(on, 3),
        "speedup": round(off / on, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1)
    given = parser.parse_args()
    interpolator = models.make(ModelOptions(scale=1.0), *SIZE, np.float32, print)
    pair = [interpolator.upload(frame) for frame in clip(*SIZE, 2, (1, 1))]
    interpolator.between(*pair, [Fraction(1, 2)])
    rows = [measure(interpolator, hold, given.rounds) for hold in (1, 2, 3)]
    facts = {"command": "python bench/hold.py", "hardware": hardware(), "rounds": given.rounds}
    what = f"gmfss {SIZE[0]}x{SIZE[1]}, --times 2 --n-forward 2, {FRAMES} frames, seconds a source frame"
    OUT.write_text(json.dumps({**facts, "what": what, "results": rows}, indent=1) + "\n")
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
