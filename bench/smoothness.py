"""How even and how sharp motion gets: cels on ones, twos, threes and mixed, for every n and two networks.

    python bench/smoothness.py [--quick | --redraw]

It writes bench/results/smoothness.json, docs/images/smoothness.png and the table of docs/explanation/choosing-n.md;
--quick measures two depths and writes nothing, --redraw measures nothing.

n 0 is plain interpolation between neighbours. Two figures for each cel, over a whole number of cycles in the middle
of a scene: the spread of its displacement from picture to picture (0 is even motion), and the width of its edges
(10 to 90 % of the rise) in the pictures that were made. Beside them what a perfect network would reach: the places
of the cels as numbers, through the same schedule.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import drawn
import numpy as np
import numpy.typing as npt
from measuring import put_table

from afitrt import models
from afitrt.artefacts import written_aside
from afitrt.frames import Pixels
from afitrt.models.protocol import Interpolator, StageClock
from afitrt.options import ModelOptions, ScheduleOptions
from afitrt.render import Decoded, Rendered, render
from afitrt.schedule import End, Frame

SIDE, LENGTH = 320, 18
MEASURED = slice(2 * 6, 2 * 12 + 1)
"""Pictures measured: those of a whole cycle of six frames, out of reach of both ends of the scene at every n."""
GRAIN = 32
"""Pixels of the background's texture, about that of a painted one."""
WITHIN = 12
"""Pixels from a cel's centre that are surely inside."""
CELS: dict[str, drawn.Hold] = {"ones": 1, "twos": 2, "threes": 3, "mixed": (1, 2, 3)}
MODELS = ("rife", "gmfss")
DEPTHS = range(5)

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench/results/smoothness.json"
IMAGE = ROOT / "docs/images/smoothness.png"
PAGE = ROOT / "docs/explanation/choosing-n.md"

Floats = npt.NDArray[np.float64]


def source() -> list[Pixels]:
    """The drawn clip, one cel a band."""
    return list(drawn.clip(SIDE, SIDE, LENGTH, list(CELS.values()), GRAIN))


def pictures(model: Interpolator, frames: Sequence[Pixels], n_forward: int) -> list[Rendered]:
    """The clip at twice its rate."""
    if n_forward:
        return list(render(_decoded(frames), ScheduleOptions(n_forward=n_forward), model))
    return list(_plain(model, frames))


def _decoded(frames: Sequence[Pixels]) -> Iterator[Decoded | End]:
    for index, pixels in enumerate(frames):
        yield Decoded(Frame(Fraction(index, 24), cut=False), pixels)
    yield End(Fraction(len(frames), 24))


def _plain(model: Interpolator, frames: Sequence[Pixels]) -> Iterator[Rendered]:
    uploaded = [model.upload(frame) for frame in frames]
    for index, frame in enumerate(frames):
        yield Rendered(frame, Fraction(index, 24), interpolated=False)
        if index + 1 < len(frames):
            (middle,) = model.between(uploaded[index], uploaded[index + 1], [Fraction(1, 2)])
            yield Rendered(model.download(middle), Fraction(2 * index + 1, 48), interpolated=True)
            model.release(middle)
    for each in uploaded:
        model.release(each)


class Perfect:
    """An Interpolator whose pictures are places: float64 arrays, one number a cel."""

    def __init__(self) -> None:
        self.clock = StageClock()

    def upload(self, frame: Floats) -> Floats:
        return frame

    def between(self, left: Floats, right: Floats, times: Sequence[Fraction]) -> list[Floats]:
        return [left + (right - left) * float(t) for t in times]

    def download(self, picture: Floats) -> Floats:
        return picture

    def release(self, picture: Floats) -> None:
        pass

    def close(self) -> None:
        pass


def perfect(n_forward: int) -> dict[str, float]:
    """Spread of the displacement of every cel where each picture in between is where it should be."""
    places = [
        np.array([float(drawn.SPEED * drawn.drawn_at(hold, index)) for hold in CELS.values()])
        for index in range(LENGTH)
    ]
    inner = [each.pixels for each in pictures(Perfect(), places, n_forward)][MEASURED]
    spreads = np.diff(inner, axis=0).std(axis=0)
    return {name: round(float(spread), 3) for name, spread in zip(CELS, spreads, strict=True)}


def edge_width(picture: Pixels, channel: int) -> float:
    """Mean width, in pixels, of both edges of the one cel of this colour, across the five rows at its middle."""
    full = 1 if picture.dtype.kind == "f" else np.iinfo(picture.dtype).max
    values = picture.astype(np.float64) / full
    colour = values[:, :, channel] - values[:, :, [c for c in range(3) if c != channel]].mean(axis=2)
    mass = np.clip(colour - 0.1, 0, None)
    y, x = (round((mass.sum(axis=1 - axis) * np.arange(mass.shape[axis])).sum() / mass.sum()) for axis in (0, 1))
    rows = colour[y - 2 : y + 3]
    return float(np.mean([_fall(side) for row in rows for side in (row[x:], row[x::-1])]))


def _fall(profile: Floats) -> float:
    """Pixels between 90 and 10 % of the level inside, going outwards; overshoot at the edge does not count."""
    shares = profile / np.median(profile[:WITHIN])

    def below(share: float) -> float:
        index = int(np.argmax(shares < share))
        return index - (share - shares[index]) / (shares[index - 1] - shares[index])

    return below(0.1) - below(0.9)


