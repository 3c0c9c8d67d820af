"""`afitrt render` and `afitrt join`: single segments of a job file, and the film that they make."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from afitrt.cli.flags import whole
from afitrt.cli.jobs import numbers
from afitrt.errors import UsageError, counted

if TYPE_CHECKING:
    from afitrt.segments import Plan

JobFile = Annotated[
    Path, typer.Argument(metavar="JOB.json", help="As `afitrt plan IN -o` writes it.", show_default=False)
]
Folder = Annotated[
    Path | None, typer.Option("--folder", help="Where segments are kept.", show_default="JOB.segments beside the job")
]
Source = Annotated[
    Path | None, typer.Option("--source", help="The source, where its path here differs from the job's.")
]
PathMaps = Annotated[
    list[str] | None,
    typer.Option("--path-map", metavar="FROM=TO", help="Where the job's folder FROM lies here; may be repeated."),
]
STDIN = "-"


def render(
    job: JobFile,
    segment: Annotated[str | None, typer.Option("--segment", help="One segment, from 0.")] = None,
    segments: Annotated[
        str | None, typer.Option("--segments", help="Several: 3-9, or 0,4-7; - reads numbers, one a line, from stdin.")
    ] = None,
    folder: Folder = None,
    source: Source = None,
    path_map: PathMaps = None,
    threads: Annotated[str, typer.Option(help="CPU threads of the network.", show_default="all cores")] = "0",
    device: Annotated[
        str | None, typer.Option(help="Which GPU, from 0, of a job for GPUs.", show_default="the first one")
    ] = None,
    allow_mixed: Annotated[
        bool, typer.Option("--allow-mixed", help="Go on with what another kind of machine has begun.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line an event on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Only warnings and errors.")] = False,
) -> None:
    """Render segments of a job into its folder; those that are finished and whole are passed over."""
    from afitrt import pipeline
    from afitrt import segments as room
    from afitrt.cli.console import Reporter
    from afitrt.pipeline import Placing

    with Reporter(str(job), quiet=quiet, as_json=as_json) as report:
        plan = room.read(job)
        wanted = _wanted(segment, segments, len(plan.segments))
        cores = whole("--threads", threads, "a whole number from 0 (all cores)", "--threads 2")
        gpu = None if device is None else whole("--device", device, "a whole number from 0", "--device 0")
        placing = Placing(folder_of(job, folder), source_of(plan, source, path_map), cores, gpu, allow_mixed)
        with pipeline.Rendering(plan, placing, report) as rendering:
            for number in wanted:
                rendering.render(number)


def join(
    job: JobFile,
    output: Annotated[Path, typer.Argument(metavar="OUT", help="The file to write.", show_default=False)],
    partial: Annotated[
        bool, typer.Option("--partial", help="Join what is finished without a gap from the start.")
    ] = False,
    folder: Folder = None,
    source: Source = None,
    path_map: PathMaps = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing output.")] = False,
) -> None:
    """Join the finished segments of a job, every one checked, and add the source's other tracks."""
    from afitrt import pipeline
    from afitrt import segments as room
    from afitrt.cli.console import Reporter, stdout

    plan = room.read(job)
    placing = pipeline.Placing(folder_of(job, folder), source_of(plan, source, path_map))
    count = pipeline.join(
        plan, placing, output, Reporter(str(job)), name=str(job), partial=partial, overwrite=overwrite
    )
    stdout.print(f"{output}: {counted(count, 'picture')}", markup=False)


def folder_of(job: Path, folder: Path | None) -> Path:
    """Where the segments of a job file are kept."""
    return folder or job.with_suffix(".segments")


def source_of(plan: Plan, source: Path | None, path_map: list[str] | None) -> Path:
    """Where the source of a job lies here. Raises UsageError for what maps nothing."""
    from afitrt.farm import PathMap

    return source or PathMap.parse(path_map or [])(plan.recipe.source.path)


def _wanted(segment: str | None, segments: str | None, count: int) -> Iterator[int] | list[int]:
    if (segment is None) == (segments is None):
        raise UsageError(
            "neither --segment nor --segments" if segment is None else "both --segment and --segments",
            "one of the two",
            "--segment 0, or --segments 0-9",
        )
    if segments == STDIN:
        return (number for line in sys.stdin if line.strip() for number in numbers("--segments", line.strip()))
    return numbers("--segment" if segments is None else "--segments", segments or segment or "", count)
