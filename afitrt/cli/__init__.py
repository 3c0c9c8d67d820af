"""The command line: the only room that prints and exits. Exit codes are those of afitrt.errors."""

from __future__ import annotations

import errno
import io
import signal
import sys
from contextlib import suppress
from types import FrameType
from typing import Annotated

import typer

from afitrt import __version__
from afitrt.cli import between, compare, doctor, engines, farm, inspect, interpolate, models, preview, segments, weights
from afitrt.cli.deadline import ending_in_time, hearing_all
from afitrt.errors import AfitrtError, RetryError, Terminated, stopped
from afitrt.file_names import LEGIBLE
from afitrt.system import stop_signals

EPILOG = (
    "Exit codes: 0 done, 1 defect, 2 options, 3 source, 4 output, 5 missing tool, 6 artefact, 7 memory or disk, "
    "8 failed in mid-run, 9 damaged source rendered as far as it goes, 75 try again, 130 interrupted."
)

app = typer.Typer(
    name="afitrt",
    help="Smooth anime video by forward de-duplication on the GMFSS network.",
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("interpolate")(interpolate.interpolate)
app.command("plan")(inspect.plan)
app.command("render")(segments.render)
app.command("join")(segments.join)
app.command("scenes")(inspect.scenes)
app.command("preview")(preview.preview)
app.command("between")(between.between)
app.command("compare", epilog=compare.EPILOG)(compare.compare)
app.command("models")(models.models)
app.command("build-engine")(engines.build_engine)
app.command("doctor")(doctor.doctor)
app.add_typer(weights.app, name="weights")
app.add_typer(engines.app, name="engines")
app.add_typer(farm.app, name="farm")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"afitrt {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Smooth anime video by forward de-duplication on the GMFSS network."""


def _terminated(number: int, _frame: FrameType | None) -> None:
    raise Terminated(signal.Signals(number).name)


def _stopping() -> list[signal.Signals]:
    """Signals that ask to end, without those that somebody (nohup, a shell in the background) has had ignored.

    Ctrl-C is one of them: of a KeyboardInterrupt, click would make exit code 1.
    """
    return [each for each in stop_signals() if signal.getsignal(each) is not signal.SIG_IGN]


def _write_all_letters() -> None:
    """A name that the terminal's encoding has no letters for is shown with escapes instead of ending the command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=LEGIBLE)


def main() -> None:
    """Runs the command line and exits with a documented code."""
    _write_all_letters()
    before = {each: signal.signal(each, _terminated) for each in _stopping()}
    try:
        with ending_in_time(), hearing_all():
            app()
    except (AfitrtError, Terminated) as failure:
        for each in before:
            # Whoever presses Ctrl-C once more sees what is said of the first.
            signal.signal(each, signal.SIG_IGN)
        from afitrt.cli.console import print_error

        error = stopped(failure)
        assert isinstance(error, AfitrtError)
        with suppress(OSError):  # The terminal may be gone.
            print_error(error)
        sys.exit(error.exit_code)
    except OSError as failure:  # Of a terminal that is gone, before its signal arrives.
        if failure.errno != errno.EIO or sys.stderr.isatty():
            raise
        sys.exit(RetryError.exit_code)
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
