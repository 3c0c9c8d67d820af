"""OpenCV's DIS optical flow as a model of afitrt: both pictures are warped towards the time and blended.

Method: Kroeger et al., Fast Optical Flow using Dense Inverse Search, ECCV 2016 (arXiv 1603.03590).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np

from afitrt.frames import Pixels, from_planar, to_planar
from afitrt.models import Manifest, Memory, Request, StageClock


@dataclass
class Picture:
    """colours: float32 [H, W, 3], RGB, 0..1. grey: uint8 [H, W], for matching."""

    colours: np.ndarray
    grey: np.ndarray


def picture(colours: np.ndarray) -> Picture:
    levels = np.rint(np.clip(colours, 0, 1) * 255).astype(np.uint8)
    return Picture(colours, cv2.cvtColor(levels, cv2.COLOR_RGB2GRAY))


class OpticalFlow:
    """See afitrt.models.Interpolator."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._geometry = MODEL.geometry(request.width, request.height, 1.0)
        self._matcher = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        rows, columns = np.indices((self._geometry.height, self._geometry.width), np.float32)
        self._places = np.dstack([columns, rows])
        self.clock = StageClock()

    def upload(self, frame: Pixels) -> Picture:
        return picture(np.ascontiguousarray(to_planar(frame, self._geometry)[0].transpose(1, 2, 0)))

    def between(self, left: Picture, right: Picture, times: Sequence[Fraction]) -> list[Picture]:
        with self.clock.timed("match"):
            forward, backward = self._flow(left, right), self._flow(right, left)
        made = []
        for t in map(float, times):
            with self.clock.timed("fuse"):
                early = self._warped(left.colours, -t * forward)
                late = self._warped(right.colours, -(1 - t) * backward)
                made.append(picture((1 - t) * early + t * late))
        return made

    def download(self, picture: Picture) -> Pixels:
        planar, asked = picture.colours.transpose(2, 0, 1)[None], self._request
        return from_planar(planar, asked.width, asked.height, asked.dtype)

    def release(self, picture: Picture) -> None:
        """Python frees it."""

    def close(self) -> None:
        """Nothing is held."""

    def _flow(self, start: Picture, end: Picture) -> np.ndarray:
        return self._matcher.calc(start.grey, end.grey, None)

    def _warped(self, colours: np.ndarray, shift: np.ndarray) -> np.ndarray:
        return cv2.remap(colours, self._places + shift, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


MODEL = Manifest(
    name="opticalflow",
    about="OpenCV's DIS optical flow, both pictures warped and blended",
    multiple=lambda scale: 16,
    memory=lambda size: Memory(stages=80 * size.width * size.height, picture=13 * size.width * size.height),
    make=OpticalFlow,
    scales=(1.0,),
)
