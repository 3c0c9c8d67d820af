"""RIFE: no matching and no splatting; one network reads both pictures and the time, so pairs share little.

rife is IFNet of RIFE 4.6 on whole pictures, with the weights that GMFSS union uses on half ones. rife48 is RIFE 4.8,
which reads four learned features beside every picture; its weights are imported. Papers and code: arXiv 2011.06294,
hzwer/Practical-RIFE.
"""

from __future__ import annotations

from afitrt.frames import Geometry
from afitrt.models.manifest import StagedManifest
from afitrt.models.protocol import Memory


def _multiple(scale: float) -> int:
    return int(max(32, 32 / scale))


def _memory(geometry: Geometry) -> Memory:
    """Fitted to measured peaks (1920x1088 at scale 1, 1280x768 at all): most goes to the finest block."""
    pixels = geometry.width * geometry.height
    return Memory(stages=int((60 << 20) + pixels * (170 + 240 * geometry.scale**2)), picture=12 * pixels)


def _memory48(geometry: Geometry) -> Memory:
    """Fitted likewise. A picture keeps seven planes beside its own three."""
    pixels = geometry.width * geometry.height
    return Memory(stages=int((60 << 20) + pixels * (240 + 460 * geometry.scale**2)), picture=40 * pixels)


RIFE = StagedManifest(
    name="rife",
    about="IFNet of RIFE 4.6 on whole pictures: several times faster, for previews",
    multiple=_multiple,
    memory=_memory,
    of_time=("fuse",),
)
RIFE48 = StagedManifest(
    name="rife48",
    about="RIFE 4.8; its weights are imported",
    multiple=_multiple,
    memory=_memory48,
    of_picture=("encode",),
    of_time=("fuse",),
    published=False,
)
