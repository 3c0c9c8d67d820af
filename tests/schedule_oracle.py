"""Independent answers for the schedule: the rule written out with lists and Fractions, and who needs what when.

Pictures are numbers here: every expression gets one, equal expressions get the same.
"""

from __future__ import annotations

import bisect
import hashlib
import itertools
import math
from collections.abc import Iterator
from fractions import Fraction

from afitrt.options import ScheduleOptions
from afitrt.schedule import End, Frame, Mix, Node, Source, Step, plan

Item = Frame | End
HALF = Fraction(1, 2)


class Expressions:
    """Numbers for expressions, and their positions (a frame's number, weighted means of it)."""

    def __init__(self) -> None:
        self._numbers: dict[tuple, int] = {}
        self._of: dict[Node, int] = {}
        self.positions: list[Fraction] = []
        self.frames: list[frozenset[int]] = []

    def _number(self, key: tuple, position: Fraction, frames: frozenset[int]) -> int:
        if key not in self._numbers:
            self._numbers[key] = len(self.positions)
            self.positions.append(position)
            self.frames.append(frames)
        return self._numbers[key]

    def source(self, index: int) -> int:
        return self._number((index,), Fraction(index), frozenset([index]))

    def mix(self, left: int, right: int, t: Fraction) -> int:
        assert 0 < t < 1
        position = (1 - t) * self.positions[left] + t * self.positions[right]
        return self._number((left, right, t), position, self.frames[left] | self.frames[right])

    def of(self, node: Node) -> int:
        if isinstance(node, Source):
            return self.source(node.index)
        if node not in self._of:
            self._of[node] = self.mix(self.of(node.left), self.of(node.right), node.t)
        return self._of[node]


def casteljau(points: list[int], t: Fraction, make: Expressions) -> int:
    while len(points) > 1:
        points = [make.mix(a, b, t) for a, b in itertools.pairwise(points)]
    return points[0]


def scene_knots(s: int, e: int, n: int, correct: bool, make: Expressions) -> list[tuple[Fraction, int]]:
    """Positions and pictures of all knots of the scene [s, e) in time order."""

    def pyramid(first: int) -> list[list[int]]:
        levels = [[make.source(k) for k in range(first, first + n + 1)]]
        for _ in range(n):
            levels.append([make.mix(a, b, HALF) for a, b in itertools.pairwise(levels[-1])])
        return levels

    first, last = pyramid(s), pyramid(e - 1 - n)
    edges = [[first[level][0] for level in range(n + 1)], [last[n - level][level] for level in range(n + 1)]]
    if correct and n >= 2:
        edges = [[edge[0], *(casteljau(edge, Fraction(k, n), make) for k in range(1, n)), edge[n]] for edge in edges]
    knots = [(s + k * HALF, node) for k, node in enumerate(edges[0])]
    knots += [(s + n * HALF + k, pyramid(s + k)[n][0]) for k in range(1, e - s - n)]
    knots += [(e - 1 - n * HALF + k * HALF, node) for k, node in enumerate(edges[1]) if k > 0]
    return knots


def at(knots: list[tuple[Fraction, int]], position: Fraction, make: Expressions) -> int:
    """The picture at a position: a knot, or one inference between its two neighbours."""
    places = [place for place, _ in knots]
    after = bisect.bisect_left(places, position)
    if places[after] == position:
        return knots[after][1]
    gap = places[after] - places[after - 1]
    return make.mix(knots[after - 1][1], knots[after][1], (position - places[after - 1]) / gap)


