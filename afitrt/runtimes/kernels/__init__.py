"""Our own CUDA kernels: their sources, how they are launched, and how they are compiled without a GPU.

Nothing here needs a driver. Splat and Conversion turn sizes and addresses into launches; `cubin` turns the sources
into programs, kept as artefacts. The CUDA room carries both to a device; tests carry the launches to the CPU.
"""

from afitrt.runtimes.kernels.compile import PROGRAMS, TARGETS, cubin, nvrtc_version
from afitrt.runtimes.kernels.launch import THREADS, Launch, Precision
from afitrt.runtimes.kernels.picture import Conversion, RgbLayout
from afitrt.runtimes.kernels.splat import Splat

__all__ = [
    "PROGRAMS",
    "TARGETS",
    "THREADS",
    "Conversion",
    "Launch",
    "Precision",
    "RgbLayout",
    "Splat",
    "cubin",
    "nvrtc_version",
]
