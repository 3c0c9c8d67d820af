"""Figures and numbers of explanation/why-it-works.md, all from afitrt's own schedule: exact, without pictures.

    python docs/figures.py [FOLDER]

It writes docs/images/why-*.svg and the tables of the page; with a FOLDER, the figures go there and the page stays.

A cel is its place on the screen: a whole number for each frame, in the distance that it covers in a frame on average.
A perfect network puts what it makes between two places in proportion, so a node of the schedule has a place too.
"""

from __future__ import annotations

import cmath
import json
import math
import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from itertools import accumulate, cycle, pairwise
from pathlib import Path
from typing import Any

from afitrt import End, Frame, ScheduleOptions, Source, plan
from afitrt.schedule import Node, Summary, summarise

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs/images"
PAGE = ROOT / "docs/explanation/why-it-works.md"
MEASURED = ROOT / "bench/results/smoothness.json"

HOLDS = {"ones": (1,), "twos": (2,), "threes": (3,), "mixed": (1, 2, 3)}
PASSES = (1, 2, 3)
TIMES = 2
CYCLE = 6
"""Frames after which every hold pattern here repeats."""
LENGTH, BEGIN = 30, 12
"""Frames of a scene, and where whole cycles out of reach of both its ends begin."""

Places = list[Fraction]
Moments = list[tuple[Fraction, Fraction]]
"""(time, place) pairs; times in source frames."""


def cel(holds: Sequence[int], length: int = LENGTH) -> Places:
    """The place in each frame of a cel that should be at k in frame k, and is drawn anew after every hold."""
    starts = list(accumulate(cycle_of(holds, length), initial=0))
    return [Fraction(max(start for start in starts if start <= k)) for k in range(length)]


def cycle_of(holds: Sequence[int], length: int) -> list[int]:
    """The holds, over and over, for at least so many frames."""
    turns = cycle(holds)
    return [next(turns) for _ in range(length)]


def place(node: Node, places: Places) -> Fraction:
    """Where a perfect network puts a node."""
    if isinstance(node, Source):
        return places[node.index]
    return (1 - node.t) * place(node.left, places) + node.t * place(node.right, places)


def scheduled(places: Places, n: int, times: int = TIMES, **options: Any) -> Moments:
    """The pictures of a scene by our schedule."""
    frames = [Frame(Fraction(k), cut=False) for k in range(len(places))]
    steps = plan([*frames, End(Fraction(len(places)))], ScheduleOptions(times=times, n_forward=n, **options))
    return [(output.pts, place(output.node, places)) for step in steps for output in step.outputs]


def plain(places: Places, kept: Iterable[int] | None = None, times: int = TIMES) -> Moments:
    """Interpolation between neighbours, among the frames that are kept."""
    frames = sorted(set(range(len(places)) if kept is None else kept))
    moments = []
    for tick in range(frames[0] * times, frames[-1] * times + 1):
        time = Fraction(tick, times)
        left = max(k for k in frames if k <= time)
        right = min((k for k in frames if k >= time), default=left)
        share = (time - left) / (right - left) if right > left else Fraction(0)
        moments.append((time, (1 - share) * places[left] + share * places[right]))
    return moments


