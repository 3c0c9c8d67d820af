"""Joins pieces and single nodes into one graph by tensor name."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from afitrt.build.pieces import IR_VERSION, OPSET, Library


class Assembly:
    """A graph under construction. Methods take and give names of values; `finish` makes the model.

    Parameters are named `<network>.<state-dict key>`, everything else of a piece `<piece>/...`.
    """

    def __init__(self, library: Library) -> None:
        self._library = library
        self._inputs: list[onnx.ValueInfoProto] = []
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: dict[str, onnx.TensorProto] = {}
        self._uses: dict[str, int] = {}

    def input(self, name: str) -> str:
        """A float32 input of the graph with four dimensions yet unknown."""
        self._inputs.append(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None] * 4))
        return name

    def constant(self, array: npt.NDArray[np.generic]) -> str:
        """An initialiser with the array's values."""
        name = self._unique("constant")
        self._initializers[name] = numpy_helper.from_array(array, name)
        return name

    def number(self, value: float) -> str:
        """An initialiser with one number, float32 []."""
        return self.constant(np.array(value, np.float32))

    def node(self, operator: str, *inputs: str, **attributes: object) -> str:
        """One node with one output, whose name is given back."""
        name = self._unique(operator)
        self._nodes.append(helper.make_node(operator, inputs, [name], name, **attributes))
        return name

    def concat(self, *inputs: str) -> str:
        """The values one after the other along their channels."""
        return self.node("Concat", *inputs, axis=1)

    def resize(self, value: str, factor: float) -> str:
        """Bilinear, half-pixel centres, no antialiasing; the value itself where the factor is 1."""
        if factor == 1:
            return value
        scales = self.constant(np.array([1, 1, factor, factor], np.float32))
        return self.node("Resize", value, "", scales, mode="linear", coordinate_transformation_mode="half_pixel")

    def piece(self, name: str, inputs: Mapping[str, str]) -> dict[str, str]:
        """A copy of a piece on the given inputs; its outputs by their names in the manifest."""
        piece, graph = self._library.pieces[name], self._library.load(name).graph
        prefix = self._unique(name)
        names = {"": ""} | {each: inputs[each] for each in piece.inputs}
        parameters = set(piece.parameters)
        for tensor in graph.initializer:
            old = tensor.name
            tensor.name = names[old] = f"{piece.network}.{old}" if old in parameters else f"{prefix}/{old}"
            self._initializers[tensor.name] = tensor
        for node in graph.node:
            names |= {output: f"{prefix}/{output}" for output in node.output if output}
            node.name = f"{prefix}/{node.name}"
            node.input[:] = [names[each] for each in node.input]
            node.output[:] = [names[each] for each in node.output]
            self._nodes.append(node)
        return {each: names[each] for each in piece.outputs}

    def finish(self, outputs: Mapping[str, str]) -> onnx.ModelProto:
        """The model; `outputs` maps the names to be given to the values that bear them."""
        renamed = {value: name for name, value in outputs.items()}
        for node in self._nodes:
            node.input[:] = [renamed.get(each, each) for each in node.input]
            node.output[:] = [renamed.get(each, each) for each in node.output]
        results = [helper.make_tensor_value_info(each, onnx.TensorProto.FLOAT, [None] * 4) for each in outputs]
        graph = helper.make_graph(self._nodes, "stage", self._inputs, results, list(self._initializers.values()))
        opsets = [helper.make_opsetid("", OPSET)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="afitrt")

    def _unique(self, name: str) -> str:
        count = self._uses[name] = self._uses.get(name, -1) + 1
        return f"{name}_{count}" if count else name
