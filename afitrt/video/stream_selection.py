"""Which video stream of a file is the film, where there are several."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

from afitrt.errors import InputError, UsageError
from afitrt.frames import VideoInfo
from afitrt.video.ffmpeg import readable_path
from afitrt.video.tracks import list_tracks


def select(container: Any, path: Path, number: int | None = None) -> tuple[Any, tuple[int, ...]]:
    """The stream of an open PyAV container that is the film, and the numbers of other streams of several pictures.

    Cover pictures do not count, nor does a stream of one picture where another has more. Of several the one flagged
    as default is taken, then the one with the most frames, then the first. number: ffmpeg's, of the stream to take
    instead; then no others are told. Raises InputError where there is no video, UsageError where the number names none.
    """
    import av

    cover = av.stream.Disposition.attached_pic
    videos = [each for each in container.streams.video if not each.disposition & cover]
    if number is not None:
        return _numbered(videos, path, number), ()
    if not videos:
        kinds = ", ".join(sorted({each.type for each in container.streams})) or "no streams"
        raise InputError(f"{path} holds no video ({kinds} only)", "a file with a video stream", "name a video file")
    readable = [each for each in videos if each.codec_context is not None]
    if not readable:
        raise InputError(
            f"{path}: its video codec is unknown to ffmpeg",
            "a codec that ffmpeg decodes",
            "convert it with the program that made it",
        )
    if len(readable) == 1:
        return readable[0], ()
    counts = _counts(path, [each.index for each in readable])

    def rank(stream: Any) -> tuple[bool, bool, int]:
        count = counts[stream.index]
        return count > 1, bool(stream.disposition & av.stream.Disposition.default), count

    best = max(readable, key=rank)
    return best, tuple(each.index for each in readable if each is not best and counts[each.index] > 1)


def _numbered(videos: list[Any], path: Path, number: int) -> Any:
    found = next((each for each in videos if each.index == number and each.codec_context is not None), None)
    if found is None:
        tracks = list_tracks(path)
        what = next((str(each) for each in tracks if each.index == number), "no track of the source")
        listed = [each for each in tracks if each.kind == "video" and each.codec != "unknown"]
        raise UsageError(
            f"--video {number}: {what}",
            f"one of: {', '.join(map(str, listed)) or 'none'}",
            f"--video {listed[0].index}" if listed else "name a video file",
        )
    return found


def _counts(path: Path, numbers: Collection[int]) -> Counter[int]:
    """Packets of each of these streams; of a damaged file those before the damage."""
    import av

    counts: Counter[int] = Counter()
    with suppress(av.FFmpegError), av.open(readable_path(path), metadata_errors="replace") as container:
        streams = [container.streams[number] for number in numbers]
        counts.update(packet.stream_index for packet in container.demux(streams) if packet.size)
    return counts


def rivals(info: VideoInfo, copied: Collection[int] = ()) -> list[str]:
    """A plain line where a file holds other videos than the one taken. copied: numbers of tracks that are kept."""
    if not info.rivals:
        return []
    names = {track.index: str(track) for track in list_tracks(info.path)}
    fates = [f"{names[each]} is {'copied as it is' if each in copied else 'left out'}" for each in info.rivals]
    hint = f"--video {info.rivals[0]} takes that one"
    return [f"the source holds {1 + len(fates)} videos: {names[info.stream]} is taken; {'; '.join(fates)}; {hint}"]
