"""Puts the finished video stream and all other tracks of the source into the output file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from afitrt.artefacts import written_aside
from afitrt.errors import OutputError, RetryError
from afitrt.frames import VideoInfo
from afitrt.video.colour import RANGES
from afitrt.video.encoders import MATROSKA
from afitrt.video.ffmpeg import command, ending, node_path, readable_path, run
from afitrt.video.stamping import Stamps, stamp
from afitrt.video.tracks import Track, choose_tracks, container_of, list_tracks

# What some muxers and encoders leave in the tags of a track; of a new video stream it would be wrong.
STALE = ("BPS", "DURATION", "NUMBER_OF_FRAMES", "NUMBER_OF_BYTES", "_STATISTICS")


REPORT = "please report this"
MILLISECOND, FLOAT_SECONDS = 1e-3, 1e-7


@dataclass(frozen=True)
class Parts:
    """What goes into one output file. span: absolute source times [from, to) in seconds, or None for all of it.

    range: of the video, in ffmpeg's words.
    """

    video_file: Path
    info: VideoInfo
    container: str
    stamps: Stamps
    tracks: Sequence[Track]
    span: tuple[Fraction, Fraction] | None
    attached: Sequence[tuple[Path, str, str]]
    range: str | None


def mux(
    pieces: Sequence[Path],
    info: VideoInfo,
    out: Path,
    stamps: Stamps,
    span: tuple[Fraction, Fraction] | None = None,
    drop: Collection[str] = (),
) -> list[str]:
    """Writes `out`: the video of `pieces` (made by Writer; see `stamp`), shown at `stamps`, in place of the source's,
    every other track copied packet by packet, in the source's order, with tags, chapters and dispositions.

    stamps begin at 0; the video begins where the source's did relative to the other tracks. span, absolute source
    times [from, to) in seconds, cuts the other tracks at packet borders; the output then starts at 0. MP4 and MOV keep
    every time exactly, Matroska rounds to milliseconds. drop: see choose_tracks. Returns plain lines about what was
    converted or left out. Written aside, counted, then renamed. Raises OutputError, RenderError or RetryError.
    """
    container = container_of(out)
    tracks, notes = choose_tracks(list_tracks(pieces[0] if info.alone else info.path), container, drop, info.stream)
    late = Fraction(0) if span or info.alone else max(Fraction(0), info.seconds(0) - container_start(info.path))
    with TemporaryDirectory(prefix="afitrt-") as folder, written_aside(out) as hidden, _stamped(hidden) as video:
        stamps = stamps.later(late)
        stamp(pieces, stamps, video, container)
        if info.alone:  # Then the video written is all there is to copy.
            info, span = replace(info, path=video, stream=0, end=0, pts=info.pts[:0]), None
        attached = _extract(info.path, tracks, Path(folder)) if container == MATROSKA else []
        streams = [each for each in tracks if container != MATROSKA or each.kind not in ("attachment", "cover")]
        parts = Parts(video, info, container, stamps, streams, span, attached, _range(pieces[0]))
        code, errors = run(_command(parts, hidden))
        if code != 0 and not (code > 0 and info.damage):
            raise _failure(out, code, errors)
        notes += _verify(parts, hidden)
    return notes


@contextmanager
def _stamped(hidden: Path) -> Iterator[Path]:
    """A name beside the output for the video with its times; it has no other tracks yet."""
    video = hidden.with_name(f"{hidden.name}.video")
    try:
        yield video
    finally:
        video.unlink(missing_ok=True)


def _failure(out: Path, code: int, errors: tuple[str, ...]) -> OutputError | RetryError:
    found = f"ffmpeg, putting {out.name} together, {ending(code, errors)}"
    if any("No space left on device" in line for line in errors):
        return RetryError(found, "room on the disk", f"free space in {out.parent}, then run the command again")
    hint = "--drop-tracks with the kinds or numbers of those that it names; what is rendered already serves again"
    return OutputError(found, "tracks that the container can hold", hint)


def _extract(source: Path, tracks: Sequence[Track], folder: Path) -> list[tuple[Path, str, str]]:
    """Attachments and cover pictures as (file, name, MIME type): ffmpeg would make a cover a second video track."""
    import av

    found = []
    with av.open(readable_path(source), metadata_errors="replace") as container:
        for track in tracks:
            stream = container.streams[track.index]
            if track.kind == "attachment":
                data, mime = stream.data, stream.mimetype or "application/octet-stream"
            elif track.kind == "cover":
                data, mime = _cover(source, track.index), _cover_mime(stream)
            else:
                continue
            name = stream.metadata.get("filename") or f"cover.{mime.split('/')[-1].replace('jpeg', 'jpg')}"
            path = folder / f"{track.index}"
            path.write_bytes(data)
            found.append((path, name, mime))
    return found


def _cover(source: Path, index: int) -> bytes:
    import av

    with av.open(readable_path(source), metadata_errors="replace") as container:
        for packet in container.demux(container.streams[index]):
            if packet.size:
                return bytes(packet)
    return b""


def _cover_mime(stream: Any) -> str:
    names = {"mjpeg": "image/jpeg", "png": "image/png", "bmp": "image/bmp", "gif": "image/gif", "webp": "image/webp"}
    return stream.metadata.get("mimetype") or names.get(stream.codec_context.name, "application/octet-stream")


def _command(parts: Parts, out: Path) -> list[str]:
    """One ffmpeg run: the tracks into `out`, and the source's own video into nothing.

    The latter keeps ffmpeg from computing the start of an MPEG-TS source without its video, which would shift
    the rest.
    """
    import ffmpeg

    info = parts.info
    turned: dict[str, object] = {"display_rotation": info.rotation} if info.rotation or info.mirrored else {}
    if info.mirrored:
        turned["display_hflip"] = None
    begin = container_start(info.path)
    seek = {"ss": _seconds(max(Fraction(0), parts.span[0] - begin))} if parts.span else {}
    limit = {"t": _seconds(parts.span[1] - parts.span[0])} if parts.span else {}
    # ffmpeg moves each input to 0 by its own start; ours is to stay where it is.
    stay = _seconds(container_start(parts.video_file))
    ours = ffmpeg.input(node_path(parts.video_file), itsoffset=stay, **turned)
    theirs = ffmpeg.input(node_path(info.path), **seek)
    mapped = [ours["0"] if each.index == info.stream else theirs[str(each.index)] for each in parts.tracks]
    # Nothing random, so that equal packets make equal files.
    result = ffmpeg.output(*mapped, node_path(out), f=parts.container, c="copy", fflags="+bitexact", **limit)
    shadow = ffmpeg.output(theirs[str(info.stream)], "-", f="null", c="copy", **limit)
    built = command(ffmpeg.merge_outputs(result, shadow))
    inputs = [value for option, value in pairwise(built) if option == "-i"]
    # ffmpeg-python cannot repeat an option, so those of single streams are put before the output's name.
    place = built.index(readable_path(out))
    return [*built[:place], *_stream_options(parts, inputs.index(readable_path(info.path))), *built[place:]]


def _stream_options(parts: Parts, source: int) -> list[str]:
    """Options of the single output streams; source: ffmpeg's number of that input."""
    options = [*_clock(parts), "-map_metadata", f"{source}:g", "-map_chapters", f"{source}"]
    for place, track in enumerate(parts.tracks):
        options += [f"-map_metadata:s:{place}", f"{source}:s:{track.index}"]
        options += [f"-disposition:{place}", track.dispositions]
        if track.convert:
            options += [f"-c:{place}", track.convert]
        if parts.span and track.kind != "cover":
            options += [f"-copypriorss:{place}", "0"]
        if track.index == parts.info.stream:
            options += [f"-r:{place}", str(parts.stamps.rate)] if parts.stamps.rate else []
            options += [f"-color_range:{place}", parts.range] if parts.range else []
            if parts.container != MATROSKA and _is_hevc(parts.video_file):
                options += [f"-tag:{place}", "hvc1"]
        stale = (*STALE, "ENCODER") if track.index == parts.info.stream else STALE if parts.span else ()
        for tag in sorted(each for each in track.tags if each.upper().startswith(stale)):
            options += [f"-metadata:s:{place}", f"{tag}="]
    for place, (path, name, mime) in enumerate(parts.attached, len(parts.tracks)):
        options += ["-attach", readable_path(path), f"-metadata:s:{place}", f"filename={name}"]
        options += [f"-metadata:s:{place}", f"mimetype={mime}"]
    return options


