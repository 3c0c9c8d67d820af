"""The real command line, in this process or in one of its own."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from unittest import mock

from afitrt.cli import main


@dataclass(frozen=True)
class Ran:
    """What a command left: exit code and both texts."""

    code: int
    out: str
    err: str


def afitrt(*arguments: object) -> Ran:
    """Runs the command line in this process."""
    out, err = io.StringIO(), io.StringIO()
    argv = ["afitrt", *map(str, arguments)]
    with mock.patch.object(sys, "argv", argv), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
            code = 0
        except SystemExit as left:
            code = left.code if isinstance(left.code, int) else int(left.code is not None)
    return Ran(code, out.getvalue(), err.getvalue())


def command_line(*arguments: object) -> list[str]:
    """The words that start the command line as a process."""
    return [sys.executable, "-m", "afitrt", *map(str, arguments)]


def process(*arguments: object, **options: object) -> subprocess.Popen[str]:
    """Starts the command line as a process of its own, with both texts piped; it heeds signals."""
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": {**os.environ, "PYTHONWARNINGS": ""}}
    with heeding_signals():
        return subprocess.Popen(command_line(*arguments), text=True, **{**piped, **options})  # type: ignore[call-overload]


@contextlib.contextmanager
def heeding_signals() -> Iterator[None]:
    """Signals as in a shell, for us and for children started inside: `make test &` and nohup have some ignored."""
    defaults = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGHUP: signal.SIG_DFL,
        signal.SIGTERM: signal.SIG_DFL,
    }
    before = {number: signal.signal(number, handler) for number, handler in defaults.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
