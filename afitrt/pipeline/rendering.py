"""Renders single segments of a job, each from the frames that it needs."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from afitrt import video
from afitrt.errors import AfitrtError, InputError, UsageError
from afitrt.events import Note, Progress, SegmentDone, Tell
from afitrt.models.protocol import Interpolator
from afitrt.options import Job
from afitrt.pipeline.decoding import OtherFramesError, SegmentDecoder
from afitrt.pipeline.preparing import Prepared, make, prepare
from afitrt.pipeline.workers import Encoder
from afitrt.render import Part, Rendered, Renderer
from afitrt.segments import (
    PieceWriter,
    Plan,
    Segment,
    Store,
    check,
    device_name,
    fingerprint,
    index_source,
    recipe,
)


@dataclass(frozen=True)
class Placing:
    """Where and by whom a job is rendered: nothing that decides its pictures.

    source: None for the job's own path. device: which GPU; None for the first, if the job is for GPUs.
    """

    folder: Path
    source: Path | None = None
    threads: int = 0
    device: int | None = None
    allow_mixed: bool = False


def placed(plan: Plan, placing: Placing, output: Path | None = None) -> Job:
    """The job of a plan, as this machine does it."""
    job = plan.recipe.job(output)
    device = job.model.device if placing.device is None else placing.device
    model = replace(job.model, threads=placing.threads, device=device)
    return replace(job, source=placing.source or job.source, model=model, allow_mixed=placing.allow_mixed)


class Rendering:
    """Renders segments of a plan one after another; what they need is made for the first that is not finished yet.

    A context manager. Raises InputError where the source, weights or tools are not those of the plan.
    """

    def __init__(self, plan: Plan, placing: Placing, tell: Tell) -> None:
        self._plan, self._placing, self._tell = plan, placing, tell
        self._store = Store(placing.folder, plan.recipe.digest)
        self._interpolator: Interpolator | None = None
        self._index = video.Index("", (), False)

    def __enter__(self) -> Rendering:
        return self

    def __exit__(self, *_: object) -> None:
        if self._interpolator is not None:
            self._interpolator.close()
        self._store.sweep(lambda pid: pid == os.getpid())

    def render(self, number: int) -> None:
        """Makes a segment, or finds it finished."""
        if not 0 <= number < len(self._plan.segments):
            last = len(self._plan.segments) - 1
            raise UsageError(f"--segment {number}", f"a number from 0 to {last}", f"--segment {last}")
        segment = self._plan.segments[number]
        found = self._store.finished(number)
        if found is None or found.outputs != segment.outputs:
            self._make(number, segment)
        host = found.host if found else platform.node()
        count = segment.outputs[1] - segment.outputs[0]
        self._tell(SegmentDone(number, count, host, device_name(placed(self._plan, self._placing).model), bool(found)))

    @cached_property
    def _prepared(self) -> Prepared:
        prepared = prepare(placed(self._plan, self._placing), lambda _: None)
        task = prepared.task
        self._index = index_source(task.info)
        made = recipe(task, prepared.encode, self._index)
        check(self._plan.recipe, made)
        if [task.time(frame) for frame in range(self._plan.film.frames + 1)] != self._plan.film.times:
            raise InputError("the frames' times differ from those of the job", "the same source", "plan it again")
        self._store.make(fingerprint(task.job.model, task.info, self._note), self._placing.allow_mixed)
        self._interpolator = make(prepared, self._tell)
        return prepared

    def _note(self, text: str) -> None:
        self._tell(Note(text))

    def _make(self, number: int, segment: Segment) -> None:
        task = self._prepared.task
        entry = None
        # What a filter makes of a frame may hang on those before it.
        if not (task.normalised or task.info.pictures or task.info.filters) and segment.frames[0] > 0:
            entry = video.entry(task.info, self._index, task.first + segment.frames[0])
        try:
            self._attempt(number, segment, entry)
        except OtherFramesError:
            if entry is None:
                raise
            self._attempt(number, segment, None)

    def _attempt(self, number: int, segment: Segment, entry: video.Entry | None) -> None:
        prepared = self._prepared
        task, film = prepared.task, self._plan.film
        assert self._interpolator is not None
        first, last = segment.outputs
        start = film.start(first, task.schedule)
        part = Part(lambda output: first <= output < last, start, last)
        decoder = SegmentDecoder(prepared, self._plan, segment, start.frame, entry, self._placing.allow_mixed)
        piece = PieceWriter(self._store, number, first, prepared.writer)
        renderer = Renderer(self._interpolator, task.job.hold, task.first)
        with decoder as decoded:
            self._encode(renderer.render(decoded, task.schedule, part), piece, segment)
        piece.publish()

    def _encode(self, rendered: Iterable[Rendered], piece: PieceWriter, segment: Segment) -> None:
        encoder = Encoder(piece)
        try:
            encoder.start()
            for each in rendered:
                encoder.put(each.pixels)
                self._tell(Progress(segment.frames[1] - segment.frames[0], encoder.count, 0))
        except BaseException:
            piece.stop()
            with suppress(AfitrtError, BrokenPipeError):
                encoder.finish()
            raise
        encoder.finish()
