"""A part of a graph as a network of ncnn."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Mapping

import ncnn
import numpy as np
import numpy.typing as npt
import onnx

from afitrt.runtimes.ncnn.layers import ACTIVATIONS, CONVOLUTIONS, Layer, layer
from afitrt.runtimes.ncnn.regions import Part

Array = npt.NDArray[np.float32]
_MAGIC = "7767517"

_typed = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)
_address = _typed(("PyCapsule_GetPointer", ctypes.pythonapi))


class Net:
    """inputs, outputs: names of the values that `run` takes and gives. Raises RuntimeError where ncnn fails."""

    def __init__(self, part: Part, constants: Mapping[str, Array], threads: int) -> None:
        self.inputs, self.outputs = part.inputs, part.outputs
        written = _Writer(part, constants)
        self._blobs, self._shared = written.blobs, written.only_convolved
        self._net = ncnn.Net()
        _configure(self._net.opt, threads)
        if self._net.load_param_mem(written.text()):
            raise RuntimeError("ncnn does not read its layers")
        if self._net.load_model(_Weights(written.weights)):
            raise RuntimeError("ncnn does not read its weights")

    def run(self, given: Mapping[str, Array]) -> dict[str, Array]:
        """Float32 arrays [1, C, H, W] by name from arrays by name."""
        # ncnn's own pools, one a net, keep all that they ever took. Stages take turns, so each gives it back.
        pools = [ncnn.PoolAllocator(), ncnn.PoolAllocator()]
        try:
            return self._extracted(given, *pools)
        finally:
            for pool in pools:
                pool.clear()

    def _extracted(
        self, given: Mapping[str, Array], blobs: ncnn.Allocator, scratch: ncnn.Allocator
    ) -> dict[str, Array]:
        extractor = self._net.create_extractor()
        extractor.set_blob_allocator(blobs)
        extractor.set_workspace_allocator(scratch)
        kept = [np.ascontiguousarray(given[name][0]) for name in self.inputs]
        for name, array in zip(self.inputs, kept, strict=True):
            value = ncnn.Mat(array)
            # ncnn's planes begin at multiples of 16 bytes, and layers that work in place need memory of its own.
            plain = name in self._shared and array[0].nbytes % 16 == 0
            extractor.input(self._blobs[name], value if plain else value.clone())
        results = {}
        for name in self.outputs:
            code, value = extractor.extract(self._blobs[name])
            if code:
                raise RuntimeError(f"ncnn gives {code}, as where memory ran out")
            results[name] = np.array(value, order="C")[np.newaxis]
        return results


def _configure(options: ncnn.Option, threads: int) -> None:
    options.num_threads = threads
    options.use_vulkan_compute = False
    for name in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_packed", "bf16_storage"):
        setattr(options, f"use_{name}", False)
    # Of the three tiles F(4,3) is the quickest on the processors measured; ncnn would take F(6,3) for some.
    options.use_winograd23_convolution = options.use_winograd63_convolution = False


class _Weights(ncnn.DataReader):  # type: ignore[misc]
    """Weights in memory."""

    def __init__(self, parts: Iterable[bytes]) -> None:
        super().__init__()
        self._data, self._at = b"".join(parts), 0

    def read(self, buffer: object, size: int) -> int:
        """Copies the next bytes to where ncnn wants them."""
        piece = self._data[self._at : self._at + size]
        ctypes.memmove(_address(buffer, None), piece, len(piece))
        self._at += len(piece)
        return len(piece)


class _Writer:
    """ncnn's text of a part. blobs: its names for the values that go in and come out."""

    def __init__(self, part: Part, constants: Mapping[str, Array]) -> None:
        self._constants = constants
        self._readers: dict[str, list[onnx.NodeProto]] = {}
        for node in part.nodes:
            for each in node.input:
                self._readers.setdefault(each, []).append(node)
        self._outputs = frozenset(part.outputs)
        self._lines: list[str] = []
        self._count = 0
        self._waiting: dict[str, list[str]] = {}
        self.blobs: dict[str, str] = {}
        self.weights: list[bytes] = []
        self.only_convolved = {
            name for name in part.inputs if all(node.op_type in CONVOLUTIONS for node in self._readers[name])
        }
        for name in part.inputs:
            self.blobs[name] = self._emit(Layer("Input"), [], name)
        absorbed: set[str] = set()
        for node in part.nodes:
            if node.output[0] not in absorbed:
                absorbed.add(self._write(node))

    def text(self) -> str:
        """The file of layers."""
        return "\n".join([_MAGIC, f"{len(self._lines)} {self._count}", *self._lines, ""])

    def _write(self, node: onnx.NodeProto) -> str:
        """Writes a node, with the activation behind it where that is its only reader; gives the value made."""
        made, value = layer(node, self._constants), str(node.output[0])
        readers = self._readers.get(value, [])
        alone = len(readers) == 1 and value not in self._outputs
        if alone and node.op_type in CONVOLUTIONS and readers[0].op_type in ACTIVATIONS:
            made.activate(readers[0])
            value = str(readers[0].output[0])
        taken = [self._waiting[each].pop() for each in node.input if each not in self._constants and each]
        self._emit(made, taken, value)
        self.weights.append(made.weights)
        return value

    def _emit(self, made: Layer, taken: list[str], value: str) -> str:
        """Every blob has one reader, so a value with several is split; what goes out is nobody's."""
        first = self._line(made.kind, taken, 1, made.text())[0]
        copies = len(self._readers.get(value, [])) + (value in self._outputs)
        blobs = self._line("Split", [first], copies, "") if copies > 1 else [first]
        if value in self._outputs:
            self.blobs[value] = blobs.pop()
        self._waiting[value] = blobs
        return first

    def _line(self, kind: str, taken: list[str], gives: int, options: str) -> list[str]:
        made = [f"b{self._count + index}" for index in range(gives)]
        self._count += gives
        name = f"l{len(self._lines)}"
        self._lines.append(" ".join([kind, name, str(len(taken)), str(gives), *taken, *made, options]))
        return made
