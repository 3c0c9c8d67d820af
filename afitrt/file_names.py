"""Names of files: which of them a disk takes, short ones for files at work, and all of them as text for people."""

from __future__ import annotations

import codecs
import hashlib
import os
import sys
from pathlib import Path
from typing import Any

from afitrt.errors import OutputError

NAME_LIMIT = 255
SHOWN = 40
LEGIBLE = "afitrt-legible"
"""Error handler of an encoding: what it cannot write becomes an escape, as \\xff for a byte that is no UTF-8."""


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    # Bytes of a name that are no UTF-8 come as U+DC80 to U+DCFF (PEP 383).
    parts = (
        f"\\x{ord(each) - 0xDC00:02x}" if 0xDC80 <= ord(each) <= 0xDCFF else each.encode("ascii", "backslashreplace")
        for each in error.object[error.start : error.end]
    )
    return "".join(each if isinstance(each, str) else each.decode() for each in parts), error.end


codecs.register_error(LEGIBLE, _escaped)


def readable(value: Any) -> Any:
    """A text, or JSON values, in which bytes of names that are no UTF-8 are escapes."""
    if isinstance(value, str):
        return value.encode("utf-8", LEGIBLE).decode()
    if isinstance(value, dict):
        return {key: readable(each) for key, each in value.items()}
    return [readable(each) for each in value] if isinstance(value, list | tuple) else value


def short_name(path: Path) -> str:
    """16 hexadecimal digits that stand for the last part of a path, however long that is."""
    return hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]


def work_name(suffix: str = "") -> str:
    """A new hidden name for a file that this process works on."""
    return f".afitrt-{os.getpid()}-{os.urandom(4).hex()}{suffix}"


def fitted(stem: str, end: str) -> str:
    """A file name of both, without the last letters of the stem where it would be too long."""
    while stem and _length(stem + end) > NAME_LIMIT:
        stem = stem[:-1]
    return stem + end


def check_name(path: Path, hint: str) -> None:
    """Raises OutputError, with this hint, where a part of a path is longer than the names of its disk may be."""
    most = _limit(path.parent)
    for part in path.parts:
        if (length := _length(part)) > most:
            raise OutputError(
                f"the name {part[:SHOWN]}… has {length} bytes", f"at most {most}, which is what its disk takes", hint
            )


def _length(name: str) -> int:
    """As file systems count: bytes, or 16 bit units on Windows."""
    return len(name.encode("utf-16-le", "surrogatepass")) // 2 if sys.platform == "win32" else len(os.fsencode(name))


def _limit(folder: Path) -> int:
    """The longest name in a folder that may not exist yet."""
    there = next((each for each in (folder, *folder.absolute().parents) if os.path.exists(each)), Path())
    try:
        if sys.platform != "win32":
            return os.pathconf(there, "PC_NAME_MAX")
    except (AttributeError, OSError, ValueError):
        pass
    return NAME_LIMIT
