"""Reads the pictures of a video through one ffmpeg child, as arrays of full-range RGB or of planar 4:2:0."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from types import TracebackType
from typing import Any, Self

import numpy as np

from afitrt.buffers import pictures
from afitrt.errors import InputError, RenderError
from afitrt.frames import Change, Pixels, VideoInfo
from afitrt.video.colour import to_rgb
from afitrt.video.decode_errors import Signs
from afitrt.video.ffmpeg import Child, command, ending, node_path, read_whole
from afitrt.video.input_options import front, reading_options
from afitrt.video.pipes import Pump
from afitrt.video.planes import raw_format, to_yuv
from afitrt.video.seek import Entry
from afitrt.video.showinfo import LEVEL, SHOW, Listener, alike, changed
from afitrt.video.timeline import normalise
from afitrt.yuv import Yuv420


class Reader:
    """Iterates over frames: ndarray [height, width, 3], RGB over the full range, owned by the caller.

    uint8 from sources of 8 bits, else uint16. yuv: what `decoded_yuv` or `carried_yuv` gave, for frames of that kind
    instead: see `afitrt.yuv`. Frame k is the k-th picture that ffmpeg hands out; it has pts
    info.pts[k], or k/rate where a rate is given: then ffmpeg's fps filter repeats and drops frames.
    span: half-open range [a, b) of frame numbers (after the fps filter); those before a are decoded and dropped, from
    the place that `seek` names for frame a, else from the beginning; b None is the end. Of y4m on standard input the
    header has been taken and everything after it is read.

    A context manager; leaving it early ends ffmpeg. Iterate once. Raises RenderError when ffmpeg is killed from
    outside, and InputError when nothing decodes or where a picture has other facts than the first one of the source:
    size, pixel aspect, format or colour. Pictures are never scaled. Of a damaged source all comes out that decodes, and
    `complete` is False afterwards.
    """

    def __init__(
        self,
        info: VideoInfo,
        span: tuple[int, int | None] | None = None,
        rate: Fraction | None = None,
        seek: Entry | None = None,
        yuv: Yuv420 | None = None,
    ) -> None:
        self.info = info
        self._pump = Pump(info) if info.piped else None
        self._rate = rate
        self._command = command(_output(info, span, rate, seek, yuv), level=LEVEL)
        self._signs = Signs(info.codec)
        self._shape = yuv.shape if yuv else (info.height, info.width, 3)
        self._dtype = yuv.layout.dtype if yuv else np.uint8 if info.depth <= 8 else np.uint16
        self._first, end = span or (0, None)
        self._wanted = None if end is None else max(0, end - self._first)
        self.expected = None if info.piped else _promised(info, self._first, end, rate)
        """Frames that the packets promise; None of a pipe."""
        self._tolerance = 0 if rate is None else 1
        self.frames = 0
        """Frames handed out so far."""
        self.exit_code: int | None = None
        """ffmpeg's, once all frames are out."""
        self._listener = Listener(self._signs)
        self._picture = info.picture
        self._child: Child | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._child = self._stack.enter_context(self._open())
        if self._pump is not None:
            self._pump.start(self._child.stdin)
        return self

    def _open(self) -> Child:
        heard = self._listener
        return Child(self._command, stdin=self._pump is not None, stdout=True, hear=heard, ended=heard.close)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def stop(self) -> None:
        """Ends the iteration from another thread, even while nothing arrives."""
        if self._child is not None:
            self._child.end()

    @property
    def errors(self) -> tuple[str, ...]:
        """Last lines of ffmpeg's error log, some perhaps harmless, and how many pictures are damaged."""
        told = (*(self._child.errors if self._child else ()), *self._signs.summary)
        return (*told, self._pump.damage) if self._pump and self._pump.damage else told

    @property
    def complete(self) -> bool:
        """All promised frames came out of a file that showed no sign of damage; known after the last frame."""
        counted = self.expected is None or abs(self.frames - self.expected) <= self._tolerance
        damage = self._pump.damage if self._pump else self.info.damage
        return counted and self.exit_code == 0 and not damage and not self._signs.damaged

    def __iter__(self) -> Iterator[Pixels]:
        if self._child is None:
            raise RuntimeError("a Reader is used in a with statement")
        while (frame := self._next(self._child)) is not None:
            self.frames += 1
            yield frame
        self.exit_code = self._child.wait()
        if self.exit_code < 0:
            raise RenderError(
                f"ffmpeg, reading {self.info.path}, {ending(self.exit_code, self.errors)}",
                "ffmpeg to read to the end",
                "run the command again; if it repeats, the machine may be out of memory",
            )
        if self.frames == 0 and self.expected is None:
            raise InputError(
                "no frame arrived on standard input", f"frames up to number {self._first} at least", "see --start"
            )
        if self.frames == 0 and self.expected and self._first == 0:
            raise InputError(
                f"no frame of {self.info.path} decodes: ffmpeg {ending(self.exit_code, self.errors)}",
                f"{self.expected} frames",
                "the file may be cut off or encrypted; copy or download it again",
            )

    def _next(self, child: Child) -> Pixels | None:
        """The next whole picture, or None at the end."""
        checked = self._check()
        frame: Pixels = pictures.empty(self._shape, self._dtype)
        whole = read_whole(child.stdout, frame.data.cast("B"))
        if not checked:  # It took long; now showinfo has seen it for sure.
            self._check()
        return frame if whole else None

    def _check(self) -> bool:
        """Waits until showinfo has seen the next picture, which is before it comes, and compares it with the first.

        False where it was not seen for long.
        """
        if self.frames == self._wanted:
            return True
        told = self._listener.next()
        if told is None and not self._listener.ended:
            return False
        facts, anew = told or (self._picture, self._listener.anew and self.frames < (self.expected or 0))
        self._picture = self._picture or facts
        if facts and self._picture and (anew or not alike(facts, self._picture)):
            frame = self._first + self.frames
            seconds = self.info.seconds(min(frame, self.info.frames)) if self._rate is None else frame / self._rate
            raise changed(self.info, frame, Change(seconds, (self._picture, facts)))
        return True


