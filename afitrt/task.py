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
from afitrt.scenes import check_cuts
from afitrt.schedule import resolve_n_forward
from afitrt.video.timeline import Normalised, normalise
from afitrt.video.tracks import default_output


@dataclass(frozen=True)
class Task:
    """A job with everything resolved against its source.

    info: the source as probed. timing: the same as it is read: where the rate varies, made constant by repeating
    and dropping frames. first, last: half-open range of the frames read (absolute). rate: pictures per second of
    what is written.
    """

    job: Job
    info: VideoInfo
    timing: VideoInfo
    first: int
    last: int
    schedule: ScheduleOptions
    rate: Fraction
    output: Path
    warnings: tuple[str, ...]

    @property
    def source_rate(self) -> Fraction:
        """Frames per second of what is read."""
        return self.timing.rate

    @property
    def normalised(self) -> bool:
        """Does ffmpeg repeat and drop frames to make the rate constant?"""
        return not self.info.constant

    @property
    def span(self) -> tuple[Fraction, Fraction] | None:
        """Seconds of the source that are taken, on its own clock, or None for all of it."""
        if (self.first, self.last) == (0, self.timing.frames):
            return None
        offset = self.info.seconds(0) - self.timing.seconds(0)
        return self.timing.seconds(self.first) + offset, self.timing.seconds(self.last) + offset

    @property
    def frames(self) -> int:
        """Frames that will be read."""
        return self.last - self.first

    def outputs(self, frames: int) -> int:
        """Exact number of pictures written for so many frames read."""
        if self.schedule.times is not None:
            return frames * self.schedule.times
        return math.ceil(frames * self.rate / self.source_rate)


def resolve(job: Job, info: VideoInfo) -> Task:
    """The task that a job means for this source.

    Raises UsageError where the span holds no frame or a cut lies outside the source, OutputError where the output
    may not be written.
    """
    timing = info
    warnings: tuple[str, ...] = ()
    if not info.constant:
        normal = normalise(info, info.rate)
        timing, warnings = normal.info, (_varying(normal, info),)
    first, last = _span(job, info, timing)
    check_cuts(job.scenes.cuts or (), timing.frames)
    rate = job.schedule.fps or info.rate * (job.schedule.times or 1)
    schedule = replace(job.schedule, n_forward=resolve_n_forward(job.schedule.n_forward, info.rate))
    output = job.output or default_output(job.source, rate_text(rate))
    _check_output(job, output)
    return Task(job, info, timing, first, last, schedule, rate, output, warnings)


def _varying(normal: Normalised, info: VideoInfo) -> str:
    return (
        f"the frame rate varies; made constant at {rate_text(info.rate)} fps, its average: "
        f"{normal.repeated} frames repeated, {normal.dropped} dropped"
    )


def _span(job: Job, info: VideoInfo, timing: VideoInfo) -> tuple[int, int]:
    offset = info.seconds(0) - timing.seconds(0)

    def index(seconds: Fraction | None, otherwise: int) -> int:
        if seconds is None:
            return otherwise
        return int(np.searchsorted(timing.pts, math.ceil((seconds - offset) / timing.time_base), side="left"))

    first, last = index(job.start, 0), index(job.end, timing.frames)
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
