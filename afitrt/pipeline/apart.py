"""The whole of `interpolate` by several processes: plan, render all, join."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol

from afitrt import segments, video
from afitrt.errors import AfitrtError, PartialInputError, UsageError, counted, stopped
from afitrt.events import Done, Note, Progress, SceneFound, SegmentDone, Started, Tell, Warned
from afitrt.options import Job
from afitrt.pipeline.finding import prepare_or_find
from afitrt.pipeline.folders import reserved
from afitrt.pipeline.placing import joined_file, put_in_place
from afitrt.pipeline.planning import plan_prepared, recipe_of
from afitrt.pipeline.pool import Pool
from afitrt.pipeline.preparing import Prepared
from afitrt.pipeline.rendering import Placing
from afitrt.pipeline.segmented import work_folder
from afitrt.segments import Plan, Recipe, Store
from afitrt.task import check_output

Lines = Iterator[tuple[int, dict[str, Any]]]
"""What `afitrt render --json` tells, line by line, each with the number of the worker that tells it."""


class Crew(Protocol):
    """Who renders segments. workers: how many at once. here: are they on this machine?

    device: the GPU here that the job is planned for; None for the job's own.
    """

    @property
    def workers(self) -> int: ...

    @property
    def here(self) -> bool: ...

    @property
    def device(self) -> int | None: ...

    def render(self, job: Path, placing: Placing, numbers: Sequence[int]) -> AbstractContextManager[Lines]:
        """Renders these segments of a job file; leaving early ends the work."""


@dataclass(frozen=True)
class Processes:
    """A crew of processes on this machine, one for each device: a GPU, or None for the CPU with so many threads."""

    devices: Sequence[int | None]
    threads: int
    here: ClassVar[bool] = True

    @property
    def workers(self) -> int:
        """See Crew."""
        return len(self.devices)

    @property
    def device(self) -> int | None:
        """See Crew."""
        return self.devices[0]

    def render(self, job: Path, placing: Placing, numbers: Sequence[int]) -> AbstractContextManager[Lines]:
        """See Crew, and Pool."""
        return Pool(job, [replace(placing, device=each, threads=self.threads) for each in self.devices], numbers)


def interpolate_apart(job: Job, tell: Tell, crew: Crew) -> Done:
    """As `interpolate`, by a crew.

    Reads the source twice: once to plan, once to render. A plan and segments that an earlier run left are used.
    Raises UsageError for pipes and pictures, which are made in one go.
    """
    if job.source.name == "-":
        raise UsageError("several workers for a pipe", "a file, which can be read in several places", "one worker")
    device = job.model.device if crew.device is None else crew.device
    prepared = prepare_or_find(replace(job, model=replace(job.model, device=device)), tell)
    if isinstance(prepared, Done):
        return prepared
    if video.container_of(prepared.task.output) in (video.PNG, video.Y4M):
        raise UsageError("several workers for pictures or a pipe", "a video file as OUT", "one worker")
    with reserved(prepared.task.output):
        check_output(job, prepared.task.output)
        return _Apart(prepared, tell, crew).done()


class _Apart:
    def __init__(self, prepared: Prepared, tell: Tell, crew: Crew) -> None:
        self._prepared, self._task, self._tell = prepared, prepared.task, tell
        self._crew = crew
        self._began = time.monotonic()

    def done(self) -> Done:
        """The finished run."""
        task = self._task
        recipe = recipe_of(self._prepared, self._tell)
        store = Store(work_folder(task.output, recipe), recipe.digest)
        ranges: list[tuple[int, int]] = []
        try:
            if self._crew.here:
                # Engines are built here, once, before the workers look for them.
                store.make(segments.fingerprint(task.job.model, task.info, self._note), task.job.allow_mixed)
            plan = self._plan(store, recipe)
            ranges = [segment.outputs for segment in plan.segments]
            self._render(plan, store)
            self._publish(plan, store)
        except BaseException as failure:
            failure = stopped(failure)
            if isinstance(failure, AfitrtError):
                failure.kept = self._keep(ranges, store)
            if not store.all_finished():
                store.remove()
            raise failure from failure.__cause__
        done = self._told(plan)
        self._tell(done)
        if plan.damage:
            raise PartialInputError(
                f"{task.info.path} is damaged: {plan.damage}", "a whole source", f"use {task.output} as it is"
            )
        return done

    def _note(self, text: str) -> None:
        self._tell(Note(text))

    def _plan(self, store: Store, recipe: Recipe) -> Plan:
        path = _job_file(store)
        with suppress(AfitrtError):
            plan = segments.read(path)
            if plan.recipe.digest == recipe.digest:
                return plan
        self._note("reading the source once, for its scenes")
        plan = plan_prepared(self._prepared, recipe, self._tell)
        segments.write(plan, path)
        return plan

    def _render(self, plan: Plan, store: Store) -> None:
        ranges = [segment.outputs for segment in plan.segments]
        numbers = segments.missing(store, ranges)
        finished = plan.outputs - sum(ranges[number][1] - ranges[number][0] for number in numbers)
        self._start(plan, finished)
        task, at_hand = self._task, [0] * self._crew.workers
        placing = Placing(store.folder, task.job.source, allow_mixed=task.job.allow_mixed)
        with self._crew.render(_job_file(store), placing, numbers) as lines:
            for worker, facts in lines:
                match facts["event"]:
                    case "progress":
                        at_hand[worker] = facts["outputs"]
                    case "segment":
                        at_hand[worker] = 0
                        finished += facts["outputs"]
                        self._tell(_segment(facts))
                    case "warning":
                        at_hand[worker] = 0
                        self._tell(Warned(facts["text"]))
                    case "note":
                        self._note(facts["text"])
                outputs = finished + sum(at_hand)
                frames = plan.film.frames * outputs // plan.outputs
                self._tell(Progress(frames, outputs, len(plan.cuts) + 1))

    def _start(self, plan: Plan, finished: int) -> None:
        task = self._task
        self._tell(
            Started(
                source=str(task.info.path),
                output=str(task.output),
                frames=plan.film.frames,
                outputs=plan.outputs,
                rate=str(task.rate),
                varies=task.varies,
                n_forward=task.schedule.n_forward,
                scale=task.job.model.scale,
                seconds=None,
                memory=self._prepared.memory * self._crew.workers,
                device=None,
                device_memory=None,
                finished=finished,
            )
        )
        for frame in (0, *plan.film.cuts):
            self._tell(SceneFound(task.first + frame, float(plan.film.times[frame])))

    def _publish(self, plan: Plan, store: Store) -> None:
        joined = joined_file(store, self._task.output)
        ranges = [segment.outputs for segment in plan.segments]
        for note in segments.join(store, ranges, self._task, joined, "the same command again"):
            if note not in self._prepared.warnings:
                self._tell(Warned(note))
        put_in_place(store, joined, self._task.output, (plan.film.frames, plan.outputs, len(plan.cuts) + 1))

    def _keep(self, ranges: list[tuple[int, int]], store: Store) -> str | None:
        count = segments.contiguous(store, ranges)
        total = len(store.all_finished())
        there = f"{counted(total, 'finished segment')} in {store.folder}"
        goes_on = f"{there}, where the same command goes on" if total else None
        if not count:
            return goes_on
        partial = self._task.partial
        with suppress(AfitrtError):
            pieces = [store.path(number) for number in range(count)]
            segments.put_together(pieces, ranges[count - 1][1], self._task, partial)
            return f"{partial} ({counted(ranges[count - 1][1], 'picture')}), {goes_on}"
        return goes_on

    def _told(self, plan: Plan) -> Done:
        return Done(
            output=str(self._task.output),
            frames=plan.film.frames,
            outputs=plan.outputs,
            rate=str(self._task.rate),
            varies=self._task.varies,
            scenes=len(plan.cuts) + 1,
            seconds=time.monotonic() - self._began,
        )


def _job_file(store: Store) -> Path:
    return store.folder / "job.json"


def _segment(facts: dict[str, Any]) -> SegmentDone:
    names = ("segment", "outputs", "host", "device", "found")
    return SegmentDone(**{name: facts[name] for name in names})
