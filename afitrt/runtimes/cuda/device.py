"""A GPU and what it works with: memory, streams, events and programs.

All objects belong to one Device, are used on threads that have entered it, and are closed before it. Addresses are
plain integers and Stream.handle is the driver's own, so TensorRT's execute_async_v3 takes both as they are.
"""

from __future__ import annotations

import atexit
import ctypes
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from afitrt.errors import AfitrtError, UsageError
from afitrt.runtimes import kernels
from afitrt.runtimes.cuda.driver import Closing, call, calling, devices

# A stream with this flag never waits for the default stream, on which TensorRT and others may work.
_NON_BLOCKING = 1


@dataclass
class Counters:
    """Taken from the driver: live bytes, and allocations since the device was opened; live graphs, and made ones."""

    device_bytes: int = 0
    pinned_bytes: int = 0
    allocations: int = 0
    graphs: int = 0
    captures: int = 0


class Device(Closing):
    """A GPU, by its primary context, which TensorRT shares. The opening thread has entered it.

    Raises MissingToolError without pycuda, driver or GPU, UsageError for an ordinal that does not exist, RetryError
    for a GPU that is lost or taken.
    """

    def __init__(self, ordinal: int = 0) -> None:
        found = devices()
        if ordinal not in range(len(found)):
            listed = ", ".join(f"{info.ordinal} ({info.name})" for info in found)
            raise UsageError(f"GPU {ordinal}", f"one of {listed}", "choose one with --device")
        self.info = found[ordinal]
        self.counters = Counters()
        with calling(f"opening {self}") as driver:
            self._context = driver.Device(ordinal).retain_primary_context()
            self._context.push()
        # pycuda aborts a process that ends with a context entered.
        atexit.register(self._close_late)

    def __str__(self) -> str:
        return f"GPU {self.info.ordinal} ({self.info.name})"

    def close(self) -> None:
        """Leaves and releases the primary context."""
        if self._context is not None:
            context, self._context = self._context, None
            atexit.unregister(self._close_late)
            with calling(f"closing {self}") as driver:
                if driver.Context.get_current() == context:
                    # pycuda would leave it current to the thread, where another library would find it dead.
                    with suppress(driver.Error):
                        call(driver, "cuCtxPopCurrent_v2", ctypes.byref(ctypes.c_void_p()))
                # Not pop: pycuda releases a primary context rightly only in an explicit detach.
                context.detach()

    def _close_late(self) -> None:
        with suppress(AfitrtError):
            self.close()

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Lets a further thread use the device inside the with statement."""
        with calling(f"entering {self}"):
            self._context.push()
        try:
            yield
        finally:
            with calling(f"leaving {self}"):
                self._context.pop()

    def free_memory(self) -> int:
        """Bytes of device memory that nobody has taken."""
        with calling(f"asking {self} for its memory") as driver:
            return int(driver.mem_get_info()[0])


class DeviceMemory(Closing):
    """Bytes on the device from the driver. Raises ResourceError, with what is free, when they cannot be had."""

    def __init__(self, device: Device, nbytes: int) -> None:
        self._device, self.nbytes = device, nbytes
        free = device.free_memory()
        whole = device.info.memory
        doing = f"taking {nbytes / 1e6:.0f} MB on {device}, where {free / 1e6:.0f} of {whole / 1e6:.0f} MB are free"
        with calling(doing) as driver:
            self._allocation = driver.mem_alloc(nbytes)
        self.address = int(self._allocation)
        device.counters.device_bytes += nbytes
        device.counters.allocations += 1

    def close(self) -> None:
        """Gives the bytes back to the driver."""
        if self._allocation is not None:
            allocation, self._allocation = self._allocation, None
            self._device.counters.device_bytes -= self.nbytes
            with calling(f"freeing memory on {self._device}"):
                allocation.free()


class PinnedMemory(Closing):
    """Bytes of the host, `array` of uint8, that the device copies from and to while the host goes on."""

    def __init__(self, device: Device, nbytes: int) -> None:
        self._device = device
        with calling(f"pinning {nbytes / 1e6:.0f} MB of host memory") as driver:
            self.array: npt.NDArray[np.uint8] = driver.pagelocked_empty(nbytes, np.uint8)
        self._allocation = self.array.base
        device.counters.pinned_bytes += nbytes
        device.counters.allocations += 1

    def close(self) -> None:
        """Gives the bytes back to the driver; no view of `array` may be used afterwards."""
        if self._allocation is not None:
            allocation, self._allocation = self._allocation, None
            self._device.counters.pinned_bytes -= self.array.nbytes
            with calling("freeing pinned memory"):
                allocation.free()


class Event:
    """A mark in a stream's work, made by Stream.record, that streams and the host can wait for.

    timing: it also keeps the moment when the device came by.
    """

    def __init__(self, device: Device, timing: bool = False) -> None:
        self._device = device
        with calling(f"making an event on {device}") as driver:
            flags = driver.event_flags
            # The host sleeps while it waits: decoding and encoding need the processor.
            self.driver_event = driver.Event(flags.BLOCKING_SYNC | (0 if timing else flags.DISABLE_TIMING))

    def done(self) -> bool:
        """Is the work before the mark done? Never waits."""
        with calling(f"asking {self._device} for an event"):
            return bool(self.driver_event.query())

    def milliseconds_since(self, start: Event) -> float:
        """The device's time between two marks that are done, of events made with timing."""
        with calling(f"timing on {self._device}"):
            return float(self.driver_event.time_since(start.driver_event))

    def synchronize(self) -> None:
        """Waits on the host until the work before the mark is done; at once when nothing was ever recorded."""
        with calling(f"waiting for {self._device}"):
            self.driver_event.synchronize()


