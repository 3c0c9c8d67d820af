"""What a plan amounts to, in figures and as text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

from afitrt.schedule.nodes import Mix, Node, Source, Step


@dataclass(frozen=True)
class Summary:
    """Counts: pictures shown, frames read, distinct (left, right) pairs, distinct in-between pictures."""

    outputs: int
    sources: int
    matchings: int
    inferences: int


def summarise(steps: Iterable[Step]) -> Summary:
    """Counts a plan, in memory that does not grow with its length."""
    outputs = sources = matchings = inferences = 0
    made: set[Node] = set()
    pairs: set[tuple[Node, Node]] = set()
    for step in steps:
        outputs += len(step.outputs)
        for mix in _new_mixes(step, made):
            inferences += 1
            if (mix.left, mix.right) not in pairs:
                matchings += 1
                pairs.add((mix.left, mix.right))
        sources += sum(isinstance(node, Source) for node in step.release)
        released = set(step.release)
        made -= released
        pairs = {pair for pair in pairs if released.isdisjoint(pair)}
    return Summary(outputs, sources, matchings, inferences)


def listing(steps: Iterable[Step]) -> dict[str, list[str]]:
    """The whole plan as text.

    nodes: every Mix as "M(left,right,t)", after its operands. out: what is shown. pts: when, in exact seconds
    ("1001/24000"). A node is "Sk" for frame k, "#i" for the i-th of nodes; t has at most 9 decimals.
    """
    names: dict[Node, str] = {}
    nodes: list[str] = []
    out: list[str] = []
    pts: list[str] = []

    def name(node: Node) -> str:
        return f"S{node.index}" if isinstance(node, Source) else names[node]

    made: set[Node] = set()
    for step in steps:
        for mix in _new_mixes(step, made):
            names[mix] = f"#{len(nodes)}"
            nodes.append(f"M({name(mix.left)},{name(mix.right)},{_decimal(mix.t)})")
        out += [name(output.node) for output in step.outputs]
        pts += [str(output.pts) for output in step.outputs]
    return {"nodes": nodes, "out": out, "pts": pts}


def correction_cost(n_forward: int) -> int:
    """Inferences that correcting one edge of a scene takes, before any are shared."""
    return (n_forward - 1) * n_forward * (n_forward + 1) // 2


def _new_mixes(step: Step, made: set[Node]) -> Iterator[Mix]:
    """Mixes that a step makes, operands first; adds them to those made."""
    stack = [output.node for output in reversed(step.outputs)]
    while stack:
        node = stack[-1]
        if isinstance(node, Source) or node in made:
            stack.pop()
            continue
        todo = [side for side in (node.right, node.left) if isinstance(side, Mix) and side not in made]
        if todo:
            stack += todo
        else:
            made.add(stack.pop())
            yield node


def _decimal(t: Fraction) -> str:
    """At most 9 decimals, rounded, without trailing zeros."""
    whole, decimals = divmod(round(t * 10**9), 10**9)
    return f"{whole}.{decimals:09}".rstrip("0").rstrip(".")
