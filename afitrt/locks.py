"""One writer for each file: a lock that ends with the process that holds it, however that ends."""

from __future__ import annotations

import errno
import json
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from afitrt.artefacts import writing_in
from afitrt.errors import RetryError
from afitrt.file_names import short_name

FAR = 1 << 30
"""Windows locks bytes, and keeps others from reading them; nobody reads this one."""
TAKEN = frozenset({errno.EAGAIN, errno.EACCES, errno.EDEADLK, errno.EWOULDBLOCK})


@contextmanager
def held(target: Path) -> Iterator[None]:
    """Inside, no other process that asks for the same is at work on this file, which may not exist yet.

    A hidden file beside it is locked and says who holds it. Raises RetryError where another process does, OutputError
    where the folder cannot be written. A disk that knows no locks (some network file systems) lets everyone in.
    """
    path = target.with_name(f".afitrt-{short_name(target)}.lock")
    file = _taken(path, target)
    try:
        yield
    finally:
        # Windows does not remove what is open; elsewhere it goes while it is still ours.
        with suppress(OSError):
            path.unlink()
        os.close(file)
        if sys.platform == "win32":
            with suppress(OSError):
                path.unlink()


def _taken(path: Path, target: Path) -> int:
    """The descriptor of the locked file."""
    while True:
        with writing_in(path.parent):
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        if not _lock(file):
            holder = _holder(file)
            os.close(file)
            raise RetryError(
                f"{target} is being written by {holder}",
                "one command at a time for each output",
                "wait until it ends, end it, or give another name for the output",
            )
        # Whoever held it may have removed it after we opened it.
        with suppress(OSError):
            if os.path.samestat(os.fstat(file), path.stat()):
                break
        os.close(file)
    os.ftruncate(file, 0)
    os.write(file, json.dumps({"process": os.getpid(), "host": platform.node()}).encode())
    return file


def _lock(file: int) -> bool:
    """False where another process has it."""
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(file, FAR, os.SEEK_SET)
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
            os.lseek(file, 0, os.SEEK_SET)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:
        return True
    except OSError as error:
        return error.errno not in TAKEN
    return True


def _holder(file: int) -> str:
    """Who a lock says has it."""
    try:
        os.lseek(file, 0, os.SEEK_SET)
        facts = json.loads(os.read(file, 4096))
        return f"process {facts['process']} on {facts['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
