"""ONNX nodes as ncnn's layers: which can be, and how they are written.

ncnn's text and weights: https://github.com/Tencent/ncnn/wiki/operators. Its values have no batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

Shapes = Mapping[str, tuple[int, ...]]
Constants = Mapping[str, npt.NDArray[np.float32]]

CONVOLUTIONS = ("Conv", "ConvTranspose")
ACTIVATIONS = ("Relu", "LeakyRelu")
"""What a convolution does on the way to its result."""
LEAST_CHANNELS = 8
"""On either side of a convolution, for Winograd's transforms to be the smaller part of it."""
_PLAIN = b"\0\0\0\0"
"""In front of weights that are float32."""


@dataclass
class Layer:
    """kind: ncnn's name. options: by ncnn's numbers. weights: as they follow each other in its file."""

    kind: str
    options: dict[int, int | float] = field(default_factory=dict)
    weights: bytes = b""

    def activate(self, node: onnx.NodeProto) -> None:
        """Takes the activation behind a convolution into it."""
        self.options[9] = 1 if node.op_type == "Relu" else 2
        if node.op_type == "LeakyRelu":
            self.options[-23310] = _attributes(node).get("alpha", 0.01)

    def text(self) -> str:
        """The options as ncnn reads them: at most 15 characters a number, and floats known by their point."""
        return " ".join(f"{number}={_written(number, value)}" for number, value in self.options.items())


def _written(number: int, value: float) -> str:
    text = str(value) if isinstance(value, int) else f"{value:.8e}"
    return f"1,{text}" if number < 0 else text


def supported(node: onnx.NodeProto, shapes: Shapes, constants: set[str]) -> bool:
    """Whether ncnn can run a node here: float32 values of one picture, weights that are constant."""
    rule = _RULES.get(node.op_type)
    if rule is None or len(node.output) != 1:
        return False
    data, fixed = node.input[: rule.data or None], node.input[rule.data or len(node.input) :]
    pictures = [shapes.get(each, ()) for each in (*data, *node.output)]
    return (
        all(len(shape) == 4 and shape[0] == 1 and math.prod(shape) > 0 for shape in pictures)
        and constants.isdisjoint(data)
        and constants.issuperset(each for each in fixed if each)
        and rule.able(_attributes(node), [shapes.get(each, ()) for each in node.input])
    )


def layer(node: onnx.NodeProto, constants: Constants) -> Layer:
    """A supported node as a layer."""
    return _RULES[node.op_type].write(_attributes(node), [constants[each] for each in node.input if each in constants])


def is_winograd(node: onnx.NodeProto, shapes: Shapes) -> bool:
    """Whether ncnn computes a supported node by Winograd's algorithm."""
    if node.op_type != "Conv":
        return False
    weight = shapes[node.input[1]]
    one = _attributes(node).get("strides", [1, 1]) == [1, 1]
    return one and weight[2:] == (3, 3) and min(weight[:2]) >= LEAST_CHANNELS


def winograd_flop(node: onnx.NodeProto, shapes: Shapes) -> int:
    """Operations of a plain convolution in place of one by Winograd; 0 for all else."""
    if not is_winograd(node, shapes):
        return 0
    return 2 * math.prod(shapes[node.output[0]]) * math.prod(shapes[node.input[1]][1:])


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {each.name: helper.get_attribute_value(each) for each in node.attribute}


@dataclass(frozen=True)
class _Rule:
    """data: how many of the first inputs are values, 0 for all; the rest are constants.

    able(attributes, shapes of inputs); write(attributes, constants).
    """

    data: int
    able: Callable[[dict[str, Any], list[tuple[int, ...]]], bool]
    write: Callable[[dict[str, Any], list[npt.NDArray[np.float32]]], Layer]


def _convolves(attributes: dict[str, Any], shapes: list[tuple[int, ...]]) -> bool:
    return (
        attributes.get("group", 1) == 1
        and attributes.get("auto_pad", b"NOTSET") == b"NOTSET"
        and not any(attributes.get("output_padding", ()))
        and "output_shape" not in attributes
        and set(attributes.get("dilations", (1,))) == {1}
    )


def _convolution(kind: str) -> Callable[[dict[str, Any], list[npt.NDArray[np.float32]]], Layer]:
    def write(attributes: dict[str, Any], constants: list[npt.NDArray[np.float32]]) -> Layer:
        weight, bias = constants[0], constants[1:]
        if kind == "Deconvolution":
            weight = weight.transpose(1, 0, 2, 3)
        strides = attributes.get("strides", [1, 1])
        top, left, bottom, right = attributes.get("pads", [0, 0, 0, 0])
        options: dict[int, int | float] = {0: weight.shape[0], 1: weight.shape[3], 11: weight.shape[2]}
        options |= {3: strides[1], 13: strides[0], 4: left, 14: top, 15: right, 16: bottom}
        options |= {5: len(bias), 6: weight.size}
        return Layer(kind, options, _PLAIN + weight.tobytes() + b"".join(each.tobytes() for each in bias))

    return write


def _normalisation(attributes: dict[str, Any], constants: list[npt.NDArray[np.float32]]) -> Layer:
    scale, bias = constants
    options: dict[int, int | float] = {0: scale.size, 1: float(attributes.get("epsilon", 1e-5)), 2: 1}
    return Layer("InstanceNorm", options, scale.tobytes() + bias.tobytes())


_RULES = {
    "Conv": _Rule(1, _convolves, _convolution("Convolution")),
    "ConvTranspose": _Rule(1, _convolves, _convolution("Deconvolution")),
    "LeakyRelu": _Rule(1, lambda *_: True, lambda given, _: Layer("ReLU", {0: float(given.get("alpha", 0.01))})),
    "Relu": _Rule(1, lambda *_: True, lambda *_: Layer("ReLU", {0: 0.0})),
    "Add": _Rule(2, lambda _, shapes: shapes[0] == shapes[1], lambda *_: Layer("BinaryOp", {0: 0})),
    "Concat": _Rule(0, lambda given, _: given["axis"] in (1, -3), lambda *_: Layer("Concat", {0: 0})),
    "InstanceNormalization": _Rule(1, lambda *_: True, _normalisation),
}
