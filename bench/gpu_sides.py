"""The published network on the GPU as the scripts run it: torch in half, cupy's splatting, each direction apart.

Needs torch with CUDA and cupy, and the wheel that tests/oracle.py unpacks into .cache.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Sequence
from fractions import Fraction
from types import ModuleType
from typing import Any

import cupy
import numpy as np
import oracle
import torch
from sides import SeedsWay

from afitrt.frames import Pixels

NETWORK = f"{oracle.STAND_IN}.GMFSS"


def _published_splatting() -> ModuleType:
    """softsplat.py of the wheel, with the name that cupy has dropped since, and no toolkit to find headers in."""
    os.environ.setdefault("CUDA_HOME", "/usr")
    if not hasattr(cupy.cuda, "compile_with_cache"):
        # Its kernels include nothing, so the folders that it passes on are of no use.
        cupy.cuda.compile_with_cache = lambda code, _options: cupy.RawModule(code=code)
    path = oracle.install() / "softsplat.py"
    specification = importlib.util.spec_from_file_location("published_softsplat", path)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


class SeedsWayOnGpu(SeedsWay):
    """See SeedsWay. Pictures go up and come down at every use, as in AFI-ForwardDeduplicate."""

    def __init__(self, scale: float, size: tuple[int, int], device: int) -> None:
        super().__init__(scale, size)
        self._device = torch.device("cuda", device)
        self._net.net.to(self._device).half()
        sys.modules[NETWORK].warp = _published_splatting().softsplat

    def between(self, left: torch.Tensor, right: torch.Tensor, times: Sequence[Fraction]) -> list[torch.Tensor]:
        """One picture a time; all of it is done when it returns."""
        pair = [picture.to(self._device).half() for picture in (left, right)]
        with torch.inference_mode(), self.clock.timed("reuse"):
            reused = self._net.net.reuse(*pair)
            torch.cuda.synchronize(self._device)
        with self.clock.timed("inference"):
            return [self._at(pair, reused, float(t)) for t in times]

    @torch.inference_mode()
    def _at(self, pair: list[torch.Tensor], reused: tuple[Any, ...], t: float) -> torch.Tensor:
        net = self._net.net
        net.reuse = lambda *_: reused
        try:
            time = torch.full((1, 1, 1, 1), t, device=self._device, dtype=torch.float16)
            return net(*pair, time).float().cpu()
        finally:
            del net.reuse

    def download(self, picture: torch.Tensor) -> Pixels:
        """The picture cropped and rounded: uint8 [height, width, 3]."""
        return np.rint(255 * super().download(picture)).astype(np.uint8)
