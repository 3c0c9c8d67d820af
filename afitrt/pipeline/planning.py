"""The job file of a film: decoded once, from the beginning, with its scenes and the hashes of its frames."""

from __future__ import annotations

from afitrt import models
from afitrt.errors import UsageError
from afitrt.events import Note, Tell
from afitrt.models.manifest import StagedManifest
from afitrt.options import Job
from afitrt.pipeline.preparing import Prepared, prepare
from afitrt.pipeline.workers import Decoder
from afitrt.render import Decoded
from afitrt.schedule import Film
from afitrt.segments import FrameHash, Plan, Recipe, Segment, Times, checksum, cut, index_source, recipe


def plan(job: Job, tell: Tell) -> Plan:
    """Decodes a source once, finds its scenes, and divides it. Raises UsageError for a pipe."""
    if job.source.name == "-" or (job.output is not None and job.output.name == "-"):
        raise UsageError("a pipe in a job", "a file, which can be read in several places", "write the pipe to a file")
    prepared = prepare(job, tell)
    return plan_prepared(prepared, recipe_of(prepared, tell), tell)


def recipe_of(prepared: Prepared, tell: Tell) -> Recipe:
    """See `recipe`; fetches weights that are missing, and on a CPU makes the stages."""
    task = prepared.task
    if isinstance(models.find(task.job.model.model), StagedManifest):
        models.prepare(task.job.model, task.info.width, task.info.height, lambda text: tell(Note(text)))
    return recipe(task, prepared.encode, index_source(task.info))


def plan_prepared(prepared: Prepared, made: Recipe, tell: Tell) -> Plan:
    """The same for what is prepared."""
    task = prepared.task
    checksums: list[int] = []
    cuts: list[int] = []
    decoder = Decoder(task, prepared.yuv)
    with decoder as decoded:
        for item in decoded:
            if isinstance(item, Decoded):
                if item.frame.cut:
                    cuts.append(len(checksums))
                checksums.append(checksum(item.pixels))
    film = Film([task.time(frame) for frame in range(len(checksums) + 1)], cuts)
    outputs = film.outputs_before(film.frames, task.schedule)
    starts = [film.outputs_before(frame, task.schedule) for frame in cuts]
    ranges = cut(outputs, starts, made.segment_outputs)
    segments = []
    for part, frames in zip(ranges, film.contexts(ranges, task.schedule), strict=True):
        hashes = FrameHash()
        for value in checksums[slice(*frames)]:
            hashes.add_checksum(value)
        segments.append(Segment(part, frames, hashes.first, hashes.all))
    absolute = tuple(task.first + frame for frame in cuts)
    return Plan(made, task.first, Times.of(film.times), absolute, tuple(segments), decoder.damage or "")
