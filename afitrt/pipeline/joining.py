"""From finished segments to the output."""

from __future__ import annotations

from pathlib import Path

from afitrt import video
from afitrt.errors import PartialInputError, UsageError
from afitrt.events import Tell, Warned
from afitrt.file_names import check_name
from afitrt.pipeline.folders import reserved
from afitrt.pipeline.rendering import Placing, placed
from afitrt.segments import Plan, Store, check_source, contiguous
from afitrt.segments import join as join_segments
from afitrt.task import check_free, resolve


def join(
    plan: Plan, placing: Placing, output: Path, tell: Tell, *, name: str, partial: bool = False, overwrite: bool = False
) -> int:
    """Puts the segments of a job together into `output`; how many pictures that holds.

    name: of the job file, for what is said about missing segments. partial: only those that are finished without a gap
    from the first on. Raises InputError naming segments that are missing, OutputError where the output exists,
    PartialInputError, once it is in its place, where the source was damaged when the job was planned, RetryError where
    another command is writing it.
    """
    check_name(output, "name OUT, shorter")
    check_free(output, overwrite)
    job = placed(plan, placing, output)
    task = resolve(job, video.probe_source(job.source, job.rate, job.filters, job.video))
    check_source(plan.recipe, task.info)
    store = Store(placing.folder, plan.recipe.digest)
    ranges = [segment.outputs for segment in plan.segments]
    if partial:
        ranges = ranges[: contiguous(store, ranges)]
        if not ranges:
            raise UsageError("segment 0 is not finished", "at least that one", f"afitrt render {name} --segment 0")
    with reserved(output):
        check_free(output, overwrite)
        for note in join_segments(store, ranges, task, output, f"afitrt render {name} --segments {{}}"):
            tell(Warned(note))
    if plan.damage and not partial:
        raise PartialInputError(
            f"{job.source} is damaged: {plan.damage}", "a whole source", f"use {output} as it is, or a whole source"
        )
    return ranges[-1][1]
