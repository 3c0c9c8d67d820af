"""GMFSS union: encode each picture once, match each pair once, splat and fuse once for each time.

Network: GMFSS_Fortuna's union variant, by the AFI-ForwardDeduplicate and vsgmfss_fortuna repositories.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from afitrt.frames import Geometry, Pixels, from_planar, padded, to_planar
from afitrt.models.protocol import Memory, StageClock
from afitrt.runtimes.protocol import Runtime, Tensor

STAGES = ("encode", "match", "splat", "fuse")


def multiple(scale: float) -> int:
    """Padded sides are whole multiples of this many pixels, so that windows and pyramids divide evenly."""
    return int(max(64, 64 / scale))


def geometry(width: int, height: int, scale: float) -> Geometry:
    """Padded geometry of a picture."""
    return padded(width, height, multiple(scale), scale)


@dataclass
class Encoded:
    """A padded picture on the device; features are empty until it first takes part in a pair."""

    image: Tensor
    features: dict[str, Tensor] = field(default_factory=dict)


class Gmfss:
    """See Interpolator. Pictures are padded to the model's multiple; only outputs are cropped and rounded."""

    def __init__(self, runtime: Runtime, width: int, height: int, scale: float, dtype: npt.DTypeLike) -> None:
        self._runtime = runtime
        self._width, self._height = width, height
        self._dtype = np.dtype(dtype)
        self._geometry = geometry(width, height, scale)
        self._stages = {name: runtime.stage(name, self._geometry) for name in STAGES}
        self.clock = StageClock()

    def upload(self, frame: Pixels) -> Encoded:
        """See Interpolator."""
        return Encoded(self._runtime.to_device(to_planar(frame, self._geometry)))

    def between(self, left: Encoded, right: Encoded, times: Sequence[Fraction]) -> list[Encoded]:
        """See Interpolator."""
        pair = {
            f"{name}_{side}": tensor
            for side, picture in enumerate((left, right))
            for name, tensor in self._encoded(picture).items()
        }
        motion = self._run("match", pair)
        pictures = [self._at(t, pair | motion) for t in times]
        self._free(motion)
        return pictures

    def download(self, picture: Encoded) -> Pixels:
        """See Interpolator."""
        planar = self._runtime.to_host(picture.image)
        return from_planar(planar, self._width, self._height, self._dtype)

    def release(self, picture: Encoded) -> None:
        """See Interpolator."""
        self._runtime.release(picture.image)
        self._free(picture.features)
        picture.features = {}

    def close(self) -> None:
        """See Interpolator."""
        self._stages.clear()
        self._runtime.close()

    def _encoded(self, picture: Encoded) -> dict[str, Tensor]:
        if not picture.features:
            picture.features = self._run("encode", {"image": picture.image})
        return picture.features

    def _at(self, t: Fraction, known: dict[str, Tensor]) -> Encoded:
        at = self._runtime.to_device(np.full((1, 1, 1, 1), float(t), np.float32))
        warped = self._run("splat", known | {"t": at})
        fused = self._run("fuse", known | warped | {"t": at})
        self._free(warped | {"t": at})
        return Encoded(fused["image"])

    def _run(self, stage: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        run = self._stages[stage]
        with self.clock.timed(stage):
            return run(**{name: tensors[name] for name in run.inputs})

    def _free(self, tensors: dict[str, Tensor]) -> None:
        for tensor in tensors.values():
            self._runtime.release(tensor)


def memory(geometry: Geometry) -> Memory:
    """Bytes on ONNX Runtime in float32, an upper bound fitted to measured peaks (up to 1920x1088, scale 1.0).

    Stages take turns, so the larger of two counts: fuse grows with the pixels, match also with the square of its
    positions at 1/16 size, since global attention compares each with each. A picture keeps 133 bytes a pixel.
    """
    pixels, scaled = geometry.width * geometry.height, geometry.scale**2
    scores = 4 * (pixels * scaled / 256) ** 2
    match = 600 * pixels * max(1, scaled) + 4 * scores
    return Memory(stages=int((250 << 20) + max(1300 * pixels, match)), picture=int(pixels * (123 + 10 * scaled)))


def small(geometry: Geometry) -> bool:
    """Are the flow network's attention windows under 5 positions wide or high?

    It was not trained for such windows: even two equal pictures then get flows of more than a pixel.
    """
    return min(geometry.width, geometry.height) * geometry.scale < 320
