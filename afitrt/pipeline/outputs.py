"""Where a run's pictures go, and what becomes of them when it ends or fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from afitrt import video
from afitrt.errors import AfitrtError, counted
from afitrt.events import Event
from afitrt.file_names import work_name
from afitrt.pipeline.preparing import Prepared
from afitrt.pipeline.segmented import SegmentedFile, SegmentWriter, work_folder
from afitrt.render import Decoded, Part
from afitrt.segments import Store, fingerprint, index_source, recipe

Pictures = video.Writer | video.PngWriter | SegmentWriter


class Output(Protocol):
    """One destination of one run."""

    part: Part | None
    """Outputs that are still to be made; None for all."""
    finished: int
    """How many an earlier run has made."""
    length: int
    """Most outputs that one encoder takes from start to end."""

    @property
    def writer(self) -> Pictures:
        """Takes the pictures; to be entered once."""

    def watch(self, decoded: Decoded) -> None:
        """Called with every frame before it is planned."""

    def news(self) -> Sequence[Event]:
        """What is to be told after a picture was handed over."""

    def give_up(self) -> None:
        """Called before a failed run waits for the writer."""

    def publish(self) -> list[str]:
        """Puts the finished pictures in their place; returns plain lines about what differs."""

    def keep(self) -> str | None:
        """Keeps what a failed run finished; says where, None where there is nothing."""

    def close(self) -> None:
        """Leaves nothing else behind."""


class Whole:
    """What outputs have in common that are made in one go."""

    part: Part | None = None
    finished = 0
    length = 1 << 30

    def watch(self, decoded: Decoded) -> None:
        """See Output."""

    def news(self) -> Sequence[Event]:
        """See Output."""
        return ()

    def give_up(self) -> None:
        """See Output."""

    def close(self) -> None:
        """See Output."""


class VideoFile(Whole):
    """A video file made of a pipe: encoded aside, then given its times. A pipe cannot be read again, nor resumed."""

    def __init__(self, prepared: Prepared) -> None:
        self._task = task = prepared.task
        self._aside = task.output.with_name(work_name(".mkv"))
        self.writer = prepared.writer(self._aside)

    def publish(self) -> list[str]:
        """See Output."""
        return self._mux(self._task.output, self.writer.frames)

    def _mux(self, path: Path, count: int) -> list[str]:
        task = self._task
        return video.mux([self._aside], task.info, path, task.stamps(count), task.span, task.job.drop_tracks)

    def keep(self) -> str | None:
        """See Output: OUT.partial.mkv, playable."""
        if not self._aside.exists() or not (count := video.count_packets(self._aside)):
            return None
        partial = self._task.partial
        try:
            self._mux(partial, count)
        except AfitrtError:
            self._aside.replace(partial)
        return f"{partial} ({counted(count, 'picture')})"

    def close(self) -> None:
        """See Output."""
        self._aside.unlink(missing_ok=True)


class PictureFiles(Whole):
    """Numbered PNG files; each is finished on its own."""

    def __init__(self, prepared: Prepared) -> None:
        self._pattern = prepared.task.output
        self.writer = video.PngWriter(self._pattern, prepared.encode)

    def publish(self) -> list[str]:
        """See Output: older pictures with higher numbers would follow ours, so they go."""
        removed = self.writer.remove_older()
        return [f"removed: {counted(removed, 'older picture')} with higher numbers"] if removed else []

    def keep(self) -> str | None:
        """See Output."""
        return f"{self._pattern} ({counted(self.writer.frames, 'picture')})" if self.writer.frames else None


class Pipe(Whole):
    """y4m on standard output; what is written is gone."""

    def __init__(self, prepared: Prepared) -> None:
        self.writer = prepared.writer(prepared.task.output)

    def give_up(self) -> None:
        """See Output: whoever reads may have stalled."""
        self.writer.stop()

    def publish(self) -> list[str]:
        """See Output."""
        return []

    def keep(self) -> str | None:
        """See Output."""
        return None


def output_of(prepared: Prepared, say: Callable[[str], None]) -> Output:
    """The destination that the task's output names.

    say: hears what stages are made. Raises what `recipe` and Store.make do.
    """
    task = prepared.task
    match video.container_of(task.output):
        case video.PNG:
            return PictureFiles(prepared)
        case video.Y4M:
            return Pipe(prepared)
    if task.info.piped:
        return VideoFile(prepared)
    made = recipe(task, prepared.encode, index_source(task.info))
    store = Store(work_folder(task.output, made), made.digest)
    store.make(fingerprint(task.job.model, task.info, say), task.job.allow_mixed)
    return SegmentedFile(prepared, made, store)
