"""What a Matroska file is to say of its tracks beyond what PyAV can tell its muxer, written into the finished file.

The muxer is given names that are too long, and the space that they leave is used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from afitrt.video import matroska

ENTRY, NUMBER, NAME, VIDEO, CODEC_DELAY, TRACK_UID = 0xAE, 0xD7, 0x536E, 0xE0, 0x56AA, 0x73C5
DISPLAY_WIDTH, DISPLAY_HEIGHT, DISPLAY_UNIT = 0x54B0, 0x54BA, 0x54B2
PIXELS, RATIO = 0, 3
RESERVE = " " * 120


@dataclass
class Remarks:
    """Elements to put into the entry of one track, in place of those that are there. video: within its VIDEO."""

    name: str = ""
    track: dict[int, bytes] = field(default_factory=dict)
    video: dict[int, bytes] = field(default_factory=dict)


class Finishing:
    """The remarks on the tracks of one output, by the index of their stream.

    chapters: the body of that element, b"" for what the muxer makes. tags: makes its body of the muxer's and of new
    numbers of the tracks by old ones.
    """

    def __init__(self) -> None:
        self._remarks: dict[int, Remarks] = {}
        self.chapters = b""
        self.tags: Callable[[bytes, dict[int, bytes]], bytes] | None = None

    def on(self, stream: Any) -> Remarks:
        """The remarks on a stream of an output; the first call comes before its header is written."""
        if stream.index not in self._remarks:
            self._remarks[stream.index] = Remarks(stream.metadata.get("title", ""))
            stream.metadata["title"] = self._remarks[stream.index].name + RESERVE
        return self._remarks[stream.index]

    def add(self, stream: Any, said: Remarks) -> None:
        """Adds to the remarks on a stream, where anything is said."""
        if said.track or said.video:
            self.on(stream).track.update(said.track)
            self.on(stream).video.update(said.video)

    def write(self, path: Path) -> None:
        """Puts them into a finished file. Raises ValueError where it has no room for them."""
        made = matroska.read(path)
        if self._remarks:
            entries = matroska.children(made[matroska.TRACKS])
            done = [(ident, self._entry(body) if ident == ENTRY else body) for ident, body in entries]
            matroska.put(path, matroska.TRACKS, matroska.joined(done))
        if self.chapters:
            matroska.put(path, matroska.CHAPTERS, self.chapters)
        if self.tags:
            uids = {
                index + 1: each.track[TRACK_UID] for index, each in self._remarks.items() if TRACK_UID in each.track
            }
            matroska.put(path, matroska.TAGS, self.tags(made.get(matroska.TAGS, b""), uids))

    def _entry(self, body: bytes) -> bytes:
        remarks = self._remarks.get(matroska.number(body, NUMBER) - 1)
        if remarks is None:
            return body
        name = {NAME: remarks.name.encode()} if remarks.name else {}
        kept = [each for each in matroska.children(body) if each[0] != NAME]
        inner = matroska.joined(kept)
        inner = matroska.with_elements(inner, remarks.video, VIDEO) if remarks.video else inner
        return matroska.with_elements(inner, {**name, **remarks.track})
