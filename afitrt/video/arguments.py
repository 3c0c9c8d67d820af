"""What --encoder-args may say: options of the chosen encoder in ffmpeg's words, but none that afitrt sets itself."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from types import MappingProxyType

from afitrt.errors import UsageError
from afitrt.video.encoders import ENCODERS, friendly_name
from afitrt.video.ffmpeg_discovery import find_for

Pairs = tuple[tuple[str, str], ...]
EXAMPLE = '--encoder-args "-tune animation -g 120"'
# Options of every encoder of ffmpeg that are of use here; the rest are those that the encoder itself names.
COMMON = frozenset(
    {
        *(
            "g",
            "keyint_min",
            "bf",
            "refs",
            "qmin",
            "qmax",
            "qcomp",
            "qdiff",
            "maxrate",
            "minrate",
            "bufsize",
            "trellis",
        ),
        *("trellis", "me_range", "profile", "level", "slices", "slicecrc", "coder", "context", "compression_level"),
    }
)
_COLOUR = "the source's colour, which is kept"
# Of the options and of x265's, x264's and SVT-AV1's own parameters: those with an option of ours, or no choice.
OURS = MappingProxyType(
    {
        **dict.fromkeys(("c", "codec", "vcodec"), "--codec"),
        **dict.fromkeys(("crf", "cq", "qp", "global_quality", "rc", "rc_mode", "b", "bitrate", "lossless"), "--crf"),
        "preset": "--preset",
        "pix_fmt": "--pix-fmt",
        **dict.fromkeys(("vf", "filter", "r", "s", "aspect", "sar", "fps", "input-res", "width", "height"), "the job"),
        **dict.fromkeys(("color_primaries", "color_trc", "colorspace", "color_range", "colorprim"), _COLOUR),
        **dict.fromkeys(("chroma_sample_location", "chromaloc", "transfer", "colormatrix", "range"), _COLOUR),
        **dict.fromkeys(("hdr10", "hdr10-opt", "master-display", "max-cll", "mastering-display"), _COLOUR),
        **dict.fromkeys(("content-light", "color-primaries", "transfer-characteristics"), _COLOUR),
        **dict.fromkeys(("matrix-coefficients", "color-range", "chroma-sample-position"), _COLOUR),
        **dict.fromkeys(("threads", "pools", "frame-threads", "lookahead-threads"), "afitrt, for equal bytes"),
    }
)


def parse_arguments(text: str) -> Pairs:
    """The options and values of "-tune animation -g 120". Raises UsageError for what is no list of pairs."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"--encoder-args {text} ({error})", "options and their values", EXAMPLE) from None
    names, values = words[::2], words[1::2]
    wrong = next((each for each in names if not re.fullmatch(r"-[a-zA-Z][\w-]*(:v(:0)?)?", each)), None)
    if wrong is not None or len(names) != len(values) or not words:
        found = f"--encoder-args {text}" + (f": {wrong} is no option" if wrong else "")
        raise UsageError(found, "options, each with one value", EXAMPLE)
    return tuple((name.lstrip("-").partition(":")[0], value) for name, value in zip(names, values, strict=True))


def check_arguments(name: str, pairs: Pairs) -> None:
    """Raises UsageError for an option that afitrt sets itself, that the encoder does not have, or that comes twice."""
    encoder = ENCODERS[name]
    taken = {**OURS, **dict.fromkeys(encoder.arguments, "afitrt"), encoder.quality: "--crf"}
    seen: set[str] = set()
    for option, value in pairs:
        if option in taken:
            raise _set_by(f"-{option}", taken[option])
        if option in seen:
            raise UsageError(f"--encoder-args: -{option} twice", "each option once", EXAMPLE)
        seen.add(option)
        known = find_for(name).encoder_options(name) | COMMON
        if option not in known:
            listed = ", ".join(f"-{each}" for each in sorted(known - set(taken)))
            raise UsageError(f"--encoder-args: {friendly_name(name)} has no -{option}", f"one of {listed}", EXAMPLE)
        if option in (encoder.params_option, "x264opts"):
            _check_params(option, value, tuple(encoder.params))


def _check_params(option: str, value: str, ours: Sequence[str]) -> None:
    for part in value.split(":"):
        key = part.partition("=")[0].strip()
        if key in ours or key in OURS or key == "preset":
            raise _set_by(f"{key} in -{option}", OURS.get(key, "afitrt"))


def _set_by(what: str, who: str) -> UsageError:
    hint = f"{who} instead" if who.startswith("--") else "leave it out"
    return UsageError(f"--encoder-args: {what} is set by {who}", "what afitrt does not set itself", hint)
