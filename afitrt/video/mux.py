"""Puts the finished video stream and all other tracks of the source into the output file."""

from __future__ import annotations

import errno
import heapq
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from afitrt.artefacts import written_aside
from afitrt.errors import OutputError, RetryError
from afitrt.frames import VideoInfo
from afitrt.video.encoders import MATROSKA
from afitrt.video.ffmpeg import readable_path
from afitrt.video.matroska_facts import Facts, facts
from afitrt.video.matroska_patch import DISPLAY_HEIGHT, DISPLAY_UNIT, DISPLAY_WIDTH, PIXELS, RATIO, Finishing
from afitrt.video.stamping import StampedVideo, Stamps
from afitrt.video.stream_copy import STALE, Copied, Span, attached, chapters, explained, kept_tags, packets_of
from afitrt.video.tracks import Track, choose_tracks, container_of, list_tracks

REPORT = "please report this"
MILLISECOND, FLOAT_SECONDS = 1e-3, 1e-7
HELD_AS_FILES = ("attachment", "cover")  # By Matroska.


@dataclass
class Parts:
    """What goes into one output file. begin: absolute source time that becomes 0; span: see Copied.

    copied: the tracks on their way, by their stream in the source. finishing: for Matroska.
    """

    video: StampedVideo
    info: VideoInfo
    container: str
    tracks: Sequence[Track]
    begin: Fraction
    span: Span | None
    copied: dict[int, Copied] = field(default_factory=dict)
    finishing: Finishing = field(default_factory=Finishing)

    @property
    def streams(self) -> list[Track]:
        """Those that become streams of their own, in the order of the output."""
        held = HELD_AS_FILES if self.container == MATROSKA else ()
        return [each for each in self.tracks if each.kind not in held]


def mux(
    pieces: Sequence[Path],
    info: VideoInfo,
    out: Path,
    stamps: Stamps,
    span: Span | None = None,
    drop: Collection[str] = (),
) -> list[str]:
    """Writes `out`: the video of `pieces` (made by Writer; see StampedVideo), shown at `stamps`, in place of the
    source's, every other track copied packet by packet, in the source's order, with tags, chapters and dispositions.

    stamps begin at 0; the video begins where the source's did relative to the other tracks. span, absolute source
    times [from, to) in seconds, cuts the other tracks at packet borders; the output then starts at 0. MP4 and MOV keep
    every time exactly, Matroska rounds to milliseconds. drop: see choose_tracks. Returns plain lines about what was
    converted or left out. Written aside, counted, then renamed. Raises OutputError, RenderError or RetryError.
    """
    container, begin = container_of(out), _begin(info, span)
    late = Fraction(0) if span or info.alone else info.seconds(0) - begin
    video = StampedVideo(pieces, stamps.later(late))
    tracks, notes = choose_tracks(list_tracks(pieces[0] if info.alone else info.path), container, drop, info.stream)
    with written_aside(out) as hidden:
        parts = Parts(video, info, container, tracks, begin, span)
        _write(parts, hidden, out)
        notes += _verify(parts, hidden)
    return notes


def _begin(info: VideoInfo, span: Span | None) -> Fraction:
    """The time of the source that becomes 0: of its earliest track, unless a span says otherwise."""
    import av

    if info.alone or span:
        return span[0] if span else Fraction(0)
    with av.open(readable_path(info.path), metadata_errors="replace") as container:
        earliest = Fraction(container.start_time or 0, av.time_base)
    return min(earliest, info.seconds(0))


def _write(parts: Parts, hidden: Path, out: Path) -> None:
    """Reads each of the source's packets once, and writes once."""
    import av

    with explained(partial(_failure, out)), ExitStack() as stack:
        source = None
        if not parts.info.alone:
            source = stack.enter_context(av.open(readable_path(parts.info.path), metadata_errors="replace"))
        template = stack.enter_context(av.open(readable_path(parts.video.parts[0]))).streams.video[0]
        scale = str(parts.video.stamps.time_base.denominator)
        exact = {} if parts.container == MATROSKA else {"movie_timescale": scale, "video_track_timescale": scale}
        opened = av.open(readable_path(hidden), "w", format=parts.container, container_options=exact)
        target = stack.enter_context(opened)
        target.flags |= int(av.container.Flags.bitexact.value)  # So that equal packets make equal files.
        ours = _streams(parts, source, template, target)
        target.start_encoding()
        others = _undamaged(packets_of(source, parts.copied, parts.span), parts.info) if source else iter(())
        shown = ((at, packet, None) for at, packet in parts.video.packets(ours))
        for _, packet, track in heapq.merge(shown, others, key=lambda each: each[0]):
            _mux(target, packet, track)
        target.close()
        parts.finishing.write(hidden)


def _streams(parts: Parts, source: Any, template: Any, target: Any) -> Any:
    """Makes the output's streams, tags and chapters; its video stream."""
    if source is not None:
        target.metadata.update(source.metadata)
        target.set_chapters(chapters(source, parts.begin, parts.span))
    ours, found = None, _carried(parts)
    for track in parts.streams:
        if track.index == parts.info.stream or parts.info.alone:
            ours = _video(parts, template, target)
            if source is not None:
                ours.metadata.update(kept_tags(source.streams[track.index], (*STALE, "ENCODER")))
                ours.disposition = track.flags
            _show(parts, ours)
        else:
            theirs = source.streams[track.index]
            copied = parts.copied[track.index] = Copied(track, theirs, target, parts.begin, parts.span)
            if parts.container == MATROSKA and copied.hides_its_start:
                copied.remarks = parts.finishing.on(copied.stream).track
        if found and track.index < len(found.tracks):
            made = ours if track.index == parts.info.stream else parts.copied[track.index].stream
            parts.finishing.add(made, found.of_track(track.index))
    files = [each for each in parts.tracks if each not in parts.streams]
    for stream, name, mime, data in attached(parts.info.path, files) if files else ():
        target.add_attachment(name, mime, data).metadata.update(kept_tags(stream, ("FILENAME", "MIMETYPE")))
    return ours


