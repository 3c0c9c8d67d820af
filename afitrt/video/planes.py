"""Which pictures travel as planar 4:2:0, untouched from the decoder to the encoder, and the filters to have them so."""

from __future__ import annotations

from dataclasses import replace

from afitrt.frames import Colour, VideoInfo
from afitrt.options import EncodeOptions
from afitrt.video.colour import ZSCALE_MATRICES, assumed_matrix, assumed_range, pixel_format, written_colour
from afitrt.video.encoders import ENCODERS
from afitrt.yuv import CHROMA_LOCATIONS, MATRICES, Yuv420, YuvLayout


def decoded_yuv(info: VideoInfo, depth: int | None = None) -> Yuv420 | None:
    """The pictures of a 4:2:0 source in its own depth or a greater one; None where they are to be had as RGB only.

    That is where chroma has another shape or place, the size is no whole number of chroma samples, the matrix is not
    one of those in `afitrt.yuv`, or there is alpha.
    """
    pixels = pixel_format(info.pix_fmt)
    matrix, location = assumed_matrix(info.colour, info.width, info.height), info.colour.chroma_location or "left"
    plain = pixels.subsampling == "420" and not pixels.alpha and pixels.divides(info.width, info.height)
    if not plain or matrix not in MATRICES or location not in CHROMA_LOCATIONS:
        return None
    layout = YuvLayout(depth or pixels.depth, matrix, assumed_range(info.colour, pixels), location)
    return Yuv420(info.width, info.height, layout)


def carried_yuv(info: VideoInfo, encode: EncodeOptions) -> Yuv420 | None:
    """The pictures that source and output have in common, in the output's depth; None where RGB lies between them.

    encode: as resolved by `choose_encoding`.
    """
    pixels = pixel_format(str(encode.pix_fmt))
    yuv = decoded_yuv(info, pixels.depth)
    if yuv is None or pixels.subsampling != "420" or pixels.depth < info.depth:
        return None
    return yuv if yuv.layout.range == assumed_range(output_colour(info, encode), pixels) else None


def output_colour(info: VideoInfo, encode: EncodeOptions) -> Colour:
    """The colour to convert to and to tag; see `written_colour`."""
    colour = written_colour(info, str(encode.pix_fmt))
    limited = encode.codec in ENCODERS and ENCODERS[encode.codec].limited
    return replace(colour, range="tv") if limited else colour


def raw_format(yuv: Yuv420) -> str:
    """ffmpeg's name of the frames' format."""
    depth = yuv.layout.depth
    return "yuv420p" if depth == 8 else f"yuv420p{depth}le"


def to_yuv(yuv: Yuv420) -> list[str]:
    """Filters from a source's pictures to these; they change nothing but the depth."""
    layout = yuv.layout
    facts = {
        "matrix": ZSCALE_MATRICES[layout.matrix],
        "range": layout.range,
        "chromal": layout.chroma_location,
    }
    same = ":".join(f"{name}in={value}:{name}={value}" for name, value in facts.items())
    return [f"zscale={same}:filter=bicubic:dither=none", f"format={raw_format(yuv)}"]
