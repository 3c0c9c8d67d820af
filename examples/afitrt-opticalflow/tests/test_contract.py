"""The contract that afitrt holds its own models to."""

from afitrt.testing import InterpolatorContract


class TestOpticalFlow(InterpolatorContract):
    model = "opticalflow"
