"""A job made definite: which frames, which rates, which file, how many pictures. Arithmetic, no pictures."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from afitrt.errors import OutputError, UsageError, counted
from afitrt.file_names import check_name, fitted
from afitrt.frames import VideoInfo
from afitrt.options import Job, ScheduleOptions
from afitrt.rates import rate_text
from afitrt.scenes import check_cuts
from afitrt.schedule import correction_cost, resolve_n_forward
from afitrt.video.encoders import PNG
from afitrt.video.hdr import dropped
from afitrt.video.numbered import DEFAULT_NAME, numbered
from afitrt.video.pipes import STDIO
from afitrt.video.showinfo import check_change
from afitrt.video.stamping import Stamps
from afitrt.video.timeline import normalise
from afitrt.video.tracks import CONTAINERS, default_output

CHEAP_PASSES = 6
LARGEST_TERM = 65535
INTERLACED = (
    "the source looks interlaced, and its combs will smear: --deinterlace (bwdif) takes them out, --ivtc (fieldmatch, "
    "decimate) where it was film"
)
TELECINED = (
    "the source looks like film in 30 frames a second, two in five of them combed: --ivtc (fieldmatch, decimate) gives "
    "the film's own frames back"
)
PIPED = "the pipe is marked as interlaced: its combs will smear; put ffmpeg -vf bwdif in front of it"
PULLDOWN = (
    "the source is film whose frames stay for two and three fields in turn, as DVDs have it: --normalize 24000/1001 "
    "spaces them evenly"
)
FIELD_SECONDS, TICK_SECONDS = 1001 / 60000, 0.002
MARKED = "the source is marked as interlaced, yet a sample shows whole frames; if combs smear: --deinterlace"


@dataclass(frozen=True)
class Task:
    """A job with everything resolved against its source.

    info: the source as probed. timing: the same as it is read: where another rate is asked for, made constant by
    repeating and dropping frames. first, last: half-open range of the frames read (absolute); last is None where a
    pipe is read to its end. rate: pictures per second of what is written; where that varies, the usual or average one,
    which is what the encoder is told.
    """

    job: Job
    info: VideoInfo
    timing: VideoInfo
    first: int
    last: int | None
    schedule: ScheduleOptions
    rate: Fraction
    output: Path
    warnings: tuple[str, ...]

    @property
    def source_rate(self) -> Fraction:
        """Frames per second of what is read; the usual or average one where it varies."""
        return self.timing.rate

    @property
    def partial(self) -> Path:
        """Where a run that fails keeps what is finished of a video."""
        return self.output.with_name(fitted(self.output.stem, ".partial.mkv"))

    @property
    def normalised(self) -> bool:
        """Are frames repeated and dropped to make the rate constant?"""
        return self.timing is not self.info

    @property
    def varies(self) -> bool:
        """Do the pictures written keep a rate that varies?"""
        return not self.timing.constant and self.schedule.times is not None

    @property
    def span(self) -> tuple[Fraction, Fraction] | None:
        """Seconds of the source that are taken, on its own clock, or None for all of it and for pictures alone."""
        if self.info.alone or self.last is None or (self.first, self.last) == (0, self.timing.frames):
            return None
        offset = self.info.seconds(0) - self.timing.seconds(0)
        return self.timing.seconds(self.first) + offset, self.timing.seconds(self.last) + offset

    @property
    def frames(self) -> int | None:
        """Frames that will be read; None of a pipe."""
        return None if self.info.piped or self.last is None else self.last - self.first

    def time(self, frame: int) -> Fraction:
        """Exact seconds from the first frame read to another, counted from it; past the last one it is the end."""
        return self.timing.elapsed(self.first + frame) - self.timing.elapsed(self.first)

    def outputs(self, frames: int) -> int:
        """Exact number of pictures written for so many frames read."""
        if self.schedule.times is not None:
            return frames * self.schedule.times
        return math.ceil(self.time(frames) * self.rate)

    def stamps(self, count: int) -> Stamps:
        """When the first pictures written are shown, counted from the first: the schedule's own times."""
        if not self.varies:
            return Stamps.regular(count, self.rate)
        assert self.schedule.times is not None, "only frames have times that vary"
        times, last = self.schedule.times, self.last or self.timing.frames
        edges = np.append(self.timing.pts, self.timing.end)[self.first : last + 1].astype(np.int64)
        edges -= edges[0]
        inner = np.arange(times, dtype=np.int64)
        shown = (edges[:-1, None] * (times - inner) + edges[1:, None] * inner).ravel()
        return Stamps(shown, int(edges[-1]) * times, self.timing.time_base / times).first(count)


def resolve(job: Job, info: VideoInfo) -> Task:
    """The task that a job means for this source.

    Raises UsageError where the span holds no frame or a cut lies outside the source, InputError where its pictures are
    seen to change within the span, OutputError where the output may not be written.
    """
    check_change(info, job.end)
    timing, warnings = _timing(job, info)
    warnings += _varying(job, timing)
    if info.untimed:
        warnings.append(f"the source has no time stamps: taken at {rate_text(info.rate)} fps; --rate gives another")
    warnings += fields(timing)
    warnings += dropped(info)
    warnings += _left_out(info)
    first, last = _piped_span(job, timing) if info.piped else _span(job, info, timing)
    check_cuts(job.scenes.cuts or (), None if info.piped else timing.frames)
    rate = job.schedule.fps or timing.rate * (job.schedule.times or 1)
    schedule = replace(job.schedule, n_forward=resolve_n_forward(job.schedule.n_forward, timing.rate))
    warnings += costs(schedule)
    label = f"{rate_text(rate)}fps" if timing.constant or job.schedule.fps else f"x{job.schedule.times}"
    output = _output(job, label)
    check_output(job, output)
    return Task(job, info, timing, first, last, schedule, rate, output, tuple(warnings))


