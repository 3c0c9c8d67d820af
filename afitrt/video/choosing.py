"""The choice of an encoder and a pixel format for a picture, and what had to differ, in plain lines."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from afitrt.errors import MissingToolError, OutputError, UsageError
from afitrt.frames import VideoInfo
from afitrt.options import EncodeOptions
from afitrt.video.arguments import check_arguments
from afitrt.video.colour import PixelFormat, pixel_format
from afitrt.video.encoders import ENCODERS, PLAIN, PNG, Y4M, Encoder, encoder_name, friendly_name
from afitrt.video.ffmpeg_discovery import find_for

# Below this FFV1 finds no slices for subsampled chroma.
TINY = 16


def choose_encoding(
    info: VideoInfo, encode: EncodeOptions, container: str, present: Collection[str]
) -> tuple[EncodeOptions, list[str]]:
    """Resolves codec, preset and pixel format for this picture, and says in plain lines what had to differ.

    container: "matroska", "mp4" or "mov". present: names of the encoders that this ffmpeg has.
    4:2:2, 4:4:4 and depths above 10 bits are kept where the encoder can; RGB and grey are written as 4:2:0; odd
    sizes as 4:4:4; pictures too small for the encoder as FFV1. Raises MissingToolError for an encoder that is
    absent, UsageError for a pixel format that cannot hold the picture, OutputError for a container that cannot
    hold the encoder's stream.
    """
    if container in PLAIN:
        return _choose_plain(info, encode, container)
    name = encoder_name(encode.codec)
    if name in (PNG, Y4M):
        raise OutputError(
            f"--codec {name} into {container}", "a folder of pictures or a pipe", "name the output out/ or -"
        )
    if name not in ENCODERS or name not in present:
        there = [friendly_name(each) for each in ENCODERS if each in present]
        raise MissingToolError(
            f"--codec {encode.codec}: this ffmpeg has no such encoder that afitrt knows",
            f"one of {', '.join(there) or 'none at all'}",
            f"--codec {there[0]}" if there else "install a complete ffmpeg",
        )
    notes: list[str] = []
    if min(info.width, info.height) < (small := _minimum(info, name)) and not encode.pix_fmt:
        notes.append(f"{info.width}x{info.height} is under {small} pixels, too small for {name}: written as FFV1")
        name, encode = "ffv1", replace(encode, preset=None, crf=None, extra=())
    encoder = ENCODERS[name]
    check_arguments(name, encode.extra)
    if container not in encoder.containers:
        raise OutputError(
            "; ".join([*notes, f"{container} cannot hold {name}"]),
            f"one of {', '.join(encoder.containers)}",
            "name the output .mkv",
        )
    if encode.pix_fmt:
        _check_pix_fmt(info, name, encode.pix_fmt)
        chosen = encode.pix_fmt
    else:
        chosen, said = _choose_pix_fmt(info, name)
        notes += said
    if encoder.limited and info.colour.range == "pc" and not pixel_format(info.pix_fmt).rgb:
        notes.append(f"full range becomes limited: {name} knows no other")
    return _resolved(encode, name, chosen, notes), notes


def _resolved(encode: EncodeOptions, name: str, pix_fmt: str, notes: list[str]) -> EncodeOptions:
    """With the encoder's own preset and quality where none is given; adds to the notes what it has no use for."""
    encoder = _row_of(name)
    if encode.preset is not None and encoder.preset is None:
        notes.append(f"--preset {encode.preset} means nothing to {name}")
    if encode.crf is not None and not encoder.quality:
        notes.append(f"--crf {encode.crf:g} means nothing to {name}")
    preset = None if encoder.preset is None else encode.preset or encoder.preset
    crf = None if not encoder.quality else encoder.crf if encode.crf is None else encode.crf
    return replace(encode, codec=name, preset=preset, crf=crf, pix_fmt=pix_fmt)


