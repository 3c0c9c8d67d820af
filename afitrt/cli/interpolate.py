"""`afitrt interpolate`: the main job."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from afitrt.cli.crews import CrewFlags
from afitrt.cli.flags import EncodeFlags, FilterFlags, ModelFlags, SceneFlags, ScheduleFlags, grouped
from afitrt.cli.jobs import JobFlags
from afitrt.errors import OutputError, UsageError
from afitrt.options import Job

if TYPE_CHECKING:
    from afitrt.cli.batch import Show, Work
    from afitrt.cli.console import Reporter

PLACES = (
    "IN: a video, a folder or pattern (%06d.png) of pictures, or - for y4m on stdin. OUT: a file, a folder (out/) or "
    "pattern for PNG files, or - for y4m on stdout; IN.RATEfps.mkv beside IN when left out. With --out-dir: inputs."
)


@grouped
def interpolate(
    places: Annotated[list[str], typer.Argument(metavar="IN [OUT]", help=PLACES, show_default=False)],
    *,
    schedule: ScheduleFlags,
    scenes: SceneFlags,
    filters: FilterFlags,
    model: ModelFlags,
    encode: EncodeFlags,
    options: JobFlags,
    crew: CrewFlags,
    out_dir: Annotated[
        Path | None, typer.Option("--out-dir", help="Take every argument as an input; write into this folder.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", help="Write a page about the run: cuts with both sides, where time went.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing output.")] = False,
    allow_mixed: Annotated[
        bool, typer.Option("--allow-mixed", help="Go on with what another kind of machine has begun.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and stop.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line an event on stdout.")] = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Name scenes and stage times too.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Only warnings and errors.")] = False,
) -> None:
    """Smooth a video: decode, find scenes, interpolate, encode, and keep every other track."""
    from afitrt.cli import batch
    from afitrt.cli.console import Reporter

    show: Show = partial(Reporter, quiet=quiet, verbose=verbose, as_json=as_json)
    with show(None):
        groups = (schedule, scenes, model, encode, filters)
        jobs = [
            options.job(source, output, groups, folder=out_dir, overwrite=overwrite, allow_mixed=allow_mixed)
            for source, output in _places(places, out_dir)
        ]
        if report is not None:
            _check_report(report, out_dir, overwrite)
        crew.check(jobs[0], report)
    _check_stdout(jobs[0], as_json=as_json, dry_run=dry_run)
    work: Work = partial(_describe, as_json=as_json) if dry_run else partial(_run, page=report, crew=crew)
    if out_dir is not None:
        batch.run(jobs, work, show, table=not (as_json or quiet or dry_run))
        return
    with show(str(jobs[0].source), piped=_is_pipe(jobs[0].output)) as tell:
        work(jobs[0], tell)


def _check_report(report: Path, out_dir: Path | None, overwrite: bool) -> None:
    from afitrt.cli import reporting

    if out_dir is not None:
        raise UsageError("--report with --out-dir", "one video, which the page is about", "a command for each input")
    reporting.check(report, overwrite)


def _run(job: Job, tell: Reporter, *, page: Path | None, crew: CrewFlags) -> None:
    from afitrt import pipeline
    from afitrt.cli import reporting

    try:
        if crew:
            with crew.hired(job) as hands:
                pipeline.interpolate_apart(job, tell, hands)
        elif page is None:
            pipeline.interpolate(job, tell)
        else:
            reporting.run(job, page, tell)
    except BrokenPipeError:  # Whoever reads our pictures has enough: no more than a filter in a pipe says.
        raise typer.Exit(OutputError.exit_code) from None


def _places(texts: list[str], out_dir: Path | None) -> list[tuple[Path, Path | None]]:
    """Each input with its output, None where that is named after the input."""
    if out_dir is not None:
        _check_inputs(texts)
        return [(Path(text), None) for text in texts]
    if len(texts) > 2:
        raise UsageError(f"{len(texts)} files", "IN and OUT, or a folder for many inputs", "--out-dir out")
    return [(Path(texts[0]), _output(texts[1]) if texts[1:] else None)]


def _check_inputs(texts: list[str]) -> None:
    """Raises UsageError where two outputs would have one name, or an input has none."""
    from afitrt.video import default_output

    named: dict[str, str] = {}
    for text in texts:
        if text == "-":
            raise UsageError("- with --out-dir", "inputs that have a name", "afitrt interpolate - OUT.mkv")
        name = default_output(Path(text), "RATE").name
        if name in named:
            raise UsageError(f"{named[name]} and {text} would both become {name}", "a name for each", "two commands")
        named[name] = text


def _output(text: str) -> Path:
    from afitrt.video import DEFAULT_NAME

    return Path(text) / DEFAULT_NAME if text.endswith(("/", os.sep)) else Path(text)


def _is_pipe(output: Path | None) -> bool:
    return output == Path("-")


def _check_stdout(job: Job, *, as_json: bool, dry_run: bool) -> None:
    if dry_run or not _is_pipe(job.output):
        return
    if as_json:
        raise UsageError("--json with - as OUT", "one of them on standard output", "name a file")
    if os.isatty(1):
        raise OutputError("standard output is a terminal", "a pipe or a file", "| ffmpeg -i - out.mkv")


def _describe(job: Job, report: Reporter, *, as_json: bool) -> None:
    from afitrt import pipeline
    from afitrt.cli.console import print_json, stdout

    prepared = pipeline.survey(job, lambda event: None)
    task, encode = prepared.task, prepared.encode
    info = task.info
    facts = {
        "source": str(info.path),
        "size": f"{info.width}x{info.height}",
        "source_rate": str(task.source_rate),
        "frames": task.frames,
        "n_forward": task.schedule.n_forward,
        "model": task.job.model.model,
        "scale": task.job.model.scale,
        "output": str(task.output),
        "rate": str(task.rate),
        "outputs": None if task.frames is None else task.outputs(task.frames),
        "codec": encode.codec,
        "pix_fmt": encode.pix_fmt,
        "warnings": prepared.warnings,
    }
    if as_json:
        print_json(facts)
        return
    for name, fact in facts.items():
        stdout.print(f"{name}: {'unknown' if fact is None else fact}", markup=False)
