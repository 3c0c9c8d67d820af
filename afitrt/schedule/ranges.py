"""Any range of a plan's outputs, from the frames that it needs: what resuming and rendering in pieces rest on."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from afitrt.options import ScheduleOptions
from afitrt.schedule.nodes import End, Frame, Node, Output, Source, Start, Step
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

    def context(self, outputs: Range, options: ScheduleOptions) -> Range:
        """The frames between the first and the last that these outputs are made of."""
        first, last = self.frames, -1
        seen: set[Node] = set()
        for step in self.steps(outputs, options):
            waiting = [output.node for output in step.outputs]
            while waiting:
                node = waiting.pop()
                if node in seen:
                    continue
                if isinstance(node, Source):
                    first, last = min(first, node.index), max(last, node.index)
                else:
                    seen.add(node)
                    waiting += (node.left, node.right)
            seen.difference_update(step.release)
        return first, last + 1


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

    Ends with the step of output last - 1. Nodes of other outputs, which nobody makes then, are still released.
    """
    number = first
    for step in steps:
        kept: list[Output] = []
        for output in step.outputs:
            if wanted(number):
                kept.append(output)
            number += 1
        if kept or step.release:
            yield Step(tuple(kept), step.release)
        if last is not None and number >= last:
            return
