"""Encryption: of tracks of MP4, MOV, Matroska and WebM, and of discs and broadcasts that no frame of decodes."""

from __future__ import annotations

import re
from collections.abc import Collection
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from afitrt.errors import InputError
from afitrt.video.ffmpeg import readable_path
from afitrt.video.tracks import Track

# Sample entries of MP4: common encryption, and Apple's FairPlay.
TAGS = frozenset({"encv", "enca", "drmi", "drms"})
# Matroska's reader names the key of ContentEncryption there; MP4's puts this beside each packet.
KEY, BESIDE = "enc_key_id", "encryption_info"
# So many packets of a file show what its tracks are.
SAMPLE_PACKETS = 2000
SAMPLE_BYTES = 1 << 22
CLEAR = "tracks without encryption"
# PES packets of video in MPEG-PS whose scrambling control is set, and how many are no accident.
_SCRAMBLED_PES = re.compile(rb"\x00\x00\x01[\xe0-\xef]..[\x90-\xbf]", re.DOTALL)
LEAST = 3


def is_encrypted(stream: Any, packet: Any = None) -> bool:
    """Does a stream of PyAV say so, or one of its packets?"""
    context = stream.codec_context
    return bool(
        KEY in stream.metadata
        or (context is not None and context.codec_tag in TAGS)
        or (packet is not None and packet.has_sidedata(BESIDE))
    )


def refusal(path: Path, what: str, drop: str = "") -> InputError:
    """The error for an encrypted track. drop: numbers of those that may be left out instead."""
    hint = f"with its key: ffmpeg -decryption_key KEY -i {path.name} -map 0 -c copy clear.mp4, if it is MP4 or MOV"
    return InputError(f"{path}: {what} is encrypted", CLEAR, f"--drop-tracks {drop}, or {hint}" if drop else hint)


def check_encrypted(path: Path, tracks: Collection[Track]) -> None:
    """Raises InputError naming those of the tracks of a file that are encrypted, which a copy would be too."""
    import av

    wanted = {each.index: each for each in tracks if each.kind in ("video", "audio", "subtitle")}
    found: set[int] = set()
    with suppress(av.FFmpegError), av.open(readable_path(path), metadata_errors="replace") as container:
        found |= {each.index for each in container.streams if each.index in wanted and is_encrypted(each)}
        for packet in islice(container.demux(), SAMPLE_PACKETS):
            if packet.size and packet.stream_index in wanted and packet.has_sidedata(BESIDE):
                found.add(packet.stream_index)
    if found:
        numbers = ",".join(map(str, sorted(found)))
        raise refusal(path, ", ".join(str(wanted[index]) for index in sorted(found)), numbers)


def scrambled(path: Path, disc: bool) -> bool:
    """Is the beginning of a file scrambled? disc: it is MPEG-PS, as on DVDs, and else MPEG-TS, as from television."""
    with path.open("rb") as file:
        data = file.read(SAMPLE_BYTES)
    if disc:
        return len(_SCRAMBLED_PES.findall(data)) >= LEAST
    for start, unit in ((0, 188), (4, 192)):
        heads = [data[place : place + 4] for place in range(start, len(data) - 3, unit)]
        if len(heads) > 1 and all(head[0] == 0x47 for head in heads):
            return any(head[3] & 0xC0 for head in heads)
    return False


def unreadable(path: Path) -> InputError:
    """The error for a scrambled file."""
    return InputError(f"{path}: its video is scrambled", CLEAR, "record or copy it with what has the key")
