"""CUDA graphs: work that a stream took down instead of running it, started again and again by one call.

pycuda has no calls for them, so the driver's own are called.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from contextlib import suppress

from afitrt.errors import AfitrtError
from afitrt.runtimes.cuda.device import Device, Stream
from afitrt.runtimes.cuda.driver import Closing, call, calling

# Other threads may allocate meanwhile; whatever this one does that cannot be part of a graph ends the capture.
_THREAD_LOCAL = 1


class Graph(Closing):
    """What `queue` queues on a stream, taken down and not run.

    It works on the addresses that it was given then. Raises what `queue` raises, and RenderError where something
    cannot be part of a graph; the stream works on as before.
    """

    def __init__(self, device: Device, stream: Stream, queue: Callable[[], object]) -> None:
        self._device = device
        self._handle: ctypes.c_void_p | None = None
        with calling(f"capturing a graph on {device}") as pycuda:
            call(pycuda, "cuStreamBeginCapture_v2", stream.handle, _THREAD_LOCAL)
        try:
            queue()
        except BaseException:
            # The stream must leave its capture; what went wrong inside tells more than what this says.
            with suppress(AfitrtError):
                self._destroy(self._ended(stream))
            raise
        captured = self._ended(stream)
        try:
            handle = ctypes.c_void_p()
            with calling(f"making a graph on {device}") as pycuda:
                call(pycuda, "cuGraphInstantiateWithFlags", ctypes.byref(handle), captured, 0)
            self._handle = handle
        finally:
            self._destroy(captured)
        device.counters.graphs += 1
        device.counters.captures += 1

    def launch(self, stream: Stream) -> None:
        """Queues all of it on a stream."""
        with calling(f"starting a graph on {self._device}") as pycuda:
            call(pycuda, "cuGraphLaunch", self._handle, stream.handle)

    def close(self) -> None:
        """Drops the graph; work of it that is under way is finished by the driver."""
        if self._handle is not None:
            handle, self._handle = self._handle, None
            self._device.counters.graphs -= 1
            with calling(f"dropping a graph on {self._device}") as pycuda:
                call(pycuda, "cuGraphExecDestroy", handle)

    def _ended(self, stream: Stream) -> ctypes.c_void_p:
        captured = ctypes.c_void_p()
        with calling(f"capturing a graph on {self._device}") as pycuda:
            call(pycuda, "cuStreamEndCapture", stream.handle, ctypes.byref(captured))
        return captured

    def _destroy(self, captured: ctypes.c_void_p) -> None:
        with calling(f"dropping a graph on {self._device}") as pycuda:
            call(pycuda, "cuGraphDestroy", captured)
