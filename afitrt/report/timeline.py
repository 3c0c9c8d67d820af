"""The chart of frame differences as inline SVG: at most one column a pixel, however long the film is."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from afitrt.report.watching import Watched

WIDTH, HEIGHT = 1200, 170
TOP, BOTTOM = 12, 22
LABELS = 8


def timeline(watched: Watched) -> str:
    """The chart: the largest difference of each column as a root, so that small motion is seen beside cuts."""
    differences = np.sqrt(np.frombuffer(watched.differences, np.float32))
    frames = len(differences)
    if frames < 2:
        return "<p>Too short for a chart.</p>"
    scale = (HEIGHT - TOP - BOTTOM) / max(1.0, float(differences.max()))
    columns = min(WIDTH, frames)
    starts = np.arange(columns) * frames // columns
    highest = np.maximum.reduceat(differences, starts) * scale
    floor, wide = HEIGHT - BOTTOM, WIDTH / columns
    area = "".join(f"L{k * wide:.1f} {floor - y:.1f}H{(k + 1) * wide:.1f}" for k, y in enumerate(highest))

    def x(index: int) -> float:
        return (index - watched.first + 0.5) * WIDTH / frames

    cuts = "".join(f"M{x(each):.1f} {TOP - 8}V{floor}" for each in watched.cuts)
    doubtful = "".join(
        f'<a href="#frame-{each.index}"><circle class="doubt" cx="{x(each.index):.1f}" '
        f'cy="{floor - math.sqrt(each.difference) * scale:.1f}" r="4">'
        f"<title>frame {each.index}, not taken as a cut</title></circle></a>"
        for each in watched.doubtful
    )
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="differences between frames and cuts">'
        f'<path class="cut" d="{cuts}"/><path class="area" d="M0 {floor}{area}V{floor}Z"/>{doubtful}'
        f'<path class="axis" d="M0 {floor}H{WIDTH}"/>{"".join(_labels(watched, floor + 15))}</svg>'
    )


def _labels(watched: Watched, y: int) -> Iterator[str]:
    frames = len(watched.seconds)
    for place in range(LABELS + 1):
        index = place * (frames - 1) // LABELS
        anchor = "start" if place == 0 else "end" if place == LABELS else "middle"
        minutes, seconds = divmod(watched.seconds[index], 60)
        text = f"{index + watched.first} ({minutes:.0f}:{seconds:04.1f})"
        yield f'<text x="{(index + 0.5) * WIDTH / frames:.1f}" y="{y}" text-anchor="{anchor}">{text}</text>'
