"""Which encoder holds which picture: one table of encoders and the choice of a pixel format, without running any."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from afitrt.errors import MissingToolError, OutputError, UsageError
from afitrt.frames import VideoInfo
from afitrt.options import EncodeOptions
from afitrt.video.colour import PixelFormat, pixel_format

MATROSKA, MP4, MOV = "matroska", "mp4", "mov"
PNG, Y4M = "png", "yuv4mpegpipe"
ALL = (MATROSKA, MP4, MOV)
# Below this FFV1 finds no slices for subsampled chroma.
TINY = 16


def _planar(subsamplings: str, depths: tuple[int, ...]) -> tuple[str, ...]:
    """Names such as yuv420p10le, in the order of preference of the table below."""
    return tuple(f"yuv{sub}p{'' if bits == 8 else f'{bits}le'}" for bits in depths for sub in subsamplings.split())


@dataclass(frozen=True)
class Encoder:
    """One encoder of ffmpeg. quality: its option for --crf, "" for none.

    arguments: always given. minimum: smallest width and height in pixels. odd: 4:2:0 pictures may have odd sizes.
    depth: bits that a source of 8 bits is written with.
    """

    pix_fmts: tuple[str, ...]
    quality: str = "crf"
    preset: str | None = None
    arguments: MappingProxyType[str, str] = field(default_factory=lambda: MappingProxyType({}))
    containers: tuple[str, ...] = ALL
    minimum: int = 1
    odd: bool = False
    depth: int = 10


def _row(arguments: dict[str, str], **facts: object) -> Encoder:
    return Encoder(arguments=MappingProxyType(arguments), **facts)  # type: ignore[arg-type]


_NVENC = {"rc": "vbr", "b:v": "0"}
ENCODERS: MappingProxyType[str, Encoder] = MappingProxyType(
    {
        "libx265": _row(
            # info=0: no settings in the stream, so equal pictures give equal bytes; a closed GOP can be cut and joined.
            {"x265-params": "log-level=error:info=0:open-gop=0"},
            pix_fmts=(
                *_planar("420 422 444", (10, 12, 8)),
                *("gbrp", "gbrp10le", "gbrp12le", "gray", "gray10le", "gray12le"),
            ),
            preset="medium",
            minimum=16,
        ),
        "libx264": _row(
            {},
            pix_fmts=(*_planar("420 422 444", (8, 10)), "gray", "gray10le"),
            preset="medium",
            depth=8,
            minimum=2,
        ),
        "libsvtav1": _row({}, pix_fmts=_planar("420", (10, 8)), preset="6", odd=True, minimum=2),
        "ffv1": _row(
            {"g": "1"},
            pix_fmts=(
                *_planar("420 422 444", (8, 10, 12, 16)),
                *("yuv440p", "yuv411p", "yuv410p", "gray", "gray10le", "gray12le", "gray16le"),
                *("bgr0", "gbrp10le", "gbrp12le", "gbrp14le", "gbrp16le"),
            ),
            quality="",
            containers=(MATROSKA, MOV),
            odd=True,
        ),
        "prores_ks": _row(
            {"vendor": "apl0"}, pix_fmts=_planar("422 444", (10,)), quality="", containers=(MATROSKA, MOV)
        ),
        "hevc_nvenc": _row(_NVENC, pix_fmts=("p010le", "yuv420p", "yuv444p"), quality="cq", preset="p6", minimum=144),
        "h264_nvenc": _row(_NVENC, pix_fmts=("yuv420p", "yuv444p"), quality="cq", preset="p6", depth=8, minimum=144),
        "av1_nvenc": _row(_NVENC, pix_fmts=("p010le", "yuv420p"), quality="cq", preset="p6", minimum=192),
    }
)
# What is written without compression or without loss; here the destination decides, and 8 bit sources stay so.
PLAIN: MappingProxyType[str, Encoder] = MappingProxyType(
    {
        PNG: _row({}, pix_fmts=("rgb24", "rgb48le"), quality="", containers=(PNG,), odd=True, depth=8),
        Y4M: _row({}, pix_fmts=_planar("420 422 444", (8, 10)), quality="", containers=(Y4M,), odd=True, depth=8),
    }
)
ALIASES = MappingProxyType(
    {"x265": "libx265", "hevc": "libx265", "x264": "libx264", "h264": "libx264", "svtav1": "libsvtav1"}
    | {"av1": "libsvtav1", "prores": "prores_ks"}
)


def encoder_name(codec: str) -> str:
    """ffmpeg's name of an encoder, from that or a short one such as x265."""
    return ALIASES.get(codec, codec)


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
    if name == PNG:
        raise OutputError(f"--codec png into {container}", "a folder or pattern of pictures", "name the output out/")
    if name not in ENCODERS or name not in present:
        there = [each for each in ENCODERS if each in present]
        raise MissingToolError(
            f"--codec {encode.codec}: this ffmpeg has no such encoder that afitrt knows",
            f"one of {', '.join(there) or 'none at all'}",
            f"--codec {there[0]}" if there else "install a complete ffmpeg",
        )
    notes: list[str] = []
    if min(info.width, info.height) < ENCODERS[name].minimum and not encode.pix_fmt:
        small = ENCODERS[name].minimum
        notes.append(f"{info.width}x{info.height} is under {small} pixels, too small for {name}: written as FFV1")
        name, encode = "ffv1", replace(encode, preset=None)
    encoder = ENCODERS[name]
    if container not in encoder.containers:
        raise OutputError(
            f"{container} cannot hold {name}", f"one of {', '.join(encoder.containers)}", "name the output .mkv"
        )
    if encode.pix_fmt:
        _check_pix_fmt(info, name, encode.pix_fmt)
        chosen = encode.pix_fmt
    else:
        chosen, said = _choose_pix_fmt(info, name)
        notes += said
    return replace(encode, codec=name, preset=encode.preset or encoder.preset, pix_fmt=chosen), notes


