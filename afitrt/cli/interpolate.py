"""`afitrt interpolate`: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from afitrt.cli.flags import EncodeFlags, ModelFlags, SceneFlags, ScheduleFlags, clock_time, grouped
from afitrt.options import Job


@grouped
def interpolate(
    source: Annotated[Path, typer.Argument(metavar="IN", help="The video to smooth.", show_default=False)],
    output: Annotated[
        Path | None,
        typer.Argument(metavar="OUT", help="The file to write.", show_default="IN.RATEfps.mkv beside IN"),
    ] = None,
    *,
    schedule: ScheduleFlags,
    scenes: SceneFlags,
    model: ModelFlags,
    encode: EncodeFlags,
    start: Annotated[str | None, typer.Option(help="First moment to take: seconds or HH:MM:SS.mmm.")] = None,
    end: Annotated[str | None, typer.Option(help="First moment to leave out.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing output.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and stop.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line an event on stdout.")] = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Name scenes and stage times too.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Only warnings and errors.")] = False,
) -> None:
    """Smooth a video: decode, find scenes, interpolate, encode, and keep every other track."""
    from afitrt.cli.console import Reporter

    with Reporter(quiet=quiet, verbose=verbose, as_json=as_json) as report:
        job = Job(
            source=source,
            output=output,
            schedule=schedule.options(),
            scenes=scenes.options(),
            model=model.options(),
            encode=encode.options(),
            start=clock_time("--start", start),
            end=clock_time("--end", end),
            overwrite=overwrite,
        )
        if dry_run:
            _describe(job, as_json)
            return
        from afitrt import pipeline

        pipeline.interpolate(job, report)


def _describe(job: Job, as_json: bool) -> None:
    from afitrt import video
    from afitrt.cli.console import print_json, stdout
    from afitrt.task import resolve

    info = video.probe(job.source)
    task = resolve(job, info)
    container = video.container_of(task.output)
    encode, notes = video.choose_encoding(info, job.encode, container, video.find().encoders)
    facts = {
        "source": str(info.path),
        "size": f"{info.width}x{info.height}",
        "source_rate": str(task.source_rate),
        "frames": task.frames,
        "n_forward": task.schedule.n_forward,
        "output": str(task.output),
        "rate": str(task.rate),
        "outputs": task.outputs(task.frames),
        "codec": encode.codec,
        "pix_fmt": encode.pix_fmt,
        "warnings": [*task.warnings, *notes],
    }
    if as_json:
        print_json(facts)
        return
    for name, fact in facts.items():
        stdout.print(f"{name}: {fact}", markup=False)
