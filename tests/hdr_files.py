"""Makes files with HDR facts: in the stream, in the container, and metadata of single pictures put in by hand."""

from __future__ import annotations

import re
import struct
from pathlib import Path

from video_helpers import ffmpeg

MASTERING = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
LIGHT = "1000,400"
PQ = "format=yuv420p10le,setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc:range=tv"
X265 = ("-c:v", "libx265", "-preset", "ultrafast")


def hdr10(path: Path, *encode: object, seconds: float = 0.2) -> Path:
    """PQ with HDR10's facts; what the encoder and the container do with them is ffmpeg's."""
    raw = path.with_suffix(".yuv")
    ffmpeg("-f", "lavfi", "-i", f"testsrc2=s=64x64:r=25:d={seconds},{PQ}", "-f", "rawvideo", raw)
    facts = ("-mastering_display", MASTERING, "-content_light", LIGHT)
    shape = ("-f", "rawvideo", "-pix_fmt", "yuv420p10le", "-video_size", "64x64", "-framerate", 25)
    ffmpeg(*facts, *shape, "-i", raw, "-vf", PQ, *(encode or X265), path)
    raw.unlink()
    return path


def units(stream: bytes) -> list[bytes]:
    """The NAL units of an Annex B stream, without start codes."""
    return [each for each in re.split(rb"\x00\x00\x00?\x01", stream) if each]


def with_units(source: Path, out: Path, unit: bytes, *, after: bool = False) -> Path:
    """The HEVC stream of a file with one more unit before (or after) every picture's slices."""
    ffmpeg("-i", source, "-map", "0:v", "-c", "copy", "-f", "hevc", out.with_suffix(".hevc"))
    made = []
    for each in units(out.with_suffix(".hevc").read_bytes()):
        slices = each[0] >> 1 < 32
        made += [each, unit] if slices and after else [unit, each] if slices else [each]
    out.with_suffix(".hevc").write_bytes(b"".join(b"\x00\x00\x00\x01" + each for each in made))
    ffmpeg("-framerate", 25, "-f", "hevc", "-i", out.with_suffix(".hevc"), "-c", "copy", out)
    out.with_suffix(".hevc").unlink()
    return out


def escaped(payload: bytes) -> bytes:
    """With emulation prevention (H.265, 7.4.2)."""
    out = bytearray()
    for byte in payload:
        if out[-2:] == b"\x00\x00" and byte <= 3:
            out.append(3)
        out.append(byte)
    return bytes(out)


def hdr10_plus_unit() -> bytes:
    """An SEI unit with the least that SMPTE ST 2094-40 allows (application 4): one window, no percentiles."""
    fields = [(1, 2), (400, 27), (0, 1), *[(5000, 17)] * 3, (4000, 17), (0, 4), (10, 10), (0, 1), (0, 1), (0, 1)]
    bits = "".join(f"{value:0{width}b}" for value, width in fields)
    body = int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")
    payload = bytes.fromhex("b5003c00010401") + body
    return b"\x4e\x01" + escaped(bytes([4, len(payload)]) + payload + b"\x80")


# What no decoder can parse, in the unit where Dolby Vision keeps its metadata.
DOLBY_VISION_UNIT = b"\x7c\x01" + bytes(range(25, 60))


def with_record(source: Path, out: Path, profile: int, compatible: int) -> Path:
    """An MP4 file of HEVC whose sample entry carries a Dolby Vision configuration record."""
    plain = out.with_name("plain.mp4")
    ffmpeg("-i", source, "-map", "0:v", "-c", "copy", "-tag:v", "hvc1", plain)
    data = bytearray(plain.read_bytes())
    facts = struct.pack(">BBHI16x", 1, 0, profile << 9 | 1 << 3 | 1 << 2 | 1, compatible << 28)
    box = struct.pack(">I4s", 8 + len(facts), b"dvcC" if profile <= 7 else b"dvvC") + facts
    places, at, end = [], 0, len(data)
    # Bytes between the head of a box and its first child.
    for name, skipped in ((b"moov", 0), (b"trak", 0), (b"mdia", 0), (b"minf", 0), (b"stbl", 0), (b"stsd", 8)):
        at = _box(data, at, end, name)
        places.append(at)
        end, at = at + int.from_bytes(data[at : at + 4], "big"), at + 8 + skipped
    places.append(_box(data, at, end, b"hvc1"))
    inside = places[-1] + int.from_bytes(data[places[-1] : places[-1] + 4], "big")
    for place in places:
        size = int.from_bytes(data[place : place + 4], "big") + len(box)
        data[place : place + 4] = size.to_bytes(4, "big")
    out.write_bytes(data[:inside] + box + data[inside:])
    plain.unlink()
    return out


def _box(data: bytes, at: int, end: int, name: bytes) -> int:
    while at < end:
        if data[at + 4 : at + 8] == name:
            return at
        at += int.from_bytes(data[at : at + 4], "big")
    raise AssertionError(name)
