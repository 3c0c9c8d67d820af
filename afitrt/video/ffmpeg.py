"""Running ffmpeg: command lines, and a child that is always ended."""

from __future__ import annotations

import os
import re
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from afitrt.errors import MissingToolError
from afitrt.system import ended_by, enlarge, out_of_reach
from afitrt.video.ffmpeg_discovery import INSTALL, Ffmpeg, find

LAST_LINES = 40
AFTERMATH = re.compile(r"Terminating thread|Task finished|Nothing was written|Conversion failed|Error sending frames")
# ffmpeg closes gaps of more than ten seconds in MPEG-TS, and would move some tracks only.
KEEP_GAPS = ("-dts_delta_threshold", "1000000")
ADDRESS = re.compile(r" @ 0x[0-9a-f]+")


def describe(path: Path) -> str:
    """What ffmpeg says of a file, in its own words."""
    asked = [find().path, "-hide_banner", "-nostdin", "-i", readable_path(path)]
    told = subprocess.run(asked, capture_output=True, check=False, stdin=subprocess.DEVNULL, timeout=60)
    return told.stderr.decode(errors="replace")


def command(
    output: Any, *options: str, tool: Ffmpeg | None = None, level: Sequence[str] = ("-v", "error")
) -> list[str]:
    """Command line of an ffmpeg-python output node, quiet but for errors; existing files are overwritten.

    options: those of the whole run, such as a device. tool: another ffmpeg than `find()`. level: options that say how
    much it tells. Filters get one thread: zscale cuts a picture into a band for each and resamples chroma wrongly where
    they meet (measured: up to 25 codes of ten bits).
    """
    program, *rest = (os.fsdecode(each) for each in output.compile(cmd=(tool or find()).path))
    quiet = ["-hide_banner", "-nostdin", "-nostats", *level, "-y", *KEEP_GAPS]
    return [program, *quiet, "-filter_threads", "1", *options, *rest]


class Child:
    """A running ffmpeg. Its stderr is drained by a thread; leaving the `with` block kills it if it still runs.

    Ctrl-C reaches afitrt only, which then decides how to end it. stdout: True for a pipe, None for our own. hear is
    given each line, in that thread, and returns what is kept of it; ended is called there behind the last one.
    """

    def __init__(
        self,
        command: list[str],
        *,
        stdin: bool = False,
        stdout: bool | None = False,
        hear: Callable[[str], str] = str,
        ended: Callable[[], object] = str,
    ) -> None:
        self._hear, self._ended = hear, ended
        quiet: Mapping[str, str] = {**os.environ, "SVT_LOG": "1", "AV_LOG_FORCE_NOCOLOR": "1"}
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
                stdout={True: subprocess.PIPE, False: subprocess.DEVNULL, None: None}[stdout],
                stderr=subprocess.PIPE,
                bufsize=0,
                env=quiet,
                **out_of_reach(),
            )
        except OSError as error:
            raise MissingToolError(f"{command[0]} does not start: {error.strerror}", "ffmpeg", INSTALL) from error
        self._lines: deque[str] = deque(maxlen=LAST_LINES)
        self._drain = threading.Thread(target=self._read_lines, name="ffmpeg-stderr", daemon=True)
        self._drain.start()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                enlarge(pipe)

    def _read_lines(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if text := self._hear(ADDRESS.sub("", line.decode(errors="replace")).strip()):
                self._lines.append(text)
        self._ended()

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
            with suppress(OSError):
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


def read_whole(pipe: IO[bytes], view: memoryview) -> bool:
    """Fills the view from an unbuffered pipe; False at the end."""
    filled = 0
    while filled < len(view):
        got = pipe.readinto(view[filled:])  # type: ignore[attr-defined]
        if not got:
            return False
        filled += got
    return True


def ending(code: int, errors: tuple[str, ...]) -> str:
    """How ffmpeg ended and its last words, for the first line of an error."""
    told = "; ".join([line for line in errors if not AFTERMATH.search(line)][-4:]) or "it said nothing"
    return f"{ended_by(code)} ({told})"


def readable_path(path: Path) -> str:
    """A file name as ffmpeg and PyAV take it: never mistaken for an option or a protocol."""
    return f"file:{path}"


def node_path(path: Path) -> bytes:
    """The same for nodes of ffmpeg-python, which makes UTF-8 of texts and fails over names that are none; see
    `command`."""
    return os.fsencode(readable_path(path))
