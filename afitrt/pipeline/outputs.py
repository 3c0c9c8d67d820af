"""Where a run's pictures go, and what becomes of them when it ends or fails."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

from afitrt import video
from afitrt.errors import AfitrtError
from afitrt.options import EncodeOptions
from afitrt.task import Task


class Output(Protocol):
    """One destination of one run."""

    @property
    def writer(self) -> video.Writer | video.PngWriter:
        """Takes the pictures; to be entered once."""

    def give_up(self) -> None:
        """Called before a failed run waits for the writer."""

    def publish(self) -> list[str]:
        """Puts the finished pictures in their place; returns plain lines about what differs."""

    def keep(self) -> str | None:
        """Keeps what a failed run finished; says where, None where there is nothing."""

    def close(self) -> None:
        """Leaves nothing else behind."""


class VideoFile:
    """A video file: encoded aside, then put together with the source's other tracks."""

    def __init__(self, task: Task, encode: EncodeOptions) -> None:
        self._task = task
        self._aside = task.output.with_name(f".{task.output.name}.{os.getpid()}.video.mkv")
        self.writer = video.Writer(self._aside, task.info, task.rate, encode)

    def give_up(self) -> None:
        """See Output."""

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
        partial = self._task.output.with_name(f"{self._task.output.stem}.partial.mkv")
        try:
            self._mux(partial, count)
        except AfitrtError:
            self._aside.replace(partial)
        return f"{partial} ({count} pictures)"

    def close(self) -> None:
        """See Output."""
        self._aside.unlink(missing_ok=True)


class PictureFiles:
    """Numbered PNG files; each is finished on its own."""

    def __init__(self, task: Task, encode: EncodeOptions) -> None:
        self._pattern = task.output
        self.writer = video.PngWriter(task.output, encode)

    def give_up(self) -> None:
        """See Output."""

    def publish(self) -> list[str]:
        """See Output: older pictures with higher numbers would follow ours, so they go."""
        removed = self.writer.remove_older()
        return [f"{removed} older pictures with higher numbers were removed"] if removed else []

    def keep(self) -> str | None:
        """See Output."""
        return f"{self._pattern} ({self.writer.frames} pictures)" if self.writer.frames else None

    def close(self) -> None:
        """See Output."""


class Pipe:
    """y4m on standard output; what is written is gone."""

    def __init__(self, task: Task, encode: EncodeOptions) -> None:
        self.writer = video.Writer(task.output, task.info, task.rate, encode)

    def give_up(self) -> None:
        """See Output: whoever reads may have stalled."""
        self.writer.stop()

    def publish(self) -> list[str]:
        """See Output."""
        return []

    def keep(self) -> str | None:
        """See Output."""
        return None

    def close(self) -> None:
        """See Output."""


def output_of(task: Task, encode: EncodeOptions) -> Output:
    """The destination that the task's output names."""
    match video.container_of(task.output):
        case video.PNG:
            return PictureFiles(task, encode)
        case video.Y4M:
            return Pipe(task, encode)
    return VideoFile(task, encode)
