"""Joins the rooms: one thread reads and finds scenes, the caller's thread renders, a third one encodes."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path

from afitrt import estimate, models, video
from afitrt.channel import Channel, ChannelClosed
from afitrt.errors import AfitrtError, InterruptedRunError, OutputError, PartialInputError, RenderError
from afitrt.events import Done, Note, Progress, SceneFound, Started, Tell, Warned
from afitrt.frames import Pixels
from afitrt.models.protocol import Interpolator
from afitrt.options import EncodeOptions, Job
from afitrt.render import Decoded, render
from afitrt.scenes import detector
from afitrt.schedule import End, Frame
from afitrt.task import Task, resolve


class Worker(threading.Thread):
    """Runs `work` in a thread of its own; a failure is handed to `failed` there."""

    def __init__(self, name: str, work: Callable[[], None], failed: Callable[[BaseException], None]) -> None:
        super().__init__(name=f"afitrt-{name}")
        self._work, self._failed = work, failed

    def run(self) -> None:
        """See threading.Thread."""
        try:
            self._work()
        except ChannelClosed:
            return
        except BaseException as failure:
            self._failed(failure)


class Decoder:
    """Reads a task's frames and marks cuts in a thread; iterating yields them and last an End."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._channel: Channel[Decoded | End] = Channel(estimate.QUEUE_BYTES)
        self.count = 0
        self.damage: str | None = None
        self._worker = Worker("decoder", self._decode, self._channel.finish)

    def __enter__(self) -> Iterator[Decoded | End]:
        self._worker.start()
        return iter(self._channel)

    def __exit__(self, *_: object) -> None:
        self._channel.close()
        self._worker.join()

    def _decode(self) -> None:
        task = self._task
        scenes = detector(task.job.scenes, task.first)
        rate = task.source_rate if task.normalised else None
        with video.Reader(task.info, span=(task.first, task.last), rate=rate) as reader:
            for pixels in reader:
                frame = Frame(self.count / task.source_rate, scenes.judge(pixels).cut)
                self._channel.put(Decoded(frame, pixels), pixels.nbytes)
                self.count += 1
        if not reader.complete:
            errors = "; ".join(reader.errors[-2:]) or task.info.damage
            self.damage = f"{self.count} of {task.frames} frames could be decoded" + (f" ({errors})" if errors else "")
        self._channel.put(End(self.count / task.source_rate), 0)
        self._channel.finish()


class Encoder:
    """Encodes pictures in a thread into a file of video alone."""

    def __init__(self, task: Task, encode: EncodeOptions, path: Path) -> None:
        self.path = path
        self.count = 0
        self._task, self._encode = task, encode
        self._channel: Channel[Pixels] = Channel(estimate.QUEUE_BYTES)
        self._failure: BaseException | None = None
        self._worker = Worker("encoder", self._write, self._fail)
        self._worker.start()

    def put(self, pixels: Pixels) -> None:
        """Hands a picture over; raises what ended the encoder, if something did."""
        try:
            self._channel.put(pixels, pixels.nbytes)
        except ChannelClosed:
            self._worker.join()
            raise self._failure or RenderError(
                "the encoder ended early", "an encoder that takes every picture", "the same command again"
            ) from None
        self.count += 1

    def finish(self) -> None:
        """Waits until everything handed over is in the file; raises what went wrong on the way."""
        self._channel.finish()
        self._worker.join()
        if self._failure is not None:
            raise self._failure

    def _write(self) -> None:
        with video.Writer(self.path, self._task.info, self._task.rate, self._encode) as writer:
            for pixels in self._channel:
                writer.write(pixels)

    def _fail(self, failure: BaseException) -> None:
        self._failure = failure
        self._channel.close()


def interpolate(job: Job, tell: Tell) -> Done:
    """Runs a job from file to file; `tell` hears what happens, in the caller's thread.

    A failure before the first picture leaves nothing behind. After it, what is finished is kept as
    OUT.partial.mkv and the error's `kept` names it. A damaged source is rendered as far as it decodes; then
    PartialInputError is raised although the output is in its place.
    """
    info = video.probe(job.source)
    task = resolve(job, info)
    container = video.container_of(task.output)
    encode, notes = video.choose_encoding(info, job.encode, container, video.find().encoders)
    notes += video.choose_tracks(video.list_tracks(info.path), container)[1]
    needed = estimate.memory(
        models.memory(job.model, info.width, info.height), task.schedule, frame_bytes=info.width * info.height * 6
    )
    estimate.check_memory(needed, f"{info.width}x{info.height} with {job.model.model}")
    warnings = [*task.warnings, *notes]
    for warning in warnings:
        tell(Warned(warning))
    dtype = video.picture_type(encode)
    interpolator = models.make(job.model, info.width, info.height, dtype, lambda text: tell(Note(text)))
    try:
        return Run(task, encode, interpolator, tell).finished(needed, warnings)
    finally:
        interpolator.close()


