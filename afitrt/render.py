"""Turns the schedule's steps into pictures: every node once, every pair matched once, the rest freed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

from afitrt.frames import Pixels
from afitrt.models.protocol import Interpolator, Overlapping, Picture
from afitrt.options import ScheduleOptions
from afitrt.schedule import End, Frame, Mix, Node, Output, Source, Step, plan


@dataclass(frozen=True)
class Decoded:
    """A decoded frame [height, width, 3] with its place in time."""

    frame: Frame
    pixels: Pixels


@dataclass(frozen=True)
class Rendered:
    """A finished picture [height, width, 3] and when it is shown, in seconds."""

    pixels: Pixels
    pts: Fraction
    interpolated: bool


class Renderer:
    """Evaluates steps with an interpolator. Sources are handed in as they are decoded, before their step."""

    def __init__(self, interpolator: Interpolator) -> None:
        self._interpolator = interpolator
        self._frames: dict[int, Pixels] = {}
        self._pictures: dict[Node, Picture] = {}

    def add(self, index: int, pixels: Pixels) -> None:
        """Keeps the decoded picture of Source(index) until a step releases it."""
        self._frames[index] = pixels

    def evaluate(self, step: Step) -> Iterator[Rendered]:
        """The step's outputs in order, then frees what it releases."""
        self._compute({node for output in step.outputs for node in self._missing(output.node)})
        for output in step.outputs:
            yield self._begun(output)()
        for node in step.release:
            self._release(node)

    def begin(self, step: Step) -> list[Callable[[], Rendered]]:
        """The same, with downloads that are only begun; each result waits for its own."""
        self._compute({node for output in step.outputs for node in self._missing(output.node)})
        begun = [self._begun(output) for output in step.outputs]
        for node in step.release:
            self._release(node)
        return begun

    def _begun(self, output: Output) -> Callable[[], Rendered]:
        node, pts = output.node, output.pts
        if isinstance(node, Source):
            frame = self._frames[node.index]
            return lambda: Rendered(frame, pts, interpolated=False)
        picture = self._pictures[node]
        if isinstance(self._interpolator, Overlapping):
            pixels = self._interpolator.begin_download(picture)
            return lambda: Rendered(pixels(), pts, interpolated=True)
        return lambda: Rendered(self._interpolator.download(picture), pts, interpolated=True)

    def close(self) -> None:
        """Frees every picture that is still held."""
        for node in list(self._pictures):
            self._release(node)
        self._frames.clear()

    def _missing(self, node: Node) -> Iterator[Mix]:
        waiting, seen = [node], set()
        while waiting:
            node = waiting.pop()
            if isinstance(node, Source) or node in self._pictures or node in seen:
                continue
            seen.add(node)
            yield node
            waiting += (node.left, node.right)

    def _compute(self, missing: set[Mix]) -> None:
        pairs: dict[tuple[Node, Node], list[Mix]] = {}
        for node in missing:
            pairs.setdefault((node.left, node.right), []).append(node)
        while pairs:
            ready = [pair for pair in pairs if not missing.intersection(pair)]
            for left, right in ready:
                nodes = sorted(pairs.pop((left, right)), key=lambda node: node.t)
                times = [node.t for node in nodes]
                results = self._interpolator.between(self._picture(left), self._picture(right), times)
                self._pictures.update(zip(nodes, results, strict=True))
                missing.difference_update(nodes)

    def _picture(self, node: Node) -> Picture:
        if node not in self._pictures:
            assert isinstance(node, Source)
            self._pictures[node] = self._interpolator.upload(self._frames[node.index])
        return self._pictures[node]

    def _release(self, node: Node) -> None:
        if isinstance(node, Source):
            self._frames.pop(node.index, None)
        if node in self._pictures:
            self._interpolator.release(self._pictures.pop(node))


def render(
    decoded: Iterable[Decoded | End], options: ScheduleOptions, interpolator: Interpolator
) -> Iterator[Rendered]:
    """Pictures in display order, for frames in display order that end with End; n_forward is resolved.

    Holds no more frames than the schedule's look-ahead; with an interpolator that goes on computing while pictures
    come down, outputs are one step late, so that it always has work.
    """
    renderer = Renderer(interpolator)

    def timing() -> Iterator[Frame | End]:
        for index, item in enumerate(decoded):
            if isinstance(item, End):
                yield item
            else:
                renderer.add(index, item.pixels)
                yield item.frame

    late: list[Callable[[], Rendered]] = []
    try:
        for step in plan(timing(), options):
            if not isinstance(interpolator, Overlapping):
                yield from renderer.evaluate(step)
                continue
            begun = renderer.begin(step)
            for finished in late:
                yield finished()
            late = begun
        for finished in late:
            yield finished()
    finally:
        renderer.close()
