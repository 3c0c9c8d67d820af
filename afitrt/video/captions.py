"""What lies in single pictures beside them, as closed captions do: found, and told, for a pipe of pictures loses it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

CAPTIONS = "closed captions"
# By the names of frame side data; none of them says anything of a picture between two others.
BESIDE = {
    "A53_CC": CAPTIONS,
    "AFD": "active format (AFD)",
    "S12M_TIMECODE": "timecodes",
    "FILM_GRAIN_PARAMS": "film grain parameters",
    "AMBIENT_VIEWING_ENVIRONMENT": "ambient viewing environment",
    "ICC_PROFILE": "ICC profile",
}
# What Matroska says of the whole track, and its reader puts on each picture, is copied with the track.
OF_TRACKS = {"STEREO3D": "stereo 3D layout", "SPHERICAL": "360 degree projection"}
CAPTIONED = frozenset({"h264", "hevc", "mpeg1video", "mpeg2video", "libdav1d", "av1"})
# ATSC A/53 in a message of ITU-T T.35 (H.264, HEVC, AV1) or in user data of MPEG-2, and line 21 of DVDs.
_CAPTIONS = re.compile(rb"\xb5\x00\x31GA94\x03|\x00\x00\x01\xb2GA94\x03|\x00\x00\x01\xb2CC\x01\xf8")
_PLAIN = re.compile(r"[\w .-]+")


def beside(frame: Any, matroska: bool) -> tuple[str, ...]:
    """Names of what a picture of PyAV carries beside it. matroska: it is from there."""
    names = BESIDE if matroska else BESIDE | OF_TRACKS
    return tuple(names[each.type.name] for each in frame.side_data if each.type.name in names)


def captioned(packet: Any) -> bool:
    """Does a packet of PyAV carry closed captions?"""
    return packet.stream.codec_context.name in CAPTIONED and _CAPTIONS.search(bytes(packet)) is not None


def left_out(names: tuple[str, ...], path: Path) -> list[str]:
    """Plain lines about what cannot be carried over."""
    lines = []
    if CAPTIONS in names:
        name = path.name if _PLAIN.fullmatch(path.name) else f"in{path.suffix}"
        command = f'ffmpeg -f lavfi -i "movie={name}[out+subcc]" -map 0:1 captions.srt'
        lines.append(f"{CAPTIONS} are left out: they lie in single pictures; {command} saves them as subtitles")
    if others := [each for each in names if each != CAPTIONS]:
        lines.append(f"left out, since it lies in single pictures: {', '.join(others)}")
    return lines
