"""Which nodes of a graph ncnn runs: everything between 3x3 convolutions, where those are enough work.

Nodes are laid in parts that run one after the other, ONNX Runtime's and ncnn's in turn, each as early as its inputs
allow. Parts of ncnn begin and end with a convolution that pays, so that what goes in is read by convolutions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import onnx
from onnx import TensorProto

from afitrt.runtimes.ncnn.layers import ACTIVATIONS, CONVOLUTIONS, Shapes, is_winograd, supported, winograd_flop

LEAST_FLOP = 1 << 30
"""Convolutions by Winograd, by the operations of a plain one, below which a part stays with ONNX Runtime.

Each 10^9 save some 2 ms on two cores; going to ncnn and back costs up to one.
"""
LEAST_SHARE = 0.05
"""The same as a share of all of the stage: small blocks of a flow network, one after the other, stay together."""


@dataclass(frozen=True)
class Part:
    """Nodes that one runtime runs. inputs: values from outside; outputs: values that later parts or the graph give."""

    nodes: tuple[onnx.NodeProto, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    ncnn: bool
    flop: int = 0


def parts(model: onnx.ModelProto, least: int = LEAST_FLOP) -> list[Part]:
    """The parts of a graph of fixed size, in the order in which they run; a single one where nothing is ncnn's."""
    graph = _Graph(model)
    taken = graph.between_convolutions()
    work = [winograd_flop(node, graph.shapes) if index in taken else 0 for index, node in enumerate(graph.nodes)]
    least = max(least, int(LEAST_SHARE * sum(work)))
    while True:
        places = graph.places(taken)
        sums: dict[int, int] = {}
        for index in taken:
            sums[places[index]] = sums.get(places[index], 0) + work[index]
        weak = {index for index in taken if sums[places[index]] < least}
        if not weak:
            return list(graph.parts(places, sums))
        taken -= weak


class _Graph:
    """Nodes by number, and who makes and reads a value."""

    def __init__(self, model: onnx.ModelProto) -> None:
        graph = model.graph
        self.nodes: Sequence[onnx.NodeProto] = list(graph.node)
        self.outputs = [value.name for value in graph.output]
        self.constants = {tensor.name for tensor in graph.initializer}
        self.shapes = _shapes(model)
        self.maker = {output: index for index, node in enumerate(self.nodes) for output in node.output if output}
        self.readers: dict[str, list[int]] = {}
        for index, node in enumerate(self.nodes):
            for each in node.input:
                self.readers.setdefault(each, []).append(index)

    def _before(self, index: int) -> list[int]:
        return [self.maker[each] for each in self.nodes[index].input if each in self.maker]

    def _after(self, index: int) -> set[int]:
        return {each for output in self.nodes[index].output for each in self.readers.get(output, [])}

    def between_convolutions(self) -> set[int]:
        """Nodes that ncnn can run and that lie between convolutions that pay, and activations right behind these."""
        able = [supported(node, self.shapes, self.constants) for node in self.nodes]
        pays = [able[i] and is_winograd(node, self.shapes) for i, node in enumerate(self.nodes)]
        behind: set[int] = set()
        ahead: set[int] = set()
        for index in range(len(self.nodes)):
            if pays[index] or (able[index] and not behind.isdisjoint(self._before(index))):
                behind.add(index)
        for index in reversed(range(len(self.nodes))):
            if pays[index] or (able[index] and not ahead.isdisjoint(self._after(index))):
                ahead.add(index)
        found = behind & ahead
        return found | {
            index
            for index, node in enumerate(self.nodes)
            if able[index]
            and node.op_type in ACTIVATIONS
            and self.readers[node.input[0]] == [index]
            and node.input[0] not in self.outputs
            and any(each in found and self.nodes[each].op_type in CONVOLUTIONS for each in self._before(index))
        }

    def places(self, taken: set[int]) -> list[int]:
        """The number of each node's part: even for ONNX Runtime, odd for ncnn.

        Nodes come as early as they can, then ncnn's as late as they can, which brings them together.
        """
        found: list[int] = []
        for index in range(len(self.nodes)):
            earliest = max((found[each] for each in self._before(index)), default=0)
            found.append(earliest + ((earliest % 2 == 1) != (index in taken)))
        for index in sorted(taken, reverse=True):
            if following := self._after(index):
                latest = min(found[each] for each in following)
                found[index] = latest - (latest % 2 == 0)
        return _closed_up(found)

    def parts(self, places: Sequence[int], work: dict[int, int]) -> Iterator[Part]:
        """What each part takes and gives."""
        for place in sorted(set(places)):
            inside = [index for index in range(len(self.nodes)) if places[index] == place]
            nodes = tuple(self.nodes[index] for index in inside)
            made = {output for node in nodes for output in node.output if output}
            read = dict.fromkeys(each for node in nodes for each in node.input if each)
            given = tuple(each for each in read if each not in made and each not in self.constants)
            members = set(inside)
            wanted = tuple(
                each
                for each in dict.fromkeys(output for node in nodes for output in node.output if output)
                if each in self.outputs or not members.issuperset(self.readers.get(each, []))
            )
            yield Part(nodes, given, wanted, place % 2 == 1, work.get(place, 0))


def _closed_up(places: list[int]) -> list[int]:
    """The same with parts of one kind joined where nothing lies between them any more."""
    used = sorted(set(places))
    new = {used[0]: used[0] % 2}
    for before, place in pairwise(used):
        new[place] = new[before] + ((place - before) % 2)
    return [new[place] for place in places]


def _shapes(model: onnx.ModelProto) -> Shapes:
    graph = onnx.shape_inference.infer_shapes(model).graph
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        if value.type.tensor_type.elem_type == TensorProto.FLOAT:
            shapes[value.name] = tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
    return shapes
