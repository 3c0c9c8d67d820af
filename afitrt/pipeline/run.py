"""One run from source to output, told as events."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path

from afitrt import estimate, models, video
from afitrt.errors import AfitrtError, OutputError, PartialInputError, stopped
from afitrt.events import Done, Note, Progress, SceneFound, Started, Tell, Warned
from afitrt.frames import VideoInfo
from afitrt.models.protocol import Interpolator
from afitrt.options import EncodeOptions, Job
from afitrt.pipeline.outputs import Output, output_of
from afitrt.pipeline.workers import Decoder, Encoder, Watch
from afitrt.render import Decoded, Renderer
from afitrt.schedule import End
from afitrt.task import Task, resolve


def interpolate(job: Job, tell: Tell, watch: Watch | None = None) -> Done:
    """Runs a job from source to output; `tell` hears what happens, in the caller's thread.

    watch sees every frame as it is decoded, in the decoder's thread.

    A failure before the first picture leaves nothing behind. After it, what is finished is kept (of a video as
    OUT.partial.mkv) and the error's `kept` names it. A damaged source is rendered as far as it decodes; then
    PartialInputError is raised although the output is in its place.
    """
    info = video.probe_source(job.source, job.rate)
    task = resolve(job, info)
    container = video.container_of(task.output)
    encode, notes = video.choose_encoding(info, job.encode, container, video.find().encoders)
    notes += _tracks(info, container, job.drop_tracks)
    needed = estimate.memory(
        models.memory(job.model, info.width, info.height), task.schedule, frame_bytes=info.width * info.height * 6
    )
    estimate.check_memory(needed, f"{info.width}x{info.height} with {job.model.model}")
    warnings = [*task.warnings, *notes, *models.advice(job.model, info.width, info.height)]
    for warning in warnings:
        tell(Warned(warning))
    if video.doubtful(job.encode, encode):
        video.try_encoder(info, task.rate, encode)
    dtype = video.picture_type(encode)
    live = estimate.live_on_device(task.schedule)
    interpolator = models.make(job.model, info.width, info.height, dtype, lambda text: tell(Note(text)), live)
    try:
        return Run(task, encode, interpolator, tell, watch).finished(needed, warnings)
    finally:
        interpolator.close()


def _tracks(info: VideoInfo, container: str, drop: tuple[str, ...]) -> list[str]:
    """What becomes of the tracks beside the video, in plain lines."""
    if info.alone:
        return []
    tracks = video.list_tracks(info.path)
    if container not in (video.PNG, video.Y4M):
        return video.choose_tracks(tracks, container, drop)[1]
    others = [str(track) for track in tracks if track.index != info.stream]
    return [f"left out, since the output holds pictures alone: {', '.join(others)}"] if others else []


class Run:
    """One pass over a task's frames."""

    def __init__(
        self,
        task: Task,
        encode: EncodeOptions,
        interpolator: Interpolator,
        tell: Tell,
        watch: Watch | None = None,
    ) -> None:
        self._task, self._interpolator, self._tell, self._watch = task, interpolator, tell, watch
        self._waited: dict[str, float] = {}
        self._output: Output = output_of(task, encode)
        self._frames = self._scenes = self._interpolated = 0
        self._renderer = Renderer(interpolator, task.job.hold, task.first)

    def finished(self, memory: int, warnings: list[str]) -> Done:
        """The finished run; see interpolate. memory: estimated bytes. warnings: those told already."""
        began = time.monotonic()
        decoder = Decoder(self._task, self._watch)
        made = _make_folder(self._task.output.parent)
        try:
            with decoder as decoded:
                head = list(islice(decoded, 2))
                self._start(head, memory)
                outputs = self._encoded(chain(head, decoded))
            self._waited["decoder"] = round(decoder.waited, 3)
            self._publish(outputs, decoder.count, warnings)
        except BaseException as failure:
            kept = self._output.keep()
            if not kept:
                _remove_folders(made)
            raise _with_kept(failure, kept) from failure
        finally:
            self._output.close()
        done = self._done(outputs, time.monotonic() - began)
        self._tell(done)
        if decoder.damage:
            raise PartialInputError(
                f"{self._task.info.path} is damaged: {decoder.damage}",
                "a whole source" if self._task.frames is None else f"{self._task.frames} frames",
                f"use {self._task.output} as it is, or a whole copy of the source",
            )
        return done

    def _start(self, head: list[Decoded | End], memory: int) -> None:
        task, use = self._task, models.device_use(self._interpolator)
        seconds = None
        frames = [item.pixels for item in head if isinstance(item, Decoded)]
        if len(frames) == 2 and task.frames is not None:
            clock = estimate.time_pair(self._interpolator, frames[0], frames[1])
            seconds = estimate.seconds(clock, task.frames, task.schedule, task.rate / task.source_rate)
        self._tell(
            Started(
                source=str(task.info.path),
                output=str(task.output),
                frames=task.frames,
                outputs=None if task.frames is None else task.outputs(task.frames),
                rate=str(task.rate),
                varies=task.varies,
                n_forward=task.schedule.n_forward,
                seconds=seconds,
                memory=memory,
                device=use.name,
                device_memory=use.planned,
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
        encoder = Encoder(self._output.writer)
        try:
            for rendered in self._renderer.render(self._watched(decoded), self._task.schedule):
                encoder.put(rendered.pixels)
                self._interpolated += rendered.interpolated
                self._tell(Progress(self._frames, encoder.count, self._scenes))
        except BaseException:
            self._output.give_up()
            with suppress(AfitrtError, BrokenPipeError):
                encoder.finish()
            raise
        encoder.finish()
        self._waited["encoder"] = round(encoder.waited, 3)
        return encoder.count

    def _publish(self, outputs: int, frames: int, warnings: list[str]) -> None:
        expected = self._task.outputs(frames)
        if outputs != expected:
            raise AfitrtError(
                f"{outputs} pictures were made of {frames} frames", f"{expected}", "report this command as a defect"
            )
        for note in self._output.publish():
            if note not in warnings:
                self._tell(Warned(note))

    def _done(self, outputs: int, seconds: float) -> Done:
        clock, use = self._interpolator.clock, models.device_use(self._interpolator)
        return Done(
            output=str(self._task.output),
            frames=self._frames,
            outputs=outputs,
            rate=str(self._task.rate),
            varies=self._task.varies,
            scenes=self._scenes,
            interpolated=self._interpolated,
            held=self._renderer.held,
            seconds=seconds,
            device_memory=use.peak,
            stages={
                name: {"calls": clock.calls[name], "seconds": round(clock.seconds[name], 3)} for name in clock.calls
            },
            waited=self._waited,
        )


def _with_kept(failure: BaseException, kept: str | None) -> BaseException:
    failure = stopped(failure)
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
