"""A video file that grows in segments, so that a run that was killed goes on where it was."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from afitrt import video
from afitrt.errors import AfitrtError, counted
from afitrt.events import Event, SegmentDone
from afitrt.file_names import short_name
from afitrt.frames import Pixels
from afitrt.pipeline.placing import joined_file, put_in_place
from afitrt.pipeline.preparing import Prepared
from afitrt.pipeline.workers import Worker
from afitrt.render import Decoded, Part
from afitrt.schedule import outputs_before
from afitrt.segments import (
    Cutter,
    PieceWriter,
    Recipe,
    Sidecar,
    Store,
    contiguous,
    device_name,
    join,
    put_together,
)


def work_folder(output: Path, recipe: Recipe) -> Path:
    """The hidden folder of an output's finished segments, beside it."""
    return output.with_name(f"{_prefix(output)}{recipe.digest[:12]}")


def work_folders(output: Path) -> list[Path]:
    """Those of an output that are there, whatever recipe their segments are made by."""
    there = os.listdir(output.parent) if os.path.isdir(output.parent) else []
    return [output.with_name(name) for name in there if name.startswith(_prefix(output))]


def _prefix(output: Path) -> str:
    return f".afitrt-{short_name(output)}-"


class SegmentWriter:
    """Writer's interface over segments; those that are finished already are passed over.

    Pictures come in order, without those of finished segments. One segment is finished by a thread while the next one
    begins, so that the network need not wait for an encoder to empty itself.
    """

    def __init__(
        self, store: Store, cutter: Cutter, done: dict[int, Sidecar], open_writer: Callable[[Path], video.Writer]
    ) -> None:
        self._store, self._cutter, self._done, self._open = store, cutter, done, open_writer
        self.published: list[Sidecar] = []
        """Segments that this writer finished."""
        self._piece: PieceWriter | None = None
        self._next = 0
        self._finishing: Worker | None = None
        self._failure: BaseException | None = None
        self.given_up = False
        """No more pictures come, although the last segment is not whole."""
        self.frames = 0
        """Pictures written so far, without those of segments finished before."""

    def __enter__(self) -> Self:
        return self

    def write(self, frame: Pixels) -> None:
        """Encodes the next picture."""
        while (number := self._cutter.segment_of(self._next)) in self._done:
            self._next = self._cutter.bounds[number + 1]
        if self._piece is None or self._piece.segment != number:
            self._end_piece()
            piece = PieceWriter(self._store, number, self._next, self._open)
            self._piece = piece.__enter__()
        self._piece.write(frame)
        self._next += 1
        self.frames += 1

    def stop(self) -> None:
        """See Writer."""
        if self._piece is not None:
            self._piece.stop()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None and not self.given_up:
            self._end_piece()
            self._wait()
            return
        if self._piece is not None:
            self._piece.__exit__(kind, error, trace)
        with suppress(AfitrtError):
            self._wait()

    @property
    def unfinished(self) -> Path | None:
        """The file of the segment that was being written, if its place is behind the last one that is finished."""
        if self._piece is None or contiguous(self._store, _ranges(self._cutter)) != self._piece.segment:
            return None
        return self._store.aside(self._piece.segment)

    def _end_piece(self) -> None:
        self._wait()
        piece, self._piece = self._piece, None
        if piece is not None:
            self._finishing = Worker("segment", lambda: self._finish(piece), self._fail)
            self._finishing.start()

    def _wait(self) -> None:
        if self._finishing is not None:
            self._finishing.wait()
            self._finishing = None
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    def _finish(self, piece: PieceWriter) -> None:
        piece.__exit__(None, None, None)
        self.published.append(piece.publish())

    def _fail(self, failure: BaseException) -> None:
        self._failure = failure


def _ranges(cutter: Cutter) -> list[tuple[int, int]]:
    return list(zip(cutter.bounds, cutter.bounds[1:], strict=False))


class SegmentedFile:
    """See Output: a video file, made of segments in a folder beside it."""

    def __init__(self, prepared: Prepared, recipe: Recipe, store: Store) -> None:
        self._task, self._store = prepared.task, store
        self.length = recipe.segment_outputs
        self._cutter = Cutter(self.length)
        self._done = store.all_finished()
        self._frames = self._scenes = 0
        self.finished = sum(end - start for start, end in (each.outputs for each in self._done.values()))
        self._told = 0
        self.writer = SegmentWriter(store, self._cutter, self._done, prepared.writer)
        self.part: Part | None = Part(self._wanted)

    def watch(self, decoded: Decoded) -> None:
        """See Output."""
        if decoded.frame.cut:
            self._cutter.scene(outputs_before(self._frames, self._task.time(self._frames), self._task.schedule))
        self._scenes += decoded.frame.cut or self._frames == 0
        self._frames += 1

    def _wanted(self, output: int) -> bool:
        return self._cutter.segment(output) not in self._done

    def news(self) -> Sequence[Event]:
        """See Output: segments finished since the last call."""
        new = self.writer.published[self._told :]
        self._told += len(new)
        device = device_name(self._task.job.model)
        return [SegmentDone(each.segment, len(each.pictures), each.host, device, False) for each in new]

    def give_up(self) -> None:
        """See Output."""
        self.writer.given_up = True

    def publish(self) -> list[str]:
        """See Output: joins, and removes the folder."""
        self._cutter.close(self.finished + self.writer.frames)
        hint = f"delete {self._store.folder}, then the same command again"
        joined = joined_file(self._store, self._task.output)
        notes = join(self._store, _ranges(self._cutter), self._task, joined, hint)
        put_in_place(self._store, joined, self._task.output, (self._frames, self._cutter.bounds[-1], self._scenes))
        return notes

    def keep(self) -> str | None:
        """See Output: OUT.partial.mkv of what is finished without a gap, and what the encoder had of the next."""
        ranges = _ranges(self._cutter)
        count = contiguous(self._store, ranges)
        pieces = [self._store.path(number) for number in range(count)]
        outputs = ranges[count - 1][1] if count else 0
        piece = self.writer.unfinished
        if piece is not None and (more := video.count_packets(piece)):
            pieces, outputs = [*pieces, piece], outputs + more
        if not outputs:
            return None
        partial = self._task.partial
        try:
            put_together(pieces, outputs, self._task, partial)
        except AfitrtError:
            if count:  # A finished segment stays where the next run finds it.
                return self._goes_on(count)
            pieces[0].replace(partial)
        return ", ".join([f"{partial} ({counted(outputs, 'picture')})", *([self._goes_on(count)] if count else [])])

    def _goes_on(self, count: int) -> str:
        return f"{counted(count, 'finished segment')} in {self._store.folder}, where the same command goes on"

    def close(self) -> None:
        """See Output: what is finished stays."""
        self._store.sweep(lambda pid: pid == os.getpid())
        if self._store.folder.exists() and not self._store.all_finished():
            self._store.remove()