class Run:
    """One pass over a task's frames."""

    def __init__(self, task: Task, encode: EncodeOptions, interpolator: Interpolator, tell: Tell) -> None:
        self._task, self._encode, self._interpolator, self._tell = task, encode, interpolator, tell
        self._frames = self._scenes = self._interpolated = 0
        self._aside = task.output.with_name(f".{task.output.name}.{os.getpid()}.video.mkv")

    def finished(self, memory: int, warnings: list[str]) -> Done:
        """The finished run; see interpolate. memory: estimated bytes. warnings: those told already."""
        began = time.monotonic()
        decoder = Decoder(self._task)
        made = _make_folder(self._task.output.parent)
        try:
            with decoder as decoded:
                head = list(islice(decoded, 2))
                self._start(head, memory)
                outputs = self._encoded(chain(head, decoded))
            self._publish(outputs, decoder.count, warnings)
        except BaseException as failure:
            kept = self._keep_partial()
            if not kept:
                _remove_folders(made)
            raise _with_kept(failure, kept) from failure
        finally:
            self._aside.unlink(missing_ok=True)
        done = self._done(outputs, time.monotonic() - began)
        self._tell(done)
        if decoder.damage:
            raise PartialInputError(
                f"{self._task.info.path} is damaged: {decoder.damage}",
                f"{self._task.frames} frames",
                f"use {self._task.output} as it is, or a whole copy of the source",
            )
        return done

    def _start(self, head: list[Decoded | End], memory: int) -> None:
        task = self._task
        seconds = None
        frames = [item.pixels for item in head if isinstance(item, Decoded)]
        if len(frames) == 2:
            clock = estimate.time_pair(self._interpolator, frames[0], frames[1])
            seconds = estimate.seconds(clock, task.frames, task.schedule, task.rate / task.source_rate)
        self._tell(
            Started(
                source=str(task.info.path),
                output=str(task.output),
                frames=task.frames,
                outputs=task.outputs(task.frames),
                rate=str(task.rate),
                n_forward=task.schedule.n_forward,
                seconds=seconds,
                memory=memory,
            )
        )

    def _watched(self, decoded: Iterable[Decoded | End]) -> Iterator[Decoded | End]:
        for item in decoded:
            if isinstance(item, Decoded):
                if item.frame.cut or self._frames == 0:
                    self._scenes += 1
                    self._tell(SceneFound(self._task.first + self._frames, float(item.frame.pts)))
                self._frames += 1
            yield item

    def _encoded(self, decoded: Iterable[Decoded | End]) -> int:
        encoder = Encoder(self._task, self._encode, self._aside)
        try:
            for rendered in render(self._watched(decoded), self._task.schedule, self._interpolator):
                encoder.put(rendered.pixels)
                self._interpolated += rendered.interpolated
                self._tell(Progress(self._frames, encoder.count, self._scenes))
        except BaseException:
            with suppress(AfitrtError):
                encoder.finish()
            raise
        encoder.finish()
        return encoder.count

    def _publish(self, outputs: int, frames: int, warnings: list[str]) -> None:
        expected = self._task.outputs(frames)
        if outputs != expected:
            raise AfitrtError(
                f"{outputs} pictures were made of {frames} frames", f"{expected}", "report this command as a defect"
            )
        for note in video.mux(self._aside, self._task.info, self._task.output, self._task.rate, self._task.span):
            if note not in warnings:
                self._tell(Warned(note))

    def _keep_partial(self) -> str | None:
        if not self._aside.exists() or not (count := video.count_packets(self._aside)):
            return None
        partial = self._task.output.with_name(f"{self._task.output.stem}.partial.mkv")
        try:
            video.mux(self._aside, self._task.info, partial, self._task.rate, self._task.span)
        except AfitrtError:
            self._aside.replace(partial)
        return f"{partial} ({count} pictures)"

    def _done(self, outputs: int, seconds: float) -> Done:
        clock = self._interpolator.clock
        return Done(
            output=str(self._task.output),
            frames=self._frames,
            outputs=outputs,
            rate=str(self._task.rate),
            scenes=self._scenes,
            interpolated=self._interpolated,
            seconds=seconds,
            stages={
                name: {"calls": clock.calls[name], "seconds": round(clock.seconds[name], 3)} for name in clock.calls
            },
        )


def _with_kept(failure: BaseException, kept: str | None) -> BaseException:
    if isinstance(failure, KeyboardInterrupt):
        failure = InterruptedRunError("interrupted (Ctrl-C)", "time to finish", "the same command again")
    if isinstance(failure, AfitrtError):
        failure.kept = kept
    return failure


def _make_folder(folder: Path) -> list[Path]:
    """Makes a folder and its missing parents; returns those made, innermost first."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot make the folder {folder}: {error.strerror}", "a folder that can be made", "another output path"
        ) from error
    return missing


def _remove_folders(made: list[Path]) -> None:
    for folder in made:
        with suppress(OSError):
            folder.rmdir()
