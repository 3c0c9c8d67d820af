"""RIFE: no matching and no splatting; one network reads both pictures and the time, so pairs share little.

rife is IFNet of RIFE 4.6 on whole pictures, with the weights that GMFSS union uses on half ones. rife48 is RIFE 4.8,
which reads four learned features beside every picture; its weights are imported. Papers and code: arXiv 2011.06294,
hzwer/Practical-RIFE.
"""

from __future__ import annotations

from afitrt.frames import Geometry
from afitrt.models.protocol import Memory
from afitrt.models.staged import Manifest


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


RIFE = Manifest("rife", (), (), ("fuse",), _multiple, _memory)
RIFE48 = Manifest("rife48", ("encode",), (), ("fuse",), _multiple, _memory48, published=False)