def _clock(parts: Parts) -> list[str]:
    """MP4 and MOV count in the ticks of the video, so that it keeps its times and its start."""
    import av

    if parts.container == MATROSKA:
        return []
    with av.open(readable_path(parts.video_file)) as container:
        ticks = str(container.streams.video[0].time_base.denominator)
    return ["-video_track_timescale", ticks, "-movie_timescale", ticks]


def _range(video: Path) -> str | None:
    """What the encoder's own file says: x264 leaves a limited range to the container, and MP4 has no place for it."""
    import av

    with av.open(readable_path(video)) as container:
        return RANGES.get(int(container.streams.video[0].codec_context.color_range))


def _is_hevc(video: Path) -> bool:
    return any(each.codec == "hevc" for each in list_tracks(video))


def container_start(path: Path) -> Fraction:
    """Where ffmpeg puts zero on the time axis of a file, in seconds: its earliest track's start."""
    import av

    with av.open(readable_path(path), metadata_errors="replace") as container:
        return Fraction(container.start_time or 0, av.time_base)


def _seconds(value: Fraction) -> str:
    """Decimal text of a time, to the microsecond, rounded down."""
    return f"{value.numerator * 1_000_000 // value.denominator}us"


def _verify(parts: Parts, out: Path) -> list[str]:
    """Reads the file again. Raises OutputError when video is missing or has other times; says which track lost any."""
    written, wanted = _read(out), _packet_counts(parts.info.path)
    # MP4 puts the track of chapter names before a cover.
    places = [each.index for each in list_tracks(out) if each.kind != "chapters"]
    notes = []
    for place, track in zip(places, parts.tracks, strict=False):
        seconds = written.get(place, [])
        count = len(seconds)
        if track.index == parts.info.stream:
            _check_times(parts, out, seconds)
        elif parts.span is None and not track.convert and count != wanted.get(track.index, 0):
            notes.append(f"{track}: {count} of {wanted.get(track.index, 0)} packets could be copied")
    return notes


