"""The weighted mean of two pictures: exact, quick, and blind to motion. For dry runs and tests."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from afitrt.buffers import pictures
from afitrt.frames import Geometry, Pixels, from_planar, to_planar
from afitrt.models.manifest import Manifest, Request
from afitrt.models.protocol import Interpolator, Memory, StageClock

Mean = npt.NDArray[np.float32]


class Blend:
    """Pictures are float32 [1, 3, height, width], RGB, 0..1, not padded."""

    def __init__(self, request: Request) -> None:
        self._geometry = Geometry(request.width, request.height)
        self._dtype = np.dtype(request.dtype)
        self.clock = StageClock()

    def upload(self, frame: Pixels) -> Mean:
        """See Interpolator."""
        return to_planar(frame, self._geometry)

    def between(self, left: Mean, right: Mean, times: Sequence[Fraction]) -> list[Mean]:
        """See Interpolator."""
        with self.clock.timed("match"):
            difference = np.subtract(right, left, out=_like(left))
        made = []
        for t in times:
            with self.clock.timed("fuse"):
                picture = np.multiply(difference, np.float32(t), out=_like(left))
                picture += left
                made.append(picture)
        return made

    def download(self, picture: Mean) -> Pixels:
        """See Interpolator."""
        return from_planar(picture, self._geometry.width, self._geometry.height, self._dtype)

    def release(self, picture: Mean) -> None:
        """Memory is the garbage collector's."""

    def close(self) -> None:
        """Nothing is held."""


class CodeBlend:
    """The same for planar frames: pictures are codes, as they came or, once mixed, as float32."""

    def __init__(self, dtype: npt.DTypeLike) -> None:
        self._dtype = np.dtype(dtype)
        self.clock = StageClock()

    def upload(self, frame: Pixels) -> Pixels:
        """See Interpolator."""
        return frame

    def between(self, left: Pixels, right: Pixels, times: Sequence[Fraction]) -> list[Mean]:
        """See Interpolator."""
        import cv2

        made = []
        for t in times:
            with self.clock.timed("fuse"):
                mixed: Mean = pictures.empty(left.shape, np.float32)
                kind = np.result_type(left, right)
                before, after = (each.reshape(1, -1).astype(kind, copy=False) for each in (left, right))
                cv2.addWeighted(before, float(1 - t), after, float(t), 0, mixed.reshape(1, -1), cv2.CV_32F)
                made.append(mixed)
        return made

    def download(self, picture: Pixels) -> Pixels:
        """See Interpolator."""
        codes: Pixels = pictures.empty(picture.shape, self._dtype)
        # A mean of codes lies between them, so nothing needs clipping.
        codes[:] = np.rint(picture) if picture.dtype == np.float32 else picture
        return codes

    def release(self, picture: Pixels) -> None:
        """Memory is the garbage collector's."""

    def close(self) -> None:
        """Nothing is held."""


def _made(request: Request) -> Interpolator:
    return CodeBlend(request.yuv.layout.dtype) if request.yuv else Blend(request)


def _like(picture: Mean) -> Mean:
    return pictures.empty(picture.shape, np.float32)


def _memory(geometry: Geometry) -> Memory:
    """Bytes of one float32 picture; there are no stages."""
    return Memory(stages=0, picture=3 * geometry.width * geometry.height * 4)


BLEND = Manifest(
    name="blend",
    about="weighted mean, blind to motion: for dry runs and tests",
    multiple=lambda _: 1,
    memory=_memory,
    make=_made,
)
