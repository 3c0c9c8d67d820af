"""Interpolation networks by name: our own, and those that other packages add."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy.typing as npt

from afitrt.build import GraphStage, TensorSpec
from afitrt.errors import ArtefactError, UsageError
from afitrt.models.finding import MANIFESTS, Model, arithmetic, available, find
from afitrt.models.guarding import Guarded
from afitrt.models.manifest import Manifest, Request, StagedManifest
from afitrt.models.protocol import Interpolator, Memory, OnDevice, Picture, StageClock
from afitrt.models.staged import OverlappingStaged, Staged
from afitrt.options import AUTO_SCALE, OUR_MODELS, ModelOptions
from afitrt.runtimes.protocol import CPU, DeviceUse, Runtime
from afitrt.yuv import Yuv420

if TYPE_CHECKING:
    from afitrt.models.explaining import StageCost
    from afitrt.runtimes.tensorrt.memory import DevicePlan

__all__ = [
    "MANIFESTS",
    "GraphStage",
    "Interpolator",
    "Manifest",
    "Memory",
    "Model",
    "Picture",
    "Request",
    "StageClock",
    "StagedManifest",
    "TensorSpec",
    "advice",
    "arithmetic",
    "available",
    "check_fits",
    "device_plan",
    "device_use",
    "explained",
    "find",
    "make",
    "memory",
    "prepare",
    "resolved",
]

PAIR = (3, 2)
"""Live pictures of one pair with one between: in all, and those that carry features."""

HOST_BYTES = 1 << 30
"""Host memory that CUDA and TensorRT take for themselves, roughly."""

Say = Callable[[str], None]
Advance = Callable[[str, float], None]


def _silent(_stage: str, _share: float) -> None:
    """Nobody listens."""


def memory(options: ModelOptions, width: int, height: int) -> Memory:
    """Bytes of the host that a model will need for pictures of this size, before anything is made.

    Raises UsageError where the model does not do the scale, MissingToolError where its package is broken.
    """
    manifest, options = _chosen(options, width, height)
    if isinstance(manifest, StagedManifest) and not options.on_cpu:
        return Memory(stages=HOST_BYTES, picture=0)
    return manifest.memory(manifest.geometry(width, height, options.scale))


def advice(options: ModelOptions, width: int, height: int) -> list[str]:
    """What a user should know about this model at this size, one line each."""
    manifest, options = _chosen(options, width, height)
    if manifest.serves(width, height, options.scale):
        return []
    best = manifest.automatic_scale(width, height)
    remedy = f"try --scale {best:g}" if manifest.serves(width, height, best) else "enlarge it first, or --model rife"
    small = f"{width}x{height} is small for {manifest.name} at scale {options.scale:g}"
    return [f"{small}, and its pictures may smear; {remedy}"]


def resolved(options: ModelOptions, width: int, height: int) -> ModelOptions:
    """The options with the scale that automatic means for pictures of this size. Raises as `memory` does."""
    return _chosen(options, width, height)[1]


def _chosen(options: ModelOptions, width: int, height: int) -> tuple[Manifest | StagedManifest, ModelOptions]:
    manifest = find(options.model)
    if options.scale == AUTO_SCALE:
        return manifest, replace(options, scale=manifest.automatic_scale(width, height))
    if options.scale not in manifest.scales:
        listed = ", ".join(f"{scale:g}" for scale in manifest.scales)
        raise UsageError(
            f"--scale {options.scale:g} with --model {options.model}",
            f"a scale that it does: {listed}",
            "--scale auto",
        )
    return manifest, options


def prepare(
    options: ModelOptions, width: int, height: int, say: Say, targets: Sequence[str] = (), advance: Advance = _silent
) -> list[Path]:
    """Makes every stage of a model ready for one size; returns their files. Raises UsageError, ArtefactError.

    targets: GPU architectures, for the TensorRT runtimes. advance is told how much of which stage is built.
    """
    manifest, options = _chosen(options, width, height)
    if not isinstance(manifest, StagedManifest):
        raise UsageError(f"--model {options.model}", "a model whose stages our runtimes run", "--model gmfss")
    _ensure_weights(manifest, options.weights, say)
    size = manifest.geometry(width, height, options.scale)
    if options.runtime == "onnx":
        from afitrt.runtimes.onnx import prepare as prepare_stage

        return [prepare_stage(options, stage, size, say) for stage in manifest.stages]
    from afitrt.runtimes import tensorrt

    wanted = (options.weights, options.precision)
    return [
        tensorrt.ensure_engine(options.runtime, options.model, stage, size, *wanted, target, advance)
        for target in targets
        for stage in manifest.stages
    ]


def explained(options: ModelOptions, width: int, height: int, paths: list[Path]) -> tuple[list[StageCost], DevicePlan]:
    """What prepared stages cost, and the GPU memory that they and the pictures of n-forward 2 take."""
    from afitrt.models import explaining

    manifest, options = _chosen(options, width, height)
    assert isinstance(manifest, StagedManifest), "it was prepared"
    costs = explaining.explain(manifest, options, manifest.geometry(width, height, options.scale), paths)
    return costs, device_plan(options, width, height, paths)


def device_plan(options: ModelOptions, width: int, height: int, paths: list[Path]) -> DevicePlan:
    """The GPU memory that prepared stages and the pictures of n-forward 2 take."""
    from afitrt.models import explaining
    from afitrt.runtimes.tensorrt import memory as memory_plan

    manifest, options = _chosen(options, width, height)
    size = manifest.geometry(width, height, options.scale)
    return explaining.device_plan(options, size, paths, memory_plan.LIVE)


def check_fits(options: ModelOptions, width: int, height: int, paths: list[Path], nbytes: int, gpu: str) -> str:
    """What to say of the memory that a size needs on a GPU with so many bytes; paths: see prepare, or none before.

    Raises ResourceError where it does not fit at all.
    """
    from afitrt.models import explaining

    manifest, options = _chosen(options, width, height)
    return explaining.check_fits(options, manifest.geometry(width, height, options.scale), paths, nbytes, gpu)


def make(
    options: ModelOptions,
    width: int,
    height: int,
    dtype: npt.DTypeLike,
    say: Say,
    live: tuple[int, int] | None = None,
    yuv: Yuv420 | None = None,
) -> Interpolator:
    """An interpolator for pictures of width x height that downloads as dtype (uint8 or uint16; float32 for stills).

    yuv: what its pictures come and go as, where they are no RGB.
    `say` is told in one line what had to be made on the way (weights, stages of this size). live: pictures alive at
    once, and those of them that take part in pairs; a GPU plans its memory by them, for a single pair where they are
    not given. Raises ArtefactError, on a GPU also ResourceError and MissingToolError.
    """
    manifest, options = _chosen(options, width, height)
    if isinstance(manifest, Manifest):
        request = Request(width, height, dtype, options, say, yuv)
        return manifest.make(request) if options.model in OUR_MODELS else Guarded(manifest, request)
    _ensure_weights(manifest, options.weights, say)
    runtime = _runtime(options, (width, height), say, live or PAIR, yuv)
    kind = Staged if options.runtime == "onnx" else OverlappingStaged
    try:
        made = kind(manifest, runtime, width, height, options.scale, dtype, yuv)
        runtime.reserve()
    except BaseException:
        runtime.close()
        raise
    return made


def device_use(interpolator: Interpolator) -> DeviceUse:
    """What works for an interpolator; the CPU, where it does not tell."""
    return interpolator.device_use() if isinstance(interpolator, OnDevice) else CPU


def _runtime(
    options: ModelOptions, size: tuple[int, int], say: Say, live: tuple[int, int], yuv: Yuv420 | None
) -> Runtime:
    if options.runtime == "onnx":
        from afitrt.runtimes import onnx

        if options.device is None:
            return onnx.OnnxRuntime(options, say)
        return onnx.BoundRuntime(options, onnx.cuda(options.device), say)
    from afitrt.runtimes.tensorrt.memory import Live
    from afitrt.runtimes.tensorrt.runtime import TensorRtRuntime

    return TensorRtRuntime(options, *size, Live(*live), say, yuv)


def _ensure_weights(manifest: StagedManifest, name: str, say: Say) -> None:
    """Fetches the published set where that is what is missing. Raises ArtefactError where the model cannot use it."""
    from afitrt import build, weights

    if manifest.graphs:
        return
    sets = {each.name: each for each in weights.available()}
    if manifest.published and name == ModelOptions.weights and name not in sets:
        weights.fetch(say)
        return
    library = build.committed()
    needed = {network for stage in build.STAGES[manifest.name].values() for network in stage.networks(library)}
    if name in sets and (sets[name].problem or needed <= sets[name].networks.keys()):
        return
    fit = [each.name for each in sets.values() if needed <= each.networks.keys()]
    listed = ", ".join(sorted(needed))
    own = "afitrt weights import FILE --name mine, then --weights mine"
    raise ArtefactError(
        f"--weights {name} have no {listed}" if name in sets else f"there are no weights {name}",
        f"weights of {listed} for --model {manifest.name}" + (f", as {', '.join(fit)}" if fit else ""),
        f"--weights {fit[0]}" if fit else "leave --weights out" if manifest.published else own,
    )
