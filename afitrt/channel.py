"""A queue between two threads that is bounded in bytes and carries its producer's failure."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")


class ChannelClosed(Exception):
    """The consumer has left; the producer should end."""


class Channel(Generic[Item]):
    """One producer, one consumer. An item larger than the limit passes when the queue is empty."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0
        self._items: deque[tuple[Item, int]] = deque()
        self._changed = threading.Condition()
        self._finished = self._closed = False
        self._failure: BaseException | None = None
        self.full_seconds = self.empty_seconds = 0.0
        """How long the producer waited for room, and the consumer for items."""

    def put(self, item: Item, size: int) -> None:
        """Waits for room, then appends an item of `size` bytes. Raises ChannelClosed when nobody listens."""
        with self._changed:
            began = time.monotonic()
            self._changed.wait_for(lambda: self._closed or not self._items or self._held + size <= self._limit)
            self.full_seconds += time.monotonic() - began
            if self._closed:
                raise ChannelClosed
            self._items.append((item, size))
            self._held += size
            self._changed.notify_all()

    def finish(self, failure: BaseException | None = None) -> None:
        """Tells the consumer that nothing more comes; a failure is raised there after the last item."""
        with self._changed:
            self._finished, self._failure = True, failure
            self._changed.notify_all()

    def close(self) -> None:
        """The consumer leaves: what waits is dropped and the producer's next put fails."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._held = 0
            self._changed.notify_all()

    def __iter__(self) -> Iterator[Item]:
        while True:
            with self._changed:
                began = time.monotonic()
                self._changed.wait_for(lambda: self._items or self._finished)
                self.empty_seconds += time.monotonic() - began
                if not self._items:
                    if self._failure is not None:
                        raise self._failure
                    return
                item, size = self._items.popleft()
                self._held -= size
                self._changed.notify_all()
            yield item
