"""A pycuda.driver that needs no GPU: device memory lies on the host, kernels run as C++, and misuse is an error.

It is as late as a device may be: work queued on a stream runs only when somebody waits for it, so a missing wait
shows as wrong data. Fresh memory, freed memory and the target of an unfinished download hold garbage. What a GPU
would answer with silent corruption raises Misuse: memory freed twice, used after, freed with work under way, or
left; copies to or from memory that is not pinned; the default stream. It takes what pycuda 2026.1 takes and no more:
its integers are Python's own, and freeing never raises but writes to standard error, for so its destructors do.
"""

from __future__ import annotations

import gc
import operator
import sys
import threading
import weakref
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest import mock

import fake_graphs
import host_kernels
import numpy as np

from afitrt.runtimes.cuda import driver as border
from afitrt.runtimes.kernels import THREADS, Launch, picture, splat

FRESH, FREED, UNFINISHED = 0xA5, 0xDD, 0xCC


UNCAPTURABLE = (
    *("cuMemAlloc", "cuMemFree", "cuMemHostAlloc", "cuMemFreeHost", "cuStreamSynchronize"),
    *("cuEventQuery", "cuEventSynchronize", "cuModuleLoadDataEx", "cuModuleGetFunction"),
)
"""Calls that end the capture of a stream."""


class Misuse(AssertionError):
    """The code under test did what a GPU would not forgive."""


class Error(Exception):
    """As in pycuda, the root of the driver's errors."""


class MemoryError(Error):
    """Out of memory."""


class LogicError(Error):
    """Most other errors."""


class ArgumentError(TypeError):
    """As Boost.Python's, for an argument that no signature takes."""


def integer(value: Any) -> int:
    """What Boost.Python takes for an integer; it takes none of numpy's."""
    if not isinstance(value, int):
        raise ArgumentError(f"{type(value).__name__} did not match C++ signature")
    return value


@dataclass(frozen=True)
class Gpu:
    """A card that the fake driver shows."""

    name: str = "Fake RTX"
    capability: tuple[int, int] = (8, 9)
    memory: int = 64 << 20


class Memory:
    """Bytes on the host, standing for device or pinned memory."""

    def __init__(self, nbytes: int) -> None:
        # Room to start at a multiple of 512, as the driver does.
        self._room = np.full(nbytes + 512, FRESH, np.uint8)
        start = -self._room.ctypes.data % 512
        self.array = self._room[start : start + nbytes]
        self.address = self.array.ctypes.data
        self.live = True

    def holds(self, address: int, nbytes: int) -> bool:
        return self.live and self.address <= address and address + nbytes <= self.address + self.array.nbytes

    def bury(self) -> None:
        if not self.live:
            raise Misuse("memory freed twice")
        self.array[:] = FREED
        self.live = False


