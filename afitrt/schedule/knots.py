"""The path that a scene's outputs follow: which two nodes enclose a position.

Positions are counted in source frames from the start of the scene, as integer pairs (p, q) that mean p/q.
A spot (level, first) names the pyramid node over the frames first .. first + level; level 0 is the frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, TypeAlias

Position: TypeAlias = tuple[int, int]
Spot: TypeAlias = tuple[int, int]


class Part(Enum):
    """A scene's path: leading edge of the first window, all apexes, trailing edge of the last window."""

    LEADING = 1
    APEXES = 2
    TRAILING = 3


class Place(NamedTuple):
    """Between knots `knot` and `knot + 1` of a part, ahead/whole of the way from the first."""

    part: Part
    knot: int
    ahead: int
    whole: int


@dataclass(frozen=True, slots=True)
class Knots:
    """The knots of one scene: `start` is its first frame, `n` its number of passes.

    `windows` is the number of its windows of n + 1 frames, or None while the scene goes on.
    """

    start: int
    n: int
    windows: int | None = None

    def place(self, position: Position) -> Place:
        """Where a position lies on the path; it must not lie past the last frame."""
        p, q = position
        past_edge = 2 * p - self.n * q
        if past_edge < 0:
            return Place(Part.LEADING, *divmod(2 * p, q), q)
        knot, ahead = divmod(past_edge, 2 * q)
        if self.windows is None or (knot, min(ahead, 1)) <= (self.windows - 1, 0):
            return Place(Part.APEXES, knot, ahead, 2 * q)
        return Place(Part.TRAILING, *divmod(past_edge - 2 * q * (self.windows - 1), q), q)

    def spot(self, part: Part, knot: int) -> Spot:
        """The pyramid node that a knot is, or would be without correction."""
        if part is Part.APEXES:
            return self.n, self.start + knot
        if part is Part.LEADING:
            return knot, self.start
        assert self.windows is not None, "a scene that goes on has no trailing edge"
        return self.n - knot, self.start + self.windows - 1 + knot

    def edge(self, part: Part) -> list[Spot]:
        """All spots of an edge, in time order."""
        return [self.spot(part, knot) for knot in range(self.n + 1)]

    def corrected(self, part: Part, knot: int) -> bool:
        """Whether the correction replaces this knot: the inner ones of both edges."""
        return part is not Part.APEXES and 0 < knot < self.n

    def spots_at(self, position: Position, correct: bool) -> set[Spot]:
        """The pyramid nodes that an output at this position is made of directly."""
        part, first, ahead, _ = self.place(position)
        spots: set[Spot] = set()
        for knot in (first, first + 1) if ahead else (first,):
            if correct and self.corrected(part, knot):
                spots.update(self.edge(part))
            else:
                spots.add(self.spot(part, knot))
        return spots
