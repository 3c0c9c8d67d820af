"""How the golden pictures of RIFE 4.8 were made: golden/rife48.md as code, in NumPy alone."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

GOLDEN = Path(__file__).parent / "golden"
SHAPES = {name: tuple(shape) for name, shape in json.loads((GOLDEN / "rife48.json").read_text()).items()}
CASES = [
    (96, 64, Fraction(1, 2), 1.0),
    (32, 96, Fraction(1, 3), 1.0),
    (64, 32, Fraction(3, 10), 2.0),
    (128, 64, Fraction(1, 4), 0.5),
    (128, 128, Fraction(4, 5), 0.25),
]
"""Width, height, time and flow scale."""
TOLERANCE = 1e-4


def weights() -> dict[str, Floats]:
    """124 random tensors by their published names, without the prefix `module.`."""
    rng = np.random.default_rng(48)
    state = {}
    for name in sorted(SHAPES):
        values = rng.standard_normal(SHAPES[name])
        if name.endswith("beta"):
            values = 1 + values / 4
        elif name.endswith("bias"):
            values = values / 10
        else:
            values = values / 2 / math.sqrt(math.prod(SHAPES[name][1:]))
        state[name] = values.astype(np.float32)
    return state


def pictures(width: int, height: int) -> tuple[Floats, Floats]:
    """The earlier and the later picture [1, 3, height, width], 0..1."""
    both = np.random.default_rng([height, width]).random((1, 6, height, width), dtype=np.float32)
    return both[:, :3], both[:, 3:]


def golden(width: int, height: int) -> Floats:
    """The published picture [1, 3, height, width] between them."""
    with np.load(GOLDEN / "rife48.npz") as arrays:
        return arrays[f"{width}x{height}"]