class FakeCuda:
    """The driver's state. `calls` counts calls by the names of the driver's functions.

    statuses: what the next call of a C function for graphs answers. milliseconds: that the GPU spends on one call,
    queued by itself and in a graph. graph_bytes: device memory of a graph.
    """

    def __init__(self, *gpus: Gpu) -> None:
        self.gpus = gpus
        self.calls: Counter[str] = Counter()
        self.lost: str | None = None
        self.version = 13000
        self.device: list[Memory] = []
        self.pinned: list[Memory] = []
        self.streams: weakref.WeakSet[Any] = weakref.WeakSet()
        self.graphs: dict[int, list[Callable[[], None]]] = {}
        self.statuses: dict[str, int] = {}
        self.milliseconds = {"plain": 1.0, "graph": 0.5}
        self.clock = 0.0
        self.graph_bytes = 0
        self._graph_memory: dict[int, Callable[[], None]] = {}
        self._failures: dict[str, str] = {}
        self._threads = threading.local()
        self.module = _module(self)
        self.library = fake_graphs.library(self)

    def graph_memory(self, handle: int) -> None:
        """Takes a graph's memory, or gives it back."""
        if (give := self._graph_memory.pop(handle, None)) is not None:
            give()
        elif self.graph_bytes:
            self._graph_memory[handle] = self.library_memory(self.graph_bytes)

    def fail(self, function: str, words: str) -> None:
        """The next call of the driver's function fails with these words."""
        self._failures[function] = words

    def call(self, function: str, in_context: bool = True) -> None:
        """Every fake function starts here."""
        self.calls[function] += 1
        words = self._failures.pop(function, None) or self.lost
        if words is None and function in UNCAPTURABLE:
            words = self.spoilt()
        if words is None and in_context and not self.contexts:
            words = "invalid device context"
        if words is not None:
            raise (MemoryError if words == "out of memory" else LogicError)(f"{function} failed: {words}")

    def spoilt(self) -> str | None:
        """Ends the captures under way, for a call that cannot be part of one; the driver's words."""
        captures = [stream.capture for stream in self.streams if stream.capture is not None]
        for capture in captures:
            capture.whole = False
        return fake_graphs.WORDS[fake_graphs.UNSUPPORTED].decode() if captures else None

    @contextmanager
    def cleaning(self) -> Iterator[None]:
        """What fails inside is written, not raised, as pycuda's destructors do."""
        try:
            yield
        except Error as error:
            print(f"PyCUDA WARNING: a clean-up operation failed (dead context maybe?)\n{error}", file=sys.stderr)

    @property
    def contexts(self) -> list[Any]:
        """This thread's stack of contexts, as pycuda keeps it."""
        if not hasattr(self._threads, "stack"):
            self._threads.stack, self._threads.driver_stack = [], []
        return self._threads.stack

    @property
    def driver_contexts(self) -> list[int]:
        """Handles on the driver's own stack of this thread, on which pycuda keeps one context at most."""
        return self._threads.driver_stack if self.contexts is not None else []

    def library_memory(self, nbytes: int) -> Callable[[], None]:
        """Device memory that another library takes from the driver; what is returned gives it back."""
        taken = Memory(nbytes)
        self.device.append(taken)
        return lambda: setattr(taken, "live", False)

    def revive(self) -> None:
        """After a loss: a new process finds a GPU with nothing on it."""
        self.lost = None
        for memory in (*self.device, *self.pinned):
            memory.live = False
        self.streams.clear()
        self.graphs.clear()
        self.contexts.clear()
        self.driver_contexts.clear()

    def used(self) -> int:
        """Bytes of live device memory."""
        return sum(memory.array.nbytes for memory in self.device if memory.live)

    def bytes_at(self, address: int, nbytes: int) -> np.ndarray:
        """Live device memory as an array."""
        for memory in self.device:
            if memory.holds(address, nbytes):
                start = address - memory.address
                return memory.array[start : start + nbytes]
        raise Misuse(f"{nbytes} bytes at {address:#x} are not in live device memory")

    def pinned_bytes(self, array: np.ndarray) -> np.ndarray:
        """A contiguous array of live pinned memory as bytes."""
        if not array.flags.c_contiguous:
            raise Misuse("a copy needs a contiguous array")
        if not any(memory.holds(array.ctypes.data, array.nbytes) for memory in self.pinned):
            raise Misuse("an asynchronous copy needs pinned memory")
        return array.reshape(-1).view(np.uint8)

    def check_clean(self) -> None:
        """Raises Misuse when anything was left behind."""
        if self.streams:
            gc.collect()
        left = {
            "device memory": sum(memory.live for memory in self.device),
            "pinned memory": sum(memory.live for memory in self.pinned),
            "streams": len(self.streams),
            "contexts": len(self.contexts) + len(self.driver_contexts),
            "graphs": len(self.graphs) + len(self.library.graphs),
        }
        if any(left.values()):
            raise Misuse(f"left behind: {left}")


@contextmanager
def installed(fake: FakeCuda) -> Iterator[FakeCuda]:
    """Lets `import pycuda.driver` find the fake inside the with statement."""
    package = ModuleType("pycuda")
    package.driver = fake.module  # type: ignore[attr-defined]
    modules = {"pycuda": package, "pycuda.driver": fake.module}
    before = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(modules)  # type: ignore[arg-type]
    try:
        with mock.patch.object(border, "library", lambda: fake.library):
            yield fake
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


