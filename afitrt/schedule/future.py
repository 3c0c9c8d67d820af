"""What a scene may still ask for, where its last outputs keep their own time (rates without shrinking).

Everywhere else the whole trailing edge of the newest window may be asked for. Here an output that is known to
lie behind, or far ahead, lets go of nodes earlier.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from afitrt.schedule.knots import Knots, Position, Spot


def spots_ahead(known: list[Position], start: int, newest: int, n: int, correct: bool) -> list[Spot]:
    """Pyramid nodes of the frames start .. newest that some continuation may use directly.

    known: positions of all outputs that are still to come and not shown after the newest frame.
    """
    spots = {(level, newest + first) for level, first in _unknown(min(newest - start, n), n, correct)}
    for knots in _scenes(start, newest, n):
        for position in known:
            spots |= _existing(knots.spots_at(position, correct), newest)
    return list(spots)


@lru_cache(maxsize=256)
def _unknown(age: int, n: int, correct: bool) -> frozenset[Spot]:
    """Spots for outputs after the newest frame, which may lie anywhere there; first is relative to it.

    Knots lie half a frame apart, so steps of a quarter meet every knot and every gap. A scene older than n
    frames asks for the same as one that is n frames old.
    """
    spots: set[Spot] = set()
    for knots in _scenes(0, age, n):
        assert knots.windows is not None, "the end is assumed"
        last = knots.windows + knots.n - 1
        for quarter in range(min(4 * age + 1, 4 * last), 4 * last + 1):
            spots |= _existing(knots.spots_at((quarter, 4), correct), age)
    return frozenset((level, first - age) for level, first in spots)


def _scenes(start: int, newest: int, n: int) -> Iterable[Knots]:
    """The scene for each end that can matter: from now to so late that the last window is all new."""
    for length in range(newest - start + 1, newest - start + n + 3):
        passes = min(n, length - 1)
        yield Knots(start, passes, length - passes)


def _existing(spots: set[Spot], newest: int) -> set[Spot]:
    """Replaces nodes over frames to come by the nodes over known frames that they will be made of."""
    existing: set[Spot] = set()
    for level, first in spots:
        if first + level <= newest:
            existing.add((level, first))
        else:
            existing.update((newest - index, index) for index in range(first, newest + 1))
    return existing
