"""The pieces that the stages of afitrt are joined from, each a sub-network with named inputs and outputs.

The cuts follow the state dicts (one network each, GMFlow and RIFE 4.8 in two), so that a model has every weight in
one piece only, and the flow scale: GMFSS resizes between pieces, hence nothing of it is exported per scale. RIFE
resizes inside, so its pieces are exported for each scale; at scale 1 `ifnet` is GMFSS's own. What has no weights
and no exporter troubles (means, resizes, concatenations) is written by afitrt.build.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import nn

from afitrt.options import SCALES

from .networks.feature import FeatureNet
from .networks.gmflow import Backbone, Flow, GMFlow
from .networks.grid import GridNet
from .networks.ifnet import IFNet
from .networks.metric import MetricNet
from .networks.rife48 import FEATURES, Encode, Fuse, Rife48
from .networks.splat import Splat


@dataclass(frozen=True)
class Input:
    """A float32 input [1, channels, multiple * m, multiple * n] for any m, n from 1; multiple 0: [1, channels, 1, 1].

    m and n are the same for all inputs of a piece.
    """

    channels: int
    multiple: int


@dataclass(frozen=True)
class PieceSource:
    """A piece as torch has it: the module, and names for its positional inputs and its outputs.

    network: the state dict whose keys are the module's own, None for a module without parameters.
    """

    network: str | None
    module: Callable[[], nn.Module]
    inputs: dict[str, Input]
    outputs: tuple[str, ...]


HALF = Input(3, 32)
FLOW = Input(2, 32)
QUARTER, EIGHTH = Input(128, 8), Input(128, 4)
NUMBER = Input(1, 0)
PLANES = 3 + FEATURES


def _pair(name: str, channels: int, scale: float) -> dict[str, Input]:
    """A tensor of either picture and the time, in a size that RIFE can halve often enough at this scale."""
    both = Input(channels, int(32 / scale))
    return {f"{name}_0": both, f"{name}_1": both, "t": NUMBER}


def _fuse48(scale: float) -> nn.Module:
    return Fuse(Rife48(scale))


_GMFSS = {
    "feature": PieceSource("feature", FeatureNet, {"image": Input(3, 64)}, ("f1", "f2", "f3")),
    "backbone": PieceSource("flow", lambda: Backbone(GMFlow()), {"half": HALF}, ("b4", "b8")),
    "flow": PieceSource(
        "flow",
        lambda: Flow(GMFlow()),
        {"b4_0": QUARTER, "b8_0": EIGHTH, "b4_1": QUARTER, "b8_1": EIGHTH},
        ("flow01", "flow10"),
    ),
    "metric": PieceSource(
        "metric", MetricNet, {"half_0": HALF, "half_1": HALF, "flow01": FLOW, "flow10": FLOW}, ("z0", "z1")
    ),
    "splat": PieceSource(
        None,
        Splat,
        {
            "half": HALF,
            "f1": Input(64, 32),
            "f2": Input(128, 16),
            "f3": Input(192, 8),
            "flow": FLOW,
            "z": Input(1, 32),
            "t": NUMBER,
        },
        ("x", "x1", "x2", "x3"),
    ),
    "ifnet": PieceSource("ifnet", IFNet, {"half_0": HALF, "half_1": HALF, "t": NUMBER}, ("merged",)),
    "grid": PieceSource(
        "grid",
        GridNet,
        {"x": Input(9, 32), "x1": Input(128, 32), "x2": Input(256, 16), "x3": Input(384, 8)},
        ("image",),
    ),
}
_RIFE = {
    f"ifnet_{scale:g}": PieceSource("ifnet", partial(IFNet, scale), _pair("image", 3, scale), ("image",))
    for scale in SCALES
    if scale != 1
}
_RIFE48 = {"rife48_encode": PieceSource("rife48", lambda: Encode(Rife48()), {"image": Input(3, 2)}, ("planes",))} | {
    f"rife48_fuse_{scale:g}": PieceSource("rife48", partial(_fuse48, scale), _pair("planes", PLANES, scale), ("image",))
    for scale in SCALES
}
PIECES = _GMFSS | _RIFE | _RIFE48
