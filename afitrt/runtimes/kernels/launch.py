"""A kernel launch as a value: which kernel, how many threads, and the bytes of its one argument."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

THREADS = 256
Precision = Literal["fp16", "fp32"]
# How the sources name the two types of values.
VALUES: dict[Precision, str] = {"fp16": "half", "fp32": "float"}


@dataclass(frozen=True)
class Launch:
    """One kernel launch. grid: blocks along x, y, z; every block has THREADS threads along x.

    argument: one element of a structured array that repeats the source's structure, field by field.
    """

    kernel: str
    grid: tuple[int, int, int]
    argument: npt.NDArray[np.void]


def blocks(threads: int) -> int:
    """Blocks that hold so many threads."""
    return -(-threads // THREADS)
