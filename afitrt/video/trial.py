"""A trial of what comes last: can the container hold these tracks, asked before the work and not after it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from afitrt.errors import OutputError
from afitrt.video.encoders import MATROSKA, MOV, MP4
from afitrt.video.ffmpeg import command, ending, node_path, run
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

    Raises OutputError, naming those that ffmpeg cannot put there and the flag that leaves them out.
    """
    others = [each for each in tracks if each.kind in ("video", "audio", "subtitle") and not each.convert]
    doubted = [each for each in others if each.codec not in USUAL[container]]
    told = {each: why for each in doubted if (why := _refusal(source, each, container))}
    if told:
        numbers = ",".join(str(each.index) for each in told)
        raise OutputError(
            f"{container} cannot hold {', '.join(map(str, told))}: ffmpeg {next(iter(told.values()))}",
            "tracks that it can hold",
            f"--drop-tracks {numbers}",
        )


def _refusal(source: Path, track: Track, container: str) -> str:
    """How ffmpeg failed, "" where it did not."""
    import ffmpeg

    with TemporaryDirectory(prefix="afitrt-") as folder:
        out, read = Path(folder) / "trial", ffmpeg.input(node_path(source), t=SECONDS)
        code, errors = run(command(read[str(track.index)].output(node_path(out), f=container, c="copy")))
    return ending(code, errors) if code else ""
