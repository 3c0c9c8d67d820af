"""`afitrt farm`: a job for render managers."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from afitrt.cli.crews import FarmPaths
from afitrt.cli.segments import Folder, JobFile, Source, folder_of
from afitrt.errors import UsageError, counted

app = typer.Typer(help="Jobs for render farms.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def farm() -> None:
    """Jobs for render farms."""


@app.command("template")
def template(
    job: JobFile,
    to: Annotated[Path, typer.Option("-o", metavar="JOB.template.yaml", help="The file to write.", show_default=False)],
    output: Annotated[
        Path | None, typer.Option("--output", help="The finished video.", show_default="JOB.mkv beside the job")
    ] = None,
    folder: Folder = None,
    source: Source = None,
    path_map: FarmPaths = None,
) -> None:
    """Write a template of the Open Job Description: step `render` over all segments, then step `join`.

    AWS Deadline Cloud and other schedulers of that specification (2023-09) take it; `openjd run` runs it here.
    """
    from afitrt import farm as room
    from afitrt import segments
    from afitrt.artefacts import written_aside
    from afitrt.cli.console import stdout

    plan = segments.read(job)
    paths = room.PathMap.parse(path_map or [])
    if not plan.segments:
        raise UsageError(f"{job} has no segment", "a job with pictures", "plan a longer part of the source")
    film = room.Film(
        home=paths(to.parent.resolve()),
        job=paths(job.resolve()),
        source=paths((source or plan.recipe.source.path).resolve()),
        output=paths((output or job.with_suffix(".mkv")).resolve()),
        folder=paths(folder_of(job, folder).resolve()),
        segments=len(plan.segments),
        gpu=not plan.recipe.job().model.on_cpu,
    )
    with written_aside(to) as aside:
        aside.write_text(room.text(room.template(film)), encoding="utf-8")
    given = [word for name, path in room.wanted(film).items() for word in ("-p", f"{name}={path}")]
    stdout.print(f"{to}: {counted(film.segments, 'segment')}", markup=False)
    words = ["openjd", "run", str(to), "--step", "join", "--run-dependencies", *given]
    stdout.print(f"to run it here: {shlex.join(words)}", markup=False)
