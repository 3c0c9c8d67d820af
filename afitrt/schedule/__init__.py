"""Which pictures must exist, and when they are shown: exact arithmetic, nothing else."""

from afitrt.schedule.nodes import End, Frame, Mix, Node, Output, Source, Step
from afitrt.schedule.planning import plan, resolve_n_forward
from afitrt.schedule.summary import Summary, correction_cost, listing, summarise

__all__ = [
    "End",
    "Frame",
    "Mix",
    "Node",
    "Output",
    "Source",
    "Step",
    "Summary",
    "correction_cost",
    "listing",
    "plan",
    "resolve_n_forward",
    "summarise",
]
