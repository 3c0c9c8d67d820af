"""Signals end the process: SIGTERM in time, even while the main thread is inside a library that heeds none."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from afitrt.errors import RetryError, Terminated
from afitrt.system import signal_main_thread

SECONDS = 8
"""Whoever sends SIGTERM to a machine that is taken away waits for ten."""
AGAIN_SECONDS = 0.05


@contextmanager
def ending_in_time(seconds: float = SECONDS) -> Iterator[None]:
    """Inside, a process that gets SIGTERM and has not ended so many seconds later is ended, with the code for it.

    Finished segments are safe by then; the picture at hand is abandoned. For the main thread.
    """
    # A pair of sockets and no pipe: Windows knows nothing else that does not block.
    reading, writing = socket.socketpair()
    writing.setblocking(False)
    before = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
    left = threading.Event()
    threading.Thread(target=_watch, args=(reading, left, seconds), name="afitrt-deadline", daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        left.set()
        writing.close()


@contextmanager
def hearing_all() -> Iterator[None]:
    """Inside, a signal that arrives while a destructor or the callback of a weak reference runs comes once more.

    Python drops what its handler raises there, and the run would go on. For the main thread.
    """
    before, left = sys.unraisablehook, threading.Event()

    def again(number: int) -> None:
        if not left.wait(AGAIN_SECONDS):
            signal_main_thread(number)

    def dropped(told: sys.UnraisableHookArgs) -> None:
        if not isinstance(told.exc_value, Terminated):
            before(told)
            return
        number = signal.Signals[str(told.exc_value)]
        threading.Thread(target=again, args=(number,), name="afitrt-signal", daemon=True).start()

    sys.unraisablehook = dropped
    try:
        yield
    finally:
        left.set()
        sys.unraisablehook = before


def _watch(reading: socket.socket, left: threading.Event, seconds: float) -> None:
    with reading:
        while got := reading.recv(64):
            if signal.SIGTERM in got:
                if not left.wait(seconds):
                    _end()
                return


def _end() -> None:
    import psutil

    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            child.kill()
    os._exit(RetryError.exit_code)
