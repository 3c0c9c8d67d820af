"""From a stage's name to a graph that a runtime can load: joined, of a fixed size, with weights, kept as a file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import onnx

from afitrt import artefacts, weights
from afitrt.artefacts import Identity
from afitrt.build import foreign
from afitrt.build.assembly import Assembly
from afitrt.build.binding import Weights, bind
from afitrt.build.folding import specialise
from afitrt.build.pieces import EXPORT_VERSION, Library, committed
from afitrt.build.precision import HALF, emulated, halved, rules_text
from afitrt.build.stages import STAGES, GraphStage, Stage
from afitrt.errors import ArtefactError
from afitrt.frames import Geometry

RECIPE = 1
"""Raised whenever this room makes another graph of the same pieces, so that older artefacts are not taken."""
SUFFIX = ".onnx"


@dataclass(frozen=True)
class Target:
    """Who will run a stage. architecture: a GPU's, such as "sm_89", "cuda" for any of them, or "cpu"."""

    runtime: str
    runtime_version: str
    precision: str = "fp32"
    architecture: str = "cpu"


def stage_graph(model: str, stage: str, geometry: Geometry, library: Library | None = None) -> onnx.ModelProto:
    """A stage's structure at a geometry; parameters are named `<network>.<state-dict key>` and have no data.

    Inputs and outputs are those of STAGES[model][stage]. Raises ArtefactError where a graph is damaged, of
    another export version, or unfit for the geometry.
    """
    description = STAGES[model][stage]
    if isinstance(description, GraphStage):
        symbolic = foreign.symbolic(description)
    else:
        symbolic = _assembled(description, geometry, library or committed())
    fixed = specialise(symbolic, {spec.name: spec.shape(geometry) for spec in description.inputs})
    for value, spec in zip(fixed.graph.output, description.outputs, strict=True):
        shape = tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
        if shape != spec.shape(geometry):
            raise ArtefactError(
                f"output {spec.name} of stage {stage} at {geometry} has shape {list(shape)}",
                f"shape {list(spec.shape(geometry))}",
                "sides that are whole multiples of what the model asks for",
            )
    return fixed


def _assembled(description: Stage, geometry: Geometry, library: Library) -> onnx.ModelProto:
    assembly = Assembly(library)
    inputs = {spec.name: assembly.input(spec.name) for spec in description.inputs}
    outputs = description.assemble(assembly, inputs, geometry.scale)
    return assembly.finish({spec.name: outputs[spec.name] for spec in description.outputs})


def stage_model(
    model: str, stage: str, geometry: Geometry, weight_set: str, precision: str = "fp32"
) -> onnx.ModelProto:
    """A stage at a geometry with weights: standard ONNX, strongly typed, every shape fixed.

    At precision fp16 the nodes of precision.HALF compute in FLOAT16, otherwise all in float32. Raises ArtefactError
    as `stage_graph` does, and where the set lacks a network or a tensor.
    """
    description = STAGES[model][stage]
    graph = stage_graph(model, stage, geometry)
    bound = bind(graph, _parameters(weight_set, description.networks(committed())))
    if precision != "fp16":
        return bound
    return halved(bound, foreign.rules(description) if isinstance(description, GraphStage) else HALF)


def _parameters(weight_set: str, networks: tuple[str, ...]) -> Weights:
    return {
        f"{network}.{key}": array for network in networks for key, array in weights.load(weight_set, network).items()
    }


def stage_identity(model: str, stage: str, geometry: Geometry, weight_set: str, target: Target) -> Identity:
    """All that decides the bytes of a stage for a target."""
    library, description = committed(), STAGES[model][stage]
    pieces = [f"recipe {RECIPE}", *(library.pieces[name].sha256 for name in description.pieces)]
    if isinstance(description, GraphStage):
        pieces.append(foreign.fingerprint(description))
    if target.precision == "fp16":
        pieces.append(rules_text())
    return Identity(
        runtime=target.runtime,
        runtime_version=target.runtime_version,
        model=model,
        stage=stage,
        weights=weights.digest(weight_set, description.networks(library)),
        graph=hashlib.sha256("\n".join(pieces).encode()).hexdigest(),
        export_version=EXPORT_VERSION,
        width=geometry.width,
        height=geometry.height,
        scale=geometry.scale,
        precision=target.precision,
        target=target.architecture,
    )


def ensure_stage(
    model: str, stage: str, geometry: Geometry, weight_set: str, target: Target, say: Callable[[str], None]
) -> Path:
    """The stage's ONNX file for a target, checked; made (seconds) and kept where there is none, which `say` is told.

    For a CPU, half arithmetic at precision fp16 is emulated, see precision.emulated.
    Raises ArtefactError as `stage_model` does and where the file is damaged, OutputError where it cannot be kept.
    """
    identity = stage_identity(model, stage, geometry, weight_set, target)
    if path := artefacts.find(identity, SUFFIX):
        return path
    say(f"making stage {stage} of {model} for {geometry} at scale {geometry.scale:g}")
    graph = stage_model(model, stage, geometry, weight_set, target.precision)
    if target.precision == "fp16" and target.architecture == "cpu":
        graph = emulated(graph)
    data = graph.SerializeToString(deterministic=True)
    return artefacts.make(identity, SUFFIX, lambda aside: _write(aside, data))


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)