def ratio_positions(s: int, e: int, n: int, options: ScheduleOptions) -> list[Fraction]:
    """Positions of the outputs of a scene with --times, from the three lists of the rule."""
    times, half = options.times, Fraction(n, 2)
    if n == 0:
        return [Fraction(s)] * times
    apexes = [s + half + k for k in range(e - s - n)]
    if times == 1 and n == 1:
        return [Fraction(s), *apexes[:-1], Fraction(e - 1)]
    left = -(-times * n // 2) - 1
    right = times * n // 2 - 1 + (times - 1 if options.shrink else 0)
    copies = 0 if options.shrink else times - 1
    positions = [Fraction(s)] + [s + j * half / (left + 1) for j in range(1, left + 1)]
    for apex in apexes[:-1]:
        positions += [apex + Fraction(j, times) for j in range(times)]
    positions += [apexes[-1]] + [apexes[-1] + j * half / (right + 1) for j in range(1, right + 1)]
    return positions + [Fraction(e - 1)] * (1 + copies)


def rate_outputs(
    s: int, e: int, n: int, pts: list[Fraction], options: ScheduleOptions
) -> list[tuple[Fraction, Fraction]]:
    """Positions and times of the outputs of a scene with --fps."""
    first, following = (math.ceil((pts[k] - pts[0]) * options.fps) for k in (s, e))
    shown = [pts[0] + i / options.fps for i in range(first, following)]

    def index_at(time: Fraction) -> Fraction:
        k = bisect.bisect_right(pts, time) - 1
        return k + (time - pts[k]) / (pts[k + 1] - pts[k])

    last = Fraction(e - 1)
    apex = last - Fraction(n, 2)
    places = [(index_at(time), time) for time in shown]
    placed = [(place, time) for place, time in places if place <= apex]
    tail = [time for place, time in places if place > apex]
    if options.shrink:
        return placed + [(apex + Fraction(n, 2) * j / len(tail), time) for j, time in enumerate(tail, 1)]
    return placed + [(min(index_at(time), last), time) for time in tail]


def expected(frames: list[Item], options: ScheduleOptions, make: Expressions) -> list[tuple[int, Fraction]]:
    """All outputs, (expression, pts), straight from the rule."""
    pts = [item.pts for item in frames]
    starts = [k for k, item in enumerate(frames[:-1]) if k == 0 or item.cut]
    outputs: list[tuple[int, Fraction]] = []
    for s, e in itertools.pairwise([*starts, len(frames) - 1]):
        n = min(options.n_forward, e - s - 1)
        knots = scene_knots(s, e, n, options.correct, make)
        if options.fps is not None:
            outputs += [(at(knots, p, make), time) for p, time in rate_outputs(s, e, n, pts, options)]
            continue
        positions = ratio_positions(s, e, n, options)
        clock = [s + Fraction(j, options.times) for j in range(options.times * (e - s))]
        times = [pts[int(c)] + (pts[int(c) + 1] - pts[int(c)]) * (c % 1) for c in clock]
        outputs += [(at(knots, p, make), time) for p, time in zip(positions, times, strict=True)]
    return outputs


def pulled_steps(frames: list[Item], options: ScheduleOptions) -> list[tuple[int, Step]]:
    """Every step with the number of items that had been pulled when it was yielded."""
    pulled = 0

    def counting() -> Iterator[Item]:
        nonlocal pulled
        for item in frames:
            pulled += 1
            yield item

    return [(pulled, step) for step in plan(counting(), options)]


def made_in(step: Step, made: set[Node]) -> set[Mix]:
    """Mixes that the outputs of a step need and that were not made before; adds them to those made."""
    new: set[Mix] = set()
    stack = [output.node for output in step.outputs]
    while stack:
        node = stack.pop()
        if isinstance(node, Mix) and node not in made:
            made.add(node)
            new.add(node)
            stack += [node.left, node.right]
    return new


def used_in(step: Step, made: set[Node]) -> set[Node]:
    """Nodes that must be at hand for a step: shown, or operands of what it makes."""
    new = made_in(step, made)
    operands = {side for mix in new for side in (mix.left, mix.right)}
    return operands | {output.node for output in step.outputs}


def held_after(read: int, frames: list[Item], options: ScheduleOptions) -> set[Node]:
    """What a plan has pulled or made and not released when it is about to pull item `read`."""
    held: set[Node] = {Source(k) for k in range(read)}
    made: set[Node] = set()
    for pulled, step in pulled_steps(frames, options):
        if pulled <= read:
            held |= made_in(step, made)
            held -= set(step.release)
    return held


def continuations(known: list[Frame], options: ScheduleOptions) -> Iterator[list[Item]]:
    """Ways in which the input may go on, chosen so that together they need all that any of them can need.

    A scene goes on for up to n + 2 frames. Where times matter, the next output comes after any of them and at any
    quarter of the way to the next, or the last frame is held so long that the scene ends on many outputs.
    """
    more = range(options.n_forward + 3)
    if options.fps is None:
        for count in more:
            yield _spaced(known, [Fraction(1)] * (count + 1))
        return
    now, origin = known[-1].pts, known[0].pts
    ahead = origin + ((now - origin) * options.fps // 1 + 1) / options.fps - now
    yield _spaced(known, [ahead + 50 / options.fps])
    for before, after, quarter in itertools.product(more, more, (1, 2, 3, 4)):
        small = [ahead / (before + 2)] * before
        left = ahead - sum(small)
        yield _spaced(known, [*small, left * 4 / quarter, *[Fraction(1)] * after, Fraction(1)])
        yield _spaced(known, [*small, ahead + 50 / options.fps])


def _spaced(known: list[Frame], spacings: list[Fraction]) -> list[Item]:
    times = list(itertools.accumulate(spacings, initial=known[-1].pts))[1:]
    return [*known, *(Frame(time, False) for time in times[:-1]), End(times[-1])]


def unneeded(held: set[Node], known: list[Frame], options: ScheduleOptions) -> set[Node]:
    """Those of the held nodes that no continuation needs any more."""
    for frames in continuations(known, options):
        if not held:
            break
        made: set[Node] = set()
        for pulled, step in pulled_steps(frames, options):
            used = used_in(step, made)
            if pulled > len(known):
                held = held - used
    return held


class Digests:
    """Digests in the notation of golden/schedules.json: SHA-1 over the digests of the operands."""

    def __init__(self, nodes: list[str]) -> None:
        self._nodes: list[str] = []
        for text in nodes:
            left, right, t = text.removeprefix("M(").removesuffix(")").split(",")
            self._nodes.append(_sha1(f"M({self.of(left)},{self.of(right)},{t})"))

    def of(self, reference: str) -> str:
        return self._nodes[int(reference[1:])] if reference[0] == "#" else _sha1(reference)

    def all(self, references: list[str]) -> str:
        return _sha1(",".join(self.of(reference) for reference in references))[:16]


def _sha1(text: str) -> str:
    return hashlib.sha1(text.encode()).hexdigest()
