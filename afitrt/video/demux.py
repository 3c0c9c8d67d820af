"""The packets of a video stream: all of them, what they say about damage, and those that are shown."""

from __future__ import annotations

import re
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from afitrt.errors import InputError
from afitrt.frames import VideoInfo
from afitrt.video.captions import captioned
from afitrt.video.encryption import is_encrypted
from afitrt.video.ffmpeg import readable_path
from afitrt.video.sequence_headers import Heads
from afitrt.video.timeline import Packet
from afitrt.video.tracks import Track

DAMAGE = re.compile(r"ended prematurely|partial file|truncat|invalid data", re.IGNORECASE)
JUMP_SECONDS = 1
NO_TIMES = 0x80  # ffmpeg's AVFMT_NOTIMESTAMPS: raw streams.
# ffmpeg's AVFMT_TS_DISCONT: MPEG-TS and MPEG-PS, which store decoding times and are joined by laying bytes together. In
# other formats ffmpeg makes them up, and they may be off by some frames.
JOINABLE = 0x200


@dataclass
class Edits:
    """Follows the packets of a track. several: an edit list passes over some between others that it shows."""

    several: bool = False
    shown: bool = False
    passed: bool = False

    def follow(self, packet: Any) -> None:
        """Takes the next packet of the track."""
        self.several = self.several or (self.passed and not packet.is_discard)
        self.passed = self.shown and packet.is_discard
        self.shown = self.shown or not packet.is_discard


@dataclass
class Demuxed:
    """Packets to be shown; count: all of them, discarded ones too; damage: first sign of it, or nothing.

    joinable: files may be laid together in it, so that a step back of a frame is one too many. jump: decoding times
    before and after the first jump back, in seconds, or nothing. latest: the last one met. edits: see Edits. encrypted,
    captions: any of them is so, or has some.
    """

    indexed: bool
    untimed: bool
    heads: Heads
    joinable: bool = False
    jump: tuple[Fraction, Fraction] | None = None
    packets: list[Packet] = field(default_factory=list)
    count: int = 0
    damage: str = ""
    latest: Fraction | None = None
    edits: Edits = field(default_factory=Edits)
    encrypted: bool = False
    captions: bool = False

    def follow(self, packet: Any) -> None:
        """Counts a packet, looks at its head, and compares its decoding time with that of the one before.

        What an edit list passes over is decoded for the sake of others and goes back each time.
        """
        self.count += 1
        self.heads.follow(packet)
        self.edits.follow(packet)
        self.encrypted = self.encrypted or is_encrypted(packet.stream, packet)
        self.captions = self.captions or captioned(packet)
        if packet.dts is None or packet.is_discard:
            return
        now, limit = packet.dts * packet.time_base, Fraction(JUMP_SECONDS)
        if self.joinable and packet.duration:
            limit = packet.duration * packet.time_base
        if self.latest is not None and self.latest - now >= limit and not self.jump:
            self.jump = self.latest, now
        self.latest = now


def demux(container: Any, stream: Any) -> Demuxed:
    """Reads all packets of a stream of an open PyAV container; what is damaged ends early and says so."""
    import av

    untimed = bool(container.format.flags & NO_TIMES)
    indexed = bool({"mov", "mp4"} & set(container.format.name.split(",")))
    found = Demuxed(indexed, untimed, Heads(container, stream), bool(container.format.flags & JOINABLE))
    vp8 = stream.codec_context.name == "vp8"
    level = av.logging.get_level()
    av.logging.set_level(av.logging.ERROR)
    try:
        with av.logging.Capture() as told:
            try:
                for packet in container.demux(stream):
                    if packet.size == 0:
                        continue
                    found.follow(packet)
                    if packet.is_corrupt and not found.damage:
                        found.damage = f"packet {found.count - 1} is corrupt"
                    if not packet.is_discard and not (vp8 and _hidden(packet)):
                        found.packets.append(Packet(packet.pts, packet.dts, packet.duration or 0))
            except av.FFmpegError as error:
                found.damage = error.strerror or type(error).__name__
    finally:
        av.logging.set_level(level)
    signs = (text.strip() for _, _, text in told if DAMAGE.search(text))
    found.damage = found.damage or next(signs, "")
    return found


def stored(path: Path, index: int) -> int:
    """Packets of a stream of MP4 or MOV, those that an edit list passes over among them."""
    import av

    count, how = 0, {"metadata_errors": "replace", "options": {"ignore_editlist": "1"}}
    with suppress(av.FFmpegError), av.open(readable_path(path), **how) as container:
        for packet in container.demux(container.streams[index]):
            count += packet.size > 0
    return count


def check_jump(path: Path, demuxed: Demuxed) -> None:
    """Raises InputError where times jump back: sorting them would mix what was joined."""
    if demuxed.jump:
        before, after = map(float, demuxed.jump)
        raise InputError(
            f"{path}: its time stamps jump back from {before:.3f} to {after:.3f} s, as in recordings that were joined",
            "times that rise from the first packet to the last",
            f"ffmpeg -fflags +genpts -i {path.name} -map 0 -c copy joined.mkv puts them in one line",
        )


def check_edits(info: VideoInfo, tracks: Collection[Track]) -> None:
    """Raises InputError naming those of the tracks whose several edits would be lost where packets are copied.

    Only decoding passes over what an edit list leaves out. tracks: to be copied, beside the video.
    """
    import av

    others = {each.index: each for each in tracks if each.kind in ("video", "audio") and each.index != info.stream}
    if not info.edited or not others:
        return
    found = {index: Edits() for index in others}
    with suppress(av.FFmpegError), av.open(readable_path(info.path), metadata_errors="replace") as container:
        for packet in container.demux([container.streams[index] for index in others]):
            if packet.size:
                found[packet.stream_index].follow(packet)
    lost = [others[index] for index, edits in found.items() if edits.several]
    if lost:
        named, numbers = ", ".join(map(str, lost)), ",".join(str(each.index) for each in lost)
        raise InputError(
            f"{info.path}: several edits in {named}, as in its video: a copy would play what they leave out",
            "tracks in one piece",
            f"ffmpeg -i {info.path.name} -map 0 -c:v ffv1 -c:a flac flat.mkv, or --drop-tracks {numbers}",
        )


def _hidden(packet: Any) -> bool:
    """A VP8 packet whose show_frame bit is clear (RFC 6386, 9.1): a reference picture that is never shown."""
    return not (bytes(packet)[0] >> 4) & 1


def shown(packets: list[Packet], first: int | None) -> list[Packet]:
    """The packets without those before the first picture decoded: a cut open GOP begins with undecodable ones."""
    if first is None:
        return packets
    return [each for each in packets if each.pts is None or each.pts >= first]
