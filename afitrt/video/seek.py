"""Where decoding may begin so that frame k is still frame k, and what tells one video stream from another."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from dataclasses import dataclass
from fractions import Fraction

from afitrt.errors import InputError
from afitrt.frames import VideoInfo
from afitrt.video.ffmpeg import readable_path

# Containers whose packets keep their time stamps wherever reading begins.
SEEKABLE = frozenset({"matroska", "webm", "mov", "mp4", "mpegts"})
# Found by searching for a time stamp instead of in an index; the search may end behind the key frame it is for.
SEARCHED = "mpegts"


@dataclass(frozen=True)
class Index:
    """The packets of a video stream. sha256: over all their bytes, in the file's order, hexadecimal.

    keyframes: (pts, dts or pts) of key frames in ticks of the stream's time base, by pts; none where a frame's time
    stamp may depend on where reading began. searched: the container has no index.
    """

    sha256: str
    keyframes: tuple[tuple[int, int], ...]
    searched: bool


@dataclass(frozen=True)
class Entry:
    """A place to begin: seconds is where ffmpeg is to look for a key frame, pts (ticks) the first frame wanted."""

    seconds: Fraction
    pts: int


def index_packets(info: VideoInfo) -> Index:
    """Reads every video packet of a file once; nothing is decoded. Raises InputError."""
    import av

    digest = hashlib.sha256()
    keyframes: list[tuple[int, int]] = []
    try:
        with av.open(readable_path(info.path), metadata_errors="replace") as container:
            stream = container.streams[info.stream]
            names = set(container.format.name.split(","))
            # A finer time base means stamps that were made up, see `timeline`.
            exact = (
                bool(names & SEEKABLE) and stream.time_base == info.time_base and not info.damage and not info.filters
            )
            latest = -(1 << 63)
            for packet in container.demux(stream):
                if not packet.size:
                    continue
                digest.update(packet)
                # Several edits of MOV go back, and then its index cannot be searched.
                exact = exact and packet.pts is not None and (packet.dts is None or packet.dts >= latest)
                latest = latest if packet.dts is None else packet.dts
                if exact and packet.is_keyframe and not packet.is_discard:
                    keyframes.append((packet.pts, packet.pts if packet.dts is None else packet.dts))
    except av.FFmpegError as error:
        if not info.damage:
            raise InputError(
                f"{info.path} cannot be read to its end ({error.strerror})", "a whole file", "copy it again"
            ) from error
    return Index(digest.hexdigest(), tuple(sorted(keyframes)) if exact else (), SEARCHED in names)


def entry(info: VideoInfo, index: Index, frame: int) -> Entry | None:
    """Where to begin for a frame, or None for the beginning of the file.

    The key frame is the last one that is not shown after the frame; pictures that an open GOP shows before its key
    frame, and which need the GOP before, are dropped with everything else that is shown before the frame.
    """
    pts = int(info.pts[frame]) if frame < info.frames else info.end
    place = bisect_right(index.keyframes, pts, key=lambda each: each[0]) - 1 - index.searched
    if place < 1:
        return None
    return Entry(min(index.keyframes[place]) * info.time_base, pts)
