"""What a model costs on a runtime, stage by stage: arithmetic, traffic, launches and memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from afitrt import artefacts, build
from afitrt.build.cost import Cost, cost
from afitrt.frames import Geometry
from afitrt.models.manifest import StagedManifest
from afitrt.options import ModelOptions
from afitrt.runtimes.tensorrt import memory
from afitrt.runtimes.tensorrt.engines import KERNEL_STAGES


@dataclass(frozen=True)
class StageCost:
    """One stage. per: what one call is for. activation_bytes, weight_bytes: on a GPU; None where nothing tells."""

    stage: str
    per: str
    flop: int
    half_flop: int
    nbytes: int
    launches: int
    casts: int
    engine_bytes: int
    activation_bytes: int | None
    weight_bytes: int | None


def explain(manifest: StagedManifest, options: ModelOptions, geometry: Geometry, paths: list[Path]) -> list[StageCost]:
    """The cost of each stage of a prepared model; paths: its files, in the manifest's order."""
    return [_stage(manifest, options, geometry, *each) for each in zip(manifest.stages, paths, strict=True)]


def _stage(manifest: StagedManifest, options: ModelOptions, geometry: Geometry, stage: str, path: Path) -> StageCost:
    facts = artefacts.read_sidecar(path)
    about: dict[str, Any] = facts["about"]
    kernel = stage in KERNEL_STAGES and options.runtime != "onnx"
    graph = build.stage_model(options.model, stage, geometry, options.weights, options.precision)
    if options.runtime != "onnx":
        graph = build.chunked(graph)
    counted = _of_kernel(stage, options, geometry) if kernel else cost(graph)
    periods = (("picture", manifest.of_picture), ("pair", manifest.of_pair), ("time", manifest.of_time))
    return StageCost(
        stage,
        next(period for period, stages in periods if stage in stages),
        counted.flop,
        counted.half_flop,
        counted.nbytes,
        counted.launches,
        counted.casts,
        facts["bytes"],
        about.get("activation_bytes"),
        about.get("weight_bytes"),
    )


def _of_kernel(stage: str, options: ModelOptions, geometry: Geometry) -> Cost:
    """The splat: it clears its lists, links, and gathers; every tensor is read or written about once."""
    description = build.STAGES[options.model][stage]
    splat = memory.splat_of(geometry, options.precision)
    tensors = sum(
        memory.nbytes(spec, geometry, options.precision) for spec in (*description.inputs, *description.outputs)
    )
    return Cost(0, 0, tensors + 3 * splat.heads_bytes + 2 * splat.landings_bytes, 3, 0)


def device_plan(
    options: ModelOptions, geometry: Geometry, costs: list[StageCost], live: memory.Live
) -> memory.DevicePlan:
    """Device memory of the stages explained, with so many live pictures."""
    weights = sum(each.weight_bytes or 0 for each in costs)
    scratch = max((each.activation_bytes or 0 for each in costs), default=0)
    return memory.plan(options.model, geometry, options.precision, live, weights, scratch)
