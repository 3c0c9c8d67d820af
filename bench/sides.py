"""The published networks as interpolators: the seed's way, and with what it could keep kept. Needs torch."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from oracle import Published

from afitrt.frames import Pixels
from afitrt.models.protocol import StageClock


class SeedsWay:
    """The published network as AFI-ForwardDeduplicate calls it: everything anew in every pair, nothing kept.

    Between two pictures the flows of both directions, their metrics and both pictures' features are computed, once
    for all times asked. A picture is a tensor [1, 3, H, W], padded (replicate) to the network's multiple.
    """

    def __init__(self, scale: float, size: tuple[int, int]) -> None:
        self.clock = StageClock()
        self._net = Published(scale)
        self._size = size
        self._multiple = max(64, round(64 / scale))

    def upload(self, frame: Pixels) -> torch.Tensor:
        """A frame [height, width, 3] as a padded tensor."""
        picture = torch.from_numpy(frame.transpose(2, 0, 1).astype(np.float32) / np.iinfo(frame.dtype).max)[None]
        width, height = self._size
        return torch.nn.functional.pad(picture, (0, -width % self._multiple, 0, -height % self._multiple), "replicate")

    def between(self, left: torch.Tensor, right: torch.Tensor, times: Sequence[Fraction]) -> list[torch.Tensor]:
        """One picture a time."""
        with self.clock.timed("reuse"):
            reused = self._reuse(left, right)
        pictures = []
        for t in times:
            with self.clock.timed("inference"):
                pictures.append(self._net.inference(left, right, reused, float(t)))
        return pictures

    def _reuse(self, left: torch.Tensor, right: torch.Tensor) -> tuple[Any, ...]:
        return self._net.reuse(left, right)

    def download(self, picture: torch.Tensor) -> Pixels:
        """The picture cropped: float32 [height, width, 3], 0..1."""
        width, height = self._size
        return np.ascontiguousarray(picture[0, :, :height, :width].numpy().transpose(1, 2, 0))

    def release(self, picture: torch.Tensor) -> None:
        """See Interpolator: tensors are counted by Python."""

    def close(self) -> None:
        """See Interpolator."""


class SeedWithCache(SeedsWay):
    """The same with its feature pyramids kept: each picture's are extracted once, whatever pairs it is part of."""

    def __init__(self, scale: float, size: tuple[int, int]) -> None:
        super().__init__(scale, size)
        self._kept: dict[int, Any] = {}
        self._extract = self._net.feature.forward
        self._net.feature.forward = self._features

    def _features(self, image: torch.Tensor) -> Any:
        if image.data_ptr() not in self._kept:
            self._kept[image.data_ptr()] = self._extract(image)
        return self._kept[image.data_ptr()]

    def release(self, picture: torch.Tensor) -> None:
        """Forgets the picture's features."""
        self._kept.pop(picture.data_ptr(), None)


class SeedsRife(SeedsWay):
    """IFNet alone, on whole pictures: nothing in it could be kept between pairs."""

    def between(self, left: torch.Tensor, right: torch.Tensor, times: Sequence[Fraction]) -> list[torch.Tensor]:
        """One picture a time."""
        pictures = []
        for t in times:
            with self.clock.timed("inference"), torch.inference_mode():
                pictures.append(self._net.ifnet(left, right, torch.full((1, 1, 1, 1), float(t))))
        return pictures


def best_threads(side: SeedsWay, pair: Sequence[Pixels]) -> int:
    """Of 1, 2 and torch's own number of threads the one at which it does a pair fastest; it is set."""
    left, right = map(side.upload, pair)
    seconds = {}
    for threads in dict.fromkeys((1, 2, torch.get_num_threads())):
        torch.set_num_threads(threads)
        seconds[threads] = min(_seconds(lambda: side.between(left, right, [Fraction(1, 2)])) for _ in range(2))
    for picture in (left, right):
        side.release(picture)
    best = min(seconds, key=lambda threads: seconds[threads])
    torch.set_num_threads(best)
    return best


def sgemm_rate(threads: int, size: int = 2048) -> float:
    """FLOP a second of one large float32 matrix product, the best of ten: what the machine could do at most."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    left, right = torch.rand(size, size), torch.rand(size, size)
    quickest = min(_seconds(lambda: left @ right) for _ in range(10))
    torch.set_num_threads(before)
    return 2 * size**3 / quickest


def _seconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