def _promised(info: VideoInfo, first: int, end: int | None, rate: Fraction | None) -> int:
    total = info.frames if rate is None else normalise(info, rate).info.frames
    return max(0, (total if end is None else min(end, total)) - first)


def _output(
    info: VideoInfo, span: tuple[int, int | None] | None, rate: Fraction | None, seek: Entry | None, yuv: Yuv420 | None
) -> Any:
    """The ffmpeg-python node that writes raw pictures to stdout."""
    filters = front(info)
    filters += [] if rate is None else ["setpts=PTS-STARTPTS", f"fps=fps={rate}"]
    if span is not None and seek is not None:
        filters.append(f"trim=start_pts={seek.pts}")
        filters += [] if span[1] is None else [f"trim=end_frame={span[1] - span[0]}"]
    elif span is not None:
        filters.append(f"trim=start_frame={span[0]}" + ("" if span[1] is None else f":end_frame={span[1]}"))
    filters += [SHOW, *(to_yuv(yuv) if yuv else to_rgb(info))]
    return _input(info, seek)[str(info.stream)].output(
        "pipe:1",
        f="rawvideo",
        pix_fmt=raw_format(yuv) if yuv else "rgb24" if info.depth <= 8 else "rgb48le",
        fps_mode="passthrough",
        noautoscale=None,
        vf=",".join(filters),
        # Filters that begin anew where pictures change count anew as well.
        **({} if span is None or span[1] is None else {"frames:v": max(0, span[1] - span[0])}),
    )


def _input(info: VideoInfo, seek: Entry | None) -> Any:
    import ffmpeg

    if not info.piped:
        # Filters may look at times, so these are the ones at which their frames were counted.
        place: dict[str, object] = {"copyts": None} if info.filters else {}
        if seek is not None:
            microseconds = seek.seconds.numerator * 1_000_000 // seek.seconds.denominator
            place = {"ss": f"{microseconds}us", "seek_timestamp": 1, "noaccurate_seek": None, "copyts": None}
        return ffmpeg.input(node_path(info.path), **reading_options(info), **place)
    size = (info.width, info.height)
    return ffmpeg.input("pipe:0", f="rawvideo", pix_fmt=info.pix_fmt, video_size=size, framerate=str(info.rate))
