"""Reads the frames of one segment, and proves that they are those of a decode from the beginning."""

from __future__ import annotations

from collections.abc import Iterator

from afitrt import estimate, video
from afitrt.channel import Channel
from afitrt.errors import InputError, counted
from afitrt.frames import Pixels
from afitrt.pipeline.preparing import Prepared
from afitrt.pipeline.workers import Worker
from afitrt.render import Decoded
from afitrt.schedule import End, Frame
from afitrt.segments import FrameHash, Plan, Segment


class OtherFramesError(InputError):
    """Decoding gave other frames than decoding from the beginning gave when the job was planned."""


class SegmentDecoder:
    """Yields, in a thread's pace, what Renderer.render takes for a segment: frames of its context with their pictures.

    first: the frame to begin with, without a picture if it is before the context. entry: where to begin reading, None
    for the beginning of the file. unequal: take frames that differ from the plan's when read from the beginning.
    After the context, and instead of a wrong first frame, iterating raises OtherFramesError where frames differ.
    """

    def __init__(
        self,
        prepared: Prepared,
        plan: Plan,
        segment: Segment,
        first: int,
        entry: video.Entry | None,
        unequal: bool,
    ) -> None:
        task = prepared.task
        self._task, self._plan, self._segment, self._first = task, plan, segment, first
        self._lenient = unequal and entry is None
        span = (task.first + segment.frames[0], task.first + segment.frames[1])
        rate = task.source_rate if task.normalised else None
        self._reader = video.open_reader(task.info, span, rate, entry, prepared.yuv)
        self._channel: Channel[Decoded | Frame | End] = Channel(estimate.DECODED_BYTES)
        self._hashes = FrameHash()
        self._count = 0
        self._worker = Worker("decoder", self._decode, self._channel.finish)

    def __enter__(self) -> Iterator[Decoded | Frame | End]:
        self._worker.start()
        return iter(self._channel)

    def __exit__(self, *_: object) -> None:
        self._channel.close()
        self._reader.stop()
        self._worker.wait()

    def _decode(self) -> None:
        begin, end = self._segment.frames
        timing = enumerate(self._plan.film.timing(self._first), self._first)
        with self._reader as reader:
            frames = iter(reader)
            for index, frame in timing:
                if isinstance(frame, Frame) and begin <= index < end:
                    pixels = self._next(frames)
                    self._channel.put(Decoded(frame, pixels), pixels.nbytes)
                else:
                    self._channel.put(frame, 1)
        self._channel.finish()

    def _next(self, frames: Iterator[Pixels]) -> Pixels:
        pixels = next(frames, None)
        if pixels is None:
            raise self._differs(counted(self._count, "frame"))
        self._hashes.add(pixels)
        self._count += 1
        begin, end = self._segment.frames
        wrong = self._hashes.first != self._segment.first
        if self._count == end - begin:
            wrong = wrong or self._hashes.all != self._segment.all
        if wrong and not self._lenient:
            raise self._differs("other pictures")
        return pixels

    def _differs(self, found: str) -> OtherFramesError:
        begin, end = (self._task.first + frame for frame in self._segment.frames)
        return OtherFramesError(
            f"decoding frames {begin} to {end - 1} of {self._task.info.path} gave {found}",
            "the frames that were decoded when the job was planned",
            "--allow-mixed if another kind of machine planned it; else plan it again",
        )