def shown(places: Places, times: int = TIMES) -> Moments:
    """Every frame shown again until the next."""
    return [(Fraction(tick, times), places[tick // times]) for tick in range(len(places) * times)]


def unevenness(moments: Moments) -> float:
    """Standard deviation of the step from picture to picture over a cycle, in steps of even motion."""
    inner = [place for time, place in moments if BEGIN <= time <= BEGIN + CYCLE]
    return statistics.pstdev(float(right - left) * TIMES for left, right in pairwise(inner))


def distinct(*cels: Places) -> list[int]:
    """Frames that differ from the one before in any cel: all that is left when duplicates are dropped."""
    return [k for k in range(len(cels[0])) if k == 0 or any(each[k] != each[k - 1] for each in cels)]


def gain(frequency: float, n: int) -> float:
    """What n passes leave of a wobble, by its frequency in cycles a frame: the binomial window's response."""
    return abs(math.cos(math.pi * frequency)) ** n


def rates(holds: Sequence[int]) -> list[Fraction]:
    """Frequencies, in cycles a frame, in which a cel's lag behind even motion wobbles, up to half a cycle."""
    period = sum(holds)
    lag = [float(cel(holds)[k] - k) for k in range(period)]
    found = []
    for wave in range(1, period // 2 + 1):
        parts = (lag[k] * cmath.exp(2j * math.pi * wave * k / period) for k in range(period))
        if abs(sum(parts)) > 1e-9:
            found.append(Fraction(wave, period))
    return found


def numbers() -> dict[str, str]:
    """The tables of the page, by name."""
    return {"uneven": _uneven(), "filter": _filter(), "dropping": _dropping(), "blur": _blur(), "cost": _cost()}


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [f"| {' | '.join(map(str, row))} |" for row in (head, *rows)]
    return "\n".join([lines[0], "|---" * len(head) + "|", *lines[1:]])


def _uneven() -> str:
    rows: list[list[object]] = []
    ways: dict[str, Callable[[Places], Moments]] = {"each frame shown twice": shown, "plain interpolation": plain}
    ways |= {f"n = {n}": lambda places, n=n: scheduled(places, n) for n in (1, 2, 3, 4)}  # type: ignore[misc]
    for name, way in ways.items():
        rows.append([name, *(f"{unevenness(way(cel(holds))):.2f}" for holds in HOLDS.values())])
    return _table(["pictures", *(f"on {name}" for name in HOLDS)], rows)


def _filter() -> str:
    rows = []
    for name, holds in HOLDS.items():
        for rate in rates(holds):
            rows.append([f"on {name}", f"{rate}", *(f"{100 * gain(float(rate), n):.0f} %" for n in (1, 2, 3, 4))])
    return _table(["cel", "wobble, cycles a frame", *(f"left by n = {n}" for n in (1, 2, 3, 4))], rows)


def _dropping() -> str:
    twos, threes = cel((2,)), cel((3,))
    kept = distinct(twos, threes)
    ways: dict[str, Callable[[Places], Moments]] = {
        "plain interpolation": plain,
        "duplicates dropped, then interpolated": lambda places: plain(places, kept),
        "every third frame kept, then interpolated": lambda places: plain(places, range(0, LENGTH, 3)),
        "forward de-duplication, n = 2": lambda places: scheduled(places, 2),
        "forward de-duplication, n = 3": lambda places: scheduled(places, 3),
    }
    rows = [[name, *(f"{unevenness(way(each)):.2f}" for each in (twos, threes))] for name, way in ways.items()]
    return _table(["way", "cel on twos", "cel on threes"], rows)


def _blur() -> str:
    results = json.loads(MEASURED.read_text())["results"]
    rows = []
    for n in range(5):
        at = {each["model"]: each["cels"] for each in results if each["n"] == n}
        window = f"{math.sqrt(n) / 2:.2f}"
        rows.append([n, n + 1, window, *(f"{at[m][c]['edge_px']:.1f}" for m in at for c in ("ones", "threes"))])
    models = list(dict.fromkeys(each["model"] for each in results))
    heads = [f"edge, {model}, on {name}" for model in models for name in ("ones", "threes")]
    return _table(["n", "frames in the window", "its spread, frames", *heads], rows)


def _cost() -> str:
    rows = []
    for n in (1, 2, 3, 4, 8):
        short, long = (_counted(length, n) for length in (60, 160))
        each = [(getattr(long, name) - getattr(short, name)) / 100 for name in ("matchings", "inferences")]
        rows.append([n, *(f"{count:g}" for count in each)])
    return _table(["n", "pairs matched", "pictures made"], rows)


def _counted(length: int, n: int) -> Summary:
    frames = [Frame(Fraction(k), cut=False) for k in range(length)]
    return summarise(plan([*frames, End(Fraction(length))], ScheduleOptions(times=TIMES, n_forward=n)))


def write_tables(text: str) -> str:
    """The page with every table anew."""
    for name, table in numbers().items():
        begin, end = f"<!-- {name}: make figures -->", "<!-- end -->"
        before, rest = text.split(begin)
        text = f"{before}{begin}\n{table}\n{end}{rest.split(end, 1)[1]}"
    return text


def main() -> None:
    import drawing

    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES
    drawing.draw(folder)
    if folder == IMAGES:
        PAGE.write_text(write_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
