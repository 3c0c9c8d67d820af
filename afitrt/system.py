"""What differs between Linux, macOS and Windows: cores, pipes, child processes and signals."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from typing import IO, Any

PIPE_BYTES = 1 << 20


def cores() -> int:
    """Processors that this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)  # Of Linux; macOS and Windows tell only how many there are.
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def out_of_reach() -> dict[str, Any]:
    """Arguments of subprocess.Popen for a child that a Ctrl-C in the terminal does not reach."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    else:
        return {"start_new_session": True}


def enlarge(pipe: IO[bytes]) -> None:
    """Asks the kernel for a bigger pipe where that exists (Linux): fewer switches for each picture."""
    if sys.platform == "linux":
        with suppress(ImportError, AttributeError, OSError):
            import fcntl

            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)


def nobody_reads(error: OSError) -> bool:
    """Does an error of writing say that the other end of the pipe is closed?"""
    return isinstance(error, BrokenPipeError) or (sys.platform == "win32" and error.errno == errno.EINVAL)


def stop_signals() -> list[signal.Signals]:
    """Signals of this system that ask a process to end: Ctrl-C, SIGTERM, a closed terminal's SIGHUP, Ctrl-Break."""
    known = (getattr(signal, name, None) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"))
    return [each for each in known if each is not None]


def signal_main_thread(number: int) -> None:
    """Sends a signal to our own main thread; except on Windows, what it waits for is interrupted."""
    if sys.platform == "win32":
        signal.raise_signal(number)
    else:
        main = threading.main_thread().ident
        assert main is not None, "it has begun"
        signal.pthread_kill(main, number)


def ended_by(code: int) -> str:
    """How a child with this exit code ended: codes below 0 are signals."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"
