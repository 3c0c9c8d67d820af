"""Stages of other packages: their ONNX file, checked and brought to the names that our rooms use."""

from __future__ import annotations

import hashlib

import onnx

from afitrt.build.pieces import OPSET
from afitrt.build.precision import POINTWISE, Rule
from afitrt.build.stages import GraphStage
from afitrt.errors import ArtefactError


def symbolic(stage: GraphStage) -> onnx.ModelProto:
    """The stage's graph of any size, with tensors named and ordered as described and every node named.

    Raises ArtefactError where the file is missing, no ONNX of our operator set, or has other tensors.
    """
    model = _loaded(stage)
    graph = model.graph
    theirs = {stage.names.get(spec.name, spec.name): spec.name for spec in (*stage.inputs, *stage.outputs)}
    values = {value.name: value for value in (*graph.input, *graph.output)}
    held = {tensor.name for tensor in graph.initializer}
    if set(theirs) != values.keys() - held:
        raise ArtefactError(
            f"{stage.path} has the tensors {', '.join(sorted(values.keys() - held))}",
            f"those of stage {stage.name}: {', '.join(sorted(theirs))}",
            "name them in the GraphStage's `names`",
        )
    _rename(graph, theirs)
    for number, node in enumerate(graph.node):
        node.name = f"{stage.name}/{number}_{node.op_type}"
    ordered = {value.name: value for value in (*graph.input, *graph.output)}
    inputs, outputs = ([ordered[spec.name] for spec in specs] for specs in (stage.inputs, stage.outputs))
    del graph.input[:], graph.output[:], graph.value_info[:]
    graph.input.extend(inputs)
    graph.output.extend(outputs)
    return model


def fingerprint(stage: GraphStage) -> str:
    """All of a stage that decides its bytes. Raises ArtefactError where the file cannot be read."""
    return f"{hashlib.sha256(_read(stage)).hexdigest()} {sorted(stage.names.items())} {stage.half}"


def rules(stage: GraphStage) -> tuple[Rule, ...]:
    """Which nodes compute in half."""
    return (Rule(stage.name, "", stage.half, POINTWISE),)


def _read(stage: GraphStage) -> bytes:
    try:
        return stage.path.read_bytes()
    except OSError as error:
        raise _unusable(stage, f"cannot be read: {error.strerror}", "a readable file") from error


def _loaded(stage: GraphStage) -> onnx.ModelProto:
    try:
        model = onnx.load_model_from_string(_read(stage))
        onnx.checker.check_model(model)
    except ArtefactError:
        raise
    except Exception as error:  # protobuf's and the checker's have no common base
        raise _unusable(stage, f"is no valid ONNX file: {str(error).splitlines()[0]}", "an ONNX file") from error
    versions = {each.domain: each.version for each in model.opset_import}
    if versions.get("", versions.get("ai.onnx")) != OPSET or len(versions) != 1:
        raise _unusable(
            stage,
            f"has the operator sets {versions}",
            f"standard operators of opset {OPSET} alone",
            f"onnx.version_converter.convert_version(model, {OPSET})",
        )
    return model


def _unusable(stage: GraphStage, found: str, expected: str, hint: str = "") -> ArtefactError:
    return ArtefactError(f"{stage.path} {found}", expected, hint or "reinstall the package that it belongs to")


def _rename(graph: onnx.GraphProto, theirs: dict[str, str]) -> None:
    """Gives tensors our names, everywhere; inner ones that bear such a name already step aside."""
    taken = set(theirs.values()) - theirs.keys()
    inner = {each for node in graph.node for each in node.output} | {tensor.name for tensor in graph.initializer}
    names = {each: f"inner/{each}" for each in inner & taken} | theirs
    for tensor in graph.initializer:
        tensor.name = names.get(tensor.name, tensor.name)
    for value in (*graph.input, *graph.output):
        value.name = names.get(value.name, value.name)
    for node in graph.node:
        node.input[:] = [names.get(each, each) for each in node.input]
        node.output[:] = [names.get(each, each) for each in node.output]
