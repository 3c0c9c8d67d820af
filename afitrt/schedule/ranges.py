"""Any range of a plan's outputs, from the frames that it needs: what resuming and rendering in pieces rest on."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from afitrt.options import ScheduleOptions
from afitrt.schedule.nodes import End, Frame, Mix, Node, Output, Source, Start, Step
from afitrt.schedule.planning import plan

Range = tuple[int, int]
"""Half-open."""


@dataclass(frozen=True)
class Film:
    """A whole input. times: seconds of every frame in rising order, and last the end; cuts: frames that begin a scene.

    Frames count from 0; frame 0 begins a scene in any case.
    """

    times: Sequence[Fraction]
    cuts: Sequence[int]

    @property
    def frames(self) -> int:
        """How many there are."""
        return len(self.times) - 1

    def timing(self, first: int = 0) -> Iterator[Frame | End]:
        """What `plan` takes, from a frame on."""
        opens = frozenset(self.cuts)
        for index in range(first, self.frames):
            yield Frame(self.times[index], index in opens)
        yield End(self.times[-1])

    def outputs_before(self, frame: int, options: ScheduleOptions) -> int:
        """How many outputs are shown before a scene that begins with this frame; before the end, all."""
        return outputs_before(frame, self.times[frame] - self.times[0], options)

    def shown(self, options: ScheduleOptions) -> Iterator[Fraction]:
        """When each output is shown, in seconds on the clock of the frames."""
        if options.fps is not None:
            for index in range(self.outputs_before(self.frames, options)):
                yield self.times[0] + index / options.fps
            return
        assert options.times is not None, "options hold one of the two"
        for frame in range(self.frames):
            before, after = self.times[frame], self.times[frame + 1]
            for part in range(options.times):
                yield before + (after - before) * part / options.times

    def start(self, output: int, options: ScheduleOptions) -> Start:
        """Where to begin planning for an output: the start of its scene."""
        starts = [0, *self.cuts]
        place = bisect_right(starts, output, key=lambda frame: self.outputs_before(frame, options)) - 1
        frame = starts[place]
        return Start(frame, self.outputs_before(frame, options), self.times[0])

    def steps(self, outputs: Range, options: ScheduleOptions) -> Iterator[Step]:
        """The steps of a range of outputs: same nodes and times as in the whole plan; see `select`."""
        start = self.start(outputs[0], options)
        steps = plan(self.timing(start.frame), options, start)
        return select(steps, lambda number: outputs[0] <= number < outputs[1], start.output, outputs[1])

    def contexts(self, ranges: Sequence[Range], options: ScheduleOptions) -> list[Range]:
        """For each of these ascending ranges of outputs the frames between the first and the last it is made of."""
        hulls: dict[Node, Range] = {}
        found = [(self.frames, 0)] * len(ranges)
        number = place = 0
        for step in plan(self.timing(), options):
            for output in step.outputs:
                while place < len(ranges) and number >= ranges[place][1]:
                    place += 1
                if place < len(ranges) and number >= ranges[place][0]:
                    found[place] = _joined(found[place], _hull(output.node, hulls))
                number += 1
            for node in step.release:
                hulls.pop(node, None)
        return found


def _hull(node: Node, known: dict[Node, Range]) -> Range:
    if isinstance(node, Source):
        return node.index, node.index + 1
    if node not in known:
        known[node] = _joined(_hull(node.left, known), _hull(node.right, known))
    return known[node]


def _joined(left: Range, right: Range) -> Range:
    return min(left[0], right[0]), max(left[1], right[1])


def outputs_before(frame: int, since: Fraction, options: ScheduleOptions) -> int:
    """How many outputs are shown before a scene begins with this frame, so many seconds after frame 0."""
    if options.times is not None:
        return frame * options.times
    assert options.fps is not None, "options hold one of the two"
    return math.ceil(since * options.fps)


def select(
    steps: Iterable[Step], wanted: Callable[[int], bool], first: int = 0, last: int | None = None
) -> Iterator[Step]:
    """The steps with their wanted outputs only; asked with each output's number, in order, counted from `first`.

    Ends with the step of output last - 1. A node is released when no wanted output can be made of it any more: later
    than in the whole plan where an output that is left out would have made a node of it that is still to be used.
    """
    number = first
    account = _Account()
    for step in steps:
        kept: list[Output] = []
        for output in step.outputs:
            if wanted(number):
                kept.append(output)
            else:
                account.leave_out(output.node)
            number += 1
        for output in kept:
            account.make(output.node)
        release = account.release(step.release)
        if kept or release:
            yield Step(tuple(kept), release)
        if last is not None and number >= last:
            return


class _Account:
    """made: in-betweens that exist. owed: those that would exist, had no output been left out."""

    def __init__(self) -> None:
        self._made: set[Node] = set()
        self._owed: set[Mix] = set()
        self._kept_back: list[Node] = []

    def leave_out(self, node: Node) -> None:
        """An output is not made."""
        self._owed.update(self._below(node, self._made | self._owed))

    def make(self, node: Node) -> None:
        """An output is made, and whatever is missing for it."""
        made = self._below(node, self._made)
        self._made.update(made)
        self._owed.difference_update(made)

    def release(self, nodes: tuple[Node, ...]) -> tuple[Node, ...]:
        """What can go of those that the whole plan lets go now, and of those kept back before."""
        self._owed.difference_update(nodes)
        asked = [*self._kept_back, *nodes]
        needed: set[Node] = set()
        for mix in self._owed:
            for side in (mix.left, mix.right):
                needed.add(side)
                needed.update(*((each.left, each.right) for each in self._below(side, self._made)))
        self._kept_back = [node for node in asked if node in needed]
        released = tuple(node for node in asked if node not in needed)
        self._made.difference_update(released)
        return released

    @staticmethod
    def _below(node: Node, known: set[Node]) -> list[Mix]:
        """The in-betweens that this node and those under it are, but for those known and what is under them."""
        found: dict[Mix, None] = {}
        waiting = [node]
        while waiting:
            node = waiting.pop()
            if isinstance(node, Mix) and node not in known and node not in found:
                found[node] = None
                waiting += (node.left, node.right)
        return list(found)
