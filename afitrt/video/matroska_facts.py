"""What Matroska says and FFmpeg's libraries flatten: carried from file to file as it is, or told by name.

Editions and nested, hidden and ordered chapters, their names in several languages, languages of BCP 47, tags of all
levels, disabled tracks, projections of pictures.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from afitrt.frames import VideoInfo
from afitrt.video import matroska
from afitrt.video.encoders import MATROSKA
from afitrt.video.ffmpeg import readable_path
from afitrt.video.matroska import Element, children, element, joined, number, text, within
from afitrt.video.matroska_patch import ENTRY, TRACK_UID, VIDEO, Remarks

KIND, ENABLED, LANGUAGE = 0x83, 0xB9, 0x22B59D
STEREO, INTERLACED, PROJECTION, PROJECTION_TYPE = 0x53B8, 0x9A, 0x7670, 0x7671
KINDS = {1: "video", 2: "audio", 0x11: "subtitle"}
EDITION, ORDERED, EDITION_HIDDEN = 0x45B9, 0x45DD, 0x45BD
ATOM, BEGINS, ENDS, HIDDEN, DISPLAY = 0xB6, 0x91, 0x92, 0x98, 0x80
OTHER_FILE, CHAPTER_TRACK = 0x6E67, 0x8F
TAG, TARGETS, LEVEL, USUAL_LEVEL, OF_TRACK, OF_ATTACHMENT = 0x7373, 0x63C0, 0x68CA, 50, 0x63C5, 0x63C6
OF_EDITION, OF_CHAPTER, SIMPLE, TAG_NAME = 0x63C9, 0x63C4, 0x67C8, 0x45A3
PREVIOUS, NEXT = 0x3CB923, 0x3EB923
DEEPEST = 50


@dataclass(frozen=True)
class Facts:
    """Bodies of a file's elements: its tracks in the order of their streams, its chapters and tags, b"" for none.

    linked: does it name other files?
    """

    tracks: tuple[bytes, ...]
    chapters: bytes
    tags: bytes
    linked: bool

    def of_track(self, index: int) -> Remarks:
        """What is to be said of the copy of stream `index`; nothing of an ordinary one."""
        said, body = Remarks(), self.tracks[index]
        said.track.update({ident: inner for ident, inner in children(body) if ident in (ENABLED, LANGUAGE)})
        if int.from_bytes(said.track.get(ENABLED, b"\1"), "big"):  # As it is anyway.
            said.track.pop(ENABLED, None)
        uids = [number(each, TRACK_UID) for each in self.tracks]
        if _atoms(self.chapters, CHAPTER_TRACK) and uids.count(uids[index]) == 1:
            said.track[TRACK_UID] = uids[index].to_bytes(8, "big")
        for ident, inner in children(b"".join(within(body, VIDEO)[:1])):
            if ident == STEREO or (ident == PROJECTION and number(inner, PROJECTION_TYPE)):
                said.video[ident] = inner
        return said

    @property
    def plain_chapters(self) -> bool:
        """Is there nothing that FFmpeg's libraries would flatten?"""
        return not self.linked and not _chapters(self.chapters)

    @property
    def plain_tags(self) -> bool:
        """Are the tags of the film one of each name, of the usual level, and of nothing smaller?"""
        mine = [each for each in within(self.tags, TAG) if not within(each, TARGETS, OF_TRACK)]
        names = [text(each, TAG_NAME).upper() for tag in mine for each in within(tag, SIMPLE)]
        parts = any(within(each, TARGETS, of) for each in mine for of in (OF_EDITION, OF_CHAPTER))
        nested = any(within(each, SIMPLE, SIMPLE) for each in mine)
        return not (_tags(self.tags) or parts or nested or len(set(names)) < len(names))

    def moved_chapters(self, begin: Fraction, end: Fraction | None) -> bytes:
        """All editions, counted from `begin` and cut at `end`, absolute seconds or None."""
        start = round(begin * 1_000_000_000)
        length = None if end is None else round(end * 1_000_000_000) - start
        found = [(ident, joined(_moved(children(body), start, length))) for ident, body in children(self.chapters)]
        return joined(each for each in found if each[0] != EDITION or within(each[1], ATOM))

    def merged_tags(self, made: bytes, uids: dict[int, bytes]) -> bytes:
        """Tags of the whole film, its editions and chapters as they are, and those that a muxer made of the tracks.

        uids: of the tracks, from the muxer's to those that they have now.
        """
        ours = [each for each in children(self.tags) if not within(each[1], TARGETS, OF_TRACK)]
        ours = [each for each in ours if not within(each[1], TARGETS, OF_ATTACHMENT)]
        theirs = [
            (ident, _renamed(body, uids))
            for ident, body in children(made)
            if within(body, TARGETS, OF_TRACK) or within(body, TARGETS, OF_ATTACHMENT)
        ]
        return joined([*ours, *theirs])