def _left_out(info: VideoInfo) -> list[str]:
    """What is said about what pictures have besides what is shown of them."""
    notes = []
    if crop := info.crop:
        sides = f"{crop.left} left, {crop.right} right, {crop.above} above, {crop.below} below"
        notes.append(f"the container crops its pictures, and so does the output: {sides} (pixels)")
    if max(info.sample_aspect.numerator, info.sample_aspect.denominator) > LARGEST_TERM:
        notes.append(f"the pixel aspect {info.sample_aspect} is rounded in the stream, with 16 bits a term")
    if info.marks:
        notes.append(f"{' and '.join(info.marks)} of the pictures are not applied: they are read and written as sRGB")
    if info.opaque:
        notes.append("the alpha channel is left out: it is opaque in every pixel")
    return notes


def _timing(job: Job, info: VideoInfo) -> tuple[VideoInfo, list[str]]:
    """The source as it is read, and what is said about that."""
    rate = job.normalize
    if rate is None or (info.constant and rate == info.rate):
        return info, []
    if info.piped:
        timing = info.at(rate, 0)
        return timing, [f"read at {rate_text(rate)} instead of {rate_text(info.rate)} fps"]
    normal = normalise(info, rate)
    said = f"read at {rate_text(rate)} instead of {rate_text(info.rate)} fps"
    return normal.info, [f"{said}: {counted(normal.repeated, 'frame')} repeated, {normal.dropped} dropped"]


def _varying(job: Job, timing: VideoInfo) -> list[str]:
    """What is said where a varying rate goes to what has no times. Raises UsageError where it cannot."""
    if timing.constant or job.schedule.fps or job.output is None:
        return []
    usual = rate_text(timing.rate)
    if job.output == STDIO:
        raise UsageError(
            f"{timing.path} has a rate that varies, and y4m has one rate",
            "a constant rate",
            f"--fps {rate_text(timing.rate * (job.schedule.times or 1))}, or --normalize {usual}",
        )
    if job.encode.codec == PNG or numbered(job.output):
        return [f"the rate varies, and pictures have no times: --normalize {usual} makes it constant"]
    return []


def costs(schedule: ScheduleOptions) -> list[str]:
    """A warning where correcting the edges of scenes takes long; n_forward is resolved."""
    n = schedule.n_forward
    if not schedule.correct or n <= CHEAP_PASSES:
        return []
    each = counted(correction_cost(n), "inference")
    return [f"with {n} passes each edge of a scene takes up to {each}; --no-correct saves most of them"]


def _pulled_down(info: VideoInfo) -> bool:
    """Do frames stay for two fields as often as for three, and never for anything else?"""
    if info.constant or info.frames < 10:
        return False
    spacing = np.diff(info.pts) * float(info.time_base)
    two, three = (np.abs(spacing - count * FIELD_SECONDS) < TICK_SECONDS for count in (2, 3))
    return bool(np.all(two | three)) and abs(int(two.sum()) - int(three.sum())) <= info.frames // 10


def fields(info: VideoInfo) -> list[str]:
    """What is said about a source that is interlaced or telecined, or marked so."""
    if info.piped:
        return [PIPED] if info.interlaced else []
    if _pulled_down(info):
        return [PULLDOWN]
    if info.scan != "progressive":
        return [TELECINED if info.scan == "telecined" else INTERLACED]
    return [MARKED] if info.interlaced else []


def _piped_span(job: Job, timing: VideoInfo) -> tuple[int, int | None]:
    return math.ceil((job.start or 0) * timing.rate), None if job.end is None else math.ceil(job.end * timing.rate)


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


def _output(job: Job, label: str) -> Path:
    """The file, pattern or `-` to write: --codec png makes a folder of what names no file."""
    pictures = job.encode.codec == PNG
    if job.output is None:
        named = default_output(job.source, label)
        named = named if job.folder is None else job.folder / named.name
        return named.with_suffix("") / DEFAULT_NAME if pictures else named
    plain = job.output != STDIO and not numbered(job.output) and job.output.suffix.lower() not in CONTAINERS
    return job.output / DEFAULT_NAME if pictures and plain else job.output


def check_output(job: Job, output: Path) -> None:
    """Raises OutputError where a job's output may not be written: another file is there, or its name is no good."""
    if output != STDIO:
        check_name(output, "name OUT, shorter: afitrt interpolate IN OUT.mkv")
    if names := numbered(output):
        _check_folder(job.source, output.parent)
        if (taken := names.numbers()) and not job.overwrite:
            found = f"{counted(len(taken), 'picture')} named like {output} found"
            raise OutputError(found, "a new or empty folder", "--overwrite, or give another name")
        return
    if output == STDIO:
        return
    if output.exists() and job.source.exists() and output.samefile(job.source):
        raise OutputError(f"{output} is the source itself", "another file", "give the output another name")
    if output.is_dir():
        hint = f"{output / 'out.mkv'}, or {output}/ for pictures"
        raise OutputError(f"{output} is a folder", "a file's name", hint)
    check_free(output, job.overwrite)


def check_free(output: Path, overwrite: bool) -> None:
    """Raises OutputError for a file that is there and may not be replaced."""
    if output.exists() and not overwrite:
        raise OutputError(f"{output} exists", "a new file", "--overwrite, or give another name")


def _check_folder(source: Path, folder: Path) -> None:
    """Raises OutputError where pictures would be written among those that are read."""
    read = source if source.is_dir() else source.parent if numbered(source) else None
    if read is not None and folder.is_dir() and folder.samefile(read):
        raise OutputError(f"{folder} is the source's own folder", "another folder", "give the output another name")
