"""CUDA graphs: work that a stream took down instead of running it, started again and again by one call.

pycuda has no calls for them. Names and types are those of cuda.h of CUDA 13; they have been the same since CUDA 11.4.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from afitrt.errors import AfitrtError
from afitrt.runtimes.cuda import driver as border
from afitrt.runtimes.cuda.device import Device, Stream
from afitrt.runtimes.cuda.driver import Closing, calling

# Other threads may allocate meanwhile; whatever this one does that cannot be part of a graph ends the capture.
_THREAD_LOCAL = 1
_HANDLE, _OUT = ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p)
_ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "cuStreamBeginCapture_v2": (_HANDLE, ctypes.c_int),
    "cuStreamEndCapture": (_HANDLE, _OUT),
    "cuGraphInstantiateWithFlags": (_OUT, _HANDLE, ctypes.c_ulonglong),
    "cuGraphLaunch": (_HANDLE, _HANDLE),
    "cuGraphExecDestroy": (_HANDLE,),
    "cuGraphDestroy": (_HANDLE,),
    "cuGetErrorString": (ctypes.c_int, ctypes.POINTER(ctypes.c_char_p)),
}


def _function(name: str) -> Any:
    function = getattr(border.library(), name)
    function.argtypes, function.restype = _ARGUMENTS[name], ctypes.c_int
    return function


def _call(pycuda: Any, name: str, *arguments: Any) -> None:
    """Calls the driver; a failure is raised as pycuda raises its own."""
    if status := _function(name)(*arguments):
        words = ctypes.c_char_p()
        _function("cuGetErrorString")(status, ctypes.byref(words))
        raise pycuda.LogicError(f"{name} failed: {(words.value or b'error %d' % status).decode()}")


class Graph(Closing):
    """What `queue` queues on a stream, taken down and not run.

    It works on the addresses that it was given then. Raises what `queue` raises, and RenderError where something
    cannot be part of a graph; the stream works on as before.
    """

    def __init__(self, device: Device, stream: Stream, queue: Callable[[], object]) -> None:
        self._device = device
        self._handle: ctypes.c_void_p | None = None
        with calling(f"capturing a graph on {device}") as pycuda:
            _call(pycuda, "cuStreamBeginCapture_v2", stream.handle, _THREAD_LOCAL)
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
                _call(pycuda, "cuGraphInstantiateWithFlags", ctypes.byref(handle), captured, 0)
            self._handle = handle
        finally:
            self._destroy(captured)
        device.counters.graphs += 1
        device.counters.captures += 1

    def launch(self, stream: Stream) -> None:
        """Queues all of it on a stream."""
        with calling(f"starting a graph on {self._device}") as pycuda:
            _call(pycuda, "cuGraphLaunch", self._handle, stream.handle)

    def close(self) -> None:
        """Drops the graph; work of it that is under way is finished by the driver."""
        if self._handle is not None:
            handle, self._handle = self._handle, None
            self._device.counters.graphs -= 1
            with calling(f"dropping a graph on {self._device}") as pycuda:
                _call(pycuda, "cuGraphExecDestroy", handle)

    def _ended(self, stream: Stream) -> ctypes.c_void_p:
        captured = ctypes.c_void_p()
        with calling(f"capturing a graph on {self._device}") as pycuda:
            _call(pycuda, "cuStreamEndCapture", stream.handle, ctypes.byref(captured))
        return captured

    def _destroy(self, captured: ctypes.c_void_p) -> None:
        with calling(f"dropping a graph on {self._device}") as pycuda:
            _call(pycuda, "cuGraphDestroy", captured)
