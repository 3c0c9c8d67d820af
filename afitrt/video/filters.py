"""Filters of ffmpeg in front of everything else, and what the fields of a source look like without any.

What a chain of filters gives (which frames, when, of which size) nobody can tell but the chain itself: it is run once
over the whole source, and its frames are listed. Telling interlaced pictures from others is the work of ffmpeg's idet.
"""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache

from afitrt.errors import InputError, UsageError
from afitrt.frames import Change, VideoInfo
from afitrt.video.colour import pixel_format
from afitrt.video.ffmpeg import ADDRESS, Child, ending
from afitrt.video.hdr import static_facts
from afitrt.video.input_options import front, through, told
from afitrt.video.showinfo import LEVEL, SHOW, Listener, alike, changed
from afitrt.video.timeline import Packet, Timeline, timed, timeline

DEINTERLACE = "bwdif=mode=send_frame:deint=all"
# What matches no other field stays combed and is marked so; that, and nothing else, is deinterlaced.
IVTC = f"fieldmatch=combmatch=full,{DEINTERLACE.replace('all', 'interlaced')},decimate"

SAMPLE_FRAMES = 200
LEAST_FRAMES = 10
# A stream that says of itself that it is progressive needs more: fine patterns in motion look combed for two seconds.
FLAGGED_FRAMES, FLAGGED_COMBED = 60, 0.75
TALLEST = 1152  # No standard has interlaced pictures of more lines.
PROGRESSIVE_CODECS = frozenset({"av1", "vp8", "vp9", "gif", "png", "mjpeg", "webp"})
TELECINED_RATES = (Fraction(30000, 1001), Fraction(30))
# Of 3:2 pulldown two frames in five are combed and two fields in ten are repeated. Of the frames that idet is sure of,
# noise makes as many seem to begin with one field as with the other.
COMBED = 0.5
WHOLE_FRAMES = 0.1
REPEATED_FIELDS = 0.2

_LINK = re.compile(r"config in time_base: \S+, frame_rate: (\d+)/(\d+)")
_DECODED = re.compile(r"(\d+) frames decoded")
_FIELDS = re.compile(r" fmt:.* i:(\w)")
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
        change=None,
        damage=info.damage or (f"{lost} of its {info.frames} frames do not decode" if lost > 0 else ""),
    )


class _Counting(Listener):
    """Hears as well how many frames were decoded."""

    decoded: int | None = None

    def __call__(self, line: str) -> str:
        """See Listener."""
        if found := _DECODED.search(line):
            self.decoded = int(found[1])
        return super().__call__(line)


@lru_cache(maxsize=4)
def _learnt(info: VideoInfo, size: int, changed_at: int, filters: str) -> tuple[VideoInfo, Timeline, int]:
    """The facts of the first picture, the times of all, and how many frames the decoder gave.

    size, changed_at: of the file, so that what was learnt of another one is not used again. Raises InputError where a
    picture differs from the first one."""
    filtering = replace(info, filters=filters)
    first, rate = _first(filtering)
    writing = ("-c:v", "wrapped_avframe", "-f", "framecrc", "-")
    listener = _Counting()
    command = through(filtering, [*front(filtering), SHOW], *writing, level=("-v", "repeat+level+verbose"))
    with Child(command, stdout=True, hear=listener, ended=listener.close) as child:
        lines = child.stdout.readall().decode("ascii", "replace").splitlines()  # type: ignore[attr-defined]
        code = child.wait()
    base = next((line.partition(": ")[2] for line in lines if line.startswith("#tb 0: ")), None)
    rows = [line.split(",") for line in lines if not line.startswith("#")]
    if not base or not rows:
        raise InputError(f"{filters}: ffmpeg {ending(code, ())} before a frame", "a whole run", "try again")
    _check_facts(first, listener, [int(row[2]) * Fraction(base) for row in rows])
    packets = [Packet(int(row[2]), int(row[1]), int(row[3])) for row in rows]
    times = timeline(packets, Fraction(base), [rate] if rate else [])
    return first, times, info.frames if listener.decoded is None else listener.decoded