def _module(fake: FakeCuda) -> Any:
    return SimpleNamespace(
        Error=Error,
        MemoryError=MemoryError,
        LogicError=LogicError,
        event_flags=SimpleNamespace(DISABLE_TIMING=2, BLOCKING_SYNC=1),
        **_contexts(fake),
        **_memory(fake),
        **_streams(fake),
        **_programs(fake),
    )


def _contexts(fake: FakeCuda) -> dict[str, Any]:
    class Context:
        def push(self) -> None:
            fake.call("cuCtxPushCurrent", in_context=False)
            if fake.contexts:
                fake.driver_contexts.pop()
            fake.contexts.append(self)
            fake.driver_contexts.append(id(self))

        @staticmethod
        def pop() -> None:
            fake.call("cuCtxPopCurrent")
            fake.driver_contexts.pop()
            fake.contexts.pop()
            if fake.contexts:
                fake.driver_contexts.append(id(fake.contexts[-1]))

        @staticmethod
        def get_current() -> Context | None:
            return fake.contexts[-1] if fake.contexts else None

        def detach(self) -> None:
            if self not in fake.contexts:
                raise LogicError("context::detach failed: invalid device context - cannot detach from invalid context")
            # The driver's stack stays as it is, for a primary context is not popped by its release.
            fake.contexts.remove(self)
            with fake.cleaning():
                fake.call("cuDevicePrimaryCtxRelease", in_context=False)

    class Device:
        def __init__(self, ordinal: int) -> None:
            fake.call("cuDeviceGet", in_context=False)
            self._gpu = fake.gpus[integer(ordinal)]

        @staticmethod
        def count() -> int:
            return len(fake.gpus)

        def name(self) -> str:
            return self._gpu.name

        def compute_capability(self) -> tuple[int, int]:
            return self._gpu.capability

        def total_memory(self) -> int:
            return self._gpu.memory

        def retain_primary_context(self) -> Context:
            fake.call("cuDevicePrimaryCtxRetain", in_context=False)
            return Context()

    return {
        "Context": Context,
        "Device": Device,
        "init": lambda flags=0: fake.call("cuInit", in_context=False),
        "get_driver_version": lambda: fake.version,
    }


def _memory(fake: FakeCuda) -> dict[str, Any]:
    class DeviceAllocation:
        def __init__(self, nbytes: int) -> None:
            fake.call("cuMemAlloc")
            if integer(nbytes) < 1:
                raise LogicError("cuMemAlloc failed: invalid argument")
            if fake.used() + nbytes > fake.gpus[0].memory:
                raise MemoryError("cuMemAlloc failed: out of memory")
            self._memory = Memory(nbytes)
            fake.device.append(self._memory)

        def __int__(self) -> int:
            return self._memory.address

        __index__ = __int__

        def free(self) -> None:
            with fake.cleaning():
                fake.call("cuMemFree")
            if any(stream.busy for stream in fake.streams) and not fake.lost:
                raise Misuse("device memory freed with work under way")
            self._memory.bury()

    class PagelockedHostAllocation:
        def __init__(self, shape: Any, dtype: Any) -> None:
            fake.call("cuMemHostAlloc")
            sides = (shape,) if isinstance(shape, int) else tuple(map(integer, shape))
            self._memory = Memory(int(np.prod(sides)) * np.dtype(dtype).itemsize)
            self.__array_interface__ = self._memory.array.view(dtype).reshape(shape).__array_interface__
            fake.pinned.append(self._memory)

        def free(self) -> None:
            with fake.cleaning():
                fake.call("cuMemFreeHost")
            if any(stream.busy for stream in fake.streams) and not fake.lost:
                raise Misuse("pinned memory freed with work under way")
            self._memory.bury()

    def pagelocked_empty(shape: Any, dtype: Any, order: str = "C", mem_flags: int = 0) -> np.ndarray:
        return np.asarray(PagelockedHostAllocation(shape, dtype))

    def mem_get_info() -> tuple[int, int]:
        fake.call("cuMemGetInfo")
        return fake.gpus[0].memory - fake.used(), fake.gpus[0].memory

    return {"mem_alloc": DeviceAllocation, "pagelocked_empty": pagelocked_empty, "mem_get_info": mem_get_info}


