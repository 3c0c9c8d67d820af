"""The two threads beside the caller's: one reads frames and finds scenes, one writes pictures."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from types import TracebackType
from typing import Protocol

from afitrt import estimate, video
from afitrt.channel import Channel, ChannelClosed
from afitrt.errors import RenderError, counted
from afitrt.frames import Pixels
from afitrt.render import Decoded
from afitrt.scenes import Verdict, detector, sample
from afitrt.schedule import End, Frame
from afitrt.task import Task
from afitrt.yuv import Yuv420

Watch = Callable[[Verdict, Fraction, Pixels], None]
"""Sees a frame: what the detector says, when it is shown, and its pixels as RGB, which it must leave as they are; of
planar frames the sample of `afitrt.scenes`."""


class Sink(Protocol):
    """A writer of pictures; see Writer."""

    def __enter__(self) -> Sink:
        """See Writer."""

    def write(self, frame: Pixels, /) -> None:
        """See Writer."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """See Writer."""


class Worker(threading.Thread):
    """Runs `work` in a thread of its own; a failure is handed to `failed` there."""

    def __init__(self, name: str, work: Callable[[], None], failed: Callable[[BaseException], None]) -> None:
        super().__init__(name=f"afitrt-{name}")
        self._work, self._failed = work, failed
        self._ended = threading.Event()

    def run(self) -> None:
        """See threading.Thread."""
        try:
            self._work()
        except ChannelClosed:
            return
        except BaseException as failure:
            self._failed(failure)
        finally:
            self._ended.set()

    def wait(self) -> None:
        """Waits for the end. A signal may interrupt it; before Python 3.13 an interrupted join forgets the thread."""
        self._ended.wait()
        self.join()


class Decoder:
    """Reads a task's frames and marks cuts in a thread; iterating yields them and last an End.

    yuv: what they are, where they are no RGB. watch is called there with every frame, before anything is made of it.
    """

    def __init__(self, task: Task, yuv: Yuv420 | None, watch: Watch | None = None) -> None:
        self._task, self._yuv, self._watch = task, yuv, watch
        self._channel: Channel[Decoded | End] = Channel(estimate.DECODED_BYTES)
        rate = task.source_rate if task.normalised else None
        self._reader = video.open_reader(task.info, (task.first, task.last), rate, yuv=yuv)
        self.count = 0
        self._busy = 0.0
        self.damage: str | None = None
        self._worker = Worker("decoder", self._decode, self._channel.finish)

    def __enter__(self) -> Iterator[Decoded | End]:
        self._worker.start()
        return iter(self._channel)

    @property
    def waited(self) -> float:
        """Seconds that rendering waited for frames."""
        return self._channel.empty_seconds

    @property
    def pace(self) -> float:
        """Seconds for each frame so far, without those in which there was no room for more."""
        return self._busy / max(1, self.count)

    def __exit__(self, *_: object) -> None:
        self._channel.close()
        self._reader.stop()
        self._worker.wait()

    def _decode(self) -> None:
        task, yuv = self._task, self._yuv
        scenes = detector(task.job.scenes, task.first, yuv)
        began = time.monotonic()
        with self._reader as reader:
            for pixels in reader:
                verdict, seconds = scenes.judge(pixels), task.time(self.count)
                if self._watch is not None:
                    self._watch(verdict, seconds, sample(pixels, yuv)[0] if yuv else pixels)
                self._channel.put(Decoded(Frame(seconds, verdict.cut), pixels), pixels.nbytes)
                self.count += 1
                self._busy = time.monotonic() - began - self._channel.full_seconds
        if not reader.complete:
            errors = "; ".join(reader.errors[-2:]) or task.info.damage
            found = counted(self.count, "frame")
            if task.frames is not None:
                found = f"{self.count} of {counted(task.frames, 'frame')}"
            self.damage = f"{found} could be decoded" + (f" ({errors})" if errors else "")
        self._channel.put(End(task.time(self.count)), 0)
        self._channel.finish()


class Encoder:
    """Hands pictures to a writer in a thread."""

    def __init__(self, writer: Sink) -> None:
        self.count = 0
        self._writer = writer
        self._channel: Channel[Pixels] = Channel(estimate.RENDERED_BYTES)
        self._failure: BaseException | None = None
        self._finishing = 0.0
        self._worker = Worker("encoder", self._write, self._fail)
        self._started = False

    def start(self) -> None:
        """Begins; may be interrupted by a signal, and `finish` is to be called even then."""
        self._started = True
        self._worker.start()

    def put(self, pixels: Pixels) -> None:
        """Hands a picture over; raises what ended the encoder, if something did."""
        try:
            self._channel.put(pixels, pixels.nbytes)
        except ChannelClosed:
            self._worker.wait()
            raise self._failure or RenderError(
                "the encoder ended early", "an encoder that takes every picture", "the same command again"
            ) from None
        self.count += 1

    @property
    def waited(self) -> float:
        """Seconds that rendering waited for room, and at the end for the last picture."""
        return self._channel.full_seconds + self._finishing

    def finish(self) -> None:
        """Waits until everything handed over is written; raises what went wrong on the way."""
        began = time.monotonic()
        self._channel.finish()
        if self._started:
            self._worker.wait()
        self._finishing = time.monotonic() - began
        if self._failure is not None:
            raise self._failure

    def _write(self) -> None:
        with self._writer as writer:
            for pixels in self._channel:
                writer.write(pixels)

    def _fail(self, failure: BaseException) -> None:
        self._failure = failure
        self._channel.close()
