"""How every ffmpeg child opens a source, so that probing, reading and comparing meet the same pictures."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from fractions import Fraction

from afitrt.frames import VideoInfo
from afitrt.video.ffmpeg import KEEP_GAPS, readable_path
from afitrt.video.ffmpeg_discovery import find

# The first filter of a chain that takes pictures of any size, and gives them one.
_ADAPTS = re.compile(r"scale\b")


def reading_options(info: VideoInfo) -> dict[str, str | None]:
    """Options of ffmpeg's before the source's `-i`, as ffmpeg-python takes them.

    The codec's crop is applied to the pixel. The container's is not: new versions of ffmpeg know it and old ones do
    not, so it is a filter of ours, see `front`. Filters are made anew where the pictures change, unless the first of
    them is there for that.
    """
    options: dict[str, str | None] = {"noautorotate": None, "flags:v": "+unaligned"}
    if "apply_cropping" in find().options:
        options["apply_cropping"] = "codec"
    if _ADAPTS.match(info.filters) and info.crop is None:
        options["reinit_filter"] = "0"
    return options


def opened(info: VideoInfo) -> list[str]:
    """The same as words of a command line, with the source behind them."""
    words = [word for name, value in reading_options(info).items() for word in (f"-{name}", value) if word is not None]
    return [*words, "-i", readable_path(info.path)]


def front(info: VideoInfo) -> list[str]:
    """Filters before all others: the container's crop, alpha that hides nothing, then those that were asked for."""
    # Of planar RGB swscale would make Y'CbCr on the way.
    filters = [*(["zscale=dither=none"] if info.opaque.startswith("gbr") else []), f"format={info.opaque}"]
    filters = filters if info.opaque else []
    filters += [info.filters] if info.filters else []
    if (crop := info.crop) is None:
        return filters
    size = f"iw-{crop.left + crop.right}:ih-{crop.above + crop.below}:{crop.left}:{crop.above}:exact=1"
    # Old versions of ffmpeg work the shape of a pixel out from the size before the crop.
    return [f"crop={size}", pixel_shape(crop.aspect), *filters]


def pixel_shape(aspect: Fraction) -> str:
    """The filter that says how wide a pixel is for its height, unrounded."""
    return f"setsar={aspect.numerator}/{aspect.denominator}:max={max(aspect.numerator, aspect.denominator, 100)}"


def through(
    info: VideoInfo, filters: list[str], *rest: str, before: tuple[str, ...] = (), level: Sequence[str] = ("-v", "info")
) -> list[str]:
    """The command that decodes the source through filters; times as in the file. rest: what becomes of it."""
    command = [find().path, "-hide_banner", "-nostdin", "-nostats", *level, "-y", *KEEP_GAPS]
    command += [*before, "-copyts", *opened(info), "-map", f"0:{info.stream}", "-vf", ",".join(filters)]
    return [*command, "-fps_mode", "passthrough", *rest]


def told(command: list[str]) -> tuple[int, str]:
    """Exit code of an ffmpeg that has run to its end, and its log."""
    done = subprocess.run(
        command, capture_output=True, check=False, stdin=subprocess.DEVNULL, text=True, errors="replace"
    )
    return done.returncode, done.stderr