def _choose_plain(info: VideoInfo, encode: EncodeOptions, container: str) -> tuple[EncodeOptions, list[str]]:
    """The same for PNG and y4m, for which there is one codec and nothing to set but the pixel format."""
    if encode.codec not in (EncodeOptions.codec, container):
        what = "a pipe is y4m" if container == Y4M else "pictures are PNG"
        raise UsageError(f"--codec {encode.codec}, but {what}", "no codec at all", "leave --codec out")
    notes = [] if encode.preset is None else [f"--preset {encode.preset} means nothing here"]
    if encode.pix_fmt:
        _check_pix_fmt(info, container, encode.pix_fmt)
        chosen = encode.pix_fmt
    elif container == PNG:
        chosen = "rgb48le" if info.depth > 8 else "rgb24"
    else:
        chosen, said = _choose_pix_fmt(info, container)
        notes += said
    return replace(encode, codec=container, preset=None, pix_fmt=chosen), notes


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
    if not _holds(encoder, pixel_format(wanted), info) or min(info.width, info.height) < encoder.minimum:
        raise UsageError(
            f"--pix-fmt {wanted} cannot hold {info.width}x{info.height} with {name}",
            f"whole chroma samples, and at least {encoder.minimum} pixels each way",
            "leave --pix-fmt out: a format that can is chosen",
        )


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
    usable = [pixel_format(each) for each in encoder.pix_fmts if each.startswith(("yuv", "p010"))]
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


def encoder_arguments(encode: EncodeOptions) -> dict[str, str]:
    """ffmpeg's output options for a resolved choice; ProRes takes its profile from the chroma."""
    if encode.codec == Y4M:
        return {"c:v": "wrapped_avframe", "pix_fmt": str(encode.pix_fmt), "strict": "-1"}
    encoder = ENCODERS[encode.codec]
    arguments = {"c:v": encode.codec, "pix_fmt": str(encode.pix_fmt), **encoder.arguments}
    if encoder.quality:
        arguments[encoder.quality] = f"{encode.crf:g}"
    if encode.preset:
        arguments["preset"] = encode.preset
    if encode.codec == "prores_ks":
        arguments["profile:v"] = "4444" if encode.pix_fmt == "yuv444p10le" else "hq"
    return arguments
