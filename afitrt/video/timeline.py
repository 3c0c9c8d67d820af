"""Arithmetic on time stamps: what a list of packets says about frames, rate and regularity. No files, no clocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from afitrt.frames import VideoInfo

Ticks = npt.NDArray[np.int64]
FALLBACK_RATE = Fraction(25)
NTSC = Fraction(1000, 1001)
MAX_DENOMINATOR = 1001
SNAP = Fraction(1, 2000)
DOMINANT = 0.9
DOUBLY_ROUNDED = Fraction(3, 2)
FINE_SPACING = 8
COARSE_SPACING = 2


@dataclass(frozen=True)
class Packet:
    """Time stamps of one packet in ticks; pts and dts may be missing, duration is 0 where unknown."""

    pts: int | None
    dts: int | None
    duration: int


@dataclass(frozen=True)
class Timeline:
    """Frames in presentation order; the fields are those of VideoInfo."""

    pts: Ticks
    end: int
    time_base: Fraction
    rate: Fraction
    constant: bool


def timed(info: VideoInfo, times: Timeline) -> VideoInfo:
    """The same video with these times."""
    return replace(
        info, rate=times.rate, time_base=times.time_base, pts=times.pts, end=times.end, constant=times.constant
    )


def timeline(packets: Sequence[Packet], time_base: Fraction, hints: Sequence[Fraction]) -> Timeline:
    """The frames that packets (one each, in any order, at least one) stand for.

    hints: frame rates that the container or codec names, best first; used where the stamps agree with them.
    Missing stamps are filled from dts, then by spacing; repeated ones are spread evenly over the gap that
    follows, on a finer time base where the ticks do not suffice.
    """
    filled, last_duration = _filled(packets, time_base, hints)
    pts, finer = _ascending(filled)
    time_base, last_duration = time_base / finer, last_duration * finer
    rate, constant = _rate(pts, last_duration, time_base, hints)
    if last_duration <= 0:
        last_duration = int(pts[-1] - pts[-2]) if len(pts) > 1 else max(1, round(1 / (rate * time_base)))
    return Timeline(pts, int(pts[-1]) + last_duration, time_base, rate, constant)


def _filled(packets: Sequence[Packet], time_base: Fraction, hints: Sequence[Fraction]) -> tuple[Ticks, int]:
    """Sorted pts without gaps in the stamps, and the duration of the last frame shown (0: unknown).

    Formats that store only dts (AVI) present their frames in the same order at the same spacing, so the sorted
    dts are the sorted pts but for a constant; that is also all there is for a single missing stamp.
    """
    if all(packet.pts is None for packet in packets):
        packets = [replace(packet, pts=packet.dts) for packet in packets]
    step = max(1, round(1 / ((hints[0] if hints else FALLBACK_RATE) * time_base)))
    stamped: list[tuple[int, int]] = []
    previous: int | None = None
    for packet in packets:
        stamp = packet.pts
        if stamp is None:
            stamp = packet.dts if previous is None or packet.dts is None else max(packet.dts, previous)
        if stamp is None:
            stamp = 0 if previous is None else previous + step
        stamped.append((stamp, packet.duration))
        previous = stamp
    stamped.sort()
    return np.array([stamp for stamp, _ in stamped], np.int64), stamped[-1][1]


def _ascending(pts: Ticks) -> tuple[Ticks, int]:
    """Strictly ascending stamps, and how many new ticks make an old one."""
    if len(pts) < 2 or np.all(np.diff(pts) > 0):
        return pts, 1
    starts = np.flatnonzero(np.diff(pts, prepend=pts[0] - 1))
    runs = np.diff(starts, append=len(pts))
    distinct = pts[starts]
    gaps = np.diff(distinct)
    typical = float(np.median(gaps / runs[:-1])) if len(gaps) else 1
    gaps = np.append(gaps, max(1, round(typical * runs[-1])))
    finer = int(runs.max()) if np.any(runs > gaps) else 1
    spread = [
        int(stamp) * finer + place * int(gap) * finer // int(run)
        for stamp, gap, run in zip(distinct, gaps, runs, strict=True)
        for place in range(int(run))
    ]
    return np.array(spread, np.int64), finer


def standard_rate(rate: Fraction) -> Fraction:
    """The nearest whole rate or NTSC rate (whole x 1000/1001) to a rate of at least 1 per second."""
    whole = max(1, round(rate))
    ntsc = max(1, round(rate / NTSC)) * NTSC
    return min((Fraction(whole), ntsc), key=lambda each: abs(each - rate))


def fits(pts: Ticks, rate: Fraction, time_base: Fraction) -> bool:
    """Do all stamps lie on a grid of this rate, each rounded to a tick in whatever way?

    Rounded twice (MPEG-TS to Matroska) they may spread over a little more than a tick. Where a frame lasts only
    a few ticks that would hide a lost one, and where it lasts one or two, every spacing must be the same.
    """
    spacing = 1 / (rate * time_base)
    offsets = pts.astype(object) * spacing.denominator - np.arange(len(pts), dtype=object) * spacing.numerator
    if spacing < COARSE_SPACING and len(set(np.diff(pts).tolist())) > 1:
        return False
    spread = Fraction(int(offsets.max() - offsets.min()), spacing.denominator)
    return spread < 1 or (spread <= DOUBLY_ROUNDED and spacing >= FINE_SPACING)


def _rate(pts: Ticks, last: int, time_base: Fraction, hints: Sequence[Fraction]) -> tuple[Fraction, bool]:
    """The simplest rate that the stamps agree with, and True; else the average rate, and False."""
    if len(pts) == 1:
        measured = 1 / (last * time_base) if last > 0 else None
        return next((each for each in (*hints, measured) if each), FALLBACK_RATE), True
    span = Fraction(int(pts[-1] - pts[0]))
    measured = (len(pts) - 1) / (span * time_base)
    clean = [hint for hint in hints if hint == standard_rate(hint)]
    uniform = [measured] if np.all(np.diff(pts) == pts[1] - pts[0]) else []
    simple = measured.limit_denominator(MAX_DENOMINATOR)
    for candidate in (*clean, standard_rate(measured), *uniform, *hints, simple, measured):
        if candidate > 0 and fits(pts, candidate, time_base):
            return candidate, True
    usual = 1 / (Fraction(float(np.median(np.diff(pts)))) * time_base)
    for candidate in (*clean, standard_rate(usual), *hints):
        if candidate > 0 and _mostly(pts, candidate, time_base):
            return candidate, False
    if abs(standard_rate(measured) - measured) <= measured * SNAP:
        return standard_rate(measured), False
    return simple or measured, False


def _mostly(pts: Ticks, rate: Fraction, time_base: Fraction) -> bool:
    """Is the rate that of nine spacings in ten? True of a constant stream from which frames were lost."""
    off = np.abs(np.diff(pts) - float(1 / (rate * time_base)))
    return bool(np.mean(off <= 1) >= DOMINANT)


@dataclass(frozen=True)
class Normalised:
    """A video as ffmpeg's fps filter makes it, and how many frames that repeats and drops."""

    info: VideoInfo
    repeated: int
    dropped: int


def normalise(info: VideoInfo, rate: Fraction) -> Normalised:
    """What reading at a constant rate gives: frame k has pts k/rate, counted from the first frame's pts.

    The rule of the fps filter: a frame begins at the output whose time is nearest to its own (halves up), and
    stays until the next one begins. Of a constant source at its own rate nothing is repeated or dropped.
    """
    shown = repeats(info, rate)
    count = max(1, sum(shown))
    return Normalised(info.at(rate, count), sum(n - 1 for n in shown if n > 1), sum(n == 0 for n in shown))


def repeats(info: VideoInfo, rate: Fraction) -> list[int]:
    """How often each frame is shown by the same rule: 0 where it is dropped."""
    if info.constant and rate == info.rate:
        return [1] * info.frames
    ticks = info.time_base * rate
    since = np.append(info.pts, info.end).astype(object) - int(info.pts[0])
    starts = (since * (2 * ticks.numerator) + ticks.denominator) // (2 * ticks.denominator)
    return [int(each) for each in np.diff(starts)]
