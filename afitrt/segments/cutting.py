"""Which outputs make a segment: by one rule that can be followed while a film is read for the first time."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence

from afitrt.frames import VideoInfo
from afitrt.options import ModelOptions, ScheduleOptions
from afitrt.schedule import Range

MOST = 500
LEAST = 96
SECONDS = 300

# Seconds that one matching and one synthesis take for each million pixels, on two cores of an AMD EPYC. Of a frame of
# 448x256, which needs three of each, gmfss takes 2.92 s (`make bench`) and rife 0.22 s (0.43 s of processor time).
# A table and not a timing: two runs of one command must cut a film alike, whatever the machine.
UNIT_SECONDS = {"gmfss": 8.5, "rife": 0.65, "rife48": 0.65}


def default_length(model: ModelOptions, info: VideoInfo, schedule: ScheduleOptions, ratio: float) -> int:
    """Outputs that are about five minutes of work, at least 96 and at most 500. ratio: outputs for each frame.

    Shorter ones would cost bytes, since each begins with a picture coded on its own.
    """
    if model.runtime != "onnx" or model.model not in UNIT_SECONDS:
        return MOST
    units = 2 * schedule.n_forward + ratio
    seconds = UNIT_SECONDS[model.model] * info.width * info.height / 1e6 * units / 2 / ratio
    return max(LEAST, min(MOST, int(SECONDS / seconds)))


class Cutter:
    """Segments of about `length` outputs. One ends where a scene does once it is half full, else when it is full.

    `scene` is told where scenes begin, `segment` asked about every output, both in rising order, a scene before its
    first output. bounds: the first output of every segment so far, and after `close` the number of all outputs.
    """

    def __init__(self, length: int) -> None:
        self._length, self._half = length, math.ceil(length / 2)
        self._starts: set[int] = set()
        self.bounds = [0]

    def scene(self, output: int) -> None:
        """A scene begins with this output."""
        self._starts.add(output)

    def segment(self, output: int) -> int:
        """The number of the segment that the next output belongs to."""
        held = output - self.bounds[-1]
        if held >= self._length or (held >= self._half and output in self._starts):
            self.bounds.append(output)
        self._starts.discard(output)
        return len(self.bounds) - 1

    def segment_of(self, output: int) -> int:
        """The same for an output that has been asked about before; for any thread."""
        return bisect_right(self.bounds, output) - 1

    def close(self, outputs: int) -> None:
        """There are no more outputs than these."""
        if outputs > self.bounds[-1]:
            self.bounds.append(outputs)


def cut(outputs: int, starts: Sequence[int], length: int) -> list[Range]:
    """The segments of so many outputs, half-open. starts: outputs that begin scenes."""
    cutter = Cutter(length)
    for start in starts:
        cutter.scene(start)
    for output in range(outputs):
        cutter.segment(output)
    cutter.close(outputs)
    return list(zip(cutter.bounds, cutter.bounds[1:], strict=False))
