"""GMFlow: optical flow between two pictures, both ways, in two parts (see `gmflow`)."""

from .gmflow import Backbone, Flow, GMFlow

__all__ = ["Backbone", "Flow", "GMFlow"]
