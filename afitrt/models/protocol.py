"""The door for interpolation networks: what render asks of one, and what one tells about itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Protocol, runtime_checkable

from afitrt.frames import Pixels
from afitrt.runtimes.protocol import DeviceUse

Picture = Any


@dataclass
class StageClock:
    """Calls and seconds of each stage since the start or the last `reset`."""

    calls: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Counts one call of a stage and the wall time spent inside."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.calls[stage] = self.calls.get(stage, 0) + 1
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - began

    def reset(self) -> None:
        """Forgets everything counted so far."""
        self.calls.clear()
        self.seconds.clear()


@dataclass(frozen=True)
class Memory:
    """Bytes a model needs: once for its stages, and for each live picture with its features."""

    stages: int
    picture: int


class Interpolator(Protocol):
    """Makes pictures between pictures. Opaque pictures belong to the caller until released.

    Inner pictures stay unrounded and padded. A picture carries its own encoded features, so one that takes part
    in two pairs is encoded once. Calls come from one thread.
    """

    clock: StageClock

    def upload(self, frame: Pixels) -> Picture:
        """A picture of a decoded frame [height, width, 3], RGB, uint8 or uint16; planar where `Request.yuv` says so."""

    def between(self, left: Picture, right: Picture, times: Sequence[Fraction]) -> list[Picture]:
        """One picture for each time in 0..1; the pair is matched once for all of them."""

    def download(self, picture: Picture) -> Pixels:
        """The picture as [height, width, 3], RGB, cropped and rounded to the output's depth; or planar likewise."""

    def release(self, picture: Picture) -> None:
        """Gives a picture's memory back; it must not be used again."""

    def close(self) -> None:
        """Gives everything back."""


@runtime_checkable
class Overlapping(Protocol):
    """An interpolator that goes on computing while pictures come down."""

    def begin_download(self, picture: Picture) -> Callable[[], Pixels]:
        """Starts a download; the result waits for it. The picture may be released at once."""


@runtime_checkable
class OnDevice(Protocol):
    """An interpolator that may work on a GPU."""

    def device_use(self) -> DeviceUse:
        """What works, and its memory."""
