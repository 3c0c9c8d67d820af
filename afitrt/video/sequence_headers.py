"""Changes in mid-stream that packets tell without being decoded: other sequence headers, in the words of each codec.

Two headers that differ may still mean pictures of one kind; only those that differ are decoded, one key frame each.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

from afitrt.frames import Change, Colour, Facts
from afitrt.video.colour import MATRICES, PRIMARIES, RANGES, TRANSFERS

HEAD_BYTES = 1 << 16
MOST_DECODED = 32
_START = re.compile(rb"\x00\x00\x01")
_SOF = re.compile(rb"\xff[\xc0-\xc2]\x00.(.{6})", re.DOTALL)
_SEQUENCE = re.compile(rb"\x00\x00\x01(?:\xb3(.{4})|\xb5([\x10-\x2f].{4}))", re.DOTALL)
_LAYER = re.compile(rb"\x00\x00\x01[\x20-\x2f](.*?)(?=\x00\x00\x01|$)", re.DOTALL)


def _none(_: bytes, __: bytes) -> bytes:
    return b""


def _annexed(data: bytes) -> Iterator[bytes]:
    """The NAL units behind start codes."""
    places = [found.end() for found in _START.finditer(data)]
    for begin, end in zip(places, [*(place - 3 for place in places[1:]), len(data)], strict=True):
        yield data[begin:end].rstrip(b"\0")


def _measured(data: bytes, width: int) -> Iterator[bytes]:
    """The NAL units behind their lengths, each of so many bytes."""
    place = 0
    while place + width < len(data):
        size = int.from_bytes(data[place : place + width], "big")
        yield data[place + width : place + width + size]
        place += width + size


def _units(data: bytes, extradata: bytes, place: int) -> Iterator[bytes]:
    """NAL units; place: of the byte of avcC or hvcC that tells how many bytes a length has."""
    if len(extradata) > place and extradata[0] == 1:
        return _measured(data, (extradata[place] & 3) + 1)
    return _annexed(data)


def _h264(data: bytes, extradata: bytes) -> bytes:
    return b"".join(unit for unit in _units(data, extradata, 4) if unit[:1] and unit[0] & 31 == 7)


def _hevc(data: bytes, extradata: bytes) -> bytes:
    return b"".join(unit for unit in _units(data, extradata, 21) if unit[:1] and unit[0] >> 1 & 63 == 33)


def _mpeg2(data: bytes, _: bytes) -> bytes:
    return b"".join(first + second for first, second in _SEQUENCE.findall(data))


def _mpeg4(data: bytes, _: bytes) -> bytes:
    return b"".join(_LAYER.findall(data))


def _av1(data: bytes, _: bytes) -> bytes:
    """The sequence header OBU (AV1 specification, 5.3 and 5.5)."""
    place = 0
    while place < len(data) and data[place] & 2:
        kind, place = data[place] >> 3 & 15, place + 1 + (data[place] >> 2 & 1)
        size = shift = 0
        while place < len(data):
            size, shift, more = size | (data[place] & 127) << shift, shift + 7, data[place] & 128
            place += 1
            if not more:
                break
        if kind == 1:
            return data[place : place + size]
        place += size
    return b""


# Of a key frame's packet the bytes that say size and format, or nothing. VP9's uncompressed header has them in its
# first 69 bits, VP8's frame header in bytes 6 to 9, a ProRes frame header from byte 16 on.
_HEADS: dict[str, Callable[[bytes, bytes], bytes]] = {
    "h264": _h264,
    "hevc": _hevc,
    "mpeg1video": _mpeg2,
    "mpeg2video": _mpeg2,
    "mpeg4": _mpeg4,
    "av1": _av1,
    "vp8": lambda data, _: data[6:10],
    "vp9": lambda data, _: (int.from_bytes(data[:9], "big") >> 3).to_bytes(9, "big"),
    "prores": lambda data, _: data[16:25],
    "mjpeg": lambda data, _: b"".join(_SOF.findall(data)[:1]),
}


# Their pixel's shape overrules the codec's for the whole stream.
_OVERRULING = frozenset({"matroska", "mov"})


class Heads:
    """The key frames of a stream of an open PyAV container that have heads of their own, in the file's order."""

    def __init__(self, container: Any, stream: Any) -> None:
        context = stream.codec_context
        self._context, self._extradata = context, bytes(context.extradata or b"")
        self._shaped = not _OVERRULING & set(container.format.name.split(","))
        self._head = _HEADS.get(context.codec.canonical_name, _none)
        self._packets: dict[bytes, Any] = {}

    def follow(self, packet: Any) -> None:
        """Looks at one packet."""
        if not packet.is_keyframe or len(self._packets) >= MOST_DECODED:
            return
        head = self._head(memoryview(packet)[:HEAD_BYTES].tobytes(), self._extradata)
        if packet.has_sidedata("new_extradata"):
            head += bytes(packet.get_sidedata("new_extradata"))
        self._packets.setdefault(head, packet)

    def change(self) -> Change | None:
        """The first key frame that decodes to pictures of another kind than the first one."""
        if len(self._packets) < 2:
            return None
        decoded = ((packet, self._decoded(packet)) for packet in self._packets.values())
        known = [(packet, facts) for packet, facts in decoded if facts and packet.pts is not None]
        for packet, facts in known[1:]:
            if facts != known[0][1]:
                return Change(Fraction(packet.pts * packet.time_base), (known[0][1], facts))
        return None

    def _decoded(self, packet: Any) -> Facts | None:
        """What a decoder that begins with this packet makes of it, if it makes anything."""
        import av

        context = av.CodecContext.create(self._context.name, "r")
        context.extradata = self._extradata or None
        for name in ("color_range", "color_primaries", "color_trc", "colorspace"):
            setattr(context, name, getattr(self._context, name))
        try:
            frames = [*context.decode(packet), *context.decode(None)]
        except av.FFmpegError:
            return None
        if not frames:
            return None
        frame, aspect = frames[0], context.sample_aspect_ratio if self._shaped else None
        colour = Colour(
            matrix=MATRICES.get(frame.colorspace),
            primaries=PRIMARIES.get(frame.color_primaries),
            transfer=TRANSFERS.get(frame.color_trc),
            range=RANGES.get(frame.color_range),
        )
        return Facts(frame.format.name, frame.width, frame.height, Fraction(aspect or 1), colour)
