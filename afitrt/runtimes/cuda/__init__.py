"""The CUDA room: context, streams, events, graphs, planned memory and kernel launches, on pycuda."""

from afitrt.runtimes.cuda.device import Counters, Device, DeviceMemory, Event, PinnedMemory, Program, Stream
from afitrt.runtimes.cuda.driver import DeviceInfo, calling, devices, driver_version
from afitrt.runtimes.cuda.graphs import Graph
from afitrt.runtimes.cuda.memory import Arena, Block, PinnedBuffer, PinnedPool, planned_bytes

__all__ = [
    "Arena",
    "Block",
    "Counters",
    "Device",
    "DeviceInfo",
    "DeviceMemory",
    "Event",
    "Graph",
    "PinnedBuffer",
    "PinnedMemory",
    "PinnedPool",
    "Program",
    "Stream",
    "calling",
    "devices",
    "driver_version",
    "planned_bytes",
]