def _choose_plain(info: VideoInfo, encode: EncodeOptions, container: str) -> tuple[EncodeOptions, list[str]]:
    """The same for PNG and y4m, for which there is one codec and nothing to set but the pixel format."""
    if encode.codec not in (EncodeOptions.codec, container):
        what = "a pipe is y4m" if container == Y4M else "pictures are PNG"
        raise UsageError(f"--codec {encode.codec}, but {what}", "no codec at all", "leave --codec out")
    if encode.extra:
        raise UsageError("--encoder-args", "an encoder: pictures and pipes have none", "leave --encoder-args out")
    notes = [f"HDR facts are left out: {container} holds none"] if info.mastering or info.content_light else []
    if encode.pix_fmt:
        _check_pix_fmt(info, container, encode.pix_fmt)
        chosen = encode.pix_fmt
    elif container == PNG:
        chosen = "rgb48le" if info.depth > 8 else "rgb24"
    else:
        chosen, said = _choose_pix_fmt(info, container)
        notes += said
    return _resolved(encode, container, chosen, notes), notes


def _row_of(name: str) -> Encoder:
    return PLAIN[name] if name in PLAIN else ENCODERS[name]


def _check_pix_fmt(info: VideoInfo, name: str, wanted: str) -> None:
    encoder = _row_of(name)
    if wanted not in encoder.pix_fmts:
        raise UsageError(
            f"--pix-fmt {wanted} with {name}",
            f"one of {', '.join(encoder.pix_fmts)}",
            f"--pix-fmt {encoder.pix_fmts[0]}",
        )
    small = _minimum(info, name)
    if not _holds(encoder, pixel_format(wanted), info) or min(info.width, info.height) < small:
        raise UsageError(
            f"--pix-fmt {wanted} cannot hold {info.width}x{info.height} with {name}",
            f"whole chroma samples, and at least {small} pixels each way",
            "leave --pix-fmt out: a format that can is chosen",
        )


def _minimum(info: VideoInfo, name: str) -> int:
    """The smallest width and height that the encoder takes, as far as this picture is concerned."""
    encoder = _row_of(name)
    doubtful = encoder.minimum <= min(info.width, info.height) < encoder.doubted
    refused = doubtful and not find_for(name).encodes(name, info.width, info.height)
    return encoder.doubted if refused else encoder.minimum


def _holds(encoder: Encoder, pixels: PixelFormat, info: VideoInfo) -> bool:
    return encoder.odd or pixels.divides(info.width, info.height)


def _choose_pix_fmt(info: VideoInfo, name: str) -> tuple[str, list[str]]:
    """The encoder's format nearest to the source, and what differs from it."""
    encoder, source = _row_of(name), pixel_format(info.pix_fmt)
    if name == "ffv1" and source.rgb:
        deep = next((bits for bits in (10, 12, 14) if bits >= source.depth), 16)
        return ("bgr0" if source.depth <= 8 else f"gbrp{deep}le"), []
    wanted = source.subsampling if source.subsampling in ("422", "444") else "420"
    notes = []
    if name == "ffv1" and min(info.width, info.height) < TINY:
        wanted = "444"
    elif name != Y4M and wanted != "444" and not pixel_format(f"yuv{wanted}p").divides(info.width, info.height):
        wanted = "444"
        if not encoder.odd:
            notes.append(f"{info.width}x{info.height} is odd: written as 4:4:4, which 4:2:0 cannot hold")
    depth = encoder.depth if source.depth <= encoder.depth else source.depth
    usable = [pixel_format(each) for each in encoder.pix_fmts if each.startswith(("yuv", "p010", "nv12"))]
    usable = [each for each in usable if _holds(encoder, each, info)]
    if not usable:
        raise UsageError(f"{name} cannot hold {info.width}x{info.height}", "even width and height", "--codec libx265")
    same = [each for each in usable if each.subsampling == wanted] or [
        each for each in usable if each.subsampling == usable[0].subsampling
    ]
    enough = [each.depth for each in same if each.depth >= depth]
    bits = min(enough) if enough else max(each.depth for each in same)
    best = next(each for each in same if each.depth == bits)
    if best.subsampling == "420" and source.subsampling not in ("420", "rgb", "grey"):
        notes.append(f"{name} does not hold {source.name}: chroma becomes 4:2:0")
    if bits < source.depth and not source.rgb:
        notes.append(f"{source.depth} bits become {bits}")
    if source.rgb:
        kept = "" if name in PLAIN else "--codec ffv1 keeps it, "
        notes.append(f"RGB becomes {best.name}; {kept}--pix-fmt yuv444p10le keeps its sharp colours")
    return best.name, notes
