"""A crew of processes on a Ray cluster that render the segments of one film."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from afitrt import segments
from afitrt.events import Event, SegmentDone, Warned
from afitrt.farm.cluster import Cluster, Needs
from afitrt.farm.mapping import PathMap
from afitrt.pipeline import Lines, Placing, Rendering


@dataclass(frozen=True)
class ClusterCrew:
    """See pipeline.Crew. needs: of every segment. paths: how the cluster's machines name what this one sees.

    The source and the folder of segments must lie where both see them. A task takes as many threads as cores.
    """

    cluster: Cluster
    needs: Needs
    paths: PathMap
    workers: ClassVar[int] = 1
    here: ClassVar[bool] = False
    device: ClassVar[None] = None

    @contextmanager
    def render(self, job: Path, placing: Placing, numbers: Sequence[int]) -> Iterator[Lines]:
        """See pipeline.Crew. What of the work is at hand is not told, only what is finished."""
        there = replace(
            placing,
            folder=self.paths(placing.folder.absolute()),
            source=None if placing.source is None else self.paths(placing.source.absolute()),
            threads=self.needs.cpus,
        )
        lines = self._lines(partial(render_segment, self.paths(job.absolute()), there), numbers)
        try:
            yield lines
        finally:
            lines.close()

    def _lines(self, work: Any, numbers: Sequence[int]) -> Any:
        if lacking := self.cluster.lacks(self.needs):
            yield 0, Warned(lacking).as_json()
        for _, event in self.cluster.run(work, numbers, self.needs):
            yield 0, event.as_json()


class _Worker:
    """A rendering in a process of the cluster, kept for the next task, which is likely to want the same."""

    def __init__(self, job: Path, placing: Placing) -> None:
        self._heard: list[Event] = []
        self._rendering = Rendering(segments.read(job), placing, self._heard.append)

    def render(self, number: int) -> SegmentDone:
        """Renders a segment; what was told of it last."""
        self._heard.clear()
        self._rendering.render(number)
        return next(event for event in reversed(self._heard) if isinstance(event, SegmentDone))

    def close(self) -> None:
        """Gives back what it held."""
        self._rendering.__exit__(None, None, None)


_WORKERS: dict[tuple[Path, Placing], _Worker] = {}
"""One at most."""


def render_segment(job: Path, placing: Placing, number: int) -> SegmentDone:
    """Renders a segment of a job file in a process of the cluster. Raises what Rendering does."""
    if (job, placing) not in _WORKERS:
        _close_workers()
        _WORKERS[job, placing] = _Worker(job, placing)
    try:
        return _WORKERS[job, placing].render(number)
    except BaseException:
        _close_workers()
        raise


def _close_workers() -> None:
    while _WORKERS:
        _WORKERS.popitem()[1].close()
