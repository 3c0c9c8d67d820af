"""A few seconds of a video as they are and with several numbers of passes, side by side under labels in one file."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from afitrt import pipeline, video
from afitrt.errors import UsageError
from afitrt.events import Done, Tell
from afitrt.file_names import check_name, work_name
from afitrt.frames import Pixels, VideoInfo
from afitrt.options import EncodeOptions, Job
from afitrt.task import check_free, resolve

LARGEST = (3840, 2160)
"""Pixels of a sheet; larger ones are made smaller, for no player shows them."""

LOSSLESS = EncodeOptions(codec="ffv1")


def checked(job: Job) -> Job:
    """The job with its output named, IN.preview.mkv beside the source where none is.

    Raises UsageError where the source cannot be read twice or the span lies behind its end, OutputError where the
    output exists and may not be replaced, InputError for the source.
    """
    if job.source == Path(video.STDIO):
        raise UsageError("- as IN", "a file, which is read once for every panel", "a file's name")
    info = video.probe_source(job.source, job.rate, job.filters, job.video)
    last = info.seconds(info.frames)
    if job.start is not None and job.start >= last:
        raise UsageError(
            f"--at {float(job.start):g}", f"a moment before the end at {float(last):.3f} seconds", "--at 0"
        )
    output = job.output or video.default_output(job.source, "preview")
    check_name(output, "name OUT, shorter: afitrt preview IN OUT.mkv")
    check_free(output, job.overwrite)
    return replace(job, output=output)


def render(job: Job, n_forward: int, folder: Path, tell: Tell) -> Path:
    """The span of a job with so many passes, lossless, as a file in `folder`. Raises as `pipeline.interpolate` does."""
    schedule = replace(job.schedule, n_forward=n_forward)
    one = replace(job, output=folder / f"{n_forward}.mkv", schedule=schedule, encode=LOSSLESS, overwrite=True)
    pipeline.interpolate(one, lambda event: None if isinstance(event, Done) else tell(event))
    return folder / f"{n_forward}.mkv"


def compose(job: Job, rendered: Mapping[str, Path]) -> Path:
    """Writes the source and the rendered files, by label, into the job's output, with the sound of the span.

    Every output picture of the source is the frame that a player would show at that time. Raises OutputError,
    RenderError and MissingToolError as writing does.
    """
    assert job.output is not None, "a checked job has an output"
    infos = [video.probe(path) for path in rendered.values()]
    sheets = _Sheets(infos[0], ["source", *rendered])
    info = replace(infos[0], width=sheets.width, height=sheets.height)
    encode, _ = video.choose_encoding(info, job.encode, video.container_of(job.output), video.present_encoders())
    aside = job.output.with_name(work_name(".mkv"))
    try:
        with video.Writer(aside, info, info.rate, encode) as writer:
            for pictures in _together(job, infos):
                writer.write(sheets.drawn(pictures))
        video.mux([aside], infos[0], job.output, _stamps(infos[0]))
    finally:
        aside.unlink(missing_ok=True)
    return job.output


def _stamps(info: VideoInfo) -> video.Stamps:
    """When the pictures of a file are shown, from 0."""
    if info.constant:
        return video.Stamps.regular(info.frames, info.rate)
    begins = int(info.pts[0])
    return video.Stamps(info.pts - begins, info.end - begins, info.time_base)


def _together(job: Job, infos: Sequence[VideoInfo]) -> Iterator[list[Pixels]]:
    """What is shown at each time: the source's frame, then each rendered picture."""
    with ExitStack() as stack:
        readers: list[Iterator[Pixels]] = [iter(stack.enter_context(video.Reader(info))) for info in infos]
        for index, pictures in enumerate(zip(_source(job, infos[0]), *readers, strict=False)):
            assert index < infos[0].frames, "every rendering has as many pictures"
            yield list(pictures)


def _source(job: Job, shown: VideoInfo) -> Iterator[Pixels]:
    task = resolve(job, video.probe_source(job.source, job.rate, job.filters, job.video))
    rate = task.source_rate if task.normalised else None
    begins = task.timing.seconds(task.first)
    with video.open_reader(task.info, span=(task.first, task.last), rate=rate) as reader:
        frames = iter(reader)
        frame, place = next(frames), task.first
        for index in range(shown.frames):
            now = shown.seconds(index) - shown.seconds(0)
            while place + 1 < task.timing.frames and task.timing.seconds(place + 1) - begins <= now + _TICK:
                frame, place = next(frames, frame), place + 1
            yield frame


_TICK = Fraction(1, 1000)
"""Matroska's time stamps, in which results come back, are rounded to this many seconds."""


class _Sheets:
    """Draws panels in a grid, each under its label."""

    def __init__(self, info: VideoInfo, labels: Sequence[str]) -> None:
        self._labels = labels
        self._columns = math.ceil(math.sqrt(len(labels)))
        rows = -(-len(labels) // self._columns)
        fit = min(1.0, LARGEST[0] / (self._columns * info.width), LARGEST[1] / (rows * info.height))
        self._panel = (max(2, int(info.width * fit)), max(2, int(info.height * fit)))
        self._band = max(16, self._panel[1] // 16)
        self.width = self._columns * self._panel[0]
        self.height = rows * (self._panel[1] + self._band)

    def drawn(self, pictures: Sequence[Pixels]) -> Pixels:
        """uint8 or uint16 [height, width, 3]; 8-bit pictures beside deep ones are widened."""
        dtype = np.result_type(*pictures)
        sheet: Pixels = np.zeros((self.height, self.width, 3), dtype)
        for index, picture in enumerate(pictures):
            row, column = divmod(index, self._columns)
            top, left = row * (self._panel[1] + self._band), column * self._panel[0]
            band = sheet[top : top + self._band, left : left + self._panel[0]]
            band[:] = self._label(self._labels[index], dtype)
            small = picture
            if (picture.shape[1], picture.shape[0]) != self._panel:
                small = cv2.resize(picture, self._panel, interpolation=cv2.INTER_AREA)
            place = sheet[top + self._band : top + self._band + self._panel[1], left : left + self._panel[0]]
            place[:] = small if small.dtype == dtype else small.astype(dtype) * np.uint16(257)
        return sheet

    def _label(self, words: str, dtype: np.dtype[np.generic]) -> Pixels:
        band = np.zeros((self._band, self._panel[0], 3), np.uint8)
        scale = self._band / 32
        place = (2, round(self._band * 0.72))
        cv2.putText(band, words, place, cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), 1, cv2.LINE_AA)
        return band.astype(np.uint16) * np.uint16(257) if dtype == np.uint16 else band
