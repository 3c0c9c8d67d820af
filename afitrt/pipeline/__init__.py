"""Joins the rooms: one thread reads and finds scenes, the caller's thread renders, a third one encodes."""

from __future__ import annotations

from afitrt.pipeline.run import interpolate

__all__ = ["interpolate"]
