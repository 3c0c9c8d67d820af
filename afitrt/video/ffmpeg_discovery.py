"""Which ffmpeg is used, and what each of them says of itself.

Two may be here: the system's, on PATH, and the one that the imageio-ffmpeg package brings. The newer one is used, and
the system's where they are equally new; for an encoder that only the other one has, that one. AFITRT_FFMPEG overrides
this. All of them need the zscale filter (the zimg library), with which afitrt converts between Y'CbCr and RGB:
swscale's 16 bit RGB has its white at 65280 instead of 65535 and its full range is off by up to two codes of ten bits.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from functools import cache, cached_property

from afitrt.errors import MissingToolError

SETTING, ON_PATH, BUNDLED = "AFITRT_FFMPEG", "on PATH", "of imageio-ffmpeg"
INSTALL = f"pip install imageio-ffmpeg, or set {SETTING} to an ffmpeg that has the zscale filter"


@dataclass(frozen=True)
class Ffmpeg:
    """An ffmpeg that runs. told: what it prints about its version, its build and its libraries."""

    path: str
    version: str
    told: str = field(repr=False)

    @property
    def age(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Greater for a newer program: the version of libavcodec, which a nightly build has too, then the release."""
        library = re.search(r"^libavcodec +(\d+)\. *(\d+)\.(\d+)", self.told, re.MULTILINE)
        release = re.match(r"n?(\d{1,2}(?:\.\d+)*)(?![\d.])", self.version)
        return (
            tuple(map(int, library.groups())) if library else (),
            tuple(map(int, release[1].split("."))) if release else (),
        )

    @property
    def build(self) -> str:
        """The version, and a hash of how it and its libraries were built."""
        return f"{self.version} {hashlib.sha256(self.told.encode()).hexdigest()[:16]}"

    @cached_property
    def encoders(self) -> frozenset[str]:
        """Names of all its video encoders."""
        return frozenset(re.findall(r"^ V[.A-Z]{5} (\S+)", _ask(self.path, "-encoders"), re.MULTILINE))

    @cached_property
    def zscale(self) -> bool:
        """It has the filter without which afitrt converts no colours."""
        return bool(re.search(r"^ \S+ +zscale ", _ask(self.path, "-filters"), re.MULTILINE))

    @cached_property
    def options(self) -> frozenset[str]:
        """Names of the options of the program itself, without their dashes."""
        return frozenset(re.findall(r"^-(\w+)", _ask(self.path, "-h", "full"), re.MULTILINE))

    def encoder_options(self, name: str) -> frozenset[str]:
        """Names of the options that one encoder has for itself, without their dashes."""
        return _encoder_options(self.path, name)

    def encodes(self, name: str, width: int, height: int) -> bool:
        """Has this encoder a build that takes pictures of this size? Asked by a trial."""
        return _trial(self.path, name, width, height)[0]

    @property
    def x265(self) -> tuple[int, int]:
        """The version of the x265 that it was built with, (0, 0) where that does not say."""
        version = re.search(r"HEVC encoder version (\d+)\.(\d+)", _trial(self.path, "libx265", 64, 64)[1])
        return (int(version[1]), int(version[2])) if version else (0, 0)


def find() -> Ffmpeg:
    """The ffmpeg that reads and encodes: that of AFITRT_FFMPEG, else the newest, of equal ones the system's.

    Raises MissingToolError when none of them runs and has the zscale filter, or AFITRT_FFMPEG does not.
    """
    there = installed()
    if configured := os.environ.get(SETTING):
        tool = there.get(SETTING)
        if tool is None or not tool.zscale:
            problem = "does not run as ffmpeg" if tool is None else "has no zscale filter"
            raise MissingToolError(
                f"{SETTING}={configured} {problem}", "an ffmpeg built with libzimg", f"unset {SETTING}, or {INSTALL}"
            )
        return tool
    # The first of equal ones is taken.
    for tool in sorted(there.values(), key=lambda each: each.age, reverse=True):
        if tool.zscale:
            return tool
    raise MissingToolError("no ffmpeg with the zscale filter is installed", "ffmpeg built with libzimg", INSTALL)


def find_for(encoder: str) -> Ffmpeg:
    """The ffmpeg that encodes with this encoder (ffmpeg's name): `find()`, unless only another one here has it.

    Where none has it, or AFITRT_FFMPEG decides, it is `find()`, which raises MissingToolError.
    """
    usual = find()
    if encoder in usual.encoders or os.environ.get(SETTING):
        return usual
    others = (each for each in installed().values() if encoder in each.encoders and each.zscale)
    return next(others, usual)


def present_encoders() -> frozenset[str]:
    """Names of the video encoders that `find_for` finds an ffmpeg for."""
    usual = find()
    if os.environ.get(SETTING):
        return usual.encoders
    return usual.encoders.union(*(each.encoders for each in installed().values() if each.zscale))


def installed() -> dict[str, Ffmpeg]:
    """Every ffmpeg that runs here, by where it comes from: SETTING, ON_PATH or BUNDLED; none of them twice."""
    places = {SETTING: os.environ.get(SETTING), ON_PATH: shutil.which("ffmpeg"), BUNDLED: _packaged()}
    found: dict[str, Ffmpeg] = {}
    files: set[str] = set()
    for place, path in places.items():
        file = os.path.realpath(shutil.which(path) or path) if path else ""
        if path and file not in files and (tool := _inspect(path)):
            found[place] = tool
            files.add(file)
    return found


def _packaged() -> str | None:
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        return None


@cache
def _inspect(path: str) -> Ffmpeg | None:
    """The program, or None where it is no ffmpeg."""
    told = _ask(path, "-version")
    version = re.match(r"ffmpeg version (\S+)", told)
    return Ffmpeg(path, version[1], told) if version else None


@cache
def _encoder_options(path: str, name: str) -> frozenset[str]:
    return frozenset(re.findall(r"^ {2}-(\S+) +<", _ask(path, "-h", f"encoder={name}"), re.MULTILINE))


@cache
def _trial(path: str, encoder: str, width: int, height: int) -> tuple[bool, str]:
    """Could one picture be encoded, and what was said about it."""
    picture = ("-f", "lavfi", "-i", "color", "-vf", f"scale={width}:{height}", "-frames:v", "1")
    command = [path, "-hide_banner", "-nostdin", *picture, "-c:v", encoder, "-f", "null", "-"]
    try:
        done = subprocess.run(command, capture_output=True, check=False, stdin=subprocess.DEVNULL, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return False, ""
    return done.returncode == 0, done.stderr.decode(errors="replace")


def _ask(path: str, *question: str) -> str:
    """What a program answers, "" where it does not run or fails."""
    command = [path, *(() if question == ("-version",) else ("-hide_banner",)), *question]
    try:
        answer = subprocess.run(command, capture_output=True, check=True, stdin=subprocess.DEVNULL, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout.decode(errors="replace")
