"""Several inputs one after the other: one that fails does not stop the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import typer
from rich.table import Table

from afitrt.cli.console import Reporter, print_error, stdout
from afitrt.errors import AfitrtError, InterruptedRunError, PartialInputError, RetryError
from afitrt.options import Job

Show = Callable[..., Reporter]
Work = Callable[[Job, Reporter], object]


def run(jobs: Sequence[Job], work: Work, show: Show, *, table: bool) -> None:
    """Runs every job; leaves with the exit code of the first that failed.

    Ctrl-C, SIGTERM and a full disk end all of them, with their own exit code. table: print one at the end.
    """
    codes: list[int] = []
    statuses: list[str] = []
    for job in jobs:
        try:
            with show(str(job.source)) as report:
                work(job, report)
        except AfitrtError as error:
            print_error(error)
            codes.append(error.exit_code)
            statuses.append(f"{'damaged' if isinstance(error, PartialInputError) else 'failed'}: {error.found}")
            if isinstance(error, InterruptedRunError | RetryError):
                codes.insert(0, error.exit_code)
                break
        else:
            statuses.append("done")
    if table:
        _print(jobs, statuses)
    if codes:
        raise typer.Exit(codes[0])


def _print(jobs: Sequence[Job], statuses: list[str]) -> None:
    shown = Table("input", "status", box=None)
    for index, job in enumerate(jobs):
        shown.add_row(str(job.source), statuses[index] if index < len(statuses) else "not started")
    for column in shown.columns:
        column.overflow = "fold"
    stdout.print(shown, markup=False)