def _carried(parts: Parts) -> Facts | None:
    """The facts of a Matroska source that go into a Matroska file as they are."""
    if parts.info.alone or parts.container != MATROSKA or (found := facts(parts.info.path)) is None:
        return None
    if not found.plain_chapters:
        parts.finishing.chapters = found.moved_chapters(parts.begin, parts.span[1] if parts.span else None)
    if not found.plain_tags:
        parts.finishing.tags = found.merged_tags
    return found


def _video(parts: Parts, template: Any, target: Any) -> Any:
    ours = target.add_stream_from_template(template, opaque=True)
    ours.time_base = parts.video.stamps.time_base
    context = ours.codec_context
    context.framerate = parts.video.rate
    context.sample_aspect_ratio = parts.info.sample_aspect
    if parts.container != MATROSKA and context.name == "hevc":
        context.codec_tag = "hvc1"
    if parts.info.rotation or parts.info.mirrored:
        ours.set_display_rotation(parts.info.rotation, hflip=parts.info.mirrored)
    return ours


def _show(parts: Parts, ours: Any) -> None:
    """Matroska keeps the shape of a pixel as the shape of the picture on display: in pixels, or else as a ratio."""
    if parts.container == MATROSKA and parts.info.sample_aspect != 1:
        wide, high = ours.codec_context.width * parts.info.sample_aspect, ours.codec_context.height
        shape, unit = ((wide, high), PIXELS) if wide.denominator == 1 else ((wide / high).as_integer_ratio(), RATIO)
        said = {DISPLAY_WIDTH: int(shape[0]), DISPLAY_HEIGHT: shape[1], DISPLAY_UNIT: unit}
        parts.finishing.on(ours).video.update({ident: each.to_bytes(4, "big") for ident, each in said.items()})


def _undamaged(packets: Iterator[Any], info: VideoInfo) -> Iterator[Any]:
    """All packets of a whole source, those before the damage of a damaged one."""
    import av

    try:
        yield from packets
    except av.FFmpegError:
        if not info.damage:
            raise


def _mux(target: Any, packet: Any, track: Copied | None) -> None:
    """Writes a packet; damaged ones of other tracks than the video, which no container takes, are counted."""
    import av

    try:
        target.mux(packet)
    except (av.error.InvalidDataError, av.error.ArgumentError, av.error.PatchWelcomeError):
        if track is None:
            raise
        track.refused += 1


def _failure(out: Path, said: str, number: int) -> OutputError | RetryError:
    found = f"{out.name} could not be put together ({said})"
    if number == errno.ENOSPC:
        return RetryError(found, "room on the disk", f"free space in {out.parent}, then run the command again")
    hint = "--drop-tracks with the kinds or numbers of those that it names; what is rendered already serves again"
    return OutputError(found, "tracks that the container can hold", hint)


def _verify(parts: Parts, out: Path) -> list[str]:
    """Reads the file again. Raises OutputError when video is missing or has other times; says which track lost any."""
    written = _read(out)
    # MP4 puts the track of chapter names before a cover.
    places = [each.index for each in list_tracks(out) if each.kind != "chapters"]
    notes = []
    for place, track in zip(places, parts.streams, strict=False):
        seconds, size = written.get(place, ([], 0))
        if (copied := parts.copied.get(track.index)) is None:
            _check_times(parts, out, seconds)
        elif copied.count and copied.refused == copied.count:
            raise _failure(out, f"{track} is damaged or does not fit", 0)
        elif copied.refused:
            notes.append(f"{track}: {copied.refused} of {copied.count} packets are damaged and left out")
        # A muxer may join packets, and take the header from each, but not both.
        elif len(seconds) < copied.count and size < copied.bytes:
            notes.append(f"{track}: {size} of {copied.bytes} bytes could be copied")
    return notes


def _check_times(parts: Parts, out: Path, seconds: list[float]) -> None:
    stamps = parts.video.stamps
    if len(seconds) != len(stamps.pts):
        raise OutputError(f"{out.name} holds {len(seconds)} frames", f"the {len(stamps.pts)} written", REPORT)
    wanted = stamps.pts * float(stamps.time_base)
    off = np.abs((np.sort(seconds) - min(seconds)) - (wanted - wanted[0]))
    # Matroska rounds the first one and each other one to milliseconds.
    if float(off.max()) > (MILLISECOND if parts.container == MATROSKA else 0) + FLOAT_SECONDS:
        place = int(np.argmax(off))
        found = f"{out.name} shows picture {place} {float(off[place]):.6f} s from its time"
        raise OutputError(found, "every picture at its own time", REPORT)


def _read(path: Path) -> dict[int, tuple[list[float], int]]:
    """Times in seconds of the packets of each stream, in the file's order, and their bytes; without a time it is 0."""
    import av

    found: dict[int, tuple[list[float], int]] = {}
    with suppress(av.FFmpegError), av.open(readable_path(path), metadata_errors="replace") as container:
        bases = {stream.index: float(stream.time_base or 0) for stream in container.streams}
        for packet in container.demux():
            if packet.size:
                seconds, size = found.get(packet.stream_index, ([], 0))
                seconds.append((packet.pts or 0) * bases[packet.stream_index])
                found[packet.stream_index] = seconds, size + packet.size
    return found
