"""HDR facts: read from a decoded picture's side data, and handed to the encoder and the container.

ffmpeg's decoders put what the stream says (SEI, metadata OBU) and what the container says (Matroska's
MasteringMetadata, MP4's mdcv and clli) on the same side data of a picture.
"""

from __future__ import annotations

import re
import struct
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from afitrt.errors import InputError
from afitrt.frames import Colour, ContentLight, Mastering, VideoInfo
from afitrt.video import matroska
from afitrt.video.captions import left_out
from afitrt.video.ffmpeg import describe
from afitrt.video.ffmpeg_discovery import Ffmpeg

# Of libavutil/mastering_display_metadata.h: 3 x 2 primaries, 2 white, darkest, brightest as num, den; two flags.
_MASTERING = struct.Struct("=20i2i")
_LIGHT = struct.Struct("=2I")
CHROMATICITY, LUMINANCE = 50_000, 10_000
# Of Matroska (RFC 9559, 5.1.4): from _RED_X on follow the other places of the primaries, the white and the luminance.
_ENTRY, _VIDEO, _COLOUR = 0xAE, 0xE0, 0x55B0
_MAX_CLL, _MAX_FALL, _MASTERING_METADATA, _RED_X = 0x55BC, 0x55BD, 0x55D0, 0x55D1
# What describes single pictures: nothing tells how it looks between two of them.
DYNAMIC = {
    "DYNAMIC_HDR_PLUS": "HDR10+",
    "DYNAMIC_HDR_VIVID": "HDR Vivid",
    "DOVI_RPU_BUFFER": "Dolby Vision",
    "DOVI_METADATA": "Dolby Vision",
}
# Base pictures in IPT, which show the wrong colours without the metadata.
_NO_BASE = re.compile(r"DOVI configuration record:.*profile: (5|20)\b")
_RECORD = "DOVI configuration record"


def mastering_of(frame: Any) -> Mastering | None:
    """The display on which the picture was graded (SMPTE ST 2086), None where primaries or luminance are missing."""
    data = _side_data(frame).get("MASTERING_DISPLAY_METADATA")
    if data is None or len(data) < _MASTERING.size:
        return None
    *numbers, has_primaries, has_luminance = _MASTERING.unpack(data[: _MASTERING.size])
    if not (has_primaries and has_luminance) or 0 in numbers[1::2]:
        return None
    values = [Fraction(above, below) for above, below in zip(numbers[::2], numbers[1::2], strict=True)]
    red, green, blue, white = (
        (round(x * CHROMATICITY), round(y * CHROMATICITY)) for x, y in zip(values[:8:2], values[1:8:2], strict=True)
    )
    return Mastering(red, green, blue, white, round(values[9] * LUMINANCE), round(values[8] * LUMINANCE))


def content_light_of(frame: Any) -> ContentLight | None:
    """The brightest pixel and the brightest picture's average (CTA-861.3), None where neither is told."""
    data = _side_data(frame).get("CONTENT_LIGHT_LEVEL")
    if data is None or len(data) < _LIGHT.size:
        return None
    light = ContentLight(*_LIGHT.unpack(data[: _LIGHT.size]))
    return light if light != ContentLight(0, 0) else None


def dynamic_of(frame: Any) -> tuple[str, ...]:
    """Names of the metadata that describe single pictures: HDR10+, Dolby Vision, HDR Vivid."""
    return tuple(dict.fromkeys(name for kind, name in DYNAMIC.items() if kind in _side_data(frame)))


def _side_data(frame: Any) -> dict[str, bytes]:
    return {each.type.name: bytes(each) for each in frame.side_data}


def declared_dynamic(path: Any, codec: str, depth: int) -> tuple[str, ...]:
    """("Dolby Vision",) where the container declares it. Raises InputError where the picture cannot do without it."""
    if depth < 10 or codec not in ("hevc", "av1"):
        return ()
    told = describe(path)
    if found := _NO_BASE.search(told):
        raise InputError(
            f"{path} is Dolby Vision of profile {found[1]}: without its metadata the colours are wrong",
            "a base picture in HDR10, HLG or SDR, as profiles 7 and 8 have",
            "convert it first, as with ffmpeg's libplacebo filter",
        )
    return ("Dolby Vision",) if _RECORD in told else ()


