"""What other readers say of a file: MediaInfo of the pictures, PyAV's demuxer of the tracks. Ours is not asked."""

from __future__ import annotations

import hashlib
import re
import subprocess
from pathlib import Path
from typing import Any

import av
from av.stream import Disposition
from pymediainfo import MediaInfo
from video_helpers import BUNDLED

NAMES = {
    "aspect": "pixel_aspect_ratio",
    "range": "color_range",
    "primaries": "color_primaries",
    "transfer": "transfer_characteristics",
    "matrix": "matrix_coefficients",
    "luminance": "mastering_display_luminance",
    "mastering": "mastering_display_color_primaries",
    "brightest": "maximum_content_light_level",
    "average": "maximum_frameaverage_light_level",
}
SILENT = {"aspect": "1.000"}
DISCARD_ALL = 48
KEPT_FLAGS = Disposition.default | Disposition.forced | Disposition.comment | Disposition.attached_pic


def facts(path: Path) -> dict[str, Any]:
    """Of the pictures, of the file, and "tracks": a tuple for each other track."""
    video = MediaInfo.parse(path).video_tracks[0].to_data()
    found: dict[str, Any] = {name: video.get(key, SILENT.get(name, "")) for name, key in NAMES.items()}
    found |= {name: found[name].split()[0] for name in ("brightest", "average") if found[name]}
    found |= _described(path)
    with av.open(str(path)) as container:
        stream = next(each for each in container.streams.video if not each.disposition & Disposition.attached_pic)
        pixels = stream.codec_context.format
        found["size"] = (stream.width, stream.height)
        found["depth"] = pixels.components[0].bits
        found["chroma"] = "RGB" if pixels.is_rgb else (64 // pixels.chroma_width(64), 64 // pixels.chroma_height(64))
        found["chapters"] = [
            (float(each["start"] * each["time_base"]), each["metadata"]["title"]) for each in container.chapters()
        ]
        found["title"] = container.metadata.get("title", "")
        found["codec"] = stream.codec_context.codec.canonical_name
        found["tracks"] = [_track(each, _packets(path)) for each in container.streams if _counts(each, stream.index)]
    found["times"] = [float(each) for each in times(path)]
    return found


def _described(path: Path) -> dict[str, Any]:
    """In the words of ffmpeg's demuxer: where chroma lies, and degrees counter-clockwise by which players turn."""
    command = [BUNDLED, "-hide_banner", "-v", "verbose", "-i", str(path)]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    video = next(line for line in said.splitlines() if ": Video:" in line and "attached pic" not in line)
    place = re.search(r"\b(left|center|topleft)\b", video)
    matrix = re.search(r"display ?matrix: rotation of (-?[\d.]+) degrees", said, re.IGNORECASE)
    return {"position": place[1] if place else "", "turned": round(float(matrix[1])) % 360 if matrix else 0}


def times(path: Path) -> list[Any]:
    """When the pictures are shown, in seconds as Fractions, in order."""
    with av.open(str(path)) as container:
        stream = next(each for each in container.streams.video if not each.disposition & Disposition.attached_pic)
        shown = (packet for packet in container.demux(stream) if packet.size and not packet.is_discard)
        return sorted(packet.pts * packet.time_base for packet in shown)


def _counts(stream: Any, video: int) -> bool:
    """Is it a track of its own, and no list of chapters' names?"""
    return stream.index != video and not (stream.type == "data" and getattr(stream, "discard", 0) == DISCARD_ALL)


def _packets(path: Path) -> dict[int, str]:
    found: dict[int, Any] = {}
    with av.open(str(path)) as container:
        for packet in container.demux():
            if packet.size:
                found.setdefault(packet.stream_index, hashlib.sha256()).update(bytes(packet))
    return {index: digest.hexdigest()[:16] for index, digest in found.items()}


def _track(stream: Any, packets: dict[int, str]) -> tuple[Any, ...]:
    """Kind, codec, language, name, flags, hash of its bytes."""
    if stream.type == "attachment":
        return ("attachment", stream.mimetype, stream.name, hashlib.sha256(stream.data).hexdigest()[:16])
    language = stream.metadata.get("language", "und")
    cover = bool(stream.disposition & Disposition.attached_pic)
    flags = str(Disposition(stream.disposition) & KEPT_FLAGS)
    kind, name = ("cover", "") if cover else (stream.type, stream.metadata.get("title", ""))
    codec = stream.codec_context.codec.canonical_name
    return (kind, codec, language, name, flags, packets.get(stream.index, "none"))
