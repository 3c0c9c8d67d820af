"""The encoders of ffmpeg that afitrt knows: what each holds, and the options each is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from afitrt.options import EncodeOptions
from afitrt.video.ffmpeg_discovery import Ffmpeg

MATROSKA, MP4, MOV = "matroska", "mp4", "mov"
PNG, Y4M = "png", "yuv4mpegpipe"
ALL = (MATROSKA, MP4, MOV)
# Fixed, so that the bytes do not depend on the machine: x264 makes others for each number of threads.
THREADS = "4"
# The oldest x265 known to give the same bytes every time with so many frame threads: 300 of 300 runs on a loaded
# machine. Of 3.5 some pictures differed in 3 of 22 runs, and with one frame thread in none of 248.
REPEATABLE_X265 = (4, 3)


def _planar(subsamplings: str, depths: tuple[int, ...]) -> tuple[str, ...]:
    """Names such as yuv420p10le, in the order of preference of the table below."""
    return tuple(f"yuv{sub}p{'' if bits == 8 else f'{bits}le'}" for bits in depths for sub in subsamplings.split())


@dataclass(frozen=True)
class Encoder:
    """One encoder of ffmpeg. quality: its option for --crf, "" for none; crf: what that is without one.

    arguments: always given. params: always given in its own option for more, named by params_option. minimum:
    smallest width and height in pixels; builds differ for less than doubted. odd: 4:2:0 pictures may have odd sizes.
    depth: bits that a source of 8 bits is written with. limited: its decoders know no other range. hardware: it may be
    in ffmpeg and not in the machine. upload: it takes pictures that lie in the memory of a VAAPI device.
    """

    pix_fmts: tuple[str, ...]
    quality: str = "crf"
    crf: float = 16
    preset: str | None = None
    arguments: MappingProxyType[str, str] = field(default_factory=lambda: MappingProxyType({}))
    params_option: str = ""
    params: MappingProxyType[str, str] = field(default_factory=lambda: MappingProxyType({}))
    containers: tuple[str, ...] = ALL
    minimum: int = 1
    doubted: int = 0
    odd: bool = False
    depth: int = 10
    limited: bool = False
    hardware: bool = False
    upload: bool = False


def _row(arguments: dict[str, str], params: dict[str, str] | None = None, **facts: Any) -> Encoder:
    return Encoder(arguments=MappingProxyType(arguments), params=MappingProxyType(params or {}), **facts)


def _nvenc(*pix_fmts: str, **facts: Any) -> Encoder:
    common: dict[str, Any] = {"quality": "cq", "crf": 19, "preset": "p6", "minimum": 144, "hardware": True}
    return _row({"rc": "vbr", "b:v": "0"}, {}, pix_fmts=pix_fmts, **{**common, **facts})


def _vaapi(*pix_fmts: str, **facts: Any) -> Encoder:
    common: dict[str, Any] = {"quality": "qp", "crf": 20, "minimum": 128, "hardware": True, "upload": True}
    return _row({"rc_mode": "CQP"}, {}, pix_fmts=pix_fmts, **{**common, **facts})


ENCODERS: MappingProxyType[str, Encoder] = MappingProxyType(
    {
        "libx265": _row(
            {},
            # info=0: no settings in the stream, so equal pictures give equal bytes; a closed GOP can be cut and joined.
            {"log-level": "error", "info": "0", "open-gop": "0", "frame-threads": THREADS},
            pix_fmts=(
                *_planar("420 422 444", (10, 12, 8)),
                *("gbrp", "gbrp10le", "gbrp12le", "gray", "gray10le", "gray12le"),
            ),
            params_option="x265-params",
            preset="medium",
            minimum=16,
        ),
        "libx264": _row(
            {"threads": THREADS},
            {"open-gop": "0"},
            pix_fmts=(*_planar("420 422 444", (8, 10)), "gray", "gray10le"),
            params_option="x264-params",
            preset="medium",
            depth=8,
            minimum=2,
        ),
        "libsvtav1": _row(
            {},
            {"irefresh-type": "2"},
            pix_fmts=_planar("420", (10, 8)),
            params_option="svtav1-params",
            crf=20,
            preset="6",
            odd=True,
            minimum=2,
            doubted=64,
        ),
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
            {"vendor": "apl0"},
            pix_fmts=_planar("422 444", (10,)),
            quality="",
            containers=(MATROSKA, MOV),
            limited=True,
        ),
        "hevc_nvenc": _nvenc("p010le", "yuv420p", "yuv444p"),
        "h264_nvenc": _nvenc("yuv420p", "yuv444p", depth=8),
        "av1_nvenc": _nvenc("p010le", "yuv420p", minimum=192),
        "hevc_vaapi": _vaapi("p010le", "nv12"),
        "h264_vaapi": _vaapi("nv12", depth=8),
        # Its scale ends at 255.
        "av1_vaapi": _vaapi("p010le", "nv12", quality="global_quality", crf=80),
    }
)
# What is written without compression or without loss; here the destination decides, and 8 bit sources stay so.
PLAIN: MappingProxyType[str, Encoder] = MappingProxyType(
    {
        PNG: _row({}, pix_fmts=("rgb24", "rgb48le"), quality="", containers=(PNG,), odd=True, depth=8),
        Y4M: _row({}, pix_fmts=_planar("420 422 444", (8, 10)), quality="", containers=(Y4M,), odd=True, depth=8),
    }
)
FRIENDLY = MappingProxyType(
    {
        **{"x265": "libx265", "x264": "libx264", "svt-av1": "libsvtav1", "prores": "prores_ks"},
        **{"nvenc": "hevc_nvenc", "nvenc-h264": "h264_nvenc", "nvenc-av1": "av1_nvenc"},
        **{"vaapi": "hevc_vaapi", "vaapi-h264": "h264_vaapi", "vaapi-av1": "av1_vaapi"},
    }
)
ALIASES = MappingProxyType(
    {**FRIENDLY, "hevc": "libx265", "h264": "libx264", "svtav1": "libsvtav1", "av1": "libsvtav1"}
)


def encoder_name(codec: str) -> str:
    """ffmpeg's name of an encoder, from that or a short one such as x265."""
    return ALIASES.get(codec, codec)


