"""Joins the rooms: one thread reads and finds scenes, the caller's thread renders, a third one encodes."""

from __future__ import annotations

from afitrt.pipeline.apart import Crew, Lines, Processes, interpolate_apart
from afitrt.pipeline.folders import reserved
from afitrt.pipeline.joining import join
from afitrt.pipeline.planning import plan
from afitrt.pipeline.preparing import survey
from afitrt.pipeline.rendering import Placing, Rendering, placed
from afitrt.pipeline.run import interpolate

__all__ = [
    "Crew",
    "Lines",
    "Placing",
    "Processes",
    "Rendering",
    "interpolate",
    "interpolate_apart",
    "join",
    "placed",
    "plan",
    "reserved",
    "survey",
]
