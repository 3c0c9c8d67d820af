"""A trial of what comes last: can the container hold these tracks, asked before the work and not after it."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

from afitrt.errors import OutputError
from afitrt.video.encoders import MATROSKA, MOV, MP4
from afitrt.video.ffmpeg import readable_path
from afitrt.video.stream_copy import Copied, explained, packets_of
from afitrt.video.tracks import HELD, Track

# Codecs that need no trial.
USUAL = {
    MATROSKA: frozenset(
        {
            *("aac", "ac3", "eac3", "dts", "truehd", "flac", "opus", "vorbis", "mp2", "mp3", "alac"),
            *("pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le"),
            *("subrip", "ass", "webvtt", "hdmv_pgs_subtitle", "dvd_subtitle", "dvb_subtitle"),
        }
    ),
    MP4: HELD[MP4],
    MOV: HELD[MOV],
}
SECONDS = 1


def try_tracks(source: Path, tracks: Sequence[Track], container: str) -> None:
    """Copies the beginning of the videos, sounds and subtitles among these tracks of a file into the container.

    Raises OutputError, naming those that cannot be put there and the flag that leaves them out.
    """
    others = [each for each in tracks if each.kind in ("video", "audio", "subtitle") and not each.convert]
    doubted = [each for each in others if each.codec not in USUAL[container]]
    told = {each: why for each in doubted if (why := _refusal(source, each, container))}
    if told:
        numbers = ",".join(str(each.index) for each in told)
        raise OutputError(
            f"{container} cannot hold {', '.join(map(str, told))}: {next(iter(told.values()))}",
            "tracks that it can hold",
            f"--drop-tracks {numbers}",
        )


class _RefusedError(Exception):
    """What the libraries said."""


def _refusal(source: Path, track: Track, container: str) -> str:
    """How that failed, "" where it did not."""
    try:
        with explained(lambda said, _: _RefusedError(said)), TemporaryDirectory(prefix="afitrt-") as folder:
            _copy(source, track, container, Path(folder) / "trial")
    except _RefusedError as refused:
        return str(refused)
    return ""


def _copy(source: Path, track: Track, container: str, out: Path) -> None:
    import av

    with (
        av.open(readable_path(source), metadata_errors="replace") as read,
        av.open(readable_path(out), "w", format=container) as target,
    ):
        copied = Copied(track, read.streams[track.index], target, Fraction(0), None)
        target.start_encoding()
        for at, packet, _ in packets_of(read, {track.index: copied}, None):
            target.mux(packet)
            if at > (read.start_time or 0) / av.time_base + SECONDS:
                break
