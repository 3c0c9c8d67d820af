"""From frames to steps: forward de-duplication as arithmetic on nodes.

Method: AFI-ForwardDeduplicate (github.com/routineLife1/AFI-ForwardDeduplicate), with exact times and counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from math import lcm

from afitrt.errors import AfitrtError
from afitrt.options import MAX_N_FORWARD, ScheduleOptions
from afitrt.schedule.clocks import Clock, Due, RateClock, RatioClock, Timeline
from afitrt.schedule.knots import Knots, Part, Position, Spot
from afitrt.schedule.nodes import End, Frame, Mix, Node, Output, Source, Start, Step

_HALF = Fraction(1, 2)
_fraction = lru_cache(maxsize=4096)(Fraction)


def resolve_n_forward(n_forward: int, rate: Fraction) -> int:
    """The number of passes: as given, or for 0 the one that suits a source of so many frames per second.

    Twice the number of 24ths of the rate (2 up to 41 frames per second, 4 up to 65), never more than the
    largest that can be asked for.
    """
    if n_forward:
        return n_forward
    return min(MAX_N_FORWARD, 2 * max(1, int(rate / 24 + Fraction(1, 4))))


def plan(frames: Iterable[Frame | End], options: ScheduleOptions, start: Start | None = None) -> Iterator[Step]:
    """Steps that show every output once, in order. frames ends with End; n_forward must not be 0 any more.

    Lazy: when an output shown at source position p is yielded, no frame beyond ceil(p) + n + 1 has been read.
    Every Source pulled and every Mix made is in the release of exactly one step, the first after which no
    continuation of the input can use it. All fractions of one pair are in one step. The cut flag of the first
    frame means nothing. start: the place of the first of these frames in a longer input, at the start of a scene;
    the steps are then those of the whole input from there on. Raises InputError where times do not rise.
    """
    n = options.n_forward
    if n < 1:
        raise AfitrtError(f"a plan with n_forward {n}", "a number of passes from 1", "resolve_n_forward")
    line = Timeline(_unit(options, start))
    clock = _clock(line, options, start)
    scene: _Scene | None = None
    for index, item in enumerate(frames, start.frame if start else 0):
        line.append(index, item.pts)
        if scene is not None and (isinstance(item, End) or item.cut):
            yield scene.finish(index)
            scene = None
        if isinstance(item, End):
            return
        scene = scene or _Scene(index, n, options.correct, clock)
        step = scene.advance(index)
        if step.outputs or step.release:
            yield step
        line.forget(index - n - 2)
    raise AfitrtError("the frames stop without an End", "an End after the last frame", "yield End(pts)")


def _unit(options: ScheduleOptions, start: Start | None) -> int:
    """What the timeline's unit must be a multiple of, so that outputs lie on whole ticks."""
    if options.fps is None:
        return 1
    return lcm(options.fps.numerator, start.origin.denominator) if start else options.fps.numerator


def _clock(line: Timeline, options: ScheduleOptions, start: Start | None) -> Clock:
    if options.fps is not None:
        return RateClock(line, options.fps, options.shrink, options.correct, start)
    assert options.times is not None, "options hold one of the two"
    return RatioClock(line, options.times, options.shrink)


class _Scene:
    """One scene while it is read: makes nodes when an output needs them, and lets go of them."""

    def __init__(self, start: int, n: int, correct: bool, clock: Clock) -> None:
        self._start, self._n, self._correct, self._clock = start, n, correct, clock
        self._held: dict[Spot, Node] = {}
        self._passing: dict[Node, None] = {}
        clock.begin()

    def advance(self, newest: int) -> Step:
        """Takes one more frame of the scene."""
        self._held[0, newest] = Source(newest)
        outputs: tuple[Output, ...] = ()
        if newest - self._start >= self._n:
            due = self._clock.due(self._start, newest, self._n)
            outputs = self._outputs(Knots(self._start, self._n), due)
        return Step(outputs, self._release(self._clock.spots(self._start, newest, self._n)))

    def finish(self, end: int) -> Step:
        """Ends the scene before frame `end`."""
        length = end - self._start
        n = min(self._n, length - 1)
        outputs = self._outputs(Knots(self._start, n, length - n), self._clock.rest(self._start, end, n))
        return Step(outputs, self._release([]))

    def _outputs(self, knots: Knots, due: Due) -> tuple[Output, ...]:
        inner: dict[tuple[Part, int], Node] = {}
        return tuple(Output(self._node(knots, position, inner), pts) for position, pts in due)

    def _node(self, knots: Knots, position: Position, inner: dict[tuple[Part, int], Node]) -> Node:
        part, knot, ahead, whole = knots.place(position)
        left = self._knot(knots, part, knot, inner)
        if ahead == 0:
            return left
        return self._mix(left, self._knot(knots, part, knot + 1, inner), _fraction(ahead, whole))

    def _knot(self, knots: Knots, part: Part, knot: int, inner: dict[tuple[Part, int], Node]) -> Node:
        if not (self._correct and knots.corrected(part, knot)):
            return self._at(knots.spot(part, knot))
        if (part, knot) not in inner:
            nodes = [self._at(spot) for spot in knots.edge(part)]
            inner[part, knot] = self._casteljau(nodes, Fraction(knot, knots.n))
        return inner[part, knot]

    def _casteljau(self, nodes: list[Node], t: Fraction) -> Node:
        """The point of a Bezier curve, by de Casteljau's scheme."""
        while len(nodes) > 1:
            nodes = [self._mix(left, right, t) for left, right in pairwise(nodes)]
        return nodes[0]

    def _at(self, spot: Spot) -> Node:
        node = self._held.get(spot)
        if node is None:
            level, first = spot
            node = Mix(self._at((level - 1, first)), self._at((level - 1, first + 1)), _HALF)
            self._held[spot] = node
        return node

    def _mix(self, left: Node, right: Node, t: Fraction) -> Mix:
        """A node off the pyramid: no later step can ask for it."""
        node = Mix(left, right, t)
        self._passing[node] = None
        return node

    def _release(self, wanted: list[Spot]) -> tuple[Node, ...]:
        """Lets go of all but the wanted nodes and, for those not made yet, what they will be made of."""
        kept: set[Spot] = set()
        while wanted:
            spot = wanted.pop()
            if spot in kept:
                continue
            kept.add(spot)
            if spot not in self._held:
                level, first = spot
                assert level > 0, f"frame {first} was let go too early"
                wanted += [(level - 1, first), (level - 1, first + 1)]
        gone = [spot for spot in self._held if spot not in kept]
        released = (*self._passing, *[self._held.pop(spot) for spot in gone])
        self._passing.clear()
        return released
