"""The real command line, in this process or in one of its own."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
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
    """Starts the command line as a process of its own, with both texts piped."""
    return subprocess.Popen(
        command_line(*arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": ""},
        **options,  # type: ignore[call-overload]
    )