def _streams(fake: FakeCuda) -> dict[str, Any]:
    class Stream:
        def __init__(self, flags: int = 0) -> None:
            fake.call("cuStreamCreate")
            integer(flags)
            fake.streams.add(self)
            self.handle = id(self)
            self.capture: fake_graphs.Capture | None = None
            self._queue: deque[Callable[[], None]] = deque()
            self._done = 0

        @property
        def busy(self) -> bool:
            return bool(self._queue)

        @property
        def done(self) -> int:
            return self._done

        @property
        def issued(self) -> int:
            return self._done + len(self._queue)

        def enqueue(self, work: Callable[[], None], nodes: int = 0) -> None:
            """Queues work, or takes it down; nodes: calls in it, where it is a graph."""
            if self.capture is not None:
                self.capture.work.append(work)
                return

            def spend() -> None:
                work()
                fake.clock += nodes * fake.milliseconds["graph"] if nodes else fake.milliseconds["plain"]

            self._queue.append(spend)

        def stamp(self, event: Event) -> None:
            """Queues that an event notes the time."""

            def note() -> None:
                event.time = fake.clock

            self._queue.append(note)

        def run_to(self, position: int) -> None:
            while self._done < position:
                work = self._queue.popleft()
                self._done += 1
                work()

        def synchronize(self) -> None:
            fake.call("cuStreamSynchronize")
            self.run_to(self.issued)

        def wait_for_event(self, event: Event) -> None:
            fake.call("cuStreamWaitEvent")
            if not isinstance(event, Event):
                raise ArgumentError("wait_for_event takes an Event")
            if self.capture is not None:
                self.capture.whole = False
                raise LogicError("cuStreamWaitEvent failed: dependency created on uncaptured work in another stream")
            self._queue.append(event.marked())

    class Event:
        def __init__(self, flags: int = 0) -> None:
            fake.call("cuEventCreate")
            self._timing = not integer(flags) & fake.module.event_flags.DISABLE_TIMING
            self.time: float | None = None
            # Weak, for an event keeps no stream alive; a stream ends with its work done.
            self._stream: Callable[[], Stream | None] = lambda: None
            self._position = 0

        def marked(self) -> Callable[[], None]:
            """Runs the work before the present mark."""
            stream, position = self._stream(), self._position
            return lambda: stream.run_to(position) if stream is not None else None

        def record(self, stream: Stream | None = None) -> Event:
            fake.call("cuEventRecord")
            if _given(stream).capture is not None:
                raise Misuse("an event recorded in a graph tells nothing outside it")
            if self._timing:
                self.time = None
                stream.stamp(self)
            self._stream, self._position = weakref.ref(stream), stream.issued
            return self

        def query(self) -> bool:
            fake.call("cuEventQuery")
            stream = self._stream()
            return stream is None or stream.done >= self._position

        def time_since(self, start: Event) -> float:
            fake.call("cuEventElapsedTime")
            if not (self._timing and start._timing):
                raise LogicError("cuEventElapsedTime failed: invalid resource handle")
            if self.time is None or start.time is None:
                raise LogicError("cuEventElapsedTime failed: device not ready")
            return self.time - start.time

        def synchronize(self) -> Event:
            fake.call("cuEventSynchronize")
            self.marked()()
            return self

    return {"Stream": Stream, "Event": Event, **_copies(fake)}


def _given(stream: Any) -> Any:
    if stream is None:
        raise Misuse("work on the default stream")
    if not hasattr(stream, "enqueue"):
        raise ArgumentError(f"a stream was expected, not {type(stream).__name__}")
    return stream


def at(address: Any) -> int:
    """An address on the device, as pycuda takes it: an integer, or what it allocated."""
    return operator.index(address) if hasattr(address, "free") else integer(address)