def facts(path: Path) -> Facts | None:
    """Those of a Matroska file; None of others, and where the tracks are not those that PyAV lists."""
    import av

    read = matroska.read(path)
    entries = [each for each in within(read.get(matroska.TRACKS, b""), ENTRY) if number(each, KIND) in KINDS]
    if not entries:
        return None
    with av.open(readable_path(path), metadata_errors="replace") as container:
        kinds = [each.type for each in container.streams if each.type in KINDS.values()][: len(entries)]
    if kinds != [KINDS[number(each, KIND)] for each in entries]:
        return None
    info, chapters = read.get(matroska.INFO, b""), read.get(matroska.CHAPTERS, b"")
    linked = bool(within(info, PREVIOUS) or within(info, NEXT) or _atoms(chapters, OTHER_FILE))
    return Facts(tuple(entries), chapters, read.get(matroska.TAGS, b""), linked)


def _moved(elements: list[Element], start: int, length: int | None, depth: int = 0) -> list[Element]:
    """Chapters within an edition or a chapter, in nanoseconds; those of other files stay as they are."""
    found: list[Element] = []
    for ident, body in elements:
        if ident != ATOM or within(body, OTHER_FILE) or depth == DEEPEST:
            found.append((ident, body))
            continue
        begins, ends = number(body, BEGINS) - start, number(body, ENDS, default=-1) - start
        ended = bool(within(body, ENDS))
        if (ended and ends <= 0 < start) or (length is not None and begins >= length):
            continue
        last = max(0, ends if length is None else min(ends, length))
        inner = joined(_moved(children(body), start, length, depth + 1))
        times = {BEGINS: element(BEGINS, max(0, begins)), ENDS: element(ENDS, last)}
        moved = (times.get(each, element(each, within_it)) for each, within_it in children(inner))
        found.append((ident, b"".join(moved)))
    return found


def _renamed(tag: bytes, uids: dict[int, bytes]) -> bytes:
    """A tag of tracks with their new numbers."""
    done = b""
    for ident, body in children(tag):
        parts = children(body) if ident == TARGETS else []
        named = [(each, uids.get(int.from_bytes(old, "big"), old) if each == OF_TRACK else old) for each, old in parts]
        done += element(ident, joined(named) if parts else body)
    return done


def _atoms(chapters: bytes, *path: int) -> list[bytes]:
    """What lies at a path below any chapter, however deeply it is nested."""
    found, level = [], within(chapters, EDITION, ATOM)
    while level:
        found += [each for atom in level for each in within(atom, *path)]
        level = [each for atom in level for each in within(atom, ATOM)]
    return found


def untold(info: VideoInfo, container: str, tracks: Collection[int]) -> list[str]:
    """A plain line about what of a Matroska file does not reach the output, where there is any; tracks: copied ones."""
    if (found := facts(info.path)) is None:
        return []
    lost = ["links to other files"] if found.linked else []
    if number(found.tracks[info.stream], VIDEO, INTERLACED) == 1:
        lost.append("the order of fields")
    if container != MATROSKA:
        lost += [*_chapters(found.chapters), *_tags(found.tags), *_tracks(found, tracks)]
    return [f"left out, since the output has no place for it: {', '.join(lost)}"] if lost else []


def _chapters(chapters: bytes) -> list[str]:
    editions = within(chapters, EDITION)
    said = {
        f"{len(editions) - 1} of {len(editions)} editions of chapters": len(editions) > 1,
        "the order of chapters": any(number(each, ORDERED) for each in editions),
        "nested chapters": bool(_atoms(chapters, ATOM)),
        "which chapters are hidden": any(number(each, EDITION_HIDDEN) for each in editions)
        or any(any(each) for each in _atoms(chapters, HIDDEN)),
        "chapters' names in several languages": any(len(within(each, DISPLAY)) > 1 for each in _flat(chapters)),
    }
    return [words for words, true in said.items() if true]


def _flat(chapters: bytes) -> list[bytes]:
    return [*within(chapters, EDITION, ATOM), *_atoms(chapters, ATOM)]


def _tags(tags: bytes) -> list[str]:
    mine = [each for each in within(tags, TAG) if not within(each, TARGETS, OF_TRACK)]
    levels = {number(each, TARGETS, LEVEL, default=USUAL_LEVEL) for each in mine} - {USUAL_LEVEL}
    return [f"tags of level {' and '.join(map(str, sorted(levels)))}"] if levels else []


def _tracks(found: Facts, copied: Collection[int]) -> list[str]:
    said = []
    for index in sorted(set(copied) & set(range(len(found.tracks)))):
        body = found.tracks[index]
        if "-" in (language := text(body, LANGUAGE)):
            said.append(f"the language {language} of track {index}")
        if number(body, ENABLED, default=1) == 0:
            said.append(f"that track {index} is disabled")
        if any(number(each, PROJECTION_TYPE) for each in within(body, VIDEO, PROJECTION)):
            said.append(f"the projection of track {index}")
        if number(body, VIDEO, STEREO):
            said.append(f"the stereo mode of track {index}")
    return said
