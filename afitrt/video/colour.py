"""Colour facts in ffmpeg's words, facts of pixel formats, and the filters between them and full-range RGB.

A stream that does not name its matrix is taken as BT.709 when wider than 1279 or higher than 576 pixels, else as
BT.601 (smpte170m), the rule of mpv. The file written stays silent about it too: reader and writer use the same
matrix, so the picture looks in every player as the source does there.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

from afitrt.frames import Colour, VideoInfo

# Code points of ITU-T H.273, as ffmpeg's options spell them.
MATRICES = {
    0: "gbr", 1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "ycgco", 9: "bt2020nc",
    10: "bt2020c", 11: "smpte2085", 12: "chroma-derived-nc", 13: "chroma-derived-c", 14: "ictcp",
}  # fmt: skip
PRIMARIES = {
    1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "film", 9: "bt2020",
    10: "smpte428", 11: "smpte431", 12: "smpte432", 22: "jedec-p22",
}  # fmt: skip
TRANSFERS = {
    1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "linear", 9: "log100",
    10: "log316", 11: "iec61966-2-4", 12: "bt1361e", 13: "iec61966-2-1", 14: "bt2020-10", 15: "bt2020-12",
    16: "smpte2084", 17: "smpte428", 18: "arib-std-b67",
}  # fmt: skip
RANGES = {1: "tv", 2: "pc"}

# Those that convert linearly, and what zscale calls them. The rest would need the transfer function undone.
ZSCALE_MATRICES = {
    "bt709": "709", "fcc": "fcc", "bt470bg": "470bg", "smpte170m": "170m", "smpte240m": "smpte240m",
    "ycgco": "ycgco", "bt2020nc": "2020_ncl",
}  # fmt: skip
INTERLEAVED = {"nv12": "yuv420p", "p010le": "yuv420p10le"}
SWSCALE = "flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp"


@dataclass(frozen=True)
class PixelFormat:
    """Facts of an ffmpeg pixel format. sub_width, sub_height: luma samples for one of chroma, 1 without chroma."""

    name: str
    depth: int
    rgb: bool
    grey: bool
    alpha: bool
    sub_width: int
    sub_height: int

    @property
    def subsampling(self) -> str:
        """ "420", "422", "444" and so on; "rgb" and "grey" where there is no chroma."""
        if self.rgb or self.grey:
            return "rgb" if self.rgb else "grey"
        return {(2, 2): "420", (2, 1): "422", (1, 1): "444", (1, 2): "440", (4, 1): "411"}.get(
            (self.sub_width, self.sub_height), "410"
        )

    def divides(self, width: int, height: int) -> bool:
        """Is the size a whole number of chroma samples?"""
        return width % self.sub_width == 0 and height % self.sub_height == 0


@functools.cache
def pixel_format(name: str) -> PixelFormat:
    """Looks a format up by its ffmpeg name. Raises ValueError for a name that ffmpeg does not know."""
    from av import VideoFormat

    known = VideoFormat(name, 64, 64)
    colours = [each for each in known.components if not each.is_alpha]
    rgb = bool(known.is_rgb or known.has_palette or known.is_bayer)
    grey = not rgb and len(colours) == 1
    plain = rgb or grey
    return PixelFormat(
        name=name,
        depth=8 if known.has_palette else max(each.bits for each in colours),
        rgb=rgb,
        grey=grey,
        alpha=any(each.is_alpha for each in known.components),
        sub_width=1 if plain else 64 // known.chroma_width(64),
        sub_height=1 if plain else 64 // known.chroma_height(64),
    )


def assumed_matrix(colour: Colour, width: int, height: int) -> str:
    """The matrix to convert with: the stream's own, else by size (see above)."""
    if colour.matrix in ZSCALE_MATRICES:
        return colour.matrix
    return "bt709" if width >= 1280 or height > 576 else "smpte170m"


def assumed_range(colour: Colour, pixels: PixelFormat) -> str:
    """The range to convert with: the stream's own, else full for grey and the yuvj formats, limited for the rest."""
    full = pixels.grey or pixels.name.startswith("yuvj")
    return colour.range or ("pc" if full else "tv")


