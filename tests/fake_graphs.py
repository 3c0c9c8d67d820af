"""What the fake driver is asked without pycuda: C functions, called through ctypes, by handles; mostly CUDA graphs.

What a stream is told while it is captured is taken down, not run; a launch queues it. What cannot be part of a graph
ends the capture, as the driver ends it: the call fails, and so does everything until the capture is ended.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from itertools import count
from types import SimpleNamespace
from typing import Any

UNSUPPORTED, INVALIDATED = 900, 901
WORDS = {
    1: b"invalid argument",
    2: b"out of memory",
    201: b"invalid device context",
    400: b"invalid resource handle",
    UNSUPPORTED: b"operation not permitted when stream is capturing",
    INVALIDATED: b"operation failed due to a previous error during capture",
    999: b"unknown error",
}
LOCAL = ("cuGetErrorString", "cuCtxPopCurrent_v2")
"""Calls that need no GPU."""
_HANDLE, _OUT = ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p)


class Capture:
    """What a stream has been told since its capture began."""

    def __init__(self) -> None:
        self.work: list[Callable[[], None]] = []
        self.whole = True


def library(fake: Any) -> SimpleNamespace:
    """The driver's C functions for graphs; handles of streams are those of the fake's streams."""
    graphs: dict[int, list[Callable[[], None]]] = {}
    numbers = count(0x6000_0000_0000, 64)
    words = {status: ctypes.c_char_p(text) for status, text in WORDS.items()}

    def stream_of(handle: int | None) -> Any:
        return next((stream for stream in fake.streams if stream.handle == handle), None)

    def pop(out: Any) -> int:
        if not fake.driver_contexts:
            return 201
        out[0] = fake.driver_contexts.pop()
        return 0

    def begin(handle: int | None, mode: int) -> int:
        stream = stream_of(handle)
        if stream is None or stream.capture is not None or mode not in (0, 1, 2):
            return 1
        stream.capture = Capture()
        return 0

    def end(handle: int | None, out: Any) -> int:
        stream = stream_of(handle)
        if stream is None or stream.capture is None:
            return 1
        capture, stream.capture = stream.capture, None
        out[0] = None
        if not capture.whole:
            return INVALIDATED
        out[0] = next(numbers)
        graphs[out[0]] = capture.work
        return 0

    def instantiate(out: Any, graph: int | None, flags: int) -> int:
        if graph not in graphs or flags:
            return 1
        out[0] = next(numbers)
        fake.graphs[out[0]] = list(graphs[graph])
        fake.graph_memory(out[0])
        return 0

    def launch(handle: int | None, stream_handle: int | None) -> int:
        stream = stream_of(stream_handle)
        if stream is None or handle not in fake.graphs:
            return 400
        if stream.capture is not None:
            stream.capture.whole = False
            return UNSUPPORTED
        work = fake.graphs[handle]

        def run() -> None:
            for each in work:
                each()

        stream.enqueue(run, nodes=len(work))
        return 0

    def drop(handle: int | None) -> int:
        fake.graph_memory(handle)
        return 0 if fake.graphs.pop(handle, None) is not None else 400

    def destroy(graph: int | None) -> int:
        return 0 if graphs.pop(graph, None) is not None else 1

    def explain(status: int, out: Any) -> int:
        out[0] = words.get(status)
        return 0 if status in words else 1

    functions: dict[str, tuple[Callable[..., int], tuple[Any, ...]]] = {
        "cuCtxPopCurrent_v2": (pop, (_OUT,)),
        "cuStreamBeginCapture_v2": (begin, (_HANDLE, ctypes.c_int)),
        "cuStreamEndCapture": (end, (_HANDLE, _OUT)),
        "cuGraphInstantiateWithFlags": (instantiate, (_OUT, _HANDLE, ctypes.c_ulonglong)),
        "cuGraphLaunch": (launch, (_HANDLE, _HANDLE)),
        "cuGraphExecDestroy": (drop, (_HANDLE,)),
        "cuGraphDestroy": (destroy, (_HANDLE,)),
        "cuGetErrorString": (explain, (ctypes.c_int, ctypes.POINTER(ctypes.c_char_p))),
    }

    def counted(name: str, function: Callable[..., int]) -> Callable[..., int]:
        def call(*arguments: Any) -> int:
            fake.calls[name] += 1
            if (status := fake.statuses.pop(name, 0)) or (fake.lost and name not in LOCAL):
                return status or 999
            return function(*arguments)

        return call

    # Kept alive by the namespace, which is kept by the fake.
    made = {
        name: ctypes.CFUNCTYPE(ctypes.c_int, *types)(counted(name, function))
        for name, (function, types) in functions.items()
    }
    return SimpleNamespace(**made, words=words, graphs=graphs)
