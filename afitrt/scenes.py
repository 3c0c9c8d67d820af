"""Where scenes begin: one verdict for every frame, from a detector that has state of its own and does no IO.

A cut is the index, counted from 0 in the whole file, of the first frame of a new scene. The very first frame
that a detector sees opens a scene by itself and is never a cut.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from afitrt.errors import InputError, UsageError
from afitrt.frames import Pixels
from afitrt.options import SceneOptions
from afitrt.yuv import Yuv420

CUTS_HINT = 'a file like {"cuts": [31, 64]}, as `afitrt scenes IN -o cuts.json` writes it'


@dataclass(frozen=True)
class Verdict:
    """What a detector says about one frame.

    index: 0-based in the whole file. diff: distance to the frame before (mean over H, S and V of the mean
    absolute difference, in 8-bit steps), None where nothing was measured. score: growth of the variation of
    the recent diffs, None except in branch "judge". branch: the rule that decided: first, dup, pure, dead,
    fill, judge (svfi), none, given. cut: does a new scene start here?
    """

    index: int
    diff: float | None
    score: float | None
    branch: str
    cut: bool


class Detector(Protocol):
    """Asked about every frame, in order."""

    def judge(self, frame: Pixels) -> Verdict:
        """Verdict on the next frame: [height, width, 3], RGB, uint8 or uint16 over its full range; or planar."""
        ...


def detector(options: SceneOptions, first: int = 0, yuv: Yuv420 | None = None) -> Detector:
    """The detector that the options ask for; `first` is the file's index of the first frame it will see.

    yuv: what the frames are, where they are no RGB.
    Raises UsageError for impossible cuts.
    """
    if options.cuts is not None:
        return GivenCuts(check_cuts(options.cuts), first)
    if options.detector == "none":
        return NoCuts(first)
    return SvfiDetector(options.threshold, first, yuv)


class GivenCuts:
    """Cuts where a person said so."""

    def __init__(self, cuts: Sequence[int], first: int = 0) -> None:
        self._cuts = frozenset(cuts)
        self._first = self._next = first

    def judge(self, frame: Pixels) -> Verdict:
        index = self._next
        self._next += 1
        if index == self._first:
            return Verdict(index, None, None, "first", False)
        return Verdict(index, None, None, "given", index in self._cuts)


class NoCuts:
    """Takes the whole video for one scene."""

    def __init__(self, first: int = 0) -> None:
        self._first = self._next = first

    def judge(self, frame: Pixels) -> Verdict:
        index = self._next
        self._next += 1
        return Verdict(index, None, None, "first" if index == self._first else "none", False)


class SvfiDetector:
    """The detector of AFI-ForwardDeduplicate (scdet.py), decision for decision.

    A cut is a jump of the frame difference out of the trend of the last four. Known weaknesses, kept for
    parity: cuts between stills are missed, a pan that stops is a cut, red hue wraps, a flash is one or two
    cuts, a slow cross-fade is none.
    """

    QUEUE = 4
    SAME = 0.001
    FLAT_VARIANCE = 10
    DEAD = 80
    BORN = 2

    def __init__(self, threshold: float = 14.0, first: int = 0, yuv: Yuv420 | None = None) -> None:
        self._threshold, self._yuv = threshold, yuv
        self._next = first
        self._recent: deque[float] = deque(maxlen=self.QUEUE)
        self._flat_repeated = False
        self._blue: npt.NDArray[np.uint8] | None = None
        self._hsv: npt.NDArray[np.uint8] | None = None

    def judge(self, frame: Pixels) -> Verdict:
        import cv2

        pixels, step = sample(frame, self._yuv)
        hsv = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)
        blue = pixels[:: 4 // step, :: 4 // step, 2]
        if self._hsv is None or self._blue is None:
            verdict = Verdict(self._next, None, None, "first", False)
        else:
            verdict = self._decide(_mean_difference(self._hsv, hsv), self._blue)
        self._hsv, self._blue = hsv, blue
        self._next += 1
        return verdict

    def _decide(self, diff: float, earlier_blue: npt.NDArray[np.uint8]) -> Verdict:
        score, cut = None, False
        if diff < self.SAME:
            branch = "dup"
            self._flat_repeated = self._flat_repeated or bool(np.var(earlier_blue) < self.FLAT_VARIANCE)
        elif self._flat_repeated:
            branch, cut = "pure", True
            self._flat_repeated = False
        elif diff > self.DEAD:
            branch, cut = "dead", True
            self._recent.clear()
        elif len(self._recent) < self.QUEUE:
            branch = "fill"
            # Equality of floats, as in the original: a still followed by a still never fills the queue.
            if diff not in self._recent:
                self._recent.append(diff)
        else:
            branch = "judge"
            before = _variation(self._recent)
            self._recent.append(diff)
            score = _variation(self._recent) - before
            cut = score > self._threshold and diff > self.BORN
            if cut:
                self._recent.clear()
        return Verdict(self._next, diff, score, branch, cut)


def sample(frame: Pixels, yuv: Yuv420 | None) -> tuple[npt.NDArray[np.uint8], int]:
    """uint8 copy, RGB, of every 2nd pixel both ways, every 4th above 1000 lines, and that step."""
    step = 4 if (yuv.height if yuv else frame.shape[0]) > 1000 else 2
    if yuv:
        return yuv.small(frame, step), step
    pixels = frame[::step, ::step]
    if pixels.dtype == np.uint16:
        return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8), step
    return np.ascontiguousarray(pixels, np.uint8), step


def _mean_difference(left: npt.NDArray[np.uint8], right: npt.NDArray[np.uint8]) -> float:
    """Mean over the three channels of the mean absolute difference of two uint8 [h, w, 3] arrays."""
    import cv2

    hue, saturation, value, _ = cv2.sumElems(cv2.absdiff(left, right))
    count = float(left.shape[0] * left.shape[1])
    return float(hue / count + saturation / count + value / count) / 3.0


def _variation(diffs: Sequence[float] | deque[float]) -> float:
    """(Var(d) + slope² Var(0..k-1))^0.65 with the slope of the least-squares line through the diffs.

    A sum rather than the residual's variance: the original subtracts a column from a row, so every diff meets
    every point of the line.
    """
    values, steps = np.array(diffs), np.arange(len(diffs))
    slope = np.mean((steps - steps.mean()) * (values - values.mean())) / steps.var()
    return float((values.var() + slope**2 * steps.var()) ** 0.65)


def check_cuts(cuts: Sequence[Any], frames: int | None = None) -> tuple[int, ...]:
    """The cuts, unchanged, if they are ascending whole numbers from 1, below the number of frames.

    Raises UsageError that names the first wrong one.
    """
    previous = 0
    for cut in cuts:
        if isinstance(cut, bool) or not isinstance(cut, int) or cut < 1:
            raise UsageError(f"cut {cut!r:.40}", "a frame number from 1, counted from 0", CUTS_HINT)
        if cut == previous:
            raise UsageError(f"cut {cut} twice", "every cut once", "delete one of them")
        if cut < previous:
            raise UsageError(f"cut {cut} after {previous}", "cuts in ascending order", "sort them")
        if frames is not None and cut >= frames:
            raise UsageError(f"cut {cut} in a video of {frames} frames", f"at most {frames - 1}", "delete it")
        previous = cut
    return tuple(cuts)


def read_cuts(path: Path, frames: int | None = None) -> tuple[int, ...]:
    """The cuts of a JSON file `{"cuts": [31, 64]}`, ascending; frames is the video's length where known.

    Raises InputError when the file is no such JSON, UsageError when a cut is impossible.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}", "a file of cuts", CUTS_HINT) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON: {error}", "a file of cuts", CUTS_HINT) from error
    if not isinstance(content, dict) or not isinstance(content.get("cuts"), list):
        raise InputError(f'{path} has no list "cuts"', "a file of cuts", CUTS_HINT)
    try:
        return check_cuts(content["cuts"], frames)
    except UsageError as error:
        raise UsageError(f"{path}: {error.found}", error.expected, error.hint) from error


def cuts_text(cuts: Sequence[int]) -> str:
    """Text of a cuts file, one line."""
    return json.dumps({"cuts": list(cuts)}) + "\n"
