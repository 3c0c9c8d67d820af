"""Finished segments become one file with the source's other tracks, shown at the exact times of the schedule."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from afitrt import video
from afitrt.errors import InputError, counted
from afitrt.schedule import Range
from afitrt.segments.store import Sidecar, Store
from afitrt.task import Task


def contiguous(store: Store, ranges: Sequence[Range]) -> int:
    """How many segments from the first on are finished without a gap."""
    count = 0
    for number, outputs in enumerate(ranges):
        if not _whole(store.finished(number), outputs):
            break
        count += 1
    return count


def missing(store: Store, ranges: Sequence[Range]) -> list[int]:
    """Segments that are not finished."""
    return [number for number, outputs in enumerate(ranges) if not _whole(store.finished(number), outputs)]


def _whole(sidecar: Sidecar | None, outputs: Range) -> bool:
    return sidecar is not None and sidecar.outputs == tuple(outputs)


def join(store: Store, ranges: Sequence[Range], task: Task, out: Path, hint: str) -> list[str]:
    """Joins all segments, checked one by one, by copying packets; adds the source's other tracks. See `mux`.

    ranges: their outputs. hint: how to render what is missing, with "{}" where its numbers belong. Returns plain lines
    about what differs from the source. Raises InputError naming the segments that are missing.
    """
    if absent := missing(store, ranges):
        listed = numbers_text(absent)
        raise InputError(
            f"{len(absent)} of {counted(len(ranges), 'segment')} not finished: {listed}",
            f"all of them in {store.folder}",
            hint.format(listed.replace(" ", "")),
        )
    return put_together([store.path(number) for number in range(len(ranges))], ranges[-1][1], task, out)


def put_together(pieces: Sequence[Path], outputs: int, task: Task, out: Path) -> list[str]:
    """Joins pieces that hold so many outputs, the first ones of the task. See `mux`."""
    return video.mux(pieces, task.info, out, task.stamps(outputs), task.span, task.job.drop_tracks)


def numbers_text(numbers: Sequence[int]) -> str:
    """Ascending numbers as ranges: "0-3, 7"."""
    starts = [number for before, number in pairwise([-2, *numbers]) if number != before + 1]
    ends = [number for number, after in pairwise([*numbers, -2]) if after != number + 1]
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in zip(starts, ends, strict=True))