def measure(results: Sequence[Rendered]) -> dict[str, dict[str, float]]:
    """Both figures for every cel."""
    found = {}
    for cel, name in enumerate(CELS):
        rows, channel = drawn.band(cel, len(CELS), SIDE), cel % 3
        bands = [(each.pixels[rows], each.interpolated) for each in results[MEASURED]]
        edges = [edge_width(pixels, channel) for pixels, made in bands if made]
        found[name] = {
            "spread_px": round(drawn.spread([pixels for pixels, _ in bands], channel), 3),
            "edge_px": round(float(np.mean(edges)), 2),
        }
    return found


def measured(depths: Sequence[int]) -> dict[str, Any]:
    """Everything that the plot and the guide need."""
    from run import hardware  # needs torch, which the tests of this file do without

    frames = source()
    results = []
    for name in MODELS:
        model = models.make(ModelOptions(model=name, threads=2), SIDE, SIDE, np.float32, print)
        for n_forward in depths:
            results.append({"model": name, "n": n_forward, "cels": measure(pictures(model, frames, n_forward))})
            print(json.dumps(results[-1]), flush=True)
        model.close()
    shown = [Rendered(frame, Fraction(0), interpolated=True) for frame in frames for _ in range(2)]
    facts = {"size": f"{SIDE}x{SIDE}", "frames": LENGTH, "pixels_a_frame": drawn.SPEED, "times": 2}
    return {
        "clip": facts,
        "source_shown_twice": measure(shown),
        "perfect_spread_px": [{"n": n_forward} | perfect(n_forward) for n_forward in depths],
        "results": results,
        "hardware": hardware(),
    }


def table(found: dict[str, Any]) -> str:
    """The figures as a Markdown table: spread of displacement and edge width, both in pixels."""

    def line(what: str, depth: object, cels: dict[str, dict[str, float]]) -> str:
        cells = [f"{cels[cel]['spread_px']:.2f}" for cel in CELS]
        cells += [f"{cels[cel]['edge_px']:.1f}" if "edge_px" in cels[cel] else "" for cel in CELS]
        return f"| {' | '.join([what, str(depth), *cells])} |"

    heads = [f"{what}, {cel}" for what in ("uneven", "edge") for cel in CELS]
    lines = [f"| {' | '.join(['network', 'n', *heads])} |", "|---" * (2 + len(heads)) + "|"]
    lines.append(line("none, shown twice", "", found["source_shown_twice"]))
    lines += [line(each["model"], each["n"], each["cels"]) for each in found["results"]]
    ideal = found["perfect_spread_px"]
    lines += [line("a perfect one", each["n"], {cel: {"spread_px": each[cel]} for cel in CELS}) for each in ideal]
    return "\n".join(lines)


COLOURS = {"ones": "#4477aa", "twos": "#228833", "threes": "#cc3311", "mixed": "#aa3377"}
MARKS = {"ones": "o", "twos": "s", "threes": "^", "mixed": "D"}


def plot(found: dict[str, Any], path: Path) -> None:
    """Two figures over n, one row each, one column a network; dotted: a perfect one. Opaque, to read on any page."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figures = {"spread_px": "unevenness: spread of\ndisplacement, px", "edge_px": "blur: edge width\n(10 to 90 %), px"}
    grid, axes = pyplot.subplots(2, len(MODELS), figsize=(8, 5.4), sharex=True, sharey="row", facecolor="white")
    depths = [each["n"] for each in found["perfect_spread_px"]]
    for column, model in enumerate(MODELS):
        rows = [each for each in found["results"] if each["model"] == model]
        for row, (figure, label) in enumerate(figures.items()):
            axis = axes[row][column]
            for cel in CELS:
                values = [each["cels"][cel][figure] for each in rows]
                style = {"color": COLOURS[cel], "marker": MARKS[cel], "linewidth": 2}
                axis.plot(depths, values, label=f"on {cel}", **style)
                if figure == "spread_px":
                    ideal = {"color": COLOURS[cel], "linestyle": ":", "linewidth": 1.2}
                    axis.plot(depths, [each[cel] for each in found["perfect_spread_px"]], **ideal)
            axis.grid(alpha=0.3)
            axis.set_xticks(depths)
            if column == 0:
                axis.set_ylabel(label)
        axes[0][column].set_title(f"--model {model}")
        axes[-1][column].set_xlabel("n (0: plain interpolation)")
    for axis in axes[:, 0]:
        axis.set_ylim(bottom=0)
    axes[0][-1].legend(frameon=False)
    grid.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    grid.savefig(path, dpi=110, metadata={"Software": None})
    pyplot.close(grid)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--quick", action="store_true", help="n 0 and 2 only, writes nothing")
    kind.add_argument("--redraw", action="store_true", help="plot and table from the figures that are there")
    given = parser.parse_args()
    if given.quick:
        measured((0, 2))
        return
    if not given.redraw:
        found = measured(DEPTHS)
        with written_aside(RESULTS) as aside:
            aside.write_text(json.dumps(found, indent=1) + "\n")
    found = json.loads(RESULTS.read_text())
    plot(found, IMAGE)
    put_table(PAGE, "python bench/smoothness.py", table(found))


if __name__ == "__main__":
    main()