class Stream(Closing):
    """Work that the device does in order, while the host goes on. handle: the driver's."""

    def __init__(self, device: Device) -> None:
        self._device = device
        with calling(f"making a stream on {device}") as driver:
            self._stream = driver.Stream(_NON_BLOCKING)
        self.handle = int(self._stream.handle)

    def close(self) -> None:
        """Waits for the work, then drops the stream."""
        if self._stream is not None:
            try:
                self.synchronize()
            finally:
                self._stream = None

    def upload(self, array: npt.NDArray[Any], address: int) -> None:
        """Copies a contiguous array of pinned memory, unchanged until the copy is done, to the device."""
        with calling(f"uploading to {self._device}") as driver:
            driver.memcpy_htod_async(address, array, self._stream)

    def download(self, address: int, array: npt.NDArray[Any]) -> None:
        """Copies from the device to a contiguous array of pinned memory, valid once the copy is done."""
        with calling(f"downloading from {self._device}") as driver:
            driver.memcpy_dtoh_async(array, address, self._stream)

    def copy(self, source: int, to: int, nbytes: int) -> None:
        """Copies bytes within the device."""
        with calling(f"copying on {self._device}") as driver:
            driver.memcpy_dtod_async(to, source, nbytes, self._stream)

    def fill(self, address: int, byte: int, nbytes: int) -> None:
        """Sets bytes on the device."""
        with calling(f"filling memory on {self._device}") as driver:
            driver.memset_d8_async(address, byte, nbytes, self._stream)

    def launch(self, program: Program, launch: kernels.Launch) -> None:
        """Starts a kernel; its argument is copied at once."""
        function = program.function(launch.kernel)
        with calling(f"launching {launch.kernel} on {self._device}"):
            # A scalar, for pycuda passes no array by value.
            function(launch.argument[()], grid=launch.grid, block=(kernels.THREADS, 1, 1), stream=self._stream)

    def record(self, event: Event) -> Event:
        """Marks the work so far; what the event marked before is forgotten."""
        with calling(f"recording an event on {self._device}"):
            event.driver_event.record(self._stream)
        return event

    def wait(self, event: Event) -> None:
        """Lets later work of this stream wait for the event's mark; the host does not wait."""
        with calling(f"waiting for an event on {self._device}"):
            self._stream.wait_for_event(event.driver_event)

    def synchronize(self) -> None:
        """Waits on the host until the stream's work is done; failures of that work are raised here."""
        with calling(f"waiting for {self._device}"):
            self._stream.synchronize()


class Program:
    """The kernels of one source; image: its cubin, else compiled for the device's target, or found as an artefact."""

    def __init__(self, device: Device, name: str, image: bytes | None = None) -> None:
        image = image or kernels.cubin(name, device.info.target)
        with calling(f"loading kernels of {name}.cu for {device.info.target}") as driver:
            self._module = driver.module_from_buffer(image)
        self._functions: dict[str, Any] = {}

    def function(self, kernel: str) -> Any:
        """The driver's handle of a kernel."""
        if kernel not in self._functions:
            with calling(f"finding kernel {kernel}"):
                self._functions[kernel] = self._module.get_function(kernel)
        return self._functions[kernel]
