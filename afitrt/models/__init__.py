"""Interpolation networks by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy.typing as npt

from afitrt.errors import UsageError
from afitrt.models.protocol import Interpolator, Memory
from afitrt.options import ModelOptions

Say = Callable[[str], None]


def memory(options: ModelOptions, width: int, height: int) -> Memory:
    """Bytes that a model will need for pictures of this size, before anything is made."""
    if options.model == "blend":
        from afitrt.models.blend import memory as blend_memory

        return blend_memory(width, height)
    from afitrt.models import gmfss

    return gmfss.memory(gmfss.geometry(width, height, options.scale))


def advice(options: ModelOptions, width: int, height: int) -> list[str]:
    """What a user should know about this model at this size, one line each."""
    from afitrt.models import gmfss

    if options.model != "gmfss" or not gmfss.small(gmfss.geometry(width, height, options.scale)):
        return []
    better = "--scale 2.0" if options.scale == 1 else "--scale 1.0"
    remedy = f", or try {better}" if options.scale <= 1 else ""
    return [f"{width}x{height} is small for gmfss at scale {options.scale:g}: motion may wobble; enlarge it{remedy}"]


def prepare(options: ModelOptions, width: int, height: int, say: Say) -> list[Path]:
    """Makes every stage of a model ready for one size; returns their files. Raises UsageError, ArtefactError."""
    from afitrt.models import gmfss
    from afitrt.runtimes.onnx import prepare as prepare_stage

    if options.model == "blend":
        raise UsageError("--model blend", "a model with a network", "--model gmfss")
    _ensure_weights(options.weights, say)
    size = gmfss.geometry(width, height, options.scale)
    return [prepare_stage(options, stage, size, say) for stage in gmfss.STAGES]


def make(options: ModelOptions, width: int, height: int, dtype: npt.DTypeLike, say: Say) -> Interpolator:
    """An interpolator for pictures of width x height that downloads as dtype (uint8 or uint16; float32 for stills).

    `say` is told in one line what had to be made on the way (weights, stages of this size).
    """
    if options.model == "blend":
        from afitrt.models.blend import Blend

        return Blend(width, height, dtype)
    from afitrt.models.gmfss import Gmfss
    from afitrt.runtimes.onnx import OnnxRuntime

    _ensure_weights(options.weights, say)
    runtime = OnnxRuntime(options, say)
    try:
        return Gmfss(runtime, width, height, options.scale, dtype)
    except BaseException:
        runtime.close()
        raise


def _ensure_weights(name: str, say: Say) -> None:
    from afitrt import weights

    if name == ModelOptions.weights and name not in {each.name for each in weights.available()}:
        weights.fetch(say)
