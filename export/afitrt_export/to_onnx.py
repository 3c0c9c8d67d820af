"""Exports every piece once, for all sizes, scales and weights, as ONNX structure.

Nothing is optimised and the weights are random, so that each parameter stays an initialiser under its own name;
then data, metadata and shapes are taken away and the rest is named by position: the same source and the same
torch give the same bytes.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import io
import json
import logging
import math
import warnings
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import onnx
import onnx.inliner
import onnxscript
import torch
from onnx import numpy_helper

from afitrt.build.pieces import EXPORT_VERSION, MANIFEST, OPSET

from .stages import PIECES, PieceSource

SAMPLE = (3, 4)
"""Multiples (down, across) of the size that is traced; nothing of it stays in the graph."""
LARGEST_CONSTANT = 64
"""Elements of the largest float constant that a graph may hold; more would be somebody's weights."""
SCOPES = "pkg.torch.onnx.name_scopes"


@dataclass(frozen=True)
class Exported:
    """A piece's graph without weights, and the keys of the state dict that it comes from."""

    name: str
    graph: bytes
    parameters: tuple[str, ...]
    keys: tuple[str, ...]


def export_all(folder: Path, names: Iterable[str] = tuple(PIECES), processes: int = 2) -> None:
    """Writes `<piece>.onnx` for each piece, and the manifest, into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        exported = list(pool.map(export_piece, names))
    for piece in exported:
        (folder / f"{piece.name}.onnx").write_bytes(piece.graph)
    (folder / MANIFEST).write_text(json.dumps(manifest(exported), indent=1, sort_keys=True) + "\n")


def manifest(exported: list[Exported]) -> dict[str, Any]:
    """What afitrt.build.pieces reads beside the graphs."""
    taken: dict[str, set[str]] = {}
    keys: dict[str, dict[str, None]] = {}
    for piece in exported:
        if network := PIECES[piece.name].network:
            taken.setdefault(network, set()).update(piece.parameters)
            keys.setdefault(network, {}).update(dict.fromkeys(piece.keys))
    return {
        "export_version": EXPORT_VERSION,
        "made_with": {"torch": torch.__version__.split("+")[0], "onnxscript": onnxscript.__version__},
        "opset": OPSET,
        "pieces": {piece.name: _facts(piece) for piece in exported},
        "unused": {name: [key for key in keys[name] if key not in taken[name]] for name in keys},
    }


def _facts(piece: Exported) -> dict[str, Any]:
    source = PIECES[piece.name]
    return {
        "network": source.network,
        "inputs": list(source.inputs),
        "outputs": list(source.outputs),
        "parameters": list(piece.parameters),
        "sha256": hashlib.sha256(piece.graph).hexdigest(),
    }


def export_piece(name: str) -> Exported:
    """Exports one piece. Raises ValueError where a graph holds values that are nobody's parameter."""
    source = PIECES[name]
    torch.set_num_threads(1)
    torch.manual_seed(0)
    module = source.module().eval()
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter)
    model = _to_onnx(module, source)
    keys = tuple(module.state_dict())
    parameters = strip(model.graph, set(keys))
    return Exported(name, model.SerializeToString(deterministic=True), parameters, keys)


def _to_onnx(module: torch.nn.Module, source: PieceSource) -> onnx.ModelProto:
    down, across = torch.export.Dim("down", min=1, max=1024), torch.export.Dim("across", min=1, max=1024)
    samples, shapes = [], []
    for each in source.inputs.values():
        m, n = (each.multiple * size for size in SAMPLE) if each.multiple else (1, 1)
        samples.append(torch.rand(1, each.channels, m, n))
        shapes.append({2: each.multiple * down, 3: each.multiple * across} if each.multiple else {})
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            torch.export.export(module, tuple(samples), dynamic_shapes=tuple(shapes), strict=False),
            input_names=list(source.inputs),
            output_names=list(source.outputs),
            opset_version=OPSET,
            dynamo=True,
            optimize=False,
        )
    return onnx.inliner.inline_local_functions(program.model_proto)


def strip(graph: onnx.GraphProto, keys: set[str]) -> tuple[str, ...]:
    """Leaves structure only, in place; returns the parameters' names in order."""
    del graph.value_info[:], graph.metadata_props[:]
    graph.name, graph.doc_string = "piece", ""
    _merge_equal_nodes(graph)
    _strip_initializers(graph, keys)
    _rename(graph)
    for value in (*graph.input, *graph.output):
        name, element = value.name, value.type.tensor_type.elem_type
        value.CopyFrom(onnx.helper.make_tensor_value_info(name, element, [None] * 4))
    return tuple(tensor.name for tensor in graph.initializer if tensor.name in keys)


def _merge_equal_nodes(graph: onnx.GraphProto) -> None:
    """Keeps the first of several nodes that compute the same, and only what the outputs need."""
    outputs = {value.name for value in graph.output}
    first: dict[tuple[object, ...], onnx.NodeProto] = {}
    names: dict[str, str] = {}
    for node in graph.node:
        node.input[:] = [names.get(each, each) for each in node.input]
        for attribute in node.attribute:
            if attribute.HasField("t"):
                attribute.t.name = ""
        attributes = sorted(each.SerializeToString(deterministic=True) for each in node.attribute)
        key = (node.op_type, node.domain, *node.input, *attributes)
        if outputs.isdisjoint(node.output) and first.setdefault(key, node) is not node:
            names.update(zip(node.output, first[key].output, strict=True))
    needed: list[onnx.NodeProto] = []
    read = set(outputs)
    for node in reversed(graph.node):
        if not read.isdisjoint(node.output):
            needed.append(node)
            read.update(node.input)
    del graph.node[:]
    graph.node.extend(reversed(needed))


def _strip_initializers(graph: onnx.GraphProto, keys: set[str]) -> None:
    """Takes the weights' data away, and initialisers that nothing reads."""
    read = {each for node in graph.node for each in node.input}
    kept = []
    for tensor in graph.initializer:
        if tensor.name not in read:
            continue
        if tensor.name in keys:
            kept.append(onnx.TensorProto(name=tensor.name, dims=tensor.dims, data_type=tensor.data_type))
        else:
            _check_constant(tensor)
            kept.append(numpy_helper.from_array(numpy_helper.to_array(tensor), tensor.name))
    for node in graph.node:
        for attribute in node.attribute:
            _check_constant(attribute.t)
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _check_constant(tensor: onnx.TensorProto) -> None:
    if tensor.data_type == onnx.TensorProto.FLOAT and math.prod(tensor.dims) > LARGEST_CONSTANT:
        raise ValueError(f"the graph holds a constant {tensor.name} of shape {list(tensor.dims)}, no parameter")


def _rename(graph: onnx.GraphProto) -> None:
    """Numbers the inner values; names each node by the module it stands in and its operator."""
    fixed = [each.name for each in (*graph.input, *graph.output, *graph.initializer)]
    names = {"": ""} | {each: each for each in fixed}
    for index, node in enumerate(graph.node):
        for output in node.output:
            names.setdefault(output, str(len(names)))
        node.input[:] = [names[each] for each in node.input]
        node.output[:] = [names[each] for each in node.output]
        scopes = {each.key: each.value for each in node.metadata_props}.get(SCOPES, "['', '']")
        scope = ast.literal_eval(scopes)[-2]
        node.name = f"{scope}/{node.op_type}_{index}" if scope else f"{node.op_type}_{index}"
        node.doc_string = ""
        del node.metadata_props[:]
