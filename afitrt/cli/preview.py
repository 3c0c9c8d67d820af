"""`afitrt preview`: choosing the number of passes by eye."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from afitrt.cli.flags import EncodeFlags, FilterFlags, ModelFlags, SceneFlags, ScheduleFlags, clock_time, grouped
from afitrt.errors import UsageError
from afitrt.options import Job, ScheduleOptions

PASSES = "1,2,3"


@grouped
def preview(
    source: Annotated[Path, typer.Argument(metavar="IN", help="The video.", show_default=False)],
    output: Annotated[
        Path | None, typer.Argument(metavar="[OUT]", help="IN.preview.mkv beside IN when left out.")
    ] = None,
    *,
    schedule: ScheduleFlags,
    scenes: SceneFlags,
    filters: FilterFlags,
    model: ModelFlags,
    encode: EncodeFlags,
    at: Annotated[str, typer.Option("--at", help="First moment to show: seconds or HH:MM:SS.mmm.")] = "0",
    seconds: Annotated[str, typer.Option("--seconds", help="How much to show.")] = "3",
    rate: Annotated[str | None, typer.Option(help="Frames for each second, where IN is pictures.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing output.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Only warnings and errors.")] = False,
) -> None:
    """Show a few seconds as they are and with several numbers of passes (-n 1,2,3), side by side in one file."""
    from afitrt import preview as room
    from afitrt.cli.console import Reporter, stderr, stdout
    from afitrt.pipeline import reserved
    from afitrt.rates import parse_rate
    from afitrt.task import check_free

    begins, length = clock_time("--at", at), clock_time("--seconds", seconds)
    assert begins is not None and length is not None
    if not length:
        raise UsageError(f"--seconds {seconds}", "more than none", "--seconds 3")
    variants = _variants(schedule)
    job = Job(
        source=source,
        output=output,
        schedule=variants[0],
        scenes=scenes.options(),
        model=model.options(),
        encode=encode.options(),
        start=begins,
        end=begins + length,
        rate=None if rate is None else parse_rate(rate, "--rate"),
        filters=filters.chain(),
        video=filters.number(),
        overwrite=overwrite,
    )
    job = room.checked(job)
    show = partial(Reporter, str(source), quiet=quiet)
    assert job.output is not None, "a checked job has an output"
    with reserved(job.output), tempfile.TemporaryDirectory(prefix="afitrt-preview-") as folder:
        check_free(job.output, overwrite)
        rendered = {}
        for number, options in enumerate(variants):
            n = options.n_forward
            if not quiet:
                stderr.print(f"n-forward {n} ({number + 1} of {len(variants)})", markup=False)
            with show() as report:
                rendered[f"n-forward {n}"] = room.render(replace(job, schedule=options), n, Path(folder), report)
        stdout.print(str(room.compose(job, rendered)), markup=False)


def _variants(flags: ScheduleFlags) -> list[ScheduleOptions]:
    """One schedule for each number of passes, each once. Raises UsageError."""
    if flags.n_pass is not None:
        raise UsageError("--n-pass with preview", "--n-forward, which is one less", f"--n-forward {PASSES}")
    texts = [text.strip() for text in (flags.n_forward or PASSES).split(",")]
    found = list(dict.fromkeys(replace(flags, n_forward=text).options() for text in texts))
    if not all(options.n_forward for options in found):
        raise UsageError(f"--n-forward {flags.n_forward}", "whole numbers from 1", f"--n-forward {PASSES}")
    return found