def _check_facts(first: VideoInfo, listener: Listener, seconds: list[Fraction]) -> None:
    for frame, now in enumerate(seconds):
        facts, anew = listener.next() or (first.picture, False)
        if facts and first.picture and (anew or not alike(facts, first.picture)):
            raise changed(first, frame, Change(now, (first.picture, facts)))


def _first(info: VideoInfo) -> tuple[VideoInfo, Fraction | None]:
    """What the first picture tells, and the rate that the chain promises."""
    filters = info.filters
    code, log = told(through(info, [*front(info), SHOW], "-frames:v", "1", "-f", "null", "-", level=LEVEL))
    listener = Listener()
    errors = [error for line in log.splitlines() if (error := listener(ADDRESS.sub("", line).strip()))]
    listener.close()
    first = listener.next()
    if not code and not first:
        raise InputError(f"{filters} gives no frame of {info.path}", "at least one frame", "look at the filters again")
    if code or not first:
        found = f"--vf {filters}: ffmpeg {ending(code, tuple(errors))}"
        raise UsageError(found, "filters that ffmpeg knows and that give a picture", "--vf crop=1280:720, say")
    facts, link, fields = first[0], _LINK.search(log), _FIELDS.search(log)
    # Old versions of ffmpeg do not tell where chroma lies.
    kept = info.colour.chroma_location if facts.pix_fmt == info.pix_fmt else None
    colour = replace(facts.colour, chroma_location=facts.colour.chroma_location or kept)
    made = replace(
        static_facts(info, colour, log),
        width=facts.width,
        height=facts.height,
        pix_fmt=facts.pix_fmt,
        depth=pixel_format(facts.pix_fmt).depth,
        sample_aspect=facts.aspect,
        colour=colour,
        interlaced=fields is not None and fields[1] != "P",
        picture=facts,
    )
    return made, Fraction(int(link[1]), int(link[2])) if link and int(link[1]) and int(link[2]) else None


def scan(info: VideoInfo) -> str:
    """ "progressive", "interlaced" or "telecined", as a sample of a file shows, after its filters if it has any."""
    if info.codec in PROGRESSIVE_CODECS or info.alone or info.height > TALLEST:
        return "progressive"
    skip = info.frames // 3 if info.frames > 2 * SAMPLE_FRAMES and not info.filters else 0
    place = () if not skip else ("-ss", f"{float(info.elapsed(skip)):.3f}")
    chain, writing = [*front(info), "idet"], ("-frames:v", str(SAMPLE_FRAMES), "-f", "null", "-")
    _, log = told(through(info, chain, *writing, before=place))
    counts = {
        kind: {name: int(count) for name, count in re.findall(r"(\w+): *(\d+)", numbers)}
        for kind, numbers in _IDET.findall(log)
    }
    return judged(counts, info.rate, marked=info.interlaced) if len(counts) == 3 else "progressive"


def judged(counts: dict[str, dict[str, int]], rate: Fraction, *, marked: bool) -> str:
    """What the three lines that idet ends with amount to, at a rate in frames per second. marked: as interlaced."""
    fields, single, several = (
        counts[each] for each in ("Repeated Fields", "Single frame detection", "Multi frame detection")
    )
    sure = several["TFF"] + several["BFF"] + several["Progressive"]
    least, combed = (LEAST_FRAMES, COMBED) if marked else (FLAGGED_FRAMES, FLAGGED_COMBED)
    if sure < least or abs(several["TFF"] - several["BFF"]) <= combed * sure:
        return "progressive"
    whole = single["Progressive"] / max(1, single["TFF"] + single["BFF"] + single["Progressive"])
    repeated = (fields["Top"] + fields["Bottom"]) / max(1, sum(fields.values()))
    film = whole >= WHOLE_FRAMES or repeated >= REPEATED_FIELDS
    return "telecined" if film and rate in TELECINED_RATES else "interlaced"
