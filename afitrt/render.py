"""Turns the schedule's steps into pictures: every node once, every pair matched once, the rest freed."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

import numpy as np

from afitrt.errors import AfitrtError
from afitrt.frames import Pixels
from afitrt.models.protocol import Interpolator, Overlapping, Picture
from afitrt.options import ScheduleOptions
from afitrt.schedule import End, Frame, Mix, Node, Output, Source, Start, Step, plan, select

SAMPLES = 1024


@dataclass(frozen=True)
class Decoded:
    """A decoded frame, [height, width, 3] or planar as in `afitrt.yuv`, with its place in time."""

    frame: Frame
    pixels: Pixels


@dataclass(frozen=True)
class Rendered:
    """A finished picture, like the decoded ones, and when it is shown, in seconds."""

    pixels: Pixels
    pts: Fraction
    interpolated: bool


@dataclass(frozen=True)
class Part:
    """Outputs to make. wanted: asked about each number, in order. start: see `plan`. last: no more from it on."""

    wanted: Callable[[int], bool]
    start: Start | None = None
    last: int | None = None


class Renderer:
    """Evaluates steps with an interpolator. Sources are handed in as they are decoded, before their step.

    hold: a frame equal to the one before it is that one, and between equal pictures lies the same picture. So every
    node stands for one that is made of different frames only, and what several stand for is computed once.
    first: the number in the source of the frame that is Source(0). A failure of the interpolator names the picture.
    """

    def __init__(self, interpolator: Interpolator, hold: bool = False, first: int = 0) -> None:
        self._interpolator, self._hold, self._first = interpolator, hold, first
        self._outputs = 0
        self._numbers: deque[int] = deque()
        self._frames: dict[Node, Pixels] = {}
        self._pictures: dict[Node, Picture] = {}
        self._stands_for: dict[Node, Node] = {}
        self._uses: Counter[Node] = Counter()
        self.held = 0
        """In-betweens, shown or not, that needed no network of their own."""

    def render(
        self, decoded: Iterable[Decoded | Frame | End], options: ScheduleOptions, part: Part | None = None
    ) -> Iterator[Rendered]:
        """Pictures in display order, for frames in display order that end with End; n_forward is resolved.

        part: None for all outputs. A bare Frame stands for one whose picture no wanted output is made of.
        Holds no more frames than the schedule's look-ahead; with an interpolator that goes on computing while
        pictures come down, outputs are one step late, so that it always has work. Gives everything back at the end.
        """
        start = part.start if part else None
        steps = plan(self._timing(decoded, start.frame if start else 0), options, start)
        if part is not None:
            steps = select(steps, self._noted(part.wanted), start.output if start else 0, part.last)
        late: list[Callable[[], Rendered]] = []
        try:
            for step in steps:
                if not isinstance(self._interpolator, Overlapping):
                    yield from self.evaluate(step)
                    continue
                begun = self.begin(step)
                for finished in late:
                    yield finished()
                late = begun
            for finished in late:
                yield finished()
        except BaseException:
            # What went wrong tells more than that what followed did, too.
            with suppress(AfitrtError):
                self.close()
            raise
        self.close()

    def _noted(self, wanted: Callable[[int], bool]) -> Callable[[int], bool]:
        """The same question; remembers which outputs come next."""

        def asked(number: int) -> bool:
            if answer := wanted(number):
                self._numbers.append(number)
            return answer

        return asked

    def _timing(self, decoded: Iterable[Decoded | Frame | End], first: int) -> Iterator[Frame | End]:
        for index, item in enumerate(decoded, first):
            if isinstance(item, Decoded):
                self.add(index, item.pixels)
                yield item.frame
            else:
                yield item

    def add(self, index: int, pixels: Pixels) -> None:
        """Keeps the decoded picture of Source(index) until a step releases it."""
        node = Source(index)
        if self._hold and (before := self._stands_for.get(Source(index - 1))) is not None:
            same = before if equal(self._frames[before], pixels) else node
        else:
            same = node
        if same is node:
            self._frames[node] = pixels
        self._stand(node, same)

    def evaluate(self, step: Step) -> Iterator[Rendered]:
        """The step's outputs in order, then frees what it releases. A source frame waits for no network."""
        for output in step.outputs:
            if not isinstance(self._resolved(output.node), Source):
                self._compute(step)
            yield self._begun(output)()
        for node in step.release:
            self._release(node)

    def begin(self, step: Step) -> list[Callable[[], Rendered]]:
        """The same, with downloads that are only begun; each result waits for its own."""
        self._compute(step)
        begun = [self._begun(output) for output in step.outputs]
        for node in step.release:
            self._release(node)
        return begun

    @property
    def _next(self) -> int:
        """The number of the next output, from 1."""
        return (self._numbers[0] if self._numbers else self._outputs) + 1

    def _begun(self, output: Output) -> Callable[[], Rendered]:
        node, pts = self._resolved(output.node), output.pts
        number = self._next
        self._outputs = self._numbers.popleft() + 1 if self._numbers else number
        if isinstance(node, Source):
            shown = Rendered(self._frames[node], pts, interpolated=False)
            return lambda: shown
        picture = self._pictures[node]
        if isinstance(self._interpolator, Overlapping):
            with self._naming(number, node.left, node.right):
                pixels = self._interpolator.begin_download(picture)
        else:
            pixels = partial(self._interpolator.download, picture)

        def finished() -> Rendered:
            with self._naming(number, node.left, node.right):
                return Rendered(pixels(), pts, interpolated=True)

        return finished

    def close(self) -> None:
        """Frees every picture that is still held."""
        for node in list(self._stands_for):
            self._release(node)

    def _resolved(self, node: Node) -> Node:
        """The node that stands for this one."""
        if (known := self._stands_for.get(node)) is not None:
            return known
        assert isinstance(node, Mix)
        left, right = self._resolved(node.left), self._resolved(node.right)
        same = left if self._hold and left is right else Mix(left, right, node.t)
        self.held += same is left or same in self._uses
        self._stand(node, same)
        return same

    def _stand(self, node: Node, same: Node) -> None:
        self._stands_for[node] = same
        self._uses[same] += 1

    def _missing(self, node: Node) -> Iterator[Mix]:
        waiting, seen = [node], set()
        while waiting:
            node = waiting.pop()
            if isinstance(node, Source) or node in self._pictures or node in seen:
                continue
            seen.add(node)
            yield node
            waiting += (node.left, node.right)

    def _compute(self, step: Step) -> None:
        missing = {node for output in step.outputs for node in self._missing(self._resolved(output.node))}
        pairs: dict[tuple[Node, Node], list[Mix]] = {}
        for node in missing:
            pairs.setdefault((node.left, node.right), []).append(node)
        while pairs:
            ready = [pair for pair in pairs if not missing.intersection(pair)]
            for left, right in ready:
                nodes = sorted(pairs.pop((left, right)), key=lambda node: node.t)
                times = [node.t for node in nodes]
                with self._naming(self._next, left, right):
                    results = self._interpolator.between(self._picture(left), self._picture(right), times)
                self._pictures.update(zip(nodes, results, strict=True))
                missing.difference_update(nodes)

    @contextmanager
    def _naming(self, output: int, left: Node, right: Node) -> Iterator[None]:
        """A failure inside says for which output, from 1, and between which frames of the source."""
        try:
            yield
        except AfitrtError as error:
            while isinstance(left, Mix):
                left = left.left
            while isinstance(right, Mix):
                right = right.right
            between = f"source frames {self._first + left.index} and {self._first + right.index}"
            error.found = f"{error.found} (picture {output}, between {between})"
            raise

    def _picture(self, node: Node) -> Picture:
        if node not in self._pictures:
            self._pictures[node] = self._interpolator.upload(self._frames[node])
        return self._pictures[node]

    def _release(self, node: Node) -> None:
        if (same := self._stands_for.pop(node, None)) is None:
            return
        self._uses[same] -= 1
        if not self._uses[same]:
            del self._uses[same]
            self._frames.pop(same, None)
            if same in self._pictures:
                self._interpolator.release(self._pictures.pop(same))


def equal(left: Pixels, right: Pixels) -> bool:
    """Are two pictures of one size the same to the last bit? Most that differ do so in every 32nd run of samples."""
    whole = left.size // SAMPLES * SAMPLES
    first, second = (picture.reshape(-1)[:whole].reshape(-1, SAMPLES)[::32] for picture in (left, right))
    return np.array_equal(first, second) and np.array_equal(left, right)


def render(
    decoded: Iterable[Decoded | End], options: ScheduleOptions, interpolator: Interpolator, hold: bool = False
) -> Iterator[Rendered]:
    """Pictures by a renderer of their own; see Renderer."""
    return Renderer(interpolator, hold).render(decoded, options)
