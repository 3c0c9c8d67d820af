"""Elements of a Matroska file, found by walking the tree: an id may occur by chance in a checksum or a UID."""

from __future__ import annotations

from dataclasses import dataclass

SEGMENT, TRACKS, TRACK_ENTRY, CODEC_DELAY = (bytes.fromhex(name) for name in ("18538067", "1654AE6B", "AE", "56AA"))
VIDEO, COLOUR = bytes.fromhex("E0"), bytes.fromhex("55B0")


@dataclass(frozen=True)
class Found:
    """An element's place in the file: where its id begins, where its body begins, and where it ends (exclusive)."""

    begin: int
    body: int
    end: int


def elements(data: bytes, begin: int, end: int) -> list[tuple[bytes, Found]]:
    """The elements side by side between two places, each with its id."""
    found = []
    while begin < end:
        name = data[begin : begin + 9 - data[begin].bit_length()]
        place = begin + len(name)
        width = 9 - data[place].bit_length()
        body = place + width
        size = int.from_bytes(data[place:body], "big") & ~(1 << 7 * width)
        found.append((name, Found(begin, body, body + size)))
        begin = body + size
    return found


def find_element(data: bytes, *path: bytes) -> Found:
    """The first element on this path of ids from the top of the file; siblings that lack the rest are passed over."""

    def below(begin: int, end: int, rest: tuple[bytes, ...]) -> Found | None:
        for name, place in elements(data, begin, end):
            if name == rest[0] and (deep := below(place.body, place.end, rest[1:]) if rest[1:] else place):
                return deep
        return None

    found = below(0, len(data), path)
    assert found, "no such element"
    return found


def element(name: str, *body: bytes) -> bytes:
    """An element with a size of eight bytes."""
    data = b"".join(body)
    return bytes.fromhex(name) + (len(data) | 1 << 56).to_bytes(8, "big") + data
