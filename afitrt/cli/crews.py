"""The options of `interpolate` that give the work to others: processes here, or a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from afitrt.cli.flags import whole
from afitrt.cli.jobs import numbers
from afitrt.errors import UsageError
from afitrt.system import cores

if TYPE_CHECKING:
    from afitrt.options import Job
    from afitrt.pipeline import Crew


FarmPaths = Annotated[
    list[str] | None,
    typer.Option("--path-map", metavar="FROM=TO", help="FROM here is TO on the farm's machines; may be repeated."),
]


@dataclass(frozen=True)
class CrewFlags:
    """Who renders the segments; false where this process does."""

    workers: Annotated[str | None, typer.Option(help="Render in this many processes on the CPU.")] = None
    devices: Annotated[str | None, typer.Option(help="Render on these GPUs, a process each: 0,1 or 0-3.")] = None
    ray: Annotated[str | None, typer.Option("--ray", metavar="auto|HOST:PORT", help="Render on this Ray cluster.")] = (
        None
    )
    path_map: FarmPaths = None

    def __bool__(self) -> bool:
        return any(each is not None for each in (self.workers, self.devices, self.ray))

    def check(self, job: Job, report: Path | None) -> None:
        """Raises UsageError for options that do not go together."""
        given = {"--workers": self.workers, "--devices": self.devices, "--ray": self.ray}
        named = [name for name, value in given.items() if value is not None]
        if len(named) > 1:
            hint = "--devices 0,1 for GPUs, --workers 2 for a CPU, --ray auto for a cluster"
            raise UsageError(f"both {named[0]} and {named[1]}", "one of the two", hint)
        if named and report is not None:
            raise UsageError("--report with several workers", "one of the two", "leave --report out")
        if self.path_map and self.ray is None:
            raise UsageError("--path-map without --ray", "machines that know paths by other names", "--ray auto")
        if named and self.ray is None:
            self._devices(job)

    @contextmanager
    def hired(self, job: Job) -> Iterator[Crew]:
        """The crew for a job. Raises UsageError, and for a cluster what Cluster does."""
        if self.ray is None:
            from afitrt.pipeline import Processes

            devices = self._devices(job)
            yield Processes(devices, job.model.threads or max(1, cores() // len(devices)))
            return
        from afitrt.cli.streams import stdout_of_this_thread
        from afitrt.farm import PathMap
        from afitrt.farm.cluster import Cluster, Needs
        from afitrt.farm.crew import ClusterCrew

        paths = PathMap.parse(self.path_map or [])
        with stdout_of_this_thread(), Cluster(self.ray) as cluster:
            yield ClusterCrew(cluster, Needs.of(job.model), paths)

    def _devices(self, job: Job) -> list[int | None]:
        if self.devices is not None:
            return [*numbers("--devices", self.devices)]
        count = whole("--workers", self.workers or "", "a whole number from 1", "--workers 2")
        if not job.model.on_cpu:
            raise UsageError(
                f"--workers {self.workers} on a GPU", "--devices for GPUs", "--devices 0, or --runtime onnx"
            )
        if count < 1:
            raise UsageError(f"--workers {self.workers}", "a whole number from 1", "--workers 2")
        return [None] * count
