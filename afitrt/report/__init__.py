"""A run as a page: what went in and out, where scenes were cut, where time went; and the same as JSON.

watcher, heard = Watcher(), Heard()                   while a run works: every frame, every event
facts = gather(job, heard, watcher.watched(), None)   plain JSON values
page(facts, watcher.watched())                        HTML in one file, that needs no network
"""

from __future__ import annotations

from afitrt.report.facts import Heard, gather
from afitrt.report.page import page
from afitrt.report.timeline import timeline
from afitrt.report.watching import Sides, Watched, Watcher

__all__ = ["Heard", "Sides", "Watched", "Watcher", "gather", "page", "timeline"]
