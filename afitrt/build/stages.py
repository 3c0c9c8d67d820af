"""What each stage of each model takes, gives and is made of: the one table that all rooms wire tensors by.

Tensors of a picture are named `<name>_<side>` wherever a pair meets, side 0 being the left (earlier) picture.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from afitrt.frames import Geometry
from afitrt.options import SCALES

if TYPE_CHECKING:
    from afitrt.build.assembly import Assembly
    from afitrt.build.pieces import Library


@dataclass(frozen=True)
class TensorSpec:
    """A float32 tensor [1, channels, H / divisor, W / divisor] of a padded picture HxW.

    divisor 0: one number, [1, 1, 1, 1]. scaled: both sides are further multiplied by the flow scale.
    """

    name: str
    channels: int
    divisor: int
    scaled: bool = False

    def shape(self, geometry: Geometry) -> tuple[int, int, int, int]:
        """Shape at a geometry."""
        if self.divisor == 0:
            return (1, self.channels, 1, 1)
        factor = (geometry.scale if self.scaled else 1) / self.divisor
        return (1, self.channels, round(geometry.height * factor), round(geometry.width * factor))

    def of_side(self, side: int) -> TensorSpec:
        """The same tensor of one picture of a pair."""
        return replace(self, name=f"{self.name}_{side}")


@dataclass(frozen=True)
class Stage:
    """A stage: its tensors in the order of the graph, the pieces it may be made of at one scale or another, and how
    they are joined.

    `assemble(assembly, inputs, scale)` maps the stage's input names to values and gives its outputs likewise.
    """

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    pieces: tuple[str, ...]
    assemble: Callable[[Assembly, dict[str, str], float], dict[str, str]]

    def networks(self, library: Library) -> tuple[str, ...]:
        """The state dicts that the stage takes, each once."""
        names = (library.pieces[each].network for each in self.pieces)
        return tuple(dict.fromkeys(name for name in names if name))


@dataclass(frozen=True)
class GraphStage:
    """A stage of another package: one ONNX file with its weights inside, of symbolic size.

    inputs, outputs: its float32 tensors as our rooms name and shape them, in any order. names: what the file calls
    them, where it says otherwise. half: operators that compute in FLOAT16 at precision fp16, such as ("Conv",).
    """

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    path: Path
    names: Mapping[str, str] = field(default_factory=dict)
    half: tuple[str, ...] = ()

    @property
    def pieces(self) -> tuple[str, ...]:
        """None: nothing of ours is in it."""
        return ()

    def networks(self, library: Library) -> tuple[str, ...]:
        """None: its weights are inside."""
        return ()


PICTURE_STAGE = "encode"
"""The stage whose results live as long as their picture; those of all others go once a pair or a time is done."""

IMAGE = TensorSpec("image", 3, 1)
HALF = TensorSpec("half", 3, 2)
LEVELS = (TensorSpec("f1", 64, 2), TensorSpec("f2", 128, 4), TensorSpec("f3", 192, 8))
BACKBONE = (TensorSpec("b4", 128, 8, scaled=True), TensorSpec("b8", 128, 16, scaled=True))
MOTION = (
    TensorSpec("flow01", 2, 2),
    TensorSpec("flow10", 2, 2),
    TensorSpec("z0", 1, 2),
    TensorSpec("z1", 1, 2),
)
TIME = TensorSpec("t", 1, 0)
PLANES = TensorSpec("planes", 7, 1)
WARPED = (
    TensorSpec("x_a", 3, 2),
    TensorSpec("x_b", 3, 2),
    TensorSpec("x1", 128, 2),
    TensorSpec("x2", 256, 4),
    TensorSpec("x3", 384, 8),
)


def both(*specs: TensorSpec) -> tuple[TensorSpec, ...]:
    """The tensors of the left picture, then those of the right."""
    return tuple(spec.of_side(side) for side in (0, 1) for spec in specs)


def _encode(graph: Assembly, given: dict[str, str], scale: float) -> dict[str, str]:
    half = graph.node("AveragePool", given["image"], kernel_shape=[2, 2], strides=[2, 2])
    levels = graph.piece("feature", {"image": given["image"]})
    backbone = graph.piece("backbone", {"half": graph.resize(half, scale)})
    return {"half": half} | levels | backbone


def _match(graph: Assembly, given: dict[str, str], scale: float) -> dict[str, str]:
    flows = graph.piece("flow", {spec.name: given[spec.name] for spec in both(*BACKBONE)})
    if scale != 1:
        back = graph.number(1 / scale)
        flows = {name: graph.node("Mul", graph.resize(flow, 1 / scale), back) for name, flow in flows.items()}
    return flows | graph.piece("metric", given | flows)


def _splat(graph: Assembly, given: dict[str, str], scale: float) -> dict[str, str]:
    left = graph.piece("splat", {**_side(given, 0), "flow": given["flow01"], "z": given["z0"], "t": given["t"]})
    rest = graph.node("Sub", graph.number(1), given["t"])
    right = graph.piece("splat", {**_side(given, 1), "flow": given["flow10"], "z": given["z1"], "t": rest})
    joined = {level: graph.concat(left[level], right[level]) for level in ("x1", "x2", "x3")}
    return {"x_a": left["x"], "x_b": right["x"]} | joined


def _side(given: dict[str, str], side: int) -> dict[str, str]:
    return {spec.name: given[spec.of_side(side).name] for spec in (HALF, *LEVELS)}


def _fuse(graph: Assembly, given: dict[str, str], scale: float) -> dict[str, str]:
    merged = graph.piece("ifnet", given)["merged"]
    image = graph.piece("grid", given | {"x": graph.concat(given["x_a"], merged, given["x_b"])})["image"]
    return {"image": graph.node("Clip", image, graph.number(0), graph.number(1))}


GMFSS = (
    Stage("encode", (IMAGE,), (HALF, *LEVELS, *BACKBONE), ("feature", "backbone"), _encode),
    Stage("match", both(HALF, *BACKBONE), MOTION, ("flow", "metric"), _match),
    Stage("splat", (*both(HALF, *LEVELS), *MOTION, TIME), WARPED, ("splat",), _splat),
    Stage("fuse", (*both(HALF), TIME, *WARPED), (IMAGE,), ("ifnet", "grid"), _fuse),
)


def _rife(graph: Assembly, given: dict[str, str], scale: float) -> dict[str, str]:
    if scale != 1:
        return graph.piece(f"ifnet_{scale:g}", given)
    whole = {"half_0": given["image_0"], "half_1": given["image_1"], "t": given["t"]}
    return {"image": graph.piece("ifnet", whole)["merged"]}


RIFE = (
    Stage(
        "fuse",
        (*both(IMAGE), TIME),
        (IMAGE,),
        ("ifnet", *(f"ifnet_{scale:g}" for scale in SCALES if scale != 1)),
        _rife,
    ),
)


def _encode48(graph: Assembly, given: dict[str, str], scale: float) -> dict[str, str]:
    return graph.piece("rife48_encode", given)


def _fuse48(graph: Assembly, given: dict[str, str], scale: float) -> dict[str, str]:
    return graph.piece(f"rife48_fuse_{scale:g}", given)


RIFE48 = (
    Stage("encode", (IMAGE,), (PLANES,), ("rife48_encode",), _encode48),
    Stage("fuse", (*both(PLANES), TIME), (IMAGE,), tuple(f"rife48_fuse_{scale:g}" for scale in SCALES), _fuse48),
)
STAGES: dict[str, Mapping[str, Stage | GraphStage]] = {
    model: {stage.name: stage for stage in stages}
    for model, stages in (("gmfss", GMFSS), ("rife", RIFE), ("rife48", RIFE48))
}
"""By model and stage. Models of other packages are added when their manifest is found."""
