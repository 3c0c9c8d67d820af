"""The words of a schedule: pictures as nodes, the frames that come in, the steps that go out."""

from __future__ import annotations

import threading
from fractions import Fraction
from typing import Any, NamedTuple, TypeAlias, final
from weakref import WeakValueDictionary


class _Interned:
    """Immutable, and equal means identical: two alive nodes with the same content are one object."""

    __slots__ = ("__weakref__",)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} cannot be changed")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} cannot be changed")


# Two threads may plan at once; between a look-up and its insertion no other insertion may come.
_lock = threading.Lock()
_nodes: WeakValueDictionary[Any, Any] = WeakValueDictionary()
_set = object.__setattr__


@final
class Source(_Interned):
    """Source frame number `index`, counted from 0."""

    __slots__ = ("index",)
    index: int

    def __new__(cls, index: int) -> Source:
        with _lock:
            node: Source | None = _nodes.get(index)
            if node is None:
                node = super().__new__(cls)
                _set(node, "index", index)
                _nodes[index] = node
        return node

    def __repr__(self) -> str:
        return f"S{self.index}"


@final
class Mix(_Interned):
    """One inference: the picture between two others, at fraction t (0 < t < 1) from left to right."""

    __slots__ = ("left", "right", "t")
    left: Node
    right: Node
    t: Fraction

    def __new__(cls, left: Node, right: Node, t: Fraction) -> Mix:
        # Numerator and denominator, because hashing a Fraction costs more than all the rest.
        key = (left, right, t.numerator, t.denominator)
        with _lock:
            node: Mix | None = _nodes.get(key)
            if node is None:
                node = super().__new__(cls)
                _set(node, "left", left)
                _set(node, "right", right)
                _set(node, "t", t)
                _nodes[key] = node
        return node

    def __repr__(self) -> str:
        # Written out in full, a pyramid of sixteen levels would be megabytes long.
        sides = [repr(side) if isinstance(side, Source) else "M(..)" for side in (self.left, self.right)]
        return f"M({sides[0]},{sides[1]},{self.t})"


Node: TypeAlias = Source | Mix


class Frame(NamedTuple):
    """A frame as the schedule sees it: exact time in seconds, and whether a new scene starts here."""

    pts: Fraction
    cut: bool


class End(NamedTuple):
    """What follows the last frame: its time plus its duration, in seconds."""

    pts: Fraction


class Output(NamedTuple):
    """A picture to show, and when: exact time in seconds, on the clock of the frames."""

    node: Node
    pts: Fraction


class Step(NamedTuple):
    """Outputs that became due, in order, and the nodes that nothing will ask for after them."""

    outputs: tuple[Output, ...]
    release: tuple[Node, ...]


class Start(NamedTuple):
    """A scene's first frame, the number of the first output shown from then on, and the time of frame 0 in seconds."""

    frame: int
    output: int
    origin: Fraction
