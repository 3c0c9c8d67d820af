"""Draws the figures of explanation/why-it-works.md from what figures.py works out. White ground, for any page."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import figures
import matplotlib
from figures import HOLDS, PASSES, Moments

from afitrt import End, Frame, Mix, ScheduleOptions, Source, plan
from afitrt.schedule import Node

matplotlib.use("svg")
matplotlib.rcParams.update(
    {"svg.hashsalt": "afitrt", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
)
from matplotlib import pyplot  # noqa: E402, after the backend is chosen

GREY, INK = "#8a8a8a", "#222222"
COLOURS = {1: "#0072b2", 2: "#d55e00", 3: "#009e73"}
"""By number of passes; distinct to colour-blind eyes."""


def draw(folder: Path) -> None:
    """All figures into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in (
        ("pyramid", pyramid()),
        ("motion", motion()),
        ("filter", response()),
        ("dropping", dropping()),
        ("edges", edges()),
    ):
        figure.savefig(folder / f"why-{name}.svg", facecolor="white", metadata={"Date": None}, bbox_inches="tight")
        pyplot.close(figure)


def _axes(columns: int, width: float, height: float, rows: int = 1, **more: Any) -> tuple[Any, Any]:
    figure, axes = pyplot.subplots(rows, columns, figsize=(width, height), squeeze=False, **more)
    for axis in axes.flat:
        axis.grid(alpha=0.25)
    return figure, axes


def pyramid() -> Any:
    """The nodes of one window, where the schedule puts them: across is time, up is the number of passes."""
    n, apex = 2, _apex(2)
    figure, axes = _axes(1, 6.4, 3.4)
    axis = axes[0][0]
    axis.grid(visible=False)
    for index in range(6):
        axis.annotate(f"S{index}", (index, 0), ha="center", va="center", bbox={"boxstyle": "round", "fc": "white"})
    for node in _below(apex) | _below(_apex(2, later=1)):
        fresh = node not in _below(apex)
        colour = COLOURS[2] if fresh else COLOURS[1]
        if isinstance(node, Mix):
            x, y = _middle(node), _height(node)
            for side in (node.left, node.right):
                axis.plot([x, _middle(side)], [y, _height(side)], color=colour, zorder=0, linewidth=1.5)
            words = {"boxstyle": "round", "fc": "white", "ec": colour, "lw": 2}
            axis.annotate("A" if _height(node) == n else "M", (x, y), ha="center", va="center", bbox=words)
    for index, weight in enumerate(_weights(apex)):
        axis.annotate(str(weight), (index, -0.42), ha="center", color=COLOURS[1])
    axis.annotate("weight in A:", (-0.9, -0.42), ha="center", color=COLOURS[1])
    axis.annotate("what one more frame adds", (3.15, 1.55), color=COLOURS[2])
    axis.set(xlim=(-1.5, 5.4), ylim=(-0.6, 2.4), yticks=range(n + 1), ylabel="passes", xlabel="source frames")
    axis.set_xticks(range(6))
    axis.set_title("Every frame becomes the apex A of a pyramid of in-between pictures (n = 2)")
    return figure


def _apex(n: int, later: int = 0) -> Node:
    """The first apex of a long scene, or a later one."""
    frames = [Frame(Fraction(k), cut=False) for k in range(12)]
    steps = plan([*frames, End(Fraction(12))], ScheduleOptions(times=1, n_forward=n))
    apexes = [o.node for step in steps for o in step.outputs if _height(o.node) == n and _even(o.node)]
    return apexes[later]


def _below(node: Node) -> set[Node]:
    return {node} if isinstance(node, Source) else {node} | _below(node.left) | _below(node.right)


def _even(node: Node) -> bool:
    return all(isinstance(each, Source) or each.t == Fraction(1, 2) for each in _below(node))


def _height(node: Node) -> int:
    return 0 if isinstance(node, Source) else 1 + max(_height(node.left), _height(node.right))


def _middle(node: Node) -> float:
    return float(figures.place(node, [Fraction(k) for k in range(12)]))


def _weights(node: Node) -> list[Fraction]:
    """How much of each source frame is in a node."""
    return [figures.place(node, [Fraction(k == index) for k in range(12)]) for index in range(_height(node) + 1)]


def _line(axis: Any, moments: Moments, first: int = 0, last: int = figures.LENGTH, **style: Any) -> None:
    kept = [(float(time), float(place)) for time, place in moments if first <= time <= last]
    axis.plot([time for time, _ in kept], [place for _, place in kept], **style)


def _held(axis: Any, places: list[Fraction], first: int) -> None:
    """The source: each place until the next one."""
    times = range(first, first + len(places))
    axis.step(
        times, [float(place) for place in places], where="post", color=GREY, linewidth=4, alpha=0.5, label="source"
    )


