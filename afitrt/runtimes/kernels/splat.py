"""Launches of splat.cu."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from afitrt.errors import UsageError
from afitrt.runtimes.kernels.launch import VALUES, Launch, Precision, blocks

LEVELS = 3
CHANNELS = (64, 128, 192)
CHUNK = 16

ARGUMENT = np.dtype(
    [
        ("half", "(2,)uintp"),
        ("features", "(3,2)uintp"),
        ("flow", "(2,)uintp"),
        ("z", "(2,)uintp"),
        ("t", "uintp"),
        ("pictures", "(2,)uintp"),
        ("out", "(3,)uintp"),
        ("heads", "uintp"),
        ("landings", "uintp"),
        ("height", "int32"),
        ("width", "int32"),
    ],
    align=True,
)


@dataclass(frozen=True)
class Splat:
    """The splat stage at one size: softmax splatting (Niklaus and Liu 2020) of a pair towards one time.

    width, height: pixels of the half-size picture, each a multiple of 4. precision: of the features, on both
    ends; pictures, flows, Z and t are float32. deterministic: sums in 64-bit fixed point, with the same bits on
    every run; otherwise in float32, in the order in which sources happened to arrive. Raises UsageError for
    sides that are not whole multiples of 4.
    """

    width: int
    height: int
    precision: Precision = "fp16"
    deterministic: bool = True

    def __post_init__(self) -> None:
        if self.width % 4 or self.height % 4 or min(self.width, self.height) < 4:
            raise UsageError(
                f"splatting {self.width}x{self.height}",
                "a half-size picture whose sides are multiples of 4",
                "pad the picture to the model's multiple",
            )

    @property
    def heads_bytes(self) -> int:
        """Bytes of the list heads; all must be set to 0xff before each pair of launches."""
        cells = sum(((self.height >> level) + 1) * ((self.width >> level) + 1) for level in range(LEVELS))
        return 2 * 4 * cells

    @property
    def landings_bytes(self) -> int:
        """Bytes of the list entries; they need no preparation."""
        return 2 * 16 * sum(self._planes)

    def launches(self, addresses: Mapping[str, int]) -> tuple[Launch, Launch]:
        """Linking and gathering, to be run in this order on one stream.

        addresses: device addresses of half_0, half_1, f1_0 .. f3_1, flow01, flow10, z0, z1, t (one float32), of
        x_a, x_b, x1, x2, x3, and of the work areas heads and landings. Shapes are the manifest's.
        """
        argument = self._argument(addresses)
        # The half picture is one more chunk of the first level.
        chunks = [channels // CHUNK + (level == 0) for level, channels in enumerate(CHANNELS)]
        gathering = sum(blocks(plane) * count for plane, count in zip(self._planes, chunks, strict=True))
        kernel = f"splat_gather_{'fixed' if self.deterministic else 'fast'}_{VALUES[self.precision]}"
        return (
            Launch("splat_link", (blocks(sum(self._planes)), 2, 1), argument),
            Launch(kernel, (gathering, 2, 1), argument),
        )

    @property
    def _planes(self) -> list[int]:
        return [(self.height >> level) * (self.width >> level) for level in range(LEVELS)]

    def _argument(self, at: Mapping[str, int]) -> npt.NDArray[np.void]:
        argument = np.zeros((), ARGUMENT)
        argument["half"] = at["half_0"], at["half_1"]
        argument["features"] = [[at[f"f{level}_{side}"] for side in (0, 1)] for level in (1, 2, 3)]
        argument["flow"] = at["flow01"], at["flow10"]
        argument["z"] = at["z0"], at["z1"]
        argument["pictures"] = at["x_a"], at["x_b"]
        argument["out"] = at["x1"], at["x2"], at["x3"]
        for name in ("t", "heads", "landings"):
            argument[name] = at[name]
        argument["height"], argument["width"] = self.height, self.width
        return argument
