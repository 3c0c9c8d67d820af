"""SIGTERM ends the process in time, even while the main thread is inside a library that heeds no signal."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from afitrt.errors import RetryError

SECONDS = 8
"""Whoever sends SIGTERM to a machine that is taken away waits for ten."""


@contextmanager
def ending_in_time(seconds: float = SECONDS) -> Iterator[None]:
    """Inside, a process that gets SIGTERM and has not ended so many seconds later is ended, with the code for it.

    Finished segments are safe by then; the picture at hand is abandoned. For the main thread.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    left = threading.Event()
    threading.Thread(target=_watch, args=(reading, left, seconds), name="afitrt-deadline", daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        left.set()
        os.close(writing)


def _watch(reading: int, left: threading.Event, seconds: float) -> None:
    with open(reading, "rb", buffering=0) as signals:
        while got := signals.read(64):
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
