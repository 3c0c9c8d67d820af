"""A film as ranges of outputs that are made apart and joined: resuming, several processes, farms.

plan = read(path)                                  the job file, see Plan
store = Store(folder, plan.recipe.digest)          finished segments, each with a sidecar
with PieceWriter(store, 3, first, open) as piece:  one of them, written aside
join(store, ranges, task, out, hint)               all of them into a file
"""

from __future__ import annotations

from afitrt.segments.cutting import Cutter, cut
from afitrt.segments.identity import check, check_source, device_name, fingerprint, index_source, recipe
from afitrt.segments.job import Plan, Recipe, Segment, Times, read, write
from afitrt.segments.joining import contiguous, join, missing, numbers_text, put_together
from afitrt.segments.store import FrameHash, PieceWriter, Sidecar, Store, checksum

__all__ = [
    "Cutter",
    "FrameHash",
    "PieceWriter",
    "Plan",
    "Recipe",
    "Segment",
    "Sidecar",
    "Store",
    "Times",
    "check",
    "check_source",
    "checksum",
    "contiguous",
    "cut",
    "device_name",
    "fingerprint",
    "index_source",
    "join",
    "missing",
    "numbers_text",
    "put_together",
    "read",
    "recipe",
    "write",
]
