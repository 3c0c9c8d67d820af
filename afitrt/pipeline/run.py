"""One run from source to output, told as events."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain, islice

from afitrt import estimate, models, video
from afitrt.errors import AfitrtError, PartialInputError, counted, stopped
from afitrt.events import Done, Note, Progress, SceneFound, Started, Tell, Warned
from afitrt.models.protocol import Interpolator
from afitrt.options import Job
from afitrt.pipeline.calibration import calibrate
from afitrt.pipeline.finding import prepare_or_find
from afitrt.pipeline.folders import reserved
from afitrt.pipeline.outputs import Output, output_of
from afitrt.pipeline.preparing import Prepared, make
from afitrt.pipeline.workers import Decoder, Encoder, Watch
from afitrt.render import Decoded, Renderer
from afitrt.schedule import End
from afitrt.task import check_output


def interpolate(job: Job, tell: Tell, watch: Watch | None = None) -> Done:
    """Runs a job from source to output; `tell` hears what happens, in the caller's thread.

    watch sees every frame as it is decoded, in the decoder's thread.

    A failure before the first picture leaves nothing behind. After it, what is finished is kept (of a video as
    OUT.partial.mkv) and the error's `kept` names it. A damaged source is rendered as far as it decodes; then
    PartialInputError is raised although the output is in its place.
    """
    prepared = prepare_or_find(job, tell)
    if isinstance(prepared, Done):
        return prepared
    with reserved(prepared.task.output):
        check_output(job, prepared.task.output)
        interpolator = make(prepared, tell)
        try:
            return Run(prepared, interpolator, tell, watch).finished()
        finally:
            interpolator.close()


class Run:
    """One pass over a task's frames."""

    def __init__(self, prepared: Prepared, interpolator: Interpolator, tell: Tell, watch: Watch | None = None) -> None:
        self._prepared, self._task = prepared, prepared.task
        self._interpolator, self._tell, self._watch = interpolator, tell, watch
        self._waited: dict[str, float] = {}
        self._frames = self._scenes = self._interpolated = 0
        self._renderer = Renderer(interpolator, self._task.job.hold, self._task.first)

    def finished(self) -> Done:
        """The finished run; see interpolate."""
        began = time.monotonic()
        yuv = self._prepared.yuv
        decoder = Decoder(self._task, yuv, self._watch)
        output = output_of(self._prepared, self._note)
        try:
            written = video.picture_type(self._prepared.encode)
            estimate.reserve(self._task.schedule, self._task.info, yuv or written, self._task.frames)
            with decoder as decoded:
                head = list(islice(decoded, 2))
                self._start(head, decoder, output)
                outputs = self._encoded(chain(head, decoded), output)
            self._waited["decoder"] = round(decoder.waited, 3)
            self._publish(outputs, decoder.count, output)
        except BaseException as failure:
            error, kept = stopped(failure), output.keep()
            if isinstance(error, AfitrtError):
                error.kept = kept
            raise error from (failure.__cause__ if error is failure else failure)
        finally:
            output.close()
        done = self._done(outputs, time.monotonic() - began)
        self._tell(done)
        if decoder.damage:
            raise PartialInputError(
                f"{self._task.info.path} is damaged: {decoder.damage}",
                "a whole source" if self._task.frames is None else counted(self._task.frames, "frame"),
                self._remedy(decoder.count),
            )
        return done

    def _remedy(self, decoded: int) -> str:
        """What to do about a damaged source; frames missing in the middle let the pictures run ahead of the sound."""
        info, asked = self._task.info, self._task.frames
        advice = f"use {self._task.output} as it is, or a whole copy of the source"
        if info.filters or info.alone or asked is None or decoded >= asked:
            return advice
        return f"{advice}; --vf null learns when each frame that decodes is shown, and keeps the sound with them"

    def _note(self, text: str) -> None:
        self._tell(Note(text))

    def _expected(self, head: list[Decoded | End], decoder: Decoder, output: Output) -> float | None:
        """Seconds that the run will take; None where nothing can be timed, and of a pipe, whose length nobody knows."""
        task = self._task
        frames = [item.pixels for item in head if isinstance(item, Decoded)]
        if len(frames) < 2 or task.frames is None:
            return None
        each, outputs = calibrate(self._prepared, self._interpolator, frames, task.frames), task.outputs(task.frames)
        made = each.network + outputs * each.picture + math.ceil(outputs / output.length) * each.segment
        return task.frames * decoder.pace + made * (1 - output.finished / max(1, outputs))

    def _start(self, head: list[Decoded | End], decoder: Decoder, output: Output) -> None:
        task, use = self._task, models.device_use(self._interpolator)
        seconds = self._expected(head, decoder, output)
        self._tell(
            Started(
                source=str(task.info.path),
                output=str(task.output),
                frames=task.frames,
                outputs=None if task.frames is None else task.outputs(task.frames),
                rate=str(task.rate),
                varies=task.varies,
                n_forward=task.schedule.n_forward,
                scale=task.job.model.scale,
                seconds=seconds,
                memory=self._prepared.memory,
                device=use.name,
                device_memory=use.planned,
                finished=output.finished,
            )
        )

    def _watched(self, decoded: Iterable[Decoded | End], output: Output) -> Iterator[Decoded | End]:
        for item in decoded:
            if isinstance(item, Decoded):
                if item.frame.cut or self._frames == 0:
                    self._scenes += 1
                    self._tell(SceneFound(self._task.first + self._frames, float(item.frame.pts)))
                self._frames += 1
                output.watch(item)
            yield item

    def _encoded(self, decoded: Iterable[Decoded | End], output: Output) -> int:
        encoder = Encoder(output.writer)
        try:
            encoder.start()
            for rendered in self._renderer.render(self._watched(decoded, output), self._task.schedule, output.part):
                encoder.put(rendered.pixels)
                self._interpolated += rendered.interpolated
                self._tell(Progress(self._frames, output.finished + encoder.count, self._scenes))
                self._tell_news(output)
        except BaseException:
            output.give_up()
            with suppress(AfitrtError, BrokenPipeError):
                encoder.finish()
            raise
        encoder.finish()
        self._waited["encoder"] = round(encoder.waited, 3)
        self._tell_news(output)
        return output.finished + encoder.count

    def _tell_news(self, output: Output) -> None:
        for event in output.news():
            self._tell(event)

    def _publish(self, outputs: int, frames: int, output: Output) -> None:
        expected = self._task.outputs(frames)
        if outputs != expected:
            made = f"{counted(outputs, 'picture')} made of {counted(frames, 'frame')}"
            raise AfitrtError(made, f"{expected}", "report this command as a defect")
        for note in output.publish():
            if note not in self._prepared.warnings:
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
