"""What a model costs on a runtime, stage by stage: arithmetic, traffic, launches and memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from afitrt import artefacts, build
from afitrt.build.cost import Cost, cost
from afitrt.frames import Geometry
from afitrt.models.manifest import StagedManifest
from afitrt.options import ModelOptions
from afitrt.runtimes.ncnn.regions import parts
from afitrt.runtimes.onnx.shared import takes_ncnn
from afitrt.runtimes.tensorrt import memory
from afitrt.runtimes.tensorrt.engines import KERNEL_STAGES


@dataclass(frozen=True)
class StageCost:
    """One stage. per: what one call is for. winograd_flop: those of `flop` that ncnn does by Winograd on the CPU.

    activation_bytes, weight_bytes: on a GPU; None where nothing tells.
    """

    stage: str
    per: str
    flop: int
    half_flop: int
    winograd_flop: int
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
        _by_winograd(options, stage, graph),
        counted.nbytes,
        counted.launches,
        counted.casts,
        facts["bytes"],
        about.get("activation_bytes"),
        about.get("weight_bytes"),
    )


def _by_winograd(options: ModelOptions, stage: str, graph: onnx.ModelProto) -> int:
    return sum(part.flop for part in parts(graph)) if takes_ncnn(options, stage) else 0


def _of_kernel(stage: str, options: ModelOptions, geometry: Geometry) -> Cost:
    """The splat: it clears its lists, links, and gathers; every tensor is read or written about once."""
    description = build.STAGES[options.model][stage]
    splat = memory.splat_of(geometry, options.precision)
    tensors = sum(
        memory.nbytes(spec, geometry, options.precision) for spec in (*description.inputs, *description.outputs)
    )
    return Cost(0, 0, tensors + 3 * splat.heads_bytes + 2 * splat.landings_bytes, 3, 0)


def device_plan(options: ModelOptions, geometry: Geometry, paths: list[Path], live: memory.Live) -> memory.DevicePlan:
    """Device memory of prepared stages, with so many live pictures; paths: their files."""
    told: list[dict[str, Any]] = [artefacts.read_sidecar(path)["about"] for path in paths]
    weights = sum(about.get("weight_bytes") or 0 for about in told)
    scratch = max((about.get("activation_bytes") or 0 for about in told), default=0)
    return memory.plan(options.model, geometry, options.precision, live, weights, scratch)


def check_fits(options: ModelOptions, geometry: Geometry, paths: list[Path], nbytes: int, gpu: str) -> str:
    """What to say of the memory plan on a GPU that has so many bytes; paths: the stages' files, none before they exist.

    A plan of stages that are not built yet holds what they need at least. Raises ResourceError, naming a scale or size
    that fits, where not even one forward pass does.
    """
    works = memory.scratches(options, geometry)

    def planned(live: memory.Live) -> memory.DevicePlan:
        if paths:
            return device_plan(options, geometry, paths, live)
        return memory.plan(options.model, geometry, options.precision, live, 0, max(works.values(), default=0))

    usual, least = planned(memory.LIVE), planned(memory.FEWER[1])
    if least.total > nbytes:
        having = f"are all that {gpu} has"
        raise memory.too_large(least, nbytes, geometry, memory.FEWER[1], works, having)
    needs = f"{geometry} needs {usual.total / 1e9:.2f} GB of GPU memory with --n-forward 2"
    if usual.total <= nbytes:
        return f"{needs}: fits {gpu}, which has {nbytes / 1e9:.2f} GB"
    over = f"more than the {nbytes / 1e9:.2f} GB of {gpu}"
    return f"{needs}, {over}; with --n-forward 1 it needs {least.total / 1e9:.2f} GB, and fits"
