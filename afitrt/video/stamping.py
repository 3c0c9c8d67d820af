"""Gives the packets of encoded video exact time stamps, without decoding, and joins files on the way.

Encoders are fed through pipes that know nothing but a constant rate, and write Matroska, which rounds to milliseconds.
Here their packets get the caller's own times.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import lcm
from pathlib import Path
from typing import Any

import numpy as np

from afitrt.errors import RenderError
from afitrt.video.ffmpeg import readable_path
from afitrt.video.timeline import Ticks

# QuickTime and MP4 count ticks a second, and ticks between two pictures, in 32 bits.
MOST_TICKS = 2**31 - 1
# ffmpeg's MP4 writer doubles a time scale until it reaches this.
LEAST_TICKS = 10_000
MICROSECOND = Fraction(1, 1_000_000)
# Rates are fractions of 32 bits.
MOST_RATE = 1_000_000


@dataclass(frozen=True)
class Stamps:
    """When pictures are shown: pts int64, strictly ascending, and end (of the last one), in ticks of time_base seconds.

    rate: pictures per second where every spacing is 1/rate, None where it varies.
    """

    pts: Ticks
    end: int
    time_base: Fraction
    rate: Fraction | None = None

    @classmethod
    def regular(cls, count: int, rate: Fraction) -> Stamps:
        """Picture k at k/rate seconds."""
        return cls(np.arange(count, dtype=np.int64), count, 1 / rate, rate)

    def first(self, count: int) -> Stamps:
        """Those of the first pictures only."""
        return self if count >= len(self.pts) else replace(self, pts=self.pts[:count], end=int(self.pts[count]))

    def later(self, seconds: Fraction) -> Stamps:
        """All of them so much later, on a time base of 1/n that holds both exactly.

        Where MP4 cannot count so fine they are rounded, to microseconds, or to 1/10000 s if pictures stand for hours.
        """
        exact = Fraction(1, lcm(self.time_base.denominator, seconds.denominator))
        while exact.denominator < LEAST_TICKS:
            exact /= 2
        longest = int(np.diff(self.pts, append=self.end).max(initial=0)) * self.time_base
        tick = next(
            each
            for each in (exact, MICROSECOND, Fraction(1, LEAST_TICKS))
            if each.denominator <= MOST_TICKS and (longest <= MOST_TICKS * each or each.denominator == LEAST_TICKS)
        )
        if tick == exact:
            ticks, shift = int(self.time_base / tick), int(seconds / tick)
            return replace(self, pts=self.pts * ticks + shift, end=self.end * ticks + shift, time_base=tick)
        rounded = [round((int(each) * self.time_base + seconds) / tick) for each in (*self.pts, self.end)]
        places = np.arange(len(rounded))
        ascending = np.maximum.accumulate(np.array(rounded, np.int64) - places) + places
        return replace(self, pts=ascending[:-1], end=int(ascending[-1]), time_base=tick)


class StampedVideo:
    """The video packets of parts, one after another, shown exactly at `stamps`.

    parts: files with one video stream each, all from one encoder with the same settings, each beginning with a key
    frame and asking for no picture of another (closed GOPs). The k-th picture of all, in order of presentation within
    each part, gets stamps.pts[k]; decoding times are made from the same times, `delay` pictures earlier. stamps comes
    from Stamps.later: its time base is 1/n with n of at least 10,000.

    Raises RenderError where the counts differ, a part cannot be read, or parts are encoded differently.
    """

    def __init__(self, parts: Sequence[Path], stamps: Stamps) -> None:
        self.parts, self.stamps = parts, stamps
        self._orders = [_order(part) for part in parts]
        _check(parts, self._orders, len(stamps.pts))

    @property
    def rate(self) -> Fraction:
        """Pictures per second, on average where it varies."""
        stamps = self.stamps
        lasting = (stamps.end - int(stamps.pts[0])) * stamps.time_base
        return stamps.rate or (len(stamps.pts) / lasting).limit_denominator(MOST_RATE)

    def packets(self, stream: Any) -> Iterator[tuple[float, Any]]:
        """(decoding time in seconds, packet for this stream of an output), in the order of decoding.

        The k-th picture is decoded when the one `delay` places earlier is shown: never later than it is shown.
        """
        stamps, delay = self.stamps, max(order.delay for order in self._orders)
        shown = np.append(stamps.pts, stamps.end)
        early = shown[0] - (shown[1] - shown[0]) * np.arange(delay, 0, -1, dtype=np.int64)
        decoded = np.append(early, stamps.pts)
        done = 0
        for part, order in zip(self.parts, self._orders, strict=True):
            for number, packet in enumerate(_packets(part)):
                place = done + int(order.rank[number])
                packet.stream, packet.time_base = stream, stamps.time_base
                packet.pts, packet.dts = int(shown[place]), int(decoded[done + number])
                packet.duration = int(shown[place + 1] - shown[place])
                yield float(packet.dts * stamps.time_base), packet
            done += len(order.rank)


@dataclass(frozen=True)
class _Order:
    """rank[i]: place in presentation of the i-th packet as stored; delay: most places that one is stored too late."""

    rank: Ticks
    delay: int
    codec: str
    extradata: bytes


def _order(part: Path) -> _Order:
    import av

    try:
        with av.open(readable_path(part)) as source:
            context = source.streams.video[0].codec_context
            codec, extradata = context.codec.canonical_name, bytes(context.extradata or b"")
        pts = [packet.pts for packet in _packets(part)]
    except (av.FFmpegError, IndexError) as error:
        raise RenderError(f"{part} is no video that can be read", "what the encoder wrote", "run again") from error
    stored = np.array([-1 if each is None else each for each in pts], np.int64)
    rank = np.empty(len(pts), np.int64)
    rank[np.argsort(stored, kind="stable")] = np.arange(len(pts))
    return _Order(rank, int((np.arange(len(pts)) - rank).max(initial=0)), codec, extradata)


def _check(parts: Sequence[Path], orders: Sequence[_Order], wanted: int) -> None:
    total = sum(len(order.rank) for order in orders)
    if total != wanted or not total:
        names = ", ".join(part.name for part in parts)
        raise RenderError(f"{names}: {total} pictures", f"{wanted}, and at least one", "please report this")
    for part, order in zip(parts, orders, strict=True):
        if (order.codec, order.extradata) != (orders[0].codec, orders[0].extradata):
            found = f"{part.name} and {parts[0].name} are encoded differently"
            raise RenderError(found, "parts from one encoder with the same settings", "encode all of them again")


def _packets(part: Path) -> Iterator[Any]:
    import av

    with av.open(readable_path(part)) as source:
        yield from (packet for packet in source.demux(source.streams.video[0]) if packet.size)
