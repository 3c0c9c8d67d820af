"""Device memory of a model at a size, planned before anything is taken: how many tensors of which size at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from afitrt import build
from afitrt.build import TensorSpec
from afitrt.errors import ResourceError
from afitrt.frames import Geometry
from afitrt.options import ModelOptions
from afitrt.runtimes.kernels import Splat

PICTURE_STAGE = "encode"
"""The stage whose results live as long as their picture; those of all others go once a pair or a time is done."""


@dataclass(frozen=True)
class Live:
    """Pictures alive at once: in all, and those of them that carry their encoded features."""

    pictures: int
    encoded: int


LIVE = Live(pictures=11, encoded=9)
"""What n-forward 2 needs at two or three pictures for each source frame."""


def nbytes(spec: TensorSpec, geometry: Geometry, precision: str) -> int:
    """Bytes of a tensor between stages on the device."""
    size = 2 if precision == "fp16" and build.is_half(spec.name) else 4
    count = 1
    for side in spec.shape(geometry):
        count *= side
    return size * count


def splat_of(geometry: Geometry, precision: str) -> Splat:
    """The splat stage at a geometry."""
    return Splat(geometry.width // 2, geometry.height // 2, "fp16" if precision == "fp16" else "fp32")


@dataclass(frozen=True)
class DevicePlan:
    """Bytes on the device. weights: of all engines; scratch: the largest stage's, for they take turns.

    picture, features: of one picture, and of its features. passing: results of a pair and a time, and what the
    splat works in. blocks: how many tensors of each size may be held at a time, scratch included.
    """

    weights: int
    scratch: int
    picture: int
    features: int
    passing: int
    blocks: dict[int, int]

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + sum(size * count for size, count in self.blocks.items())


def plan(
    model: str, geometry: Geometry, precision: str, live: Live, weights: int, scratch: int, staging: Iterable[int] = ()
) -> DevicePlan:
    """The plan for so many live pictures. weights, scratch: as the engines tell. staging: further buffers."""
    stages = build.STAGES[model]
    image = nbytes(
        next(spec for stage in stages.values() for spec in stage.outputs if spec.name == "image"), geometry, precision
    )
    features = (
        [nbytes(s, geometry, precision) for s in stages[PICTURE_STAGE].outputs] if PICTURE_STAGE in stages else []
    )
    passing = [
        nbytes(spec, geometry, precision)
        for stage in stages.values()
        if stage.name != PICTURE_STAGE
        for spec in stage.outputs
        if spec.name != "image"
    ]
    passing.append(4)
    if "splat" in stages:
        splat = splat_of(geometry, precision)
        passing += [splat.heads_bytes, splat.landings_bytes]
    blocks = Counter({image: live.pictures})
    for size in features:
        blocks[size] += live.encoded
    for size in (*passing, *staging, *([scratch] if scratch else [])):
        blocks[size] += 1
    return DevicePlan(weights, scratch, image, sum(features), sum(passing), dict(blocks))


FEWER = {2: LIVE, 1: Live(pictures=6, encoded=5)}
"""What fewer forward passes need, at two or three pictures for each source frame."""


SCRATCH = {"encode": 80, "match": 320, "fuse": 190}
"""Bytes of a padded pixel that stages of gmfss work in at least, in fp16, by engines of TensorRT for RTX 1.7."""


def scratches(options: ModelOptions, geometry: Geometry) -> dict[str, int]:
    """What each stage works in at least, before its engine is built; empty where nothing is known of the model."""
    if options.model != "gmfss":
        return {}
    known = {stage: nbytes * geometry.width * geometry.height for stage, nbytes in SCRATCH.items()}
    return known | {"match": int(known["match"] * min(1.0, geometry.scale) ** 2)}


def too_large(
    plan: DevicePlan,
    free: int,
    geometry: Geometry,
    live: Live,
    scratches: dict[str, int],
    having: str = "are free",
) -> ResourceError:
    """Says how much is missing, and the first remedy that would do: fewer passes, a coarser flow, a smaller size.

    free: bytes before the engines were loaded; having: what the message says of them. scratches: of every stage; a
    coarser flow leaves a quarter of the matching's at most.
    """
    fixed = plan.total - live.pictures * plan.picture - live.encoded * plan.features
    needed = {n: fixed + few.pictures * plan.picture + few.encoded * plan.features for n, few in FEWER.items()}
    fit = [n for n, few in FEWER.items() if few.pictures < live.pictures and needed[n] <= free]
    coarse = max((size // 4 if stage == "match" else size for stage, size in scratches.items()), default=0)
    if fit:
        remedy = f"--n-forward {fit[0]}, which keeps fewer pictures"
    elif geometry.scale > 0.5 and plan.total - plan.scratch + coarse <= free:
        remedy = "--scale 0.5"
    else:
        # Weights stay as they are; the rest shrinks with the pixels at least.
        share = (max(0, free - plan.weights) / (plan.total - plan.weights)) ** 0.5
        width, height = (max(1, int(side * share)) for side in (geometry.width, geometry.height))
        remedy = f"pictures of at most about {width}x{height}"
    return ResourceError(
        f"{geometry} with {live.pictures} live pictures needs {plan.total / 1e9:.2f} GB on the GPU, "
        f"and {free / 1e9:.2f} GB {having}",
        "a plan that fits the GPU's memory",
        remedy,
    )
