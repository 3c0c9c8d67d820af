"""The ffmpeg program: which one is used, what it can do, and running it as a child that is always ended.

afitrt converts between Y'CbCr and RGB with ffmpeg's zscale filter (the zimg library): swscale's 16 bit RGB has its
white at 65280 instead of 65535 and its full range is off by up to two codes of ten bits. A system ffmpeg built
without zscale is passed over in favour of the one that the imageio-ffmpeg package brings.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from afitrt.errors import MissingToolError

PIPE_BYTES = 1 << 20
LAST_LINES = 40
AFTERMATH = re.compile(r"Terminating thread|Task finished|Nothing was written|Conversion failed|Error sending frames")
# ffmpeg closes gaps of more than ten seconds in MPEG-TS, and would move some tracks only.
KEEP_GAPS = ("-dts_delta_threshold", "1000000")
ADDRESS = re.compile(r" @ 0x[0-9a-f]+")
INSTALL = "pip install imageio-ffmpeg, or set AFITRT_FFMPEG to an ffmpeg that has the zscale filter"


@dataclass(frozen=True)
class Ffmpeg:
    """An ffmpeg that runs. encoders: names of all its video encoders. zscale: it has the filter we need."""

    path: str
    version: str
    encoders: frozenset[str] = field(repr=False)
    zscale: bool


def find() -> Ffmpeg:
    """The ffmpeg to use: AFITRT_FFMPEG, else the one on PATH, else that of the imageio-ffmpeg package.

    Raises MissingToolError when none of them runs and has the zscale filter, or AFITRT_FFMPEG does not.
    """
    if configured := os.environ.get("AFITRT_FFMPEG"):
        tool = _inspect(configured)
        if tool is None or not tool.zscale:
            problem = "does not run as ffmpeg" if tool is None else "has no zscale filter"
            raise MissingToolError(
                f"AFITRT_FFMPEG={configured} {problem}",
                "an ffmpeg built with libzimg",
                f"unset AFITRT_FFMPEG, or {INSTALL}",
            )
        return tool
    for path in (shutil.which("ffmpeg"), _packaged()):
        tool = _inspect(path) if path else None
        if tool is not None and tool.zscale:
            return tool
    raise MissingToolError("no ffmpeg with the zscale filter is installed", "ffmpeg built with libzimg", INSTALL)


def _packaged() -> str | None:
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        return None


@functools.cache
def _inspect(path: str) -> Ffmpeg | None:
    """What the program says of itself, or None where it is no ffmpeg."""
    try:
        version = re.match(r"ffmpeg version (\S+)", _ask(path, "-version"))
        encoders = re.findall(r"^ V[.A-Z]{5} (\S+)", _ask(path, "-encoders"), re.MULTILINE)
        zscale = re.search(r"^ \S+ +zscale ", _ask(path, "-filters"), re.MULTILINE)
    except (OSError, subprocess.SubprocessError):
        return None
    return Ffmpeg(path, version[1], frozenset(encoders), bool(zscale)) if version else None


def _ask(path: str, *question: str) -> str:
    command = [path, *(() if question == ("-version",) else ("-hide_banner",)), *question]
    answer = subprocess.run(command, capture_output=True, check=True, stdin=subprocess.DEVNULL, timeout=60)
    return answer.stdout.decode(errors="replace")


def encoder_options(name: str) -> frozenset[str]:
    """The options that one encoder of the ffmpeg in use has for itself, without their dashes."""
    return _encoder_options(find().path, name)


@functools.cache
def _encoder_options(path: str, name: str) -> frozenset[str]:
    return frozenset(re.findall(r"^ {2}-(\S+) +<", _ask(path, "-h", f"encoder={name}"), re.MULTILINE))


def knows_option(name: str) -> bool:
    """Has the ffmpeg in use this option of the program itself?"""
    return name in _options(find().path)


@functools.cache
def _options(path: str) -> frozenset[str]:
    return frozenset(re.findall(r"^-(\w+)", _ask(path, "-h", "full"), re.MULTILINE))


def describe(path: str) -> str:
    """What ffmpeg says of an input, in its own words."""
    asked = [find().path, "-hide_banner", "-nostdin", "-i", path]
    told = subprocess.run(asked, capture_output=True, check=False, stdin=subprocess.DEVNULL, timeout=60)
    return told.stderr.decode(errors="replace")


def command(output: Any, *options: str) -> list[str]:
    """Command line of an ffmpeg-python output node, quiet but for errors; existing files are overwritten.

    options: those of the whole run, such as a device. Filters get one thread: zscale cuts a picture into a band for
    each and resamples chroma wrongly where they meet (measured: up to 25 codes of ten bits).
    """
    program, *rest = output.compile(cmd=find().path)
    quiet = ["-hide_banner", "-nostdin", "-nostats", "-v", "error", "-y", *KEEP_GAPS]
    return [program, *quiet, "-filter_threads", "1", *options, *rest]


class Child:
    """A running ffmpeg. Its stderr is drained by a thread; leaving the `with` block kills it if it still runs.

    It gets a session of its own, so that Ctrl-C reaches afitrt only, which then decides how to end it. stdout: True
    for a pipe, None for our own.
    """

    def __init__(self, command: list[str], *, stdin: bool = False, stdout: bool | None = False) -> None:
        quiet: Mapping[str, str] = {**os.environ, "SVT_LOG": "1", "AV_LOG_FORCE_NOCOLOR": "1"}
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
                stdout={True: subprocess.PIPE, False: subprocess.DEVNULL, None: None}[stdout],
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
                env=quiet,
            )
        except OSError as error:
            raise MissingToolError(f"{command[0]} does not start: {error.strerror}", "ffmpeg", INSTALL) from error
        self._lines: deque[str] = deque(maxlen=LAST_LINES)
        self._drain = threading.Thread(target=self._read_lines, name="ffmpeg-stderr", daemon=True)
        self._drain.start()
        for pipe in (self._process.stdin, self._process.stdout):
            _enlarge(pipe)

    def _read_lines(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if text := ADDRESS.sub("", line.decode(errors="replace")).strip():
                self._lines.append(text)

    @property
    def pid(self) -> int:
        """Process number."""
        return self._process.pid

    @property
    def stdin(self) -> IO[bytes]:
        """Unbuffered pipe into ffmpeg; only where asked for."""
        assert self._process.stdin is not None
        return self._process.stdin

    @property
    def stdout(self) -> IO[bytes]:
        """Unbuffered pipe out of ffmpeg; only where asked for."""
        assert self._process.stdout is not None
        return self._process.stdout

    @property
    def errors(self) -> tuple[str, ...]:
        """The last lines that ffmpeg wrote to stderr so far; all of them once it has ended."""
        return tuple(self._lines)

    def wait(self, timeout_seconds: float | None = None) -> int:
        """Exit code, negative for a signal; the pipes are closed and stderr is read to its end."""
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.close()
        code = self._process.wait(timeout_seconds)
        self._drain.join()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()
        return code

    def end(self) -> None:
        """Ends ffmpeg at once and does not wait; for a thread other than the one that does."""
        self._process.kill()

    def kill(self) -> None:
        """Ends ffmpeg at once; what it wrote so far stays."""
        self._process.kill()
        self.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


def _enlarge(pipe: IO[bytes] | None) -> None:
    """Asks the kernel for a bigger pipe where that exists (Linux): fewer switches for each picture."""
    if pipe is None:
        return
    with suppress(ImportError, AttributeError, OSError):
        import fcntl

        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)


def ending(code: int, errors: tuple[str, ...]) -> str:
    """How ffmpeg ended and its last words, for the first line of an error."""
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    told = "; ".join([line for line in errors if not AFTERMATH.search(line)][-4:]) or "it said nothing"
    return f"{how} ({told})"


def run(command: list[str]) -> tuple[int, tuple[str, ...]]:
    """Runs a command to its end; exit code and last lines of stderr. Killed when the caller is interrupted."""
    with Child(command) as child:
        return child.wait(), child.errors


def readable_path(path: Path) -> str:
    """A file name as ffmpeg takes it: never mistaken for an option or a protocol."""
    return f"file:{path}"