def static_facts(info: VideoInfo, colour: Colour, showinfo: str) -> VideoInfo:
    """The source with HDR10's facts as far as its filtered pictures have them still, by the words of showinfo.

    colour: of the filtered pictures. What is no PQ any more has none: zscale leaves them on.
    """
    still, words = info.colour.transfer == colour.transfer, showinfo.lower()  # Versions differ in capitals.
    return replace(
        info,
        mastering=info.mastering if still and "side data - mastering display" in words else None,
        content_light=info.content_light if still and "side data - content light" in words else None,
    )


def dropped(info: VideoInfo) -> list[str]:
    """A plain line for each kind of metadata that cannot be carried over."""
    lines = [
        f"{name} metadata are left out: they describe single pictures and cannot be interpolated; "
        f"{'HDR10 facts stay' if info.mastering or info.content_light else 'the base picture stays'}"
        for name in info.dynamic
    ]
    return lines + left_out(info.beside, info.path)


def input_options(info: VideoInfo, tool: Ffmpeg) -> dict[str, str]:
    """Options that put the facts on the pictures on their way into the encoder, which hands them to the container."""
    facts = {"mastering_display": info.mastering, "content_light": info.content_light}
    return {name: str(fact) for name, fact in facts.items() if fact is not None and name in tool.options}


def handed_over(tool: Ffmpeg) -> bool:
    """Can this ffmpeg put the facts on pictures that come through a pipe?"""
    return {"mastering_display", "content_light"} <= tool.options


def encoder_params(info: VideoInfo, codec: str, tool: Ffmpeg) -> dict[str, str]:
    """The encoder's own parameters for the same facts, which an older ffmpeg needs."""
    mastering, light = info.mastering, info.content_light
    params: dict[str, str] = {}
    if codec == "libx265" and (mastering or light):
        params["hdr10"] = "1"
        params |= {"master-display": str(mastering)} if mastering else {}
        params |= {"max-cll": str(light)} if light else {}
    if codec == "libx264" and not handed_over(tool):
        params |= {"mastering-display": str(mastering)} if mastering else {}
        params |= {"cll": str(light)} if light else {}
    if codec == "libsvtav1":
        params |= {"mastering-display": _in_units(mastering)} if mastering else {}
        params |= {"content-light": str(light)} if light else {}
    return params


def put_facts(path: Path, info: VideoInfo) -> None:
    """Writes the facts into a finished Matroska file of one video: what `input_options` does with a newer ffmpeg."""
    facts: dict[int, bytes | int] = {}
    if mastering := info.mastering:
        places = [value for each in (mastering.red, mastering.green, mastering.blue, mastering.white) for value in each]
        values = [value / CHROMATICITY for value in places]
        values += [mastering.brightest / LUMINANCE, mastering.darkest / LUMINANCE]
        facts[_MASTERING_METADATA] = matroska.joined(
            (_RED_X + number, struct.pack(">d", value)) for number, value in enumerate(values)
        )
    if light := info.content_light:
        facts |= {_MAX_CLL: light.maximum, _MAX_FALL: light.average}
    tracks = matroska.read(path)[matroska.TRACKS]
    matroska.put(path, matroska.TRACKS, matroska.with_elements(tracks, facts, _ENTRY, _VIDEO, _COLOUR))


def _in_units(mastering: Mastering) -> str:
    """SVT-AV1 takes chromaticities from 0 to 1 and cd/m2."""
    places = {"G": mastering.green, "B": mastering.blue, "R": mastering.red, "WP": mastering.white}
    text = "".join(f"{name}({x / CHROMATICITY:.5f},{y / CHROMATICITY:.5f})" for name, (x, y) in places.items())
    return f"{text}L({mastering.brightest / LUMINANCE:.4f},{mastering.darkest / LUMINANCE:.4f})"
