"""Writes pictures as one video stream through one ffmpeg child. Other tracks are added by mux."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from afitrt.buffers import pictures
from afitrt.errors import AfitrtError, MissingToolError, RenderError, RetryError
from afitrt.frames import Pixels, VideoInfo
from afitrt.options import EncodeOptions
from afitrt.system import nobody_reads
from afitrt.video import hdr
from afitrt.video.colour import from_rgb, pixel_format, tagging
from afitrt.video.encoders import ENCODERS, Y4M, encoder_arguments, friendly_name, params_for
from afitrt.video.ffmpeg import Child, command, ending, node_path, readable_path
from afitrt.video.ffmpeg_discovery import SETTING, find_for, installed, present_encoders
from afitrt.video.input_options import pixel_shape
from afitrt.video.pipes import STDIO
from afitrt.video.planes import output_colour, raw_format
from afitrt.yuv import Yuv420

FINISH_SECONDS = 120
VAAPI_DEVICE = Path("/dev/dri/renderD128")


class Writer:
    """Takes frames [height, width, 3] of uint8 or uint16, RGB over the full range, and encodes them at a constant rate.

    info: size, colour and sample aspect to write. encode: as resolved by `choose_encoding`. path: where to
    write a Matroska file (its time stamps are rounded to milliseconds; mux restores them), or `-` for y4m on
    standard output, where BrokenPipeError says that nobody reads it any more. yuv: what `carried_yuv` gave, for
    frames of that kind instead of RGB: see `afitrt.yuv`.

    A context manager. Leaving it regularly finishes the file and counts its packets; RenderError when ffmpeg
    failed or a frame is missing, RetryError when the disk is full. Leaving it by an exception finishes the file
    too, so that what was written can be played.
    """

    def __init__(
        self, path: Path, info: VideoInfo, rate: Fraction, encode: EncodeOptions, yuv: Yuv420 | None = None
    ) -> None:
        self.path = Path(path)
        self.frames = 0
        """Frames written so far."""
        self._shape = yuv.shape if yuv else (info.height, info.width, 3)
        self._dtype = picture_type(encode)
        self._command = command(
            _output(self.path, info, rate, encode, yuv), *_device(encode), tool=find_for(encode.codec)
        )
        self._child: Child | None = None
        behind = self.path != STDIO and not hdr.handed_over(find_for(encode.codec))
        self._facts = info if behind and (info.mastering or info.content_light) else None

    def __enter__(self) -> Self:
        self._child = Child(self._command, stdin=True, stdout=None if self.path == STDIO else False)
        return self

    def write(self, frame: Pixels) -> None:
        """Encodes one picture; blocks while the encoder is busy."""
        if self._child is None:
            raise RuntimeError("a Writer is used in a with statement")
        if frame.shape != self._shape:
            raise ValueError(f"frame of shape {frame.shape}, expected {self._shape}")
        view = to_depth(frame, self._dtype).data.cast("B")
        try:
            while len(view):
                view = view[self._child.stdin.write(view) :]
        except OSError as error:
            if not nobody_reads(error):
                raise
            raise self._failure(self._child.wait()) from None
        self.frames += 1

    def stop(self) -> None:
        """Ends ffmpeg from another thread, even while nobody reads what it writes."""
        if self._child is not None:
            self._child.end()

    def _failure(self, code: int) -> AfitrtError | BrokenPipeError:
        errors = self._child.errors if self._child else ()
        if self.path == STDIO and any("Broken pipe" in line for line in errors):
            return BrokenPipeError()
        found = f"ffmpeg, writing {self.path.name} after {self.frames} frames, {ending(code, errors)}"
        if any("No space left on device" in line for line in errors):
            hint = f"free space in {self.path.parent}, then run the command again"
            return RetryError(found, "room on the disk", hint)
        return RenderError(found, "ffmpeg to take every frame", "run the command again; see its last words above")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._child is not None
        with self._child as child:
            if error is not None:
                with suppress(subprocess.TimeoutExpired):
                    child.wait(FINISH_SECONDS)
                return
            code = child.wait()
            if code != 0:
                raise self._failure(code)
        if self.path != STDIO and (counted := count_packets(self.path)) != self.frames:
            raise RenderError(
                f"{self.path.name} holds {counted} frames",
                f"the {self.frames} that were written",
                "please report this with the encoder's name",
            )
        if self._facts is not None:
            hdr.put_facts(self.path, self._facts)


def picture_type(encode: EncodeOptions) -> type[np.uint8] | type[np.uint16]:
    """The type in which pictures reach an encoder as resolved by `choose_encoding`: uint16 above 8 bits."""
    return np.uint16 if pixel_format(str(encode.pix_fmt)).depth > 8 else np.uint8


def to_depth(frame: Pixels, dtype: type[np.uint8] | type[np.uint16]) -> npt.NDArray[Any]:
    """The frame, contiguous, in another depth of full range: exact when widened (x257), rounded when narrowed."""
    if frame.dtype == dtype:
        return np.ascontiguousarray(frame, dtype)
    if dtype is np.uint16:
        wide = pictures.empty(frame.shape, np.uint16)
        np.multiply(frame, np.uint16(257), out=wide)
        return wide
    # (v + 128) // 257 without leaving 16 bits for long: v // 257 rounded to nearest.
    return ((frame.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _output(path: Path, info: VideoInfo, rate: Fraction, encode: EncodeOptions, yuv: Yuv420 | None) -> Any:
    """The ffmpeg-python node that encodes raw pictures from stdin."""
    import ffmpeg

    colour, pix_fmt, tool = output_colour(info, encode), str(encode.pix_fmt), find_for(encode.codec)
    converted = [f"format={pix_fmt}"] if yuv else from_rgb(info, colour, pix_fmt)
    filters = [*converted, pixel_shape(info.sample_aspect), tagging(colour)]
    if _uploads(encode):
        filters.append("hwupload")
    source = ffmpeg.input(
        "pipe:0",
        f="rawvideo",
        pix_fmt=raw_format(yuv) if yuv else "rgb48le" if picture_type(encode) is np.uint16 else "rgb24",
        video_size=(info.width, info.height),
        framerate=str(rate),
        **hdr.input_options(info, tool),
    )
    # FFV1 is given limited pictures unless the range is asked for in so many words.
    options = {
        **encoder_arguments(encode, params_for(tool, encode.codec) | hdr.encoder_params(info, encode.codec, tool)),
        "color_range": str(colour.range),
        **({"chroma_sample_location": colour.chroma_location} if colour.chroma_location else {}),
        "vf": ",".join(filters),
        "fps_mode": "passthrough",
    }
    if path == STDIO:
        return source.output("pipe:1", f=Y4M, **options)
    # Short clusters, so that a killed ffmpeg leaves all but the last half second; nothing random in the file.
    return source.output(
        node_path(path), f="matroska", fflags="+bitexact", cluster_time_limit=500, flush_packets=1, **options
    )


def _uploads(encode: EncodeOptions) -> bool:
    return encode.codec in ENCODERS and ENCODERS[encode.codec].upload


def _device(encode: EncodeOptions) -> list[str]:
    """Options of the run that name the VAAPI device."""
    return ["-vaapi_device", str(vaapi_device())] if _uploads(encode) else []


def vaapi_device() -> Path:
    """The device of VAAPI encoders: AFITRT_VAAPI_DEVICE, else the first one."""
    if configured := os.environ.get("AFITRT_VAAPI_DEVICE"):
        return Path(configured)
    return min(Path("/dev/dri").glob("renderD*"), default=VAAPI_DEVICE)


def count_packets(path: Path) -> int:
    """Packets of the first video stream of a file, counted by demuxing; 0 for a file that does not open."""
    import av

    try:
        with av.open(readable_path(path)) as container:
            return sum(packet.size > 0 for packet in container.demux(video=0))
    except (av.FFmpegError, IndexError):
        return 0


def doubtful(wanted: EncodeOptions, resolved: EncodeOptions) -> bool:
    """Is a trial worth its while: does hardware encode, or did somebody set what the encoder may refuse?"""
    if resolved.codec not in ENCODERS:
        return False
    return ENCODERS[resolved.codec].hardware or wanted != EncodeOptions(wanted.codec)


def try_encoder(info: VideoInfo, rate: Fraction, encode: EncodeOptions) -> None:
    """Encodes one black picture of this size, so that an encoder that cannot work here says so before the work.

    Raises MissingToolError with ffmpeg's own words.
    """
    black = np.zeros((info.height, info.width, 3), np.uint8)
    with TemporaryDirectory(prefix="afitrt-") as folder:
        try:
            with Writer(Path(folder) / "trial.mkv", info, rate, encode) as writer:
                writer.write(black)
        except RenderError as error:
            raise _refused(info, encode, error) from error


def _refused(info: VideoInfo, encode: EncodeOptions, error: RenderError) -> MissingToolError:
    there = [friendly_name(each) for each, row in ENCODERS.items() if each in present_encoders() and not row.hardware]
    hint = f"--codec {there[0]}" if there else "install a complete ffmpeg"
    if encode.preset not in (None, ENCODERS[encode.codec].preset):
        hint = f"another --preset than {encode.preset}, or {hint}"
    elif encode.extra:
        hint = f"other --encoder-args, or {hint}"
    elif ENCODERS[encode.codec].hardware:
        # Another ffmpeg may have been built for the driver that is here.
        tried = find_for(encode.codec)
        others = [each.path for each in installed().values() if each != tried and encode.codec in each.encoders]
        hint = " or ".join([*(f"{SETTING}={path}" for path in others), hint])
    return MissingToolError(
        f"{encode.codec} with {encode.pix_fmt} cannot encode {info.width}x{info.height} here: {error.found}",
        f"an encoder that works on this machine, such as {', '.join(there)}",
        hint,
    )