def _check_times(parts: Parts, out: Path, seconds: list[float]) -> None:
    stamps = parts.stamps
    if len(seconds) != len(stamps.pts):
        raise OutputError(f"{out.name} holds {len(seconds)} frames", f"the {len(stamps.pts)} written", REPORT)
    wanted = stamps.pts * float(stamps.time_base)
    off = np.abs((np.sort(seconds) - min(seconds)) - (wanted - wanted[0]))
    # Matroska rounds the first one and each other one to milliseconds.
    if float(off.max()) > (MILLISECOND if parts.container == MATROSKA else 0) + FLOAT_SECONDS:
        place = int(np.argmax(off))
        found = f"{out.name} shows picture {place} {float(off[place]):.6f} s from its time"
        raise OutputError(found, "every picture at its own time", REPORT)


def _read(path: Path) -> dict[int, list[float]]:
    """Times in seconds of the packets of each stream, in the file's order; a packet without one counts as at 0."""
    import av

    seconds: dict[int, list[float]] = {}
    with suppress(av.FFmpegError), av.open(readable_path(path), metadata_errors="replace") as container:
        bases = {stream.index: float(stream.time_base or 0) for stream in container.streams}
        for packet in container.demux():
            if packet.size:
                seconds.setdefault(packet.stream_index, []).append((packet.pts or 0) * bases[packet.stream_index])
    return seconds


def _packet_counts(path: Path) -> dict[int, int]:
    """Packets of each stream that has any; of a damaged file those before the damage, as ffmpeg copies them."""
    import av

    counts: Counter[int] = Counter()
    with suppress(av.FFmpegError), av.open(readable_path(path), metadata_errors="replace") as container:
        counts.update(packet.stream_index for packet in container.demux() if packet.size)
    return counts
