"""Which pictures must exist, and when they are shown: exact arithmetic, nothing else."""

from afitrt.schedule.nodes import End, Frame, Mix, Node, Output, Source, Start, Step
from afitrt.schedule.planning import plan, resolve_n_forward
from afitrt.schedule.ranges import Film, Range, outputs_before, select
from afitrt.schedule.summary import Summary, correction_cost, listing, summarise

__all__ = [
    "End",
    "Film",
    "Frame",
    "Mix",
    "Node",
    "Output",
    "Range",
    "Source",
    "Start",
    "Step",
    "Summary",
    "correction_cost",
    "listing",
    "outputs_before",
    "plan",
    "resolve_n_forward",
    "select",
    "summarise",
]