def motion() -> Any:
    """Place against time, before and after, for three ways of holding and three numbers of passes."""
    names = ("ones", "twos", "threes")
    figure, axes = _axes(3, 9.6, 3.3, sharey=True)
    first, last = figures.BEGIN, figures.BEGIN + figures.CYCLE
    for axis, name in zip(axes[0], names, strict=True):
        places = figures.cel(HOLDS[name])
        _held(axis, [places[k] for k in range(first, last + 1)], first)
        for n in PASSES:
            style = {"color": COLOURS[n], "marker": "o", "markersize": 3, "label": f"n = {n}"}
            _line(axis, figures.scheduled(places, n), first, last, **style)
        axis.set(title=f"drawn on {name}", xlabel="time, source frames")
    axes[0][0].set_ylabel("place of the cel, steps")
    axes[0][0].legend(frameon=False)
    figure.tight_layout()
    return figure


def response() -> Any:
    """The binomial window as a low-pass filter, and what a cel on threes and a mixed one keep of their judder."""
    figure, axes = _axes(2, 9.6, 3.4)
    left, right = axes[0]
    steps = [k / 200 for k in range(101)]
    for n in PASSES:
        left.plot(steps, [figures.gain(step, n) for step in steps], color=COLOURS[n], label=f"n = {n}")
    for rate, words in ((1 / 6, "mixed"), (1 / 3, "threes"), (1 / 2, "twos")):
        left.axvline(rate, color=GREY, linestyle=":")
        left.annotate(words, (rate - 0.008, 0.62), rotation=90, ha="right", color=INK)
    left.set(xlabel="wobble, cycles a source frame", ylabel="share that is left", ylim=(0, 1.02), xlim=(0, 0.505))
    left.set_title("what n passes let through")
    left.legend(frameon=False, loc="lower left")
    depths = range(6)
    marks = {"twos": "s", "threes": "^", "mixed": "D"}
    for name, colour in (("twos", COLOURS[1]), ("threes", COLOURS[2]), ("mixed", COLOURS[3])):
        places = figures.cel(HOLDS[name], 36)
        left_over = [figures.unevenness(figures.scheduled(places, n) if n else figures.plain(places)) for n in depths]
        right.plot(depths, left_over, color=colour, marker=marks[name], label=f"on {name}")
    right.set(xlabel="n (0: plain interpolation)", ylabel="unevenness, steps", xticks=depths, ylim=(-0.03, None))
    right.set_title("what is left of the judder, at twice the rate")
    right.legend(frameon=False)
    figure.tight_layout()
    return figure


def dropping() -> Any:
    """One picture with a cel on twos and one on threes: duplicates dropped, against every frame an apex."""
    cels = {"twos": figures.cel((2,)), "threes": figures.cel((3,))}
    kept = figures.distinct(*cels.values())
    figure, axes = _axes(2, 9.6, 3.4, sharey=True)
    first, last = figures.BEGIN, figures.BEGIN + 2 * figures.CYCLE
    for axis, (name, places) in zip(axes[0], cels.items(), strict=True):
        _held(axis, [places[k] for k in range(first, last + 1)], first)
        dropped = {"color": COLOURS[3], "marker": "s", "markersize": 3, "label": "duplicates dropped"}
        _line(axis, figures.plain(places, kept), first, last, **dropped)
        ours = {"color": COLOURS[2], "marker": "o", "markersize": 3, "label": "every frame an apex, n = 2"}
        _line(axis, figures.scheduled(places, 2), first, last, **ours)
        axis.set(title=f"the cel on {name}", xlabel="time, source frames")
    axes[0][0].set_ylabel("place of the cel, steps")
    axes[0][0].legend(frameon=False)
    figure.tight_layout()
    return figure


def edges() -> Any:
    """A scene of twelve frames: how it begins on threes with and without correcting, how it ends with and without
    shrinking."""
    figure, axes = _axes(2, 9.6, 3.4)
    begins, ends = axes[0]
    length, times = 12, 4
    threes, ones = figures.cel(HOLDS["threes"], length), figures.cel(HOLDS["ones"], length)
    for axis, places, n, low, high, switch in (
        (begins, threes, 3, 0, 4, "correct"),
        (ends, ones, 2, length - 4, length, "shrink"),
    ):
        _held(axis, [places[min(k, length - 1)] for k in range(low, high + 1)], low)
        for on, colour, mark in ((True, COLOURS[2], "o"), (False, COLOURS[1], "v")):
            moments = figures.scheduled(places, n, times, **{switch: on})
            style = {"color": colour, "marker": mark, "markersize": 4}
            _line(axis, moments, low, high, label=f"--{'' if on else 'no-'}{switch}", **style)
        axis.set_xlabel("time, source frames")
        axis.legend(frameon=False)
    begins.set(title="a scene on threes begins (n = 3)", ylabel="place of the cel, steps")
    ends.set_title("a scene on ones ends (n = 2)")
    figure.tight_layout()
    return figure
