"""Segments on many machines, by engines that exist: a template for render managers, paths that differ, Ray."""

from __future__ import annotations

from afitrt.farm.mapping import PathMap
from afitrt.farm.template import Film, template, text, wanted

__all__ = ["Film", "PathMap", "template", "text", "wanted"]
