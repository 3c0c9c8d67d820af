"""TensorRT and TensorRT for RTX: engines built on any machine, and run on the GPU without leaving it."""

from afitrt.runtimes.tensorrt.engines import KERNEL_STAGES, ensure_engine, identity
from afitrt.runtimes.tensorrt.flavours import FLAVOURS, Flavour, check_target, installed

__all__ = ["FLAVOURS", "KERNEL_STAGES", "Flavour", "check_target", "ensure_engine", "identity", "installed"]
