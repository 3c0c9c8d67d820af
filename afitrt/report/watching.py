"""Looks at every frame as it is decoded: how far it is from the one before, and both sides of every cut.

Memory is bounded: twelve bytes a frame, and thumbnails of a few hundred cuts however many there are.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np
import numpy.typing as npt

from afitrt.frames import Pixels
from afitrt.scenes import Verdict

WIDTH = 160
"""Pixels that a thumbnail is wide at most."""
CUTS_SHOWN = 400
DOUBTFUL_SHOWN = 12
APART = 12
"""Frames between two doubtful places at least: a quick pan is one of them, not ten."""
QUALITY = 75

Thumbnail = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Sides:
    """A place between two frames, with JPEG thumbnails of both.

    index: of the second frame, absolute. difference: mean absolute difference of the thumbnails, in 8-bit steps.
    branch, score: see scenes.Verdict.
    """

    index: int
    seconds: float
    difference: float
    branch: str
    score: float | None
    before: bytes
    after: bytes


@dataclass(frozen=True)
class Watched:
    """What was seen. differences: of each frame to the one before, the first one's is 0; seconds: when it is shown.

    first: absolute index of the first frame. cuts: indices of all first frames of scenes but the first scene's. shown:
    those of the cuts that have thumbnails, all of them up to CUTS_SHOWN, then evenly chosen. doubtful: the largest
    differences that were not taken as cuts, largest first.
    """

    first: int
    differences: array[float]
    seconds: array[float]
    cuts: tuple[int, ...]
    shown: tuple[Sides, ...]
    doubtful: tuple[Sides, ...]


class Watcher:
    """Called with every frame in order, by one thread at a time."""

    def __init__(self) -> None:
        self._first = 0
        self._differences, self._seconds = array("f"), array("d")
        self._cuts: list[int] = []
        self._shown: list[Sides] = []
        self._doubtful: list[tuple[Verdict, float, float, Thumbnail, Thumbnail]] = []
        self._stride = 1
        self._before: Thumbnail | None = None

    def __call__(self, verdict: Verdict, seconds: Fraction, pixels: Pixels) -> None:
        """Sees the next frame [height, width, 3], RGB, uint8 or uint16: the detector's word and its time."""
        now, before = _thumbnail(pixels), self._before
        difference = 0.0
        if before is None:
            self._first = verdict.index
        else:
            difference = float(cv2.absdiff(before, now).mean())
            if verdict.cut:
                self._cut(verdict, float(seconds), difference, before, now)
            else:
                self._doubt(verdict, float(seconds), difference, before, now)
        self._differences.append(difference)
        self._seconds.append(float(seconds))
        self._before = now

    def _cut(self, verdict: Verdict, seconds: float, difference: float, before: Thumbnail, now: Thumbnail) -> None:
        if len(self._cuts) % self._stride == 0:
            self._shown.append(_sides(verdict, seconds, difference, before, now))
        self._cuts.append(verdict.index)
        if len(self._shown) > CUTS_SHOWN:
            self._shown = self._shown[::2]
            self._stride *= 2

    def _doubt(self, verdict: Verdict, seconds: float, difference: float, before: Thumbnail, now: Thumbnail) -> None:
        places = self._doubtful
        near = next((each for each in places if verdict.index - each[0].index < APART), None)
        least = near or (places[-1] if len(places) == DOUBTFUL_SHOWN else None)
        if difference <= (least[2] if least else 0):
            return
        if least:
            places.remove(least)
        places.append((verdict, seconds, difference, before, now))
        places.sort(key=lambda each: -each[2])

    def watched(self) -> Watched:
        """All that was seen so far."""
        doubtful = tuple(_sides(*each) for each in self._doubtful)
        return Watched(self._first, self._differences, self._seconds, tuple(self._cuts), tuple(self._shown), doubtful)


def _thumbnail(pixels: Pixels) -> Thumbnail:
    height, width, _ = pixels.shape
    size = min(width, WIDTH)
    small = cv2.resize(pixels, (size, max(1, round(height * size / width))), interpolation=cv2.INTER_AREA)
    thumbnail: Thumbnail = small if small.dtype == np.uint8 else (small >> 8).astype(np.uint8)
    return thumbnail if thumbnail is not pixels else thumbnail.copy()


def _sides(verdict: Verdict, seconds: float, difference: float, before: Thumbnail, after: Thumbnail) -> Sides:
    pictures = [_jpeg(before), _jpeg(after)]
    return Sides(verdict.index, seconds, difference, verdict.branch, verdict.score, *pictures)


def _jpeg(thumbnail: Thumbnail) -> bytes:
    encoded: bytes = cv2.imencode(".jpg", thumbnail[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
    return encoded
