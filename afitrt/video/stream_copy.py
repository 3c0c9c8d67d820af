"""Copies the tracks of a source into another file, packet by packet.

PyAV reads and PyAV writes: one library decides where every track begins, whichever ffmpeg program is installed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

from afitrt.video.encoders import MATROSKA
from afitrt.video.ffmpeg import readable_path
from afitrt.video.matroska_patch import CODEC_DELAY
from afitrt.video.tracks import Track

# What some muxers and encoders leave in the tags of a track; of a new video stream it would be wrong.
STALE = ("BPS", "DURATION", "NUMBER_OF_FRAMES", "NUMBER_OF_BYTES", "_STATISTICS")

# What a codec needs before its first sound: AAC 2112 samples at most, Opus 80 ms.
MOST_DELAY = Fraction(1, 10)

Span = tuple[Fraction, Fraction]


class Copied:
    """One track on its way: `stream` of the output, how many packets and bytes of it were handed on,
    and how many packets of these the muxer refused.

    begin: absolute source time that becomes 0. span: what is copied, [from, to) in seconds, or None for all of it.
    """

    def __init__(self, track: Track, template: Any, target: Any, begin: Fraction, span: Span | None) -> None:
        self.track = track
        self.count = self.bytes = self.refused = 0
        self._begin, self._span = (Fraction(0), None) if track.kind == "cover" else (begin, span)
        self._convert: Callable[[Any], Any] | None = None
        if track.convert:
            self.stream, self._convert = _converted(track, template, target)
        else:
            self.stream = added(template, target)
        self.stream.disposition = track.flags
        stale = STALE if span else ()
        self.stream.metadata.update(kept_tags(template, stale))
        coarse = track.kind == "audio" and not track.convert and target.format.name != MATROSKA
        samples = template.codec_context.frame_size if coarse else 0
        self._frame = Fraction(samples, template.codec_context.sample_rate) if samples else Fraction(0)
        self._tick = Fraction(template.time_base)
        self._even: Fraction | None = None
        self._next: int | None = None
        self._latest: int | None = None
        in_iso = "mov" in template.container.format.name.split(",") and track.codec != "opus"
        self.hides_its_start = track.kind == "audio" and in_iso and not track.convert
        """May MP4's edit list hide what the decoder needs before the first sound? Opus says so itself."""
        self.remarks: dict[int, bytes] | None = None
        """Of the track in Matroska, which calls that the delay of the codec."""

    def retimed(self, packet: Any) -> Any:
        """The packet of the source as the output takes it, or None where it lies outside the span.

        The output has been started, so that its time base is known.
        """
        if self._span and not self._span[0] <= (packet.pts or packet.dts or 0) * self._tick < self._span[1]:
            return None
        pts, duration = packet.pts, packet.duration or 0
        dts = pts if packet.dts is None else packet.dts
        if (made := self._convert(packet) if self._convert else packet) is None:
            return None
        tick = Fraction(self.stream.time_base)
        if self._latest is None and dts is not None:
            self._delay(dts * self._tick - self._begin)
        made.duration = round(duration * self._tick / tick)
        made.dts = self._ascending(self._next or 0 if dts is None else self._place(dts, tick))
        made.pts = made.dts if pts in (None, dts) else max(made.dts, self._place(pts, tick))
        self._next = made.dts + made.duration
        made.time_base, made.stream = tick, self.stream
        self.count += 1
        self.bytes += made.size
        return made

    def _delay(self, first: Fraction) -> None:
        """Keeps Matroska from moving all tracks for the sake of one that begins before 0."""
        if self.remarks is not None and -MOST_DELAY <= first < 0:
            self.remarks[CODEC_DELAY] = round(-first * 1_000_000_000).to_bytes(4, "big")
            self._begin += first

    def _place(self, ticks: int, tick: Fraction) -> int:
        """A time of the source in ticks of the output."""
        seconds = ticks * self._tick - self._begin
        return round((self._evened(seconds) if self._frame else seconds) / tick)

    def _evened(self, seconds: Fraction) -> Fraction:
        """Sound in frames of one length, whose times the source has rounded, gets its even times back."""
        after = None if self._even is None else self._even + self._frame
        self._even = after if after is not None and abs(after - seconds) < self._tick else seconds
        return self._even

    def _ascending(self, dts: int) -> int:
        """Muxers refuse decoding times that go back."""
        self._latest = dts if self._latest is None else max(dts, self._latest)
        return self._latest


