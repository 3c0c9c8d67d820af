"""ncnn: 3x3 convolutions by Winograd's algorithm on the CPU, for the parts of a graph where they are most of the work.

It stands inside ONNX Runtime's stages: `regions` says which nodes go where, `net` runs those that are ncnn's. Where the
package is missing everything stays with ONNX Runtime, so only `net` imports it.
"""

import os

from afitrt.runtimes.ncnn.finding import version

__all__ = ["version"]

# Read when ncnn loads OpenMP: its threads would wait for more work on the cores that ONNX Runtime needs by then.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
