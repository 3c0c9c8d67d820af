"""What a run tells while it works, as values. The command line draws them; `--json` prints them as lines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar


@dataclass(frozen=True)
class Event:
    """Base of all events; `kind` is the word in the JSON line's field `event`."""

    kind: ClassVar[str]

    def as_json(self) -> dict[str, Any]:
        """The event as plain JSON values."""
        return {"event": self.kind, **asdict(self)}


@dataclass(frozen=True)
class Note(Event):
    """A line for the user: something is made on the way, or was decided for them."""

    kind: ClassVar[str] = "note"
    text: str


@dataclass(frozen=True)
class Warned(Event):
    """Something of the source was changed, dropped or is doubtful."""

    kind: ClassVar[str] = "warning"
    text: str


@dataclass(frozen=True)
class Started(Event):
    """Work begins. seconds and memory (bytes) are estimates; seconds is None where nothing could be timed.

    frames and outputs are None for a pipe, which does not tell how many will come. varies: the pictures keep a rate
    that varies, and `rate` is the usual one or the average. device: the GPU that works, with the bytes of its memory
    that are planned; both None on the CPU. scale: of the network's optical flow. finished: outputs that an earlier run
    has made; progress counts them, seconds does not.
    """

    kind: ClassVar[str] = "start"
    source: str
    output: str
    frames: int | None
    outputs: int | None
    rate: str
    varies: bool
    n_forward: int
    scale: float
    seconds: float | None
    memory: int
    device: str | None
    device_memory: int | None
    finished: int


@dataclass(frozen=True)
class SceneFound(Event):
    """A scene begins at this source frame (absolute index), shown at `seconds` after the first one."""

    kind: ClassVar[str] = "scene"
    index: int
    seconds: float


@dataclass(frozen=True)
class Progress(Event):
    """Source frames taken in and pictures put out so far."""

    kind: ClassVar[str] = "progress"
    frames: int
    outputs: int
    scenes: int


@dataclass(frozen=True)
class SegmentDone(Event):
    """A segment of so many outputs is finished. host and device made it; found: it was there already, and is whole."""

    kind: ClassVar[str] = "segment"
    segment: int
    outputs: int
    host: str
    device: str
    found: bool


@dataclass(frozen=True)
class Done(Event):
    """The finished file and what it took. stages: seconds and calls of each stage of the network.

    interpolated: pictures that the network made. held: in-betweens, shown or not,
    that needed no network of their own, because frames are equal. device_memory: bytes of the GPU at the peak.
    waited: seconds that rendering stood still for the decoder and for the encoder. Several workers do not tell
    interpolated, held, stages and waited: None or empty, as when they are left out.
    """

    kind: ClassVar[str] = "done"
    output: str
    frames: int
    outputs: int
    rate: str
    varies: bool
    scenes: int
    interpolated: int | None = None
    held: int | None = None
    seconds: float = field(kw_only=True)
    device_memory: int | None = None
    stages: dict[str, dict[str, float]] = field(default_factory=dict)
    waited: dict[str, float] = field(default_factory=dict)


Tell = Callable[[Event], None]
