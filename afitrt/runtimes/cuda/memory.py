"""Device and pinned memory planned ahead: taken from the driver once, then handed out and back without it.

Handing out is ordered by streams. Memory given back while a stream still works on it may be taken at once: another
stream then waits for that work, and so does the host before it touches a pinned buffer; nobody else waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from afitrt.errors import AfitrtError, ResourceError
from afitrt.runtimes.cuda.device import Device, DeviceMemory, Event, PinnedMemory, Stream
from afitrt.runtimes.cuda.driver import Closing

# TensorRT asks for 256 bytes; this also keeps blocks on cache lines of their own.
ALIGNMENT = 512


def _aligned(nbytes: int) -> int:
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


def planned_bytes(plan: Mapping[int, int]) -> int:
    """Device memory that an Arena of this plan takes."""
    return sum(_aligned(nbytes) * count for nbytes, count in plan.items())


class Block:
    """A piece of an Arena. address: on the device. nbytes: its capacity."""

    def __init__(self, address: int, nbytes: int, released: Event) -> None:
        self.address, self.nbytes = address, nbytes
        self._released = released
        self._last: Stream | None = None
        self._taken = False

    def take(self, stream: Stream) -> None:
        """Marks the block as taken; the stream waits for the work of the one that gave it back."""
        if self._last is not None and self._last is not stream:
            stream.wait(self._released)
        self._taken = True

    def give(self, stream: Stream) -> None:
        """Marks the block as free after the stream's work so far. Raises AfitrtError when it is free already."""
        if not self._taken:
            raise AfitrtError(
                f"a block of {self.nbytes} bytes was given back twice", "each block given back once", "report this"
            )
        stream.record(self._released)
        self._last, self._taken = stream, False


class Arena(Closing):
    """Device memory cut into blocks by a plan; one allocation, and none afterwards.

    plan: how many blocks of each number of bytes may be in use at a time. capacity, used, peak: bytes in all, in
    use, and most in use so far. Calls come from one thread. Raises ResourceError when the device lacks the memory.
    """

    def __init__(self, device: Device, plan: Mapping[int, int]) -> None:
        self._memory = DeviceMemory(device, planned_bytes(plan))
        self._free: dict[int, list[Block]] = {}
        address = self._memory.address
        for nbytes, count in sorted(plan.items()):
            for _ in range(count):
                block = Block(address, _aligned(nbytes), Event(device))
                self._free.setdefault(block.nbytes, []).append(block)
                address += block.nbytes
        self.capacity, self.used, self.peak = self._memory.nbytes, 0, 0

    def take(self, nbytes: int, stream: Stream) -> Block:
        """The smallest free block that holds so many bytes, for work on this stream.

        Of several, the one at the lowest address: so a schedule that repeats itself soon finds the same addresses
        again, as CUDA graphs want them. Raises ResourceError when the plan foresaw none.
        """
        for size, blocks in self._free.items():
            if blocks and size >= nbytes:
                block = min(blocks, key=lambda each: each.address)
                blocks.remove(block)
                block.take(stream)
                self.used += block.nbytes
                self.peak = max(self.peak, self.used)
                return block
        raise ResourceError(
            f"no free block of {nbytes} bytes: {self.used} of {self.capacity} planned bytes are in use",
            "a memory plan that covers the schedule",
            "report this, with what --explain prints",
        )

    def give(self, block: Block, stream: Stream) -> None:
        """Gives a block back, to be used again after the stream's work so far."""
        block.give(stream)
        self.used -= block.nbytes
        self._free[block.nbytes].append(block)

    def close(self) -> None:
        """Gives all memory back to the driver; streams must have finished with it."""
        self._free.clear()
        self._memory.close()


class PinnedBuffer:
    """A piece of a PinnedPool. array: its bytes. done: recorded by whoever queues a copy that uses them."""

    def __init__(self, array: npt.NDArray[np.uint8], done: Event) -> None:
        self.array, self.done = array, done

    def view(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[np.generic]:
        """The first bytes as an array of this shape."""
        nbytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        return self.array[:nbytes].view(dtype).reshape(shape)


class PinnedPool(Closing):
    """Pinned host buffers of one size; one allocation, and none afterwards. Calls come from one thread.

    free: buffers that nobody holds. Raises ResourceError when the host lacks the memory.
    """

    def __init__(self, device: Device, nbytes: int, count: int) -> None:
        step = _aligned(nbytes)
        self._memory = PinnedMemory(device, step * count)
        array = self._memory.array
        self._free = deque(PinnedBuffer(array[i * step : i * step + nbytes], Event(device)) for i in range(count))

    @property
    def free(self) -> int:
        """Buffers that nobody holds."""
        return len(self._free)

    def take(self) -> PinnedBuffer:
        """The buffer that has rested longest, once the copies that its `done` marks are finished.

        Raises ResourceError when all are held.
        """
        if not self._free:
            raise ResourceError(
                "all pinned buffers are in use", "a memory plan that covers the pipeline", "report this"
            )
        buffer = self._free.popleft()
        buffer.done.synchronize()
        return buffer

    def give(self, buffer: PinnedBuffer) -> None:
        """Gives a buffer back; copies that its `done` marks may still be under way."""
        self._free.append(buffer)

    def close(self) -> None:
        """Gives all memory back to the driver; streams must have finished with it."""
        self._free.clear()
        self._memory.close()
