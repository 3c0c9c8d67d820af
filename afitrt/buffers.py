"""Memory of pictures, used again: freed and fetched from the system for every frame, it would scatter over malloc's
arenas, and the peak would wander upwards for as long as a run lasts."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from typing import Any

import numpy as np
import numpy.typing as npt

SIZES = 4
"""Of so many sizes, those asked for last, memory is kept: decoded, planar and finished pictures are three."""


class Pool:
    """Hands out arrays; the memory of one serves again once it and all its views are gone. For any thread."""

    def __init__(self) -> None:
        self._spare: OrderedDict[int, list[npt.NDArray[np.uint8]]] = OrderedDict()
        self._lock = threading.RLock()  # Reentrant: a collection may return memory to whoever is taking some.

    def empty(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """An array [*shape] of dtype, contiguous, with whatever lay in its memory before."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        with self._lock:
            spare = self._spare.setdefault(size, [])
            self._spare.move_to_end(size)
            if len(self._spare) > SIZES:
                self._spare.popitem(last=False)
            block = spare.pop() if spare else None
        if block is None:
            block = np.empty(size, np.uint8)
        array = np.frombuffer(block.data, dtype)
        # numpy hangs every view of a view on the same owner, so that one's end is the end of all of them.
        weakref.finalize(array.base, self._give_back, block).atexit = False
        return array.reshape(shape)

    def reserve(self, count: int, shape: tuple[int, ...], dtype: npt.DTypeLike) -> None:
        """Takes the memory of so many arrays from the system now, for those asked for later."""
        arrays = [self.empty(shape, dtype) for _ in range(count)]
        for array in arrays:
            array.fill(0)  # What is not touched the system gives only when it is.

    def _give_back(self, block: npt.NDArray[np.uint8]) -> None:
        with self._lock:
            if block.size in self._spare:
                self._spare[block.size].append(block)

    @property
    def spare(self) -> int:
        """Bytes kept for the next pictures."""
        with self._lock:
            return sum(size * len(blocks) for size, blocks in self._spare.items())


pictures = Pool()
"""What all rooms take their pictures from."""