def friendly_name(name: str) -> str:
    """The short name of an encoder, from ffmpeg's."""
    return next((short for short, full in FRIENDLY.items() if full == name), name)


def params_for(tool: Ffmpeg, codec: str) -> dict[str, str]:
    """What this build of the encoder needs, so that equal pictures give equal bytes."""
    return {"frame-threads": "1"} if codec == "libx265" and tool.x265 < REPEATABLE_X265 else {}


def encoder_arguments(encode: EncodeOptions, more: Mapping[str, str] = MappingProxyType({})) -> dict[str, str]:
    """ffmpeg's output options for a resolved choice; ProRes takes its profile from the chroma.

    more: further parameters of the encoder's own. Those of --encoder-args follow ours in their option.
    """
    if encode.codec == Y4M:
        return {"c:v": "wrapped_avframe", "pix_fmt": str(encode.pix_fmt), "strict": "-1"}
    encoder = ENCODERS[encode.codec]
    arguments = {"c:v": encode.codec, **encoder.arguments}
    if not encoder.upload:
        arguments["pix_fmt"] = str(encode.pix_fmt)
    if encoder.quality:
        arguments[encoder.quality] = f"{encoder.crf if encode.crf is None else encode.crf:g}"
    if encode.preset:
        arguments["preset"] = encode.preset
    if encode.codec == "prores_ks":
        arguments["profile:v"] = "4444" if encode.pix_fmt == "yuv444p10le" else "hq"
    given = dict(encode.extra)
    own = ":".join(f"{name}={value}" for name, value in {**encoder.params, **more}.items())
    params = ":".join(filter(None, (own, given.pop(encoder.params_option, ""))))
    return {**arguments, **({encoder.params_option: params} if params else {}), **given}
