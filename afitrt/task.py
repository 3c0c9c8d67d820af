"""A job made definite: which frames, which rates, which file, how many pictures. Arithmetic, no pictures."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from afitrt.errors import OutputError, UsageError
from afitrt.frames import VideoInfo
from afitrt.options import Job, ScheduleOptions
from afitrt.rates import rate_text
from afitrt.schedule import resolve_n_forward


@dataclass(frozen=True)
class Task:
    """A job with everything resolved against its source.

    first, last: half-open range of source frames (absolute). source_rate: frames per second of what is read.
    rate: pictures per second of what is written. normalised: the source's rate varies and is made constant.
    """

    job: Job
    info: VideoInfo
    first: int
    last: int
    schedule: ScheduleOptions
    source_rate: Fraction
    rate: Fraction
    output: Path

    @property
    def normalised(self) -> bool:
        """Does ffmpeg repeat and drop frames to make the rate constant?"""
        return not self.info.constant

    @property
    def span(self) -> tuple[Fraction, Fraction] | None:
        """Seconds of the source that are taken, or None for all of it."""
        if (self.first, self.last) == (0, self.info.frames):
            return None
        return self.info.seconds(self.first), self.info.seconds(self.last)

    @property
    def frames(self) -> int:
        """Source frames that will be read; where the rate varies, what its normalisation should give."""
        if not self.normalised:
            return self.last - self.first
        length = self.info.seconds(self.last) - self.info.seconds(self.first)
        return max(1, round(length * self.source_rate))

    def outputs(self, frames: int) -> int:
        """Exact number of pictures written for so many frames read."""
        if self.schedule.times is not None:
            return frames * self.schedule.times
        return math.ceil(frames * self.rate / self.source_rate)


def resolve(job: Job, info: VideoInfo) -> Task:
    """The task that a job means for this source.

    Raises UsageError where the span holds no frame, OutputError where the output may not be written.
    """
    first, last = _span(job, info)
    rate = job.schedule.fps or info.rate * (job.schedule.times or 1)
    schedule = replace(job.schedule, n_forward=resolve_n_forward(job.schedule.n_forward, info.rate))
    output = job.output or job.source.with_name(f"{job.source.stem}.{rate_text(rate)}fps.mkv")
    _check_output(job, output)
    return Task(job, info, first, last, schedule, info.rate, rate, output)


def _span(job: Job, info: VideoInfo) -> tuple[int, int]:
    def index(seconds: Fraction | None, otherwise: int) -> int:
        if seconds is None:
            return otherwise
        return int(np.searchsorted(info.pts, math.ceil(seconds / info.time_base), side="left"))

    first, last = index(job.start, 0), index(job.end, info.frames)
    if first >= last:
        begins, ends = float(info.seconds(0)), float(info.seconds(info.frames))
        raise UsageError(
            "no frame lies between --start and --end",
            f"a span inside {begins:.3f} to {ends:.3f} seconds",
            f"--start {begins:.3f}",
        )
    return first, last


def _check_output(job: Job, output: Path) -> None:
    if output.exists() and job.source.exists() and output.samefile(job.source):
        raise OutputError(f"{output} is the source itself", "another file", "give the output another name")
    if output.is_dir():
        raise OutputError(f"{output} is a folder", "a file's name", f"{output / 'out.mkv'}")
    if output.exists() and not job.overwrite:
        raise OutputError(f"{output} exists", "a new file", "--overwrite, or give another name")