def _copies(fake: FakeCuda) -> dict[str, Any]:
    def queued_copy(function: str, find: Callable[[], tuple[np.ndarray, np.ndarray]], stream: Any) -> None:
        """Looks both ends up now, for errors where they are made, and again when the copy runs."""
        fake.call(function)
        find()
        _given(stream)

        def run() -> None:
            to, source = find()
            to[:] = source

        _given(stream).enqueue(run)

    def memcpy_htod_async(dest: int, src: np.ndarray, stream: Any = None) -> None:
        queued_copy("cuMemcpyHtoDAsync", lambda: (fake.bytes_at(at(dest), src.nbytes), fake.pinned_bytes(src)), stream)

    def memcpy_dtoh_async(dest: np.ndarray, src: int, stream: Any = None) -> None:
        queued_copy("cuMemcpyDtoHAsync", lambda: (fake.pinned_bytes(dest), fake.bytes_at(at(src), dest.nbytes)), stream)
        fake.pinned_bytes(dest)[:] = UNFINISHED

    def memcpy_dtod_async(dest: int, src: int, size: int, stream: Any = None) -> None:
        nbytes = integer(size)
        queued_copy(
            "cuMemcpyDtoDAsync", lambda: (fake.bytes_at(at(dest), nbytes), fake.bytes_at(at(src), nbytes)), stream
        )

    def memset_d8_async(dest: int, data: int, size: int, stream: Any = None) -> None:
        if not 0 <= integer(data) <= 255:
            raise OverflowError("can't convert to unsigned char")
        byte = np.full(integer(size), data, np.uint8)
        queued_copy("cuMemsetD8Async", lambda: (fake.bytes_at(at(dest), size), byte), stream)

    return {
        "memcpy_htod_async": memcpy_htod_async,
        "memcpy_dtoh_async": memcpy_dtoh_async,
        "memcpy_dtod_async": memcpy_dtod_async,
        "memset_d8_async": memset_d8_async,
    }


def _programs(fake: FakeCuda) -> dict[str, Any]:
    class Function:
        def __init__(self, name: str) -> None:
            self._name = name
            self._argument = splat.ARGUMENT if name.startswith("splat") else picture.ARGUMENT

        def __call__(self, *args: Any, grid: Any, block: Any, stream: Any = None) -> None:
            fake.call("cuLaunchKernel")
            if len(args) != 1 or not isinstance(args[0], np.void):
                raise TypeError("invalid type on parameter #0 (0-based)")
            if not (isinstance(grid, tuple) and isinstance(block, tuple)):
                raise ArgumentError("grid and block are tuples")
            _ = [integer(side) for side in (*grid, *block)]
            # As pycuda packs it.
            if len(bytes(memoryview(args[0]))) != self._argument.itemsize:
                raise Misuse(f"an argument of {args[0].itemsize} bytes")
            if tuple(block) != (THREADS, 1, 1) or min(grid) < 1:
                raise Misuse(f"launch of {grid} blocks of {block} threads")
            argument = np.array(args[0]).view(self._argument)
            self._check(argument)
            launch = Launch(self._name, tuple(grid), argument)

            def run() -> None:
                self._check(argument)
                host_kernels.run(launch)

            _given(stream).enqueue(run)

        def _check(self, argument: np.ndarray) -> None:
            for name in argument.dtype.names:
                if argument[name].dtype == np.uintp:
                    for address in argument[name].reshape(-1):
                        fake.bytes_at(int(address), 1)

    class Module:
        def __init__(self, image: bytes) -> None:
            self._image = image

        def get_function(self, name: str) -> Function:
            fake.call("cuModuleGetFunction")
            if name.encode() not in self._image:
                raise LogicError("cuModuleGetFunction failed: named symbol not found")
            return Function(name)

    def module_from_buffer(image: bytes) -> Module:
        fake.call("cuModuleLoadDataEx")
        memoryview(image)
        if not image.startswith(b"\x7fELF"):
            raise LogicError("cuModuleLoadDataEx failed: device kernel image is invalid")
        return Module(image)

    return {"module_from_buffer": module_from_buffer}
