"""Standard output for us alone while a library of others runs threads that print."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any, TextIO


class _Ours:
    """A text stream that takes what one thread writes; the rest goes to standard error."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._thread = stream, threading.get_ident()

    def write(self, text: str) -> int:
        """See TextIO."""
        return (self._stream if threading.get_ident() == self._thread else sys.stderr).write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def stdout_of_this_thread() -> Iterator[None]:
    """Inside, only this thread writes to standard output."""
    ours: Any = _Ours(sys.stdout)
    with redirect_stdout(ours):
        yield
