"""Matroska's elements, read and written byte by byte: for facts that ffmpeg's libraries flatten or have no word for.

EBML (RFC 8794) is a tree of elements, each an identity, a size and a body; Matroska (RFC 9559) names them. Only the
elements above the clusters are read, wherever the SeekHead says that they are, and clusters never.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO

EBML, SEGMENT, CLUSTER, VOID, CRC = 0x1A45DFA3, 0x18538067, 0x1F43B675, 0xEC, 0xBF
SEEK_HEAD, SEEK, SEEK_ID, SEEK_POSITION = 0x114D9B74, 0x4DBB, 0x53AB, 0x53AC
INFO, TRACKS, CHAPTERS, TAGS = 0x1549A966, 0x1654AE6B, 0x1043A770, 0x1254C367
READ = (INFO, TRACKS, CHAPTERS, TAGS)
MOST_BYTES = 16 << 20  # Of one such element: more is damage.
MOST_ELEMENTS = 100_000
UNKNOWN = -1

Element = tuple[int, bytes]


def children(body: bytes) -> list[Element]:
    """(identity, body) of the elements within a body, up to the first that is damaged; no checksums, no Void."""
    found: list[Element] = []
    place = 0
    while place < len(body) and (head := _head(body[place : place + 12])):
        ident, size, width = head
        if size == UNKNOWN or place + width + size > len(body):
            break
        if ident not in (VOID, CRC):
            found.append((ident, body[place + width : place + width + size]))
        place += width + size
    return found


def within(body: bytes, *path: int) -> list[bytes]:
    """Bodies of all elements at a path of identities below this body."""
    bodies = [body]
    for ident in path:
        bodies = [inner for each in bodies for found, inner in children(each) if found == ident]
    return bodies


def number(body: bytes, *path: int, default: int = 0) -> int:
    """The unsigned integer at a path, or the default where there is none."""
    found = within(body, *path)
    return int.from_bytes(found[0][:8], "big") if found else default


def text(body: bytes, *path: int) -> str:
    """The text at a path, "" where there is none."""
    found = within(body, *path)
    return found[0].rstrip(b"\0").decode(errors="replace") if found else ""


def element(ident: int, body: bytes | int) -> bytes:
    """One element as bytes; a number is written as an unsigned integer."""
    data = body if isinstance(body, bytes) else body.to_bytes(max(1, (body.bit_length() + 7) // 8), "big")
    return _ident(ident) + _size(len(data)) + data


def joined(elements: Iterable[Element]) -> bytes:
    """The body of which `children` gives these."""
    return b"".join(element(*each) for each in elements)


def with_elements(body: bytes, elements: Mapping[int, bytes | int], *path: int) -> bytes:
    """The body with these elements in place of those of the same identities, at a path below it, which is made."""
    inner = children(body)
    if not path:
        return joined(each for each in inner if each[0] not in elements) + b"".join(
            element(*each) for each in elements.items()
        )
    if path[0] not in [ident for ident, _ in inner]:
        inner.append((path[0], b""))
    return joined(
        (ident, with_elements(found, elements, *path[1:]) if ident == path[0] else found) for ident, found in inner
    )


def read(path: Path) -> dict[int, bytes]:
    """Bodies of the first INFO, TRACKS, CHAPTERS and TAGS of a file, as far as they are whole; empty of other files."""
    with path.open("rb") as file:
        found: dict[int, bytes] = {}
        for ident, _, body, size in _top(file):
            if ident in READ and ident not in found:
                file.seek(body)
                found[ident] = file.read(size)
    return found


def put(path: Path, ident: int, body: bytes) -> None:
    """Puts another body into the first element of that identity of a finished file, or makes a new element.

    In place where it and the Void behind it have the room; else at the end, as the SeekHead then says. Raises
    ValueError where the file has no SeekHead with room for that.
    """
    body = element(CRC, zlib.crc32(body).to_bytes(4, "little")) + body
    with path.open("r+b") as file:
        top = list(_top(file))
        old = next((each for each in top if each[0] == ident), None)
        if old and _fits(file, old, body):
            return
        end = file.seek(0, os.SEEK_END)
        file.write(element(ident, body))
        start = _segment(file)
        _point(file, top, ident, end - start)
        file.seek(start - 8)  # FFmpeg writes it as eight bytes.
        file.write(_size(end + len(element(ident, body)) - start, 8))
        if old:
            _blank(file, old[1], old[2] + old[3])


def _fits(file: IO[bytes], old: tuple[int, int, int, int], body: bytes) -> bool:
    ident, begin, start, size = old
    end = start + size
    if (head := _read_head(file, end)) and head[0] == VOID and head[1] != UNKNOWN:
        end += head[2] + head[1]
    room = end - begin - len(_ident(ident)) - len(body)
    width = next((each for each in range(1, 9) if len(body) < (1 << 7 * each) - 1 and room - each != 1), 8)
    if room < width or room - width == 1:
        return False
    file.seek(begin)
    file.write(_ident(ident) + _size(len(body), width) + body)
    _blank(file, file.tell(), end)
    return True


def _blank(file: IO[bytes], begin: int, end: int) -> None:
    """Makes one Void of these bytes, of which there are none or at least two."""
    if begin == end:
        return
    width = 1 if end - begin < 100 else 8
    file.seek(begin)
    file.write(bytes([VOID]) + _size(end - begin - 1 - width, width))


def _point(file: IO[bytes], top: list[tuple[int, int, int, int]], ident: int, position: int) -> None:
    """Lets the SeekHead name this position, within the segment, for an element."""
    heads = [each for each in top if each[0] == SEEK_HEAD]
    if not heads:
        raise ValueError("the file has no SeekHead")
    file.seek(heads[0][2])
    kept = [each for each in children(file.read(heads[0][3])) if each[0] == SEEK]
    kept = [each for each in kept if number(each[1], SEEK_ID) != ident]
    entry = element(SEEK_ID, _ident(ident)) + element(SEEK_POSITION, position)
    if not _fits(file, heads[0], joined([*kept, (SEEK, entry)])):
        raise ValueError("the file's SeekHead has no room")


def _top(file: IO[bytes]) -> Iterator[tuple[int, int, int, int]]:
    """(identity, where it begins, where its body begins, size) of the elements above the clusters, each once."""
    if (start := _segment(file)) == UNKNOWN:
        return
    length = file.seek(0, os.SEEK_END)
    seen: set[int] = set()
    waiting = [start]
    while waiting and len(seen) < MOST_ELEMENTS:
        place = waiting.pop(0)
        while place not in seen and (head := _read_head(file, place)):
            seen.add(place)
            ident, size, width = head
            if ident == CLUSTER or size == UNKNOWN or place + width + size > length:
                break
            if ident in (*READ, SEEK_HEAD) and size <= MOST_BYTES:
                yield ident, place, place + width, size
            if ident == SEEK_HEAD and size <= MOST_BYTES:
                file.seek(place + width)
                body = file.read(size)
                waiting += [start + number(each, SEEK_POSITION) for each in within(body, SEEK)]
            place += width + size


def _segment(file: IO[bytes]) -> int:
    """Where the body of the segment begins, UNKNOWN where there is none."""
    first = _read_head(file, 0)
    if not first or first[0] != EBML or first[1] == UNKNOWN:
        return UNKNOWN
    head = _read_head(file, first[2] + first[1])
    return first[2] + first[1] + head[2] if head and head[0] == SEGMENT else UNKNOWN


def _read_head(file: IO[bytes], place: int) -> tuple[int, int, int] | None:
    # A damaged size or position may point farther than any file reaches, and a seek there fails.
    if place >= file.seek(0, os.SEEK_END):
        return None
    file.seek(place)
    return _head(file.read(12))


def _head(data: bytes) -> tuple[int, int, int] | None:
    """(identity, size or UNKNOWN, bytes of both) of an element that begins here, None where none can."""
    if not data or not (width := 9 - data[0].bit_length()) <= 4:
        return None
    if len(data) <= width or not (wide := 9 - data[width].bit_length()) <= 8 or len(data) < width + wide:
        return None
    size = int.from_bytes(data[width : width + wide], "big") - (1 << 7 * wide)
    unknown = size == (1 << 7 * wide) - 1
    return int.from_bytes(data[:width], "big"), UNKNOWN if unknown else size, width + wide


def _ident(ident: int) -> bytes:
    return ident.to_bytes((ident.bit_length() + 7) // 8, "big")


def _size(size: int, width: int = 0) -> bytes:
    width = width or next(each for each in range(1, 9) if size < (1 << 7 * each) - 1)
    return (size | 1 << 7 * width).to_bytes(width, "big")
