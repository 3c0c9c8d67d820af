"""What bench/growth.py found, as values: fits, tables, a chart. Nothing here measures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from measuring import put_table

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "bench" / "results" / "growth.json"
SCHEMA = ROOT / "bench" / "results" / "growth.schema.json"
PAGE = ROOT / "docs" / "explanation" / "speed.md"
CHART = ROOT / "docs" / "images" / "growth.svg"
COMMAND = "python bench/growth.py"
COLOURS = {"encode": "#4477aa", "match": "#cc6677", "splat": "#228833", "fuse": "#ccbb44"}
GREY = "#888888"

Row = dict[str, Any]


def proportional(work: Sequence[float], seconds: Sequence[float]) -> Row:
    """The rate of seconds = work / rate, least squares of logarithms: a small size counts as much as a large one.

    residuals: measured over predicted, less one. r2: of logarithms.
    """
    ratio = np.log(np.asarray(work, float)) - np.log(np.asarray(seconds, float))
    rate = float(np.exp(ratio.mean()))
    spread = np.log(np.asarray(seconds, float))
    unexplained = float(((ratio - ratio.mean()) ** 2).sum() / ((spread - spread.mean()) ** 2).sum())
    residuals = [float(each) for each in np.exp(ratio.mean() - ratio) - 1]
    return {"rate": rate, "r2": 1 - unexplained, "residuals": residuals}


def linear(x: Sequence[float], y: Sequence[float]) -> Row:
    """Least squares of y = intercept + slope x. residuals: measured over predicted, less one."""
    across, up = np.asarray(x, float), np.asarray(y, float)
    slope, intercept = np.polyfit(across, up, 1)
    predicted = intercept + slope * across
    unexplained = float(((up - predicted) ** 2).sum() / ((up - up.mean()) ** 2).sum())
    residuals = [float(each) for each in up / predicted - 1]
    return {"slope": float(slope), "intercept": float(intercept), "r2": 1 - unexplained, "residuals": residuals}


def stage_table(found: Row) -> str:
    """One row a size: seconds of each stage, how far they are from the fit, and the peak."""
    pixels = found["pixels"]
    stages = list(pixels["fits"])
    lines = ["| size | " + " | ".join(stages) + " | peak, MB |", "|---" * (len(stages) + 2) + "|"]
    for number, row in enumerate(pixels["rows"]):
        cells = [f"{row['seconds'][stage]:.3g} ({pixels['fits'][stage]['residuals'][number]:+.0%})" for stage in stages]
        lines.append(f"| {row['size']} | " + " | ".join(cells) + f" | {row['peak_bytes'] / 1e6:.0f} |")
    rates = [
        f"{fit['rate'] / 1e6:.2f} Mpixel/s" if stage == "splat" else f"{fit['rate']:.0f} GFLOP/s"
        for stage, fit in pixels["fits"].items()
    ]
    memory = pixels["memory"]
    lines.append("| rate | " + " | ".join(rates) + f" | {memory['slope']:.0f} bytes a pixel |")
    fits = [fit["r2"] for fit in (*pixels["fits"].values(), memory)]
    return "\n".join([*lines, "| R2 | " + " | ".join(f"{each:.4f}" for each in fits) + " |"])


def line_table(found: Row) -> str:
    """One row a quantity that cost should grow with in a straight line."""
    schedule, length = found["schedule"], found["length"]
    lines = ["| against | from | to | seconds, from | to | each one more | R2 |", "|---|---|---|---|---|---|---|"]
    for name, words in (("n", "n, T = 2"), ("T", "T, n = 2")):
        row = schedule[name]
        ends = [str(row["values"][end]) for end in (0, -1)] + [f"{row['seconds'][end]:.3f}" for end in (0, -1)]
        cells = [words, *ends, f"{row['fit']['slope']:.3f}", f"{row['fit']['r2']:.4f}"]
        lines.append("| " + " | ".join(cells) + " |")
    thousands, fit = length["seconds_a_thousand"], length["fit"]
    ends = [f"{length['frames'][end]:,}" for end in (0, -1)] + [f"{thousands[0]:.2f}", f"{sum(thousands):.2f}"]
    return "\n".join([*lines, f"| frames | {' | '.join(ends)} | {fit['slope']:.5f} | {fit['r2']:.4f} |"])


def publish() -> None:
    """Puts the committed figures into the page and the chart."""
    found = json.loads(OUT.read_text())
    put_table(PAGE, COMMAND, f"{stage_table(found)}\n\n{line_table(found)}")
    chart(found, CHART)


def chart(found: Row, path: Path) -> None:
    """Stages against FLOP, memory against pixels, a source frame against n and T, a thousand frames along a run."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "afitrt"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 2, figsize=(9.6, 6.4))
    _stages(axes[0][0], found["pixels"])
    _memory(axes[0][1], found["pixels"])
    _schedule(axes[1][0], found["schedule"])
    _along(axes[1][1], found["length"])
    for axis in axes.flat:
        axis.tick_params(colors=GREY, which="both")
        axis.title.set_color(GREY)
        axis.xaxis.label.set_color(GREY)
        axis.yaxis.label.set_color(GREY)
        axis.grid(alpha=0.25)
        for name, spine in axis.spines.items():
            spine.set_visible(name in ("left", "bottom"))
            spine.set_color(GREY)
        if axis.get_legend_handles_labels()[0]:
            axis.legend(frameon=False, labelcolor=GREY)
    figure.tight_layout()
    figure.savefig(path, transparent=True, bbox_inches="tight", metadata={"Date": None})
    pyplot.close(figure)


def _stages(axis: Any, pixels: Row) -> None:
    for stage, fit in pixels["fits"].items():
        if stage == "splat":
            continue
        work = [row["gflop"][stage] for row in pixels["rows"]]
        axis.loglog(work, [row["seconds"][stage] for row in pixels["rows"]], "o", color=COLOURS[stage], label=stage)
        axis.loglog(work, [each / fit["rate"] for each in work], color=COLOURS[stage])
    axis.set(title="one call of a stage", xlabel="GFLOP", ylabel="seconds")


def _memory(axis: Any, pixels: Row) -> None:
    across = [row["pixels"] / 1e6 for row in pixels["rows"]]
    fit = pixels["memory"]
    axis.plot(across, [row["peak_bytes"] / 1e9 for row in pixels["rows"]], "o", color=COLOURS["match"])
    axis.plot(across, [(fit["intercept"] + fit["slope"] * each * 1e6) / 1e9 for each in across], color=COLOURS["match"])
    axis.set(title="peak memory of a pair", xlabel="megapixels", ylabel="GB", ylim=(0, None))


def _schedule(axis: Any, schedule: Row) -> None:
    for name, colour in (("n", COLOURS["encode"]), ("T", COLOURS["splat"])):
        row = schedule[name]
        line = [row["fit"]["intercept"] + row["fit"]["slope"] * each for each in row["values"]]
        axis.plot(row["values"], row["seconds"], "o", color=colour, label=name)
        axis.plot(row["values"], line, color=colour)
    axis.set(title="a source frame, gmfss at 128x64", xlabel="n (T = 2), T (n = 2)", ylabel="seconds", ylim=(0, None))


def _along(axis: Any, length: Row) -> None:
    axis.plot(length["frames"], length["seconds_a_thousand"], "o-", color=COLOURS["encode"])
    axis.set(
        title="the last thousand frames of a run, blend at 64x48", xlabel="frames", ylabel="seconds", ylim=(0, None)
    )
