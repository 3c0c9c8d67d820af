"""Stages made ready for TensorRT: found by what made them, or built now and kept."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx

from afitrt import artefacts, build
from afitrt.artefacts import Identity
from afitrt.build import chunking
from afitrt.frames import Geometry
from afitrt.runtimes import kernels
from afitrt.runtimes.kernels import compile as compiling
from afitrt.runtimes.tensorrt import builder, timing
from afitrt.runtimes.tensorrt.flavours import FLAVOURS, Flavour

RECIPE = 2
"""Raised whenever this room builds another engine of the same graph, so that older artefacts are not taken."""
ENGINE, CUBIN = ".engine", ".cubin"
KERNEL_STAGES = ("splat",)
"""Stages that are a kernel of ours, for TensorRT has no operator that adds up where it scatters."""

Advance = Callable[[str, float], None]
"""Told a stage's name and how much of it is built, 0..1; 1 at once for what was there."""


def identity(
    flavour: Flavour, model: str, stage: str, geometry: Geometry, weight_set: str, precision: str, target: str
) -> Identity:
    """All that decides a stage made ready for one architecture. Raises MissingToolError."""
    wanted = build.Target(flavour.name, flavour.version(), precision, target)
    found = build.stage_identity(model, stage, geometry, weight_set, wanted)
    if stage not in KERNEL_STAGES:
        return replace(found, graph=hashlib.sha256(f"{found.graph} {RECIPE} {chunking.LIMIT}".encode()).hexdigest())
    kernel = compiling.identity(stage, target)
    return replace(found, runtime_version=kernel.runtime_version, graph=kernel.graph, weights="")


def ensure_engine(
    flavour: str,
    model: str,
    stage: str,
    geometry: Geometry,
    weight_set: str,
    precision: str,
    target: str,
    advance: Advance,
) -> Path:
    """The stage's engine (a cubin for the splat), checked; built and kept where there is none.

    Raises MissingToolError without the library, ArtefactError where
    it is damaged or cannot be built (the builder's log is then kept), OutputError or RetryError where it cannot be
    kept.
    """
    chosen = FLAVOURS[flavour]
    wanted = identity(chosen, model, stage, geometry, weight_set, precision, target)
    suffix = CUBIN if stage in KERNEL_STAGES else ENGINE
    path = artefacts.find(wanted, suffix)
    if path is None and stage in KERNEL_STAGES:
        image = kernels.cubin(stage, target)
        path = artefacts.make(wanted, suffix, lambda aside: _write(aside, image))
    elif path is None:
        graph = build.chunked(build.stage_model(model, stage, geometry, weight_set, precision))
        path = _built(chosen, wanted, graph, lambda share: advance(stage, share))
    advance(stage, 1.0)
    return path


def _built(flavour: Flavour, wanted: Identity, graph: onnx.ModelProto, advance: builder.Advance) -> Path:
    file = timing.path(flavour, wanted.target)
    try:
        built, cache = builder.build(flavour, graph, wanted.target, timing.read(file), advance)
    except builder.BuildFailed as failure:
        log = _keep_log(wanted, failure.log)
        failure.hint = f"{failure.hint}: {log}"
        raise
    if flavour.timing_cache and cache is not None:
        timing.merge(flavour, file, cache)
    about: dict[str, Any] = {
        "seconds": round(built.seconds, 2),
        "activation_bytes": built.activations,
        "weight_bytes": built.weights,
        "half_weights": round(build.half_share(graph), 4),
    }
    return artefacts.make(wanted, ENGINE, lambda aside: _write(aside, built.data), about)


def _keep_log(wanted: Identity, log: builder.BuilderLog) -> Path:
    path = artefacts.home() / "logs" / f"{wanted.path.name}.log"
    with artefacts.written_aside(path, artefacts.HOME_HINT) as aside:
        aside.write_text("\n".join(log.lines) + "\n")
    return path


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)
