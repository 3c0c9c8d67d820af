"""When outputs are shown and where on the scene's path they lie: an integer ratio, or any rate.

Times are integers in units of 1/unit second, one unit for a whole plan: quicker than Fractions, and as exact.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import lcm
from typing import Protocol, TypeAlias

from afitrt.errors import InputError
from afitrt.schedule.future import spots_ahead
from afitrt.schedule.knots import Position, Spot
from afitrt.schedule.nodes import Start

Due: TypeAlias = Iterator[tuple[Position, Fraction]]


class Timeline:
    """Times of the frames that are still needed, in ticks of 1/unit second."""

    def __init__(self, multiple_of: int = 1) -> None:
        self.unit = multiple_of
        self._ticks: dict[int, int] = {}

    def append(self, index: int, pts: Fraction) -> None:
        """Adds the time of the next frame, or of the end.

        Raises InputError if it is not later than the one before.
        """
        if self.unit % pts.denominator:
            unit = lcm(self.unit, pts.denominator)
            self._ticks = {k: ticks * (unit // self.unit) for k, ticks in self._ticks.items()}
            self.unit = unit
        ticks = pts.numerator * (self.unit // pts.denominator)
        before = self._ticks.get(index - 1)
        if before is not None and ticks <= before:
            raise InputError(
                f"frame {index} at {pts} s is not later than the frame before it",
                "timestamps that rise from frame to frame",
                "convert the source to a constant frame rate first",
            )
        self._ticks[index] = ticks

    def forget(self, index: int) -> None:
        """Drops the time of a frame."""
        self._ticks.pop(index, None)

    def __getitem__(self, index: int) -> int:
        return self._ticks[index]

    def twice(self, half_frames: int) -> int:
        """Twice the time at a position given in half frames."""
        return self._ticks[half_frames // 2] + self._ticks[(half_frames + 1) // 2]


class Clock(Protocol):
    """Tells the outputs of a plan in order, each once. Frames `start` .. `newest` are one scene so far."""

    def begin(self) -> None:
        """A scene begins."""

    def due(self, start: int, newest: int, n: int) -> Due:
        """Outputs before the apex of the newest window, which must be full."""

    def rest(self, start: int, end: int, n: int) -> Due:
        """Outputs of the scene [start, end) that were not yet due; n is that of the scene."""

    def spots(self, start: int, newest: int, n: int) -> list[Spot]:
        """Pyramid nodes of the frames so far that a continuation may ask for directly."""


def newest_edge(start: int, newest: int, n: int) -> list[Spot]:
    """Trailing edge of the newest window; every frame while the first window is not full."""
    if newest - start < n:
        return [(0, index) for index in range(start, newest + 1)]
    return [(level, newest - level) for level in range(n, -1, -1)]


class RatioClock:
    """`times` outputs for each source frame, evenly spread over the frame's own duration."""

    def __init__(self, line: Timeline, times: int, shrink: bool) -> None:
        self._line, self._times, self._shrink = line, times, shrink
        self._next = 0

    def begin(self) -> None:
        self._next = 0

    def due(self, start: int, newest: int, n: int) -> Due:
        times = self._times
        lead = -(-times * n // 2)
        until = lead + (newest - start - n) * times
        for index in range(self._next, until):
            position = (index * n, 2 * lead) if index < lead else (n * times + 2 * (index - lead), 2 * times)
            yield position, self._pts(start, index)
        self._next = until

    def rest(self, start: int, end: int, n: int) -> Due:
        yield from self.due(start, end - 1, n)
        last = end - 1 - start
        tail = self._times * n // 2 + (self._times - 1 if self._shrink else 0)
        apex = self._next
        for index in range(apex, self._times * (last + 1)):
            past = index - apex
            position = ((2 * last - n) * tail + n * past, 2 * tail) if past < tail else (last, 1)
            yield position, self._pts(start, index)

    def spots(self, start: int, newest: int, n: int) -> list[Spot]:
        return newest_edge(start, newest, n)

    def _pts(self, start: int, index: int) -> Fraction:
        frame, part = divmod(index, self._times)
        before = self._line[start + frame]
        if part == 0:
            return Fraction(before, self._line.unit)
        after = self._line[start + frame + 1]
        return Fraction((self._times - part) * before + part * after, self._times * self._line.unit)


class RateClock:
    """Output i at i/rate seconds after the first frame, whatever the spacing of the frames.

    The line's unit must be a multiple of the rate's numerator.
    """

    def __init__(self, line: Timeline, rate: Fraction, shrink: bool, correct: bool, start: Start | None) -> None:
        self._line, self._rate, self._shrink, self._correct = line, rate, shrink, correct
        self._origin = start.origin if start else None
        self._next = start.output if start else 0

    def begin(self) -> None:
        if self._origin is None:
            self._origin = Fraction(self._line[0], self._line.unit)

    def due(self, start: int, newest: int, n: int) -> Due:
        limit = self._line.twice(2 * newest - n)
        shown = self._pending(limit, doubled=True)
        for position, ticks in self._mapped(shown, start, newest, n):
            self._next += 1
            yield position, Fraction(ticks, self._line.unit)

    def rest(self, start: int, end: int, n: int) -> Due:
        newest = end - 1
        yield from self.due(start, newest, n)
        pending = self._pending(self._line[end])
        self._next += len(pending)
        apex = self._line.twice(2 * newest - n)
        tail = [ticks for ticks in pending if 2 * ticks > apex]
        on_apex = [((2 * (newest - start) - n, 2), ticks) for ticks in pending[: len(pending) - len(tail)]]
        if self._shrink:
            base, whole = (2 * (newest - start) - n) * len(tail), 2 * len(tail)
            placed = [((base + n * k, whole), ticks) for k, ticks in enumerate(tail, 1)]
        else:
            placed = list(self._mapped(tail, start, newest, n))
        for position, ticks in on_apex + placed:
            yield position, Fraction(ticks, self._line.unit)

    def spots(self, start: int, newest: int, n: int) -> list[Spot]:
        if self._shrink or self._dense(start, newest, n):
            return newest_edge(start, newest, n)
        known = self._pending(self._line[newest] + 1)
        positions = [position for position, _ in self._mapped(known, start, newest, n)]
        return spots_ahead(positions, start, newest, n, self._correct)

    def _dense(self, start: int, newest: int, n: int) -> bool:
        """Whether the next output needs the newest apex and the one after it, should the scene go on."""
        if newest - start < n:
            return False
        apex = 2 * newest - n
        return n == 1 or self._line.twice(apex) < 2 * self._ticks(self._next) < self._line.twice(apex + 2)

    def _ticks(self, index: int) -> int:
        assert self._origin is not None, "no frame has been read"
        unit = self._line.unit
        origin = self._origin.numerator * (unit // self._origin.denominator)
        return origin + index * self._spacing()

    def _spacing(self) -> int:
        return self._rate.denominator * (self._line.unit // self._rate.numerator)

    def _pending(self, limit: int, doubled: bool = False) -> list[int]:
        """Times of the outputs not yet told that are before a limit, in ticks; the limit may be doubled."""
        first = self._ticks(self._next)
        bound = -(-limit // 2) if doubled else limit
        return list(range(first, bound, self._spacing()))

    def _mapped(self, shown: list[int], start: int, newest: int, n: int) -> Iterator[tuple[Position, int]]:
        """Positions of times: linear from frame to frame, resting on the newest."""
        frame = max(start, newest - n - 1)
        for ticks in shown:
            while frame < newest and self._line[frame + 1] <= ticks:
                frame += 1
            if frame == newest:
                yield (newest - start, 1), ticks
                continue
            spacing = self._line[frame + 1] - self._line[frame]
            yield ((frame - start) * spacing + ticks - self._line[frame], spacing), ticks
