"""What bench/gpu.py found, as values: ratios, a table, a chart. Nothing here needs a GPU."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

Row = dict[str, Any]
KEYS = ("size", "n_forward", "rate")
"""What two measurements must share to be compared."""
SCHEMA = Path(__file__).parent / "results" / "gpu.schema.json"


def steady(marks: Sequence[tuple[float, int]], per_frame: float) -> float:
    """Seconds per source frame after the first third. marks: moments and pictures put out by then."""
    if len(marks) < 4:
        raise ValueError(f"{len(marks)} pictures are too few to time")
    (began, first), (ended, last) = marks[len(marks) // 3], marks[-1]
    return (ended - began) / (last - first) * per_frame


def busy(stages: Sequence[Row], calls: dict[str, int], size: str, wall: float) -> float:
    """The share of the wall time in which the GPU ran stages: milliseconds of one call, times the calls."""
    milliseconds = {row["stage"]: row["milliseconds"] for row in stages if row["size"] == size}
    return float(sum(milliseconds[stage] * count for stage, count in calls.items()) / 1000 / wall)


def ratios(runs: Sequence[Row], seed: Sequence[Row]) -> list[Row]:
    """How many times as fast as the seed's way, wherever both were measured alike."""
    theirs = {tuple(row[key] for key in KEYS): row["seconds_per_source_frame"] for row in seed}
    found = []
    for row in runs:
        alike = tuple(row[key] for key in KEYS)
        if alike in theirs:
            speedup = theirs[alike] / row["seconds_per_source_frame"]
            found.append({key: row[key] for key in KEYS} | {"speedup_vs_seed": round(speedup, 2)})
    return found


def table(found: Row) -> str:
    """Seconds per source frame as a Markdown table, one row a size, n and rate."""
    speedups = {tuple(row[key] for key in KEYS): row["speedup_vs_seed"] for row in found["ratios"]}
    lines = [
        f"{found['hardware']['gpu']}, {found['runtime']}, {found['precision']}:",
        "",
        "| size | n | rate | ms a source frame | against the seed's way | planned GB | peak GB | GPU busy |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in found["runs"]:
        speedup = speedups.get(tuple(row[key] for key in KEYS))
        cells = (
            row["size"],
            str(row["n_forward"]),
            row["rate"],
            f"{1000 * row['seconds_per_source_frame']:.1f}",
            "-" if speedup is None else f"{speedup:.2f}x",
            *(_gigabytes(row[name]) for name in ("planned_bytes", "peak_bytes")),
            "-" if row["busy"] is None else f"{100 * row['busy']:.0f} %",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _gigabytes(nbytes: int | None) -> str:
    return "-" if nbytes is None else f"{nbytes / 1e9:.2f}"


COLOURS = ("#4477aa", "#66ccee", "#228833", "#ccbb44", "#ee6677")
WIDTH, BAR, LEFT = 720, 18, 190


def chart(found: Row) -> str:
    """The runs as an SVG of bars, milliseconds a source frame; the seed's way beside what it is compared with."""
    bars = [(row, "ours") for row in found["runs"]] + [(row, "the seed's way") for row in found["seed"]]
    bars.sort(key=lambda bar: (*(str(bar[0][key]) for key in ("size", "rate", "n_forward")), bar[1]))
    longest = max(row["seconds_per_source_frame"] for row, _ in bars)
    height = (BAR + 4) * len(bars) + 30
    root = ElementTree.Element(
        "svg", xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {WIDTH} {height}", width=str(WIDTH), height=str(height)
    )
    style = {"font-family": "sans-serif", "font-size": "12", "fill": "#888888"}
    title = ElementTree.SubElement(root, "text", x="4", y="14", **style)
    title.text = f"milliseconds a source frame, {found['hardware']['gpu']}, {found['runtime']} {found['precision']}"
    for number, (row, who) in enumerate(bars):
        top = 24 + number * (BAR + 4)
        label = ElementTree.SubElement(root, "text", x="4", y=str(top + 13), **style)
        label.text = f"{row['size']} n={row['n_forward']} {row['rate']} {'' if who == 'ours' else 'seed'}"
        seconds = row["seconds_per_source_frame"]
        length = max(1, round((WIDTH - LEFT - 70) * seconds / longest))
        colour = COLOURS[-1] if who != "ours" else COLOURS[row["n_forward"] % (len(COLOURS) - 1)]
        shape = {"x": str(LEFT), "y": str(top), "width": str(length), "height": str(BAR), "fill": colour}
        ElementTree.SubElement(root, "rect", shape)
        value = ElementTree.SubElement(root, "text", x=str(LEFT + length + 4), y=str(top + 13), **style)
        value.text = f"{1000 * seconds:.1f}"
    return ElementTree.tostring(root, encoding="unicode")


def write(found: Row, out: Path, image: Path | None) -> None:
    """The figures as JSON and, where a path is given, the chart."""
    out.parent.mkdir(parents=True, exist_ok=True)
    aside = out.with_suffix(".part")
    aside.write_text(json.dumps(found, indent=1) + "\n")
    aside.replace(out)
    if image is not None and (found["runs"] or found["seed"]):
        image.write_text(chart(found) + "\n")
