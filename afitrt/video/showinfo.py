"""What ffmpeg's showinfo filter tells of every picture that passes it, and how pictures differ from the first one."""

from __future__ import annotations

import re
import threading
from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache

from afitrt.errors import InputError
from afitrt.frames import Change, Colour, Facts, VideoInfo
from afitrt.video.colour import MATRICES, PRIMARIES, RANGES, TRANSFERS, assumed_matrix, assumed_range, pixel_format
from afitrt.video.decode_errors import Signs

SHOW = "showinfo=checksum=0"
LEVEL = ("-v", "repeat+level+info")
"""Options of the run with which showinfo speaks, and every line tells how bad it is."""

_LEVEL = re.compile(r"^(?:\[[^\]]*\] )*?\[(panic|fatal|error|warning|info|verbose|debug|trace)\] ")
_CHATTER = frozenset({"info", "verbose", "debug", "trace"})
_SPOKEN = re.compile(
    r"^\[(?:Parsed_)?(showinfo[^\]]*)\] \[info\] (?:n: *\d+ pts:.* (fmt:.*) i:\w|(color_range:.*)|(config in ))"
)
_PICTURE = re.compile(r"fmt:(\w+) (?:cl:(\w+) )?sar:(\d+)/(\d+) s:(\d+)x(\d+)")
_COLOURS = re.compile(r"color_range:(\S+) color_space:(\S+) color_primaries:(\S+) color_trc:(\S+)")
_UNKNOWN = frozenset({"unknown", "unspecified", "reserved"})
_KNOWN = _UNKNOWN.union(
    *(names.values() for names in (RANGES, MATRICES, PRIMARIES, TRANSFERS)), ("ipt-c2", "ycgco-re", "ycgco-ro")
)
_PATIENCE_SECONDS = 10
"""So long a picture's line is waited for before the picture itself."""


@lru_cache(maxsize=64)
def parsed(picture: str, colours: str) -> Facts:
    """Facts of the two lines of showinfo about one picture, from `fmt:` and from `color_range:` on."""
    found, told = _PICTURE.search(picture), _COLOURS.search(colours)
    assert found is not None, picture
    pix_fmt, location, wide, high, width, height = found.groups()
    heard = [_cleaned(each) for each in told.groups()] if told else [None] * 4
    words = [None if each in _UNKNOWN else each for each in (*heard, location)]
    colour = Colour(range=words[0], matrix=words[1], primaries=words[2], transfer=words[3], chroma_location=words[4])
    return Facts(pix_fmt, int(width), int(height), Fraction(int(wide) or 1, int(high) or 1), colour)


def _cleaned(word: str) -> str:
    """The name that a word begins with: another thread of ffmpeg may have written right behind it."""
    return word if word in _KNOWN else max((each for each in _KNOWN if word.startswith(each)), key=len, default=word)


class Listener:
    """Hears the log of an ffmpeg at LEVEL, line by line, in a thread; tells facts in the order of the pictures.

    With each item comes whether the filters were made anew before it, which may have dropped or repeated pictures.
    hear: is given every line that is worse than information, and says what is kept of it. name: of the filter to listen
    to, where there are several.
    """

    def __init__(self, hear: Callable[[str], str] | None = None, name: str = "showinfo") -> None:
        self._hear, self._name = hear or Signs(), name
        self._told: deque[tuple[Facts, bool]] = deque()
        self._condition = threading.Condition()
        self._graphs = 0
        self._picture = self._colours = ""
        self._chatter = self._anew = self._ended = False

    def __call__(self, line: str) -> str:
        """Takes a line, without addresses; what is kept of it."""
        if level := _LEVEL.match(line):
            self._chatter = level[1] in _CHATTER
        if not self._chatter:
            return self._hear(line)
        if (spoken := _SPOKEN.match(line)) and spoken[1].startswith(self._name):
            self._follow(*spoken.groups()[1:])
        return ""

    def _follow(self, picture: str | None, colours: str | None, config: str | None) -> None:
        if config:
            self._graphs += 1
            self._anew = self._anew or self._graphs > 1
        elif picture:
            self._tell()
            self._picture = picture
        elif colours and self._picture:
            self._colours = colours if _COLOURS.search(colours) else self._colours
            self._tell()

    def _tell(self) -> None:
        """Tells the picture at hand; where its colours could not be heard they are those of the one before."""
        if self._picture:
            with self._condition:
                self._told.append((parsed(self._picture, self._colours), self._anew))
                self._condition.notify()
            self._picture, self._anew = "", False

    def close(self) -> None:
        """No more lines come."""
        self._tell()
        with self._condition:
            self._ended = True
            self._condition.notify()

    def next(self) -> tuple[Facts, bool] | None:
        """Waits for the next picture; None where the log ends before one, or where its line may be lost."""
        with self._condition:
            self._condition.wait_for(lambda: self._told or self._ended, _PATIENCE_SECONDS)
            return self._told.popleft() if self._told else None

    @property
    def ended(self) -> bool:
        """Do no more lines come?"""
        return self._ended

    @property
    def anew(self) -> bool:
        """Were the filters made anew after the last picture?"""
        return self._anew


def alike(first: Facts, other: Facts) -> bool:
    """Are these read in the same way, and do they look alike?"""
    return first == other or not differences(first, other)


def differences(first: Facts, other: Facts) -> list[tuple[str, str, str]]:
    """What differs: its name, before and after. Matrix, range and chroma that are not told are those assumed."""
    before, after = _listed(first), _listed(other)
    return [(name, before[name], after[name]) for name in before if before[name] != after[name]]


def _listed(facts: Facts) -> dict[str, str]:
    colour = {name.replace("_", " "): value or "unknown" for name, value in vars(facts.colour).items()}
    colour["matrix"] = assumed_matrix(facts.colour, facts.width, facts.height)
    colour["range"] = assumed_range(facts.colour, pixel_format(facts.pix_fmt))
    colour["chroma location"] = facts.colour.chroma_location or "left"
    size, aspect = f"{facts.width}x{facts.height}", f"{facts.aspect.numerator}:{facts.aspect.denominator}"
    return {"size": size, "pixel aspect": aspect, "pixel format": facts.pix_fmt, **colour}


def changed(info: VideoInfo, frame: int, change: Change, hint: str = "") -> InputError:
    """The error about a picture that differs from the first one. frame: its number; hint: else options are named."""
    first, other = change.facts
    differ = differences(first, other)
    told = ", ".join(f"{name} {after} instead of {before}" for name, before, after in differ)
    seconds = f"{change.seconds.numerator * 1000 // change.seconds.denominator / 1000:.3f}"
    names = {name for name, _, _ in differ}
    remedy, shape = "", f"setsar={first.aspect.numerator}/{first.aspect.denominator}"
    if names & {"size", "pixel format"}:
        remedy = f"; --vf scale={first.width}:{first.height},format={first.pix_fmt},{shape} makes all of them alike"
    elif names == {"pixel aspect"}:
        remedy = f"; --vf {shape} takes all of them alike"
    return InputError(
        f"{info.path} changes at frame {frame}, {seconds} s: {told or 'its pictures change on the way'}",
        "pictures of one size, shape, format and colour",
        hint or f"--end {seconds} takes what lies before{remedy}",
    )


def check_change(info: VideoInfo, end: Fraction | None) -> None:
    """Raises InputError where packets before this time, in seconds, say that pictures will differ."""
    if info.change and (end is None or end > info.change.seconds):
        raise changed(info, bisect_left(info.pts, info.change.seconds / info.time_base), info.change)
