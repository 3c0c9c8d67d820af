"""What a user waits for before the work: `--help`, the first picture of a film, the stages of a size that is new.

    python bench/start.py [--rounds N]

Each is a process of its own, as a user starts it. It writes bench/results/start.json and the table of
docs/explanation/speed.md.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from drawn import clip
from measuring import hardware, put_table
from video_helpers import drawn

from afitrt import artefacts

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "bench" / "results" / "start.json"
COMMAND = "python bench/start.py"
AFITRT = [sys.executable, "-m", "afitrt"]
SMALL, LARGE = (448, 256), (1920, 1080)
MADE = """
import numpy as np
from afitrt import models
from afitrt.options import ModelOptions
models.make(ModelOptions(scale=1.0), {}, {}, np.uint8, lambda text: None).close()
"""
"""What `interpolate` does of a size: makes its stages where they are missing, and loads them."""


def seconds(command: list[str], **environment: str) -> float:
    """Wall seconds of a command from start to end."""
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, **environment})
    return time.perf_counter() - began


def first_pictures(source: Path, folder: Path) -> dict[str, float]:
    """Seconds from the start of `interpolate` to its estimate, its first picture, and the first that a network made.

    With the default schedule the first picture is the first frame itself, the second is interpolated.
    """
    command = [*AFITRT, "interpolate", str(source), str(folder / "out.mkv"), "--overwrite", "--json", "--scale", "1.0"]
    began = time.perf_counter()
    found: dict[str, float] = {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line)
            name = {"start": "estimate", "progress": f"picture {event.get('outputs')}"}.get(event["event"])
            if name is not None:
                found.setdefault(name, time.perf_counter() - began)
            if "picture 2" in found:
                break
        process.terminate()
        process.stdout.read()
    return found


def new_size(width: int, height: int) -> float:
    """Seconds for all stages of gmfss at a size of which nothing is kept."""
    with tempfile.TemporaryDirectory() as home:
        (Path(home) / "weights").symlink_to(artefacts.weights_home().resolve())
        return seconds([sys.executable, "-c", MADE.format(width, height)], AFITRT_HOME=home)


def measure(rounds: int, folder: Path) -> list[dict[str, Any]]:
    """The rows: medians of so many processes."""

    def median(once: Callable[[], float]) -> float:
        return round(statistics.median(once() for _ in range(rounds)), 3)

    source = drawn(folder / "in.mkv", clip(*SMALL, 8, (1, 2, 3)))
    seconds([sys.executable, "-c", MADE.format(*SMALL)])
    starts = [first_pictures(source, folder) for _ in range(rounds)]
    small, large = (f"{width}x{height}" for width, height in (SMALL, LARGE))
    kept = f"gmfss, {small}, stages kept from before"
    rows = [("`afitrt --help`", "", median(lambda: seconds([*AFITRT, "--help"])), 0.3)]
    for name, what, goal in (
        ("estimate", "`interpolate` to its estimate of the time", None),
        ("picture 1", "`interpolate` to its first picture", 5.0),
        ("picture 2", "`interpolate` to its first picture by the network", None),
    ):
        rows.append((what, kept, round(statistics.median(found[name] for found in starts), 2), goal))
    rows.append(("stages of a new size, made and loaded", f"gmfss, {large}", median(lambda: new_size(*LARGE)), 15.0))
    return [dict(zip(("what", "of", "seconds", "goal"), row, strict=True)) for row in rows]


def table(found: dict[str, Any]) -> str:
    """Rows for people."""
    lines = ["| what | of | seconds | goal |", "|---|---|---|---|"]
    for row in found["results"]:
        goal = "" if row["goal"] is None else f"under {row['goal']:g}"
        lines.append(f"| {row['what']} | {row['of']} | {row['seconds']:.2f} | {goal} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(given.rounds, Path(folder))
    found = {"command": COMMAND, "hardware": hardware(), "rounds": given.rounds, "results": rows}
    OUT.write_text(json.dumps(found, indent=1) + "\n")
    put_table(ROOT / "docs" / "explanation" / "speed.md", COMMAND, table(found))
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