@contextmanager
def explained(make: Callable[[str, int], Exception]) -> Iterator[None]:
    """Raises make(what the libraries say, errno) for what they raise in the block."""
    import av

    level = av.logging.get_level()
    av.logging.set_level(av.logging.ERROR)
    try:
        with av.logging.Capture() as told:
            try:
                yield
            except (av.FFmpegError, ValueError) as error:
                lines = dict.fromkeys(text.strip() for _, _, text in told[-3:] if text.strip())
                said = "; ".join([*lines, str(getattr(error, "strerror", "") or error)])
                raise make(said, getattr(error, "errno", 0)) from error
    finally:
        av.logging.set_level(level)


def kept_tags(template: Any, stale: tuple[str, ...] = ()) -> dict[str, str]:
    """The tags of a stream without those whose names begin so."""
    return {name: value for name, value in template.metadata.items() if not name.upper().startswith(stale or ("\0",))}


def added(template: Any, target: Any) -> Any:
    """A stream of the output with the codec parameters of the template. Raises ValueError for one without a mapping."""
    import av

    try:
        return target.add_stream_from_template(template, opaque=True)
    except ValueError:
        # PyAV asks a table that leaves out what Matroska stores under a codec number of AVI; the muxer itself decides.
        copied = target.add_mux_stream(target.default_audio_codec)
        av.bitstream.BitStreamFilterContext("null", template, copied)
        return copied


def _converted(track: Track, template: Any, target: Any) -> tuple[Any, Callable[[Any], Any]]:
    """A stream of another codec, and what makes its packets of those of the source."""
    import av

    context = template.codec_context
    if track.kind == "subtitle":
        stream = target.add_mux_stream(track.convert)
        encoder = av.CodecContext.create(track.convert, "w")
        encoder.time_base = Fraction(1, 1000)

        def text(packet: Any) -> Any:
            if (shown := context.decode2(packet)) is None or not len(shown):
                return None
            encoder.subtitle_header = encoder.subtitle_header or context.subtitle_header
            return encoder.encode_subtitle(shown)

        return stream, text
    stream = target.add_stream(track.convert, rate=context.sample_rate, layout=context.layout)

    def sound(packet: Any) -> Any:
        made = [each for frame in packet.decode() for each in stream.encode(frame)]
        assert len(made) <= 1, "one packet of PCM is one frame"
        return made[0] if made else None

    return stream, sound


def chapters(source: Any, begin: Fraction, span: Span | None) -> list[dict[str, Any]]:
    """The chapters of an open source, counted from `begin` and cut to the span."""
    found = []
    for each in source.chapters():
        first, last = (each[name] * each["time_base"] - begin for name in ("start", "end"))
        limit = span[1] - span[0] if span else last
        if last < 0 or first > limit:
            continue
        times = {"start": max(Fraction(0), first), "end": min(limit, last)}
        found.append({**each, **{name: round(time / each["time_base"]) for name, time in times.items()}})
    return found


def attached(source: Path, tracks: Sequence[Track]) -> Iterator[tuple[Any, str, str, bytes]]:
    """(stream, name, MIME type, bytes) of attachments and cover pictures, which Matroska holds as files."""
    import av

    with av.open(readable_path(source), metadata_errors="replace") as container:
        for track in tracks:
            stream = container.streams[track.index]
            if track.kind == "attachment":
                data, mime = stream.data, stream.mimetype or "application/octet-stream"
            else:
                data, mime = _cover(source, track.index), _cover_mime(stream)
            name = f"cover.{mime.split('/')[-1].replace('jpeg', 'jpg')}"
            yield stream, stream.metadata.get("filename") or name, mime, data


def _cover(source: Path, index: int) -> bytes:
    import av

    with av.open(readable_path(source), metadata_errors="replace") as container:
        return next((bytes(each) for each in container.demux(container.streams[index]) if each.size), b"")


def _cover_mime(stream: Any) -> str:
    names = {"mjpeg": "image/jpeg", "png": "image/png", "bmp": "image/bmp", "gif": "image/gif", "webp": "image/webp"}
    return stream.metadata.get("mimetype") or names.get(stream.codec_context.name, "application/octet-stream")


def packets_of(source: Any, copied: dict[int, Copied], span: Span | None) -> Iterator[tuple[float, Any, Copied]]:
    """(decoding time in seconds of the output, packet, its track) of every packet to be copied, in the file's order.

    Raises av.FFmpegError where the source is damaged.
    """
    streams = [source.streams[index] for index in copied]
    if not streams:
        return
    for packet in source.demux(streams):
        if not packet.size:
            continue
        track = copied[packet.stream_index]
        if (made := track.retimed(packet)) is not None:
            yield float(made.dts * made.time_base), made, track
