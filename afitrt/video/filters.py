"""Filters of ffmpeg in front of everything else, and what the fields of a source look like without any.

What a chain of filters gives (which frames, when, of which size) nobody can tell but the chain itself: it is run once
over the whole source, and its frames are listed. Telling interlaced pictures from others is the work of ffmpeg's idet.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

from afitrt.errors import InputError, UsageError
from afitrt.frames import Colour, VideoInfo
from afitrt.video.colour import pixel_format
from afitrt.video.ffmpeg import KEEP_GAPS, ending, readable_path
from afitrt.video.finding import find
from afitrt.video.hdr import static_facts
from afitrt.video.timeline import Packet, Timeline, timed, timeline

DEINTERLACE = "bwdif=mode=send_frame:deint=all"
# What matches no other field stays combed and is marked so; that, and nothing else, is deinterlaced.
IVTC = f"fieldmatch=combmatch=full,{DEINTERLACE.replace('all', 'interlaced')},decimate"

SAMPLE_FRAMES = 200
LEAST_FRAMES = 10
TALLEST = 1152  # No standard has interlaced pictures of more lines.
PROGRESSIVE_CODECS = frozenset({"av1", "vp8", "vp9", "gif", "png", "mjpeg", "webp"})
TELECINED_RATES = (Fraction(30000, 1001), Fraction(30))
# Of 3:2 pulldown two frames in five are combed and two fields in ten are repeated. Of the frames that idet is sure of,
# noise makes as many seem to begin with one field as with the other.
COMBED = 0.5
WHOLE_FRAMES = 0.1
REPEATED_FIELDS = 0.2

_LINK = re.compile(r"config in time_base: \S+, frame_rate: (\d+)/(\d+)")
_PICTURE = re.compile(r" n: +0 pts:.* fmt:(\w+) cl:(\w+) sar:(\d+)/(\d+) s:(\d+)x(\d+) i:(\w)")
_COLOURS = re.compile(r"color_range:(\S+) color_space:(\S+) color_primaries:(\S+) color_trc:(\S+)")
_UNKNOWN = frozenset({"unknown", "unspecified", "reserved"})
_IDET = re.compile(r"(Repeated Fields|Single frame detection|Multi frame detection):((?: +\w+: *\d+)+)")


def filtered(info: VideoInfo, filters: str) -> VideoInfo:
    """The facts of what a chain of filters makes of a source: frames, times, size, pixel format and colour.

    Decodes and filters all of it once. Raises UsageError for a chain that ffmpeg refuses, InputError for one that
    gives no frame.
    """
    about = info.path.stat()
    first, times, decoded = _learnt(info, about.st_size, about.st_mtime_ns, filters)
    lost = info.frames - decoded
    return replace(
        timed(first, times),
        filters=filters,
        damage=info.damage or (f"{lost} of its {info.frames} frames do not decode" if lost > 0 else ""),
    )


@lru_cache(maxsize=4)
def _learnt(info: VideoInfo, size: int, changed: int, filters: str) -> tuple[VideoInfo, Timeline, int]:
    """The facts of the first picture, the times of all, and how many frames the decoder gave.

    size, changed: of the file, so that what was learnt of another one is not used again."""
    first, rate = _first(info, filters)
    told = _run(info, filters, "-c:v", "wrapped_avframe", "-f", "framecrc", "-", level="verbose")
    base = re.search(r"^#tb 0: (\S+)", told.stdout, re.MULTILINE)
    rows = [line.split(",") for line in told.stdout.splitlines() if not line.startswith("#")]
    if not base or not rows:
        raise InputError(f"{filters}: ffmpeg {ending(told.returncode, ())} before a frame", "a whole run", "try again")
    packets = [Packet(int(row[2]), int(row[1]), int(row[3])) for row in rows]
    decoded = re.search(r"(\d+) frames decoded", told.stderr)
    times = timeline(packets, Fraction(base[1]), [rate] if rate else [])
    return first, times, int(decoded[1]) if decoded else info.frames


def _first(info: VideoInfo, filters: str) -> tuple[VideoInfo, Fraction | None]:
    """What the first picture tells, and the rate that the chain promises."""
    told = _run(info, f"{filters},showinfo=checksum=0", "-frames:v", "1", "-f", "null", "-")
    picture, link, colours = (each.search(told.stderr) for each in (_PICTURE, _LINK, _COLOURS))
    if not told.returncode and not picture:
        raise InputError(f"{filters} gives no frame of {info.path}", "at least one frame", "look at the filters again")
    if told.returncode or not picture:
        errors = tuple(line for line in told.stderr.splitlines() if re.search("error|invalid|no such", line, re.I))
        found = f"--vf {filters}: ffmpeg {ending(told.returncode, errors)}"
        raise UsageError(found, "filters that ffmpeg knows and that give a picture", "--vf crop=1280:720, say")
    pix_fmt, chroma, wide, high, width, height, fields = picture.groups()
    words = [None if each in _UNKNOWN else each for each in (*(colours.groups() if colours else [""] * 4), chroma)]
    colour = Colour(range=words[0], matrix=words[1], primaries=words[2], transfer=words[3], chroma_location=words[4])
    kept = replace(
        static_facts(info, colour, told.stderr),
        width=int(width),
        height=int(height),
        pix_fmt=pix_fmt,
        depth=pixel_format(pix_fmt).depth,
        sample_aspect=Fraction(int(wide) or 1, int(high)),
        colour=colour,
        interlaced=fields != "P",
    )
    return kept, Fraction(int(link[1]), int(link[2])) if link and int(link[1]) and int(link[2]) else None


def scan(info: VideoInfo) -> str:
    """ "progressive", "interlaced" or "telecined", as a sample of a file shows, after its filters if it has any."""
    if info.codec in PROGRESSIVE_CODECS or info.alone or info.height > TALLEST:
        return "progressive"
    skip = info.frames // 3 if info.frames > 2 * SAMPLE_FRAMES and not info.filters else 0
    place = () if not skip else ("-ss", f"{float(info.elapsed(skip)):.3f}")
    chain = f"{info.filters},idet" if info.filters else "idet"
    told = _run(info, chain, "-frames:v", str(SAMPLE_FRAMES), "-f", "null", "-", before=place)
    counts = {
        kind: {name: int(count) for name, count in re.findall(r"(\w+): *(\d+)", numbers)}
        for kind, numbers in _IDET.findall(told.stderr)
    }
    return judged(counts, info.rate) if len(counts) == 3 else "progressive"


def judged(counts: dict[str, dict[str, int]], rate: Fraction) -> str:
    """What the three lines that idet ends with amount to, at a rate in frames per second."""
    fields, single, several = (
        counts[each] for each in ("Repeated Fields", "Single frame detection", "Multi frame detection")
    )
    sure = several["TFF"] + several["BFF"] + several["Progressive"]
    if sure < LEAST_FRAMES or abs(several["TFF"] - several["BFF"]) <= COMBED * sure:
        return "progressive"
    whole = single["Progressive"] / max(1, single["TFF"] + single["BFF"] + single["Progressive"])
    repeated = (fields["Top"] + fields["Bottom"]) / max(1, sum(fields.values()))
    film = whole >= WHOLE_FRAMES or repeated >= REPEATED_FIELDS
    return "telecined" if film and rate in TELECINED_RATES else "interlaced"


def _run(
    info: VideoInfo, chain: str, *rest: str, before: tuple[str, ...] = (), level: str = "info"
) -> subprocess.CompletedProcess[str]:
    """ffmpeg to its end, decoding the source through filters; times as in the file."""
    reading = [*before, "-copyts", "-noautorotate", "-i", readable_path(Path(info.path)), "-map", f"0:{info.stream}"]
    command = [find().path, "-hide_banner", "-nostdin", "-nostats", "-v", level, "-y", *KEEP_GAPS, *reading]
    command += ["-vf", chain, "-fps_mode", "passthrough", *rest]
    return subprocess.run(
        command, capture_output=True, check=False, stdin=subprocess.DEVNULL, text=True, errors="replace"
    )
