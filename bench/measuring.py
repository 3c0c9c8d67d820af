"""What the measuring scripts share: likeness of pictures, the machine's facts, tables in pages."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime


def psnr(found: npt.NDArray[Any], exact: npt.NDArray[Any]) -> float:
    """Peak signal-to-noise ratio of two float pictures in 0..1, in dB."""
    error = float(np.mean((found.astype(np.float64) - exact) ** 2))
    return float(-10 * np.log10(error)) if error else float("inf")


def hardware(**versions: str) -> dict[str, Any]:
    """What figures were measured on, and with which versions."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    facts = {"cpu": cpu, "cores": len(os.sched_getaffinity(0)), "python": platform.python_version()}
    return {**facts, "onnxruntime": onnxruntime.__version__, **versions}


def put_table(page: Path, command: str, table: str) -> None:
    """Replaces the table that `command` made in a page: what stands between its two comments."""
    begin, end = f"<!-- table: {command} -->", "<!-- end of the table -->"
    before, rest = page.read_text(encoding="utf-8").split(begin)
    page.write_text(f"{before}{begin}\n{table}\n{end}{rest.split(end, 1)[1]}", encoding="utf-8")
