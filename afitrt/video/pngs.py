"""Writes pictures as numbered PNG files."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from afitrt.artefacts import writing_in, written_aside
from afitrt.frames import Pixels
from afitrt.options import EncodeOptions
from afitrt.video.numbered import FIRST, numbered
from afitrt.video.write import picture_type, to_depth


class PngWriter:
    """Writer's interface over PNG files of 8 or 16 bit, counted from 1; each is whole as soon as it has its name.

    pattern: a path with one %09d or the like, in a folder that exists. Raises OutputError, RetryError on a full disk.
    """

    def __init__(self, pattern: Path, encode: EncodeOptions) -> None:
        names = numbered(pattern)
        assert names is not None
        self._names = names
        self._dtype = picture_type(encode)
        self.frames = 0
        """Pictures written so far."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def write(self, frame: Pixels) -> None:
        """Writes one picture, RGB over its full range."""
        import cv2

        path = self._names.path(FIRST + self.frames)
        encoded = cv2.imencode(".png", cv2.cvtColor(to_depth(frame, self._dtype), cv2.COLOR_RGB2BGR))[1]
        with writing_in(path.parent), written_aside(path) as hidden:
            hidden.write_bytes(encoded.data)
        self.frames += 1

    def stop(self) -> None:
        """A file is written in no time."""

    def remove_older(self) -> int:
        """Removes files of the same pattern that were there before with higher numbers; how many there were."""
        older = [number for number in self._names.numbers() if number >= FIRST + self.frames]
        for number in older:
            self._names.path(number).unlink(missing_ok=True)
        return len(older)
