"""A drawn clip for measuring motion: cels on ones, twos, threes or mixed over a background that pans on ones.

Each cel is a disc of a pure colour on a grey background, so that its place in any picture is the centre of
gravity of that colour, whatever an interpolator made of its edges.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, cycle, takewhile
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Frame = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Hold = int | tuple[int, ...]
"""For how many frames a drawing is shown; several numbers take turns."""

SPEED = 3
"""Pixels per source frame, on average, of every cel."""
PAN = 2
"""Pixels per source frame of the background."""


def background(width: int, height: int, length: int, grain: int) -> Frame:
    """uint8 [height, wide, 3]: grey, smooth texture, wide enough to pan over `length` frames."""
    rng = np.random.default_rng(7)
    coarse = rng.uniform(60, 190, (height // grain + 2, (width + PAN * length) // grain + 2)).astype(np.float32)
    smooth = cv2.resize(coarse, None, fx=grain, fy=grain, interpolation=cv2.INTER_CUBIC)
    return np.clip(smooth, 40, 210).astype(np.uint8)[:height, : width + PAN * length, None].repeat(3, axis=2)


def drawn_at(hold: Hold, index: int) -> int:
    """The frame at which the drawing that frame `index` shows was new."""
    holds = (hold,) if isinstance(hold, int) else hold
    return list(takewhile(lambda start: start <= index, accumulate(cycle(holds), initial=0)))[-1]


def clip(width: int, height: int, length: int, holds: Sequence[Hold], grain: int = 8, pan: int = PAN) -> list[Frame]:
    """`length` frames [height, width, 3], RGB: cel i, in colour channel i % 3 and its own band, is held as holds[i].

    grain: how coarse the background is, in pixels. pan: how many of them it moves a frame; 0 stands still.
    """
    wide = background(width, height, length, grain)
    frames = []
    for index in range(length):
        frame = wide[:, pan * index : pan * index + width].copy()
        for cel, hold in enumerate(holds):
            x = 24 + SPEED * drawn_at(hold, index)
            y = (2 * cel + 1) * height // (2 * len(holds))
            colour = [30, 30, 30]
            colour[cel % 3] = 235
            cv2.circle(frame, (x, y), height // (4 * len(holds)), colour, -1, cv2.LINE_AA)
        frames.append(frame)
    return frames


def band(cel: int, count: int, height: int) -> slice:
    """The rows in which cel `cel` of `count` is alone."""
    return slice(cel * height // count, (cel + 1) * height // count)


def places(frames: Sequence[npt.NDArray[Any]], channel: int) -> Floats:
    """Horizontal centre, in pixels, of the cel of one channel in each frame (integers over their range, or 0..1)."""
    centres = []
    for frame in frames:
        picture = frame.astype(np.float64) / (1 if frame.dtype.kind == "f" else np.iinfo(frame.dtype).max)
        others = [c for c in range(3) if c != channel]
        mass = np.clip(picture[:, :, channel] - picture[:, :, others].max(axis=2) - 0.1, 0, None)
        centres.append(float((mass.sum(axis=0) * np.arange(frame.shape[1])).sum() / mass.sum()))
    return np.array(centres)


def spread(frames: Sequence[npt.NDArray[Any]], channel: int) -> float:
    """Standard deviation, in pixels, of the cel's displacement from picture to picture: 0 is even motion."""
    return float(np.diff(places(frames, channel)).std())