def to_rgb(info: VideoInfo) -> list[str]:
    """Filters from the source's pictures to rgb24 (8 bit sources) or rgb48le, both over their full range."""
    pixels = pixel_format(info.pix_fmt)
    deep = pixels.depth > 8
    if pixels.rgb and not deep:
        return [f"scale={SWSCALE}", "format=rgb24"]
    planar, packed = ("gbrp16le", "rgb48le") if deep else ("gbrp", "rgb24")
    filters = []
    if pixels.rgb:
        source = "matrixin=gbr:rangein=full"
    else:
        matrix, range_ = assumed_matrix(info.colour, info.width, info.height), assumed_range(info.colour, pixels)
        filters += _even_chroma(pixels, info.width, info.height, range_, reading=True)
        source = f"matrixin={ZSCALE_MATRICES[matrix]}:rangein={range_}"
    located = f":chromalin={info.colour.chroma_location or 'left'}" if pixels.sub_width > 1 and not filters else ""
    filters += [
        f"zscale={source}{located}:matrix=gbr:range=full:filter=bicubic:dither=none",
        f"format={planar}",
        f"format={packed}",
    ]
    return filters


def from_rgb(info: VideoInfo, colour: Colour, pix_fmt: str) -> list[str]:
    """Filters from full-range RGB to the encoder's pixel format, in the colour that `written_colour` gave."""
    pixels = pixel_format(pix_fmt)
    if pixels.rgb and pixels.depth == 8:
        return [f"scale={SWSCALE}", f"format={pix_fmt}"]
    planar = "gbrp16le" if pixels.depth > 8 else "gbrp"
    if pixels.rgb:
        return [f"format={planar}", "zscale=matrix=gbr:range=full:dither=none", f"format={pix_fmt}"]
    matrix, range_ = assumed_matrix(colour, info.width, info.height), assumed_range(colour, pixels)
    even = _even_chroma(pixels, info.width, info.height, range_, reading=False)
    located = f":chromal={colour.chroma_location or 'left'}" if pixels.sub_width > 1 and not even else ""
    convert = f"zscale=matrixin=gbr:rangein=full:matrix={ZSCALE_MATRICES[matrix]}:range={range_}{located}"
    filters = [f"format={planar}", f"{convert}:filter=bicubic:dither=none", *even]
    # zscale itself makes no interleaved chroma.
    return [*filters, *(f"format={each}" for each in (INTERLEAVED.get(pix_fmt), pix_fmt) if each)]


def _even_chroma(pixels: PixelFormat, width: int, height: int, range_: str, *, reading: bool) -> list[str]:
    """Resamples chroma by swscale where zscale cannot: sizes that are no whole number of chroma samples."""
    if pixels.divides(width, height):
        return []
    full = f"yuv444p{'' if pixels.depth == 8 else f'{pixels.depth}le'}"
    resample = f"scale={SWSCALE}:in_range={range_}:out_range={range_}"
    return [resample, f"format={full}"] if reading else [f"format={full}", resample]


def written_colour(info: VideoInfo, pix_fmt: str) -> Colour:
    """The colour to convert to and to tag: the source's, or of RGB turned into Y'CbCr the matrix that is used."""
    pixels = pixel_format(pix_fmt)
    if pixels.rgb:
        return replace(info.colour, matrix="gbr", range="pc", chroma_location=None)
    if pixel_format(info.pix_fmt).rgb:
        matrix = assumed_matrix(Colour(), info.width, info.height)
        return replace(info.colour, matrix=matrix, range="tv", chroma_location=None)
    located = info.colour.chroma_location if pixels.sub_width > 1 else None
    named = info.colour.matrix if info.colour.matrix in ZSCALE_MATRICES else None
    source = pixel_format(info.pix_fmt)
    range_ = info.colour.range or ("tv" if source.grey else assumed_range(info.colour, source))
    return replace(info.colour, matrix=named, range=range_, chroma_location=located)


def tagging(colour: Colour) -> str:
    """The filter that puts the colour facts on the pictures, for the encoder to write; silent ones as unknown."""
    facts = {
        "range": colour.range,
        "color_primaries": colour.primaries,
        "color_trc": colour.transfer,
        "colorspace": colour.matrix,
    }
    return "setparams=" + ":".join(f"{name}={value or 'unknown'}" for name, value in facts.items())
