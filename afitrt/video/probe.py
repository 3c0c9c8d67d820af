"""Reads the facts of a video file by demuxing all of its packets and decoding its first picture."""

from __future__ import annotations

import math
import re
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from afitrt.errors import InputError
from afitrt.frames import Colour, Crop, VideoInfo
from afitrt.video.alpha import PALETTE, transparent, without_alpha
from afitrt.video.captions import CAPTIONS, beside
from afitrt.video.colour import MATRICES, PRIMARIES, RANGES, TRANSFERS, ZSCALE_MATRICES, pixel_format
from afitrt.video.demux import check_jump, demux, shown, stored
from afitrt.video.encryption import refusal, scrambled, unreadable
from afitrt.video.ffmpeg import Child, ending, readable_path
from afitrt.video.hdr import content_light_of, declared_dynamic, dynamic_of, mastering_of
from afitrt.video.input_options import front, through
from afitrt.video.showinfo import LEVEL, SHOW, Listener
from afitrt.video.stream_selection import select
from afitrt.video.timeline import timed, timeline

A_VIDEO = "a video file that ffmpeg can read, such as .mkv or .mp4"


def probe(path: Path, number: int | None = None) -> VideoInfo:
    """The facts of the video stream that `select` takes. number: ffmpeg's, of another.

    Raises UsageError where that is no video, InputError for whatever cannot be a source: a missing, empty or foreign
    file, a folder, no video stream, an unknown codec, no picture that decodes, an alpha channel, a colour matrix that
    is not linear.
    """
    path = Path(path)
    _check_file(path)
    with _opened(path) as container:
        if container.format.name == "mpeg" and scrambled(path, disc=True):
            raise unreadable(path)
        stream, others = select(container, path, number)
        demuxed = demux(container, stream)
        if not demuxed.packets:
            raise InputError(f"{path}: its video stream is empty", "at least one frame", "check how the file was made")
        if demuxed.encrypted:
            raise refusal(path, f"its video (track {stream.index})")
        check_jump(path, demuxed)
        time_base = Fraction(stream.time_base)
        hints = [Fraction(each) for each in (stream.average_rate, stream.guessed_rate, stream.base_rate) if each]
        declared, index = int(stream.frames), int(stream.index)
        change = demuxed.heads.change()
    first, begins = _first_picture(path, index)
    first = _opaque(_handed_out(first))
    times = timeline(shown(demuxed.packets, begins), time_base, hints)
    damage = demuxed.damage
    if not damage and demuxed.indexed and declared > demuxed.count and declared > (there := stored(path, index)):
        damage = f"its index names {declared} frames, {there} are there"
    _check_picture(first)
    return replace(
        timed(first, times),
        damage=damage,
        dynamic=first.dynamic or declared_dynamic(path, first.codec, first.depth),
        untimed=demuxed.untimed,
        rivals=others,
        edited=demuxed.edits.several,
        change=change,
        beside=tuple(dict.fromkeys((*first.beside, *[CAPTIONS] * demuxed.captions))),
    )


def _check_file(path: Path) -> None:
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise InputError(f"{path} is a folder", A_VIDEO, "name one file")
        if not stat.S_ISREG(mode):  # Opening a pipe waits for whoever writes into it, and it cannot be read twice.
            hint = f"afitrt interpolate - OUT < {path} where y4m comes out of it, else write it to a file first"
            raise InputError(f"{path} is {_kind(mode)}", A_VIDEO, hint)
        with path.open("rb") as file:
            empty = not file.read(1)
    except (FileNotFoundError, NotADirectoryError):
        hint = "check the name, and quote it if it has spaces"
        raise InputError(f"{path} does not exist", A_VIDEO, hint) from None
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror}", A_VIDEO, "check its name and permissions"
        ) from error
    if empty:
        raise InputError(f"{path} is empty (0 bytes)", A_VIDEO, "copy or download it again")


def _kind(mode: int) -> str:
    kinds = ((stat.S_ISFIFO, "a named pipe"), (stat.S_ISSOCK, "a socket"))
    return next((words for matches, words in kinds if matches(mode)), "a device")


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A PyAV container; what PyAV raises inside the block becomes an InputError."""
    import av

    try:
        with av.open(readable_path(path), metadata_errors="replace") as container:
            yield container
    except av.FFmpegError as error:
        reason = error.strerror or type(error).__name__
        raise InputError(
            f"{path} is not a video that can be read ({reason})", A_VIDEO, f"ffmpeg -i {path.name} tells what it is"
        ) from error


def _first_picture(path: Path, index: int) -> tuple[VideoInfo, int | None]:
    """Facts that the first decoded picture tells, and its pts; nothing yet about the others."""
    import av

    with _opened(path) as container:
        stream = container.streams[index]
        context = stream.codec_context
        frame = _decode_one(container, stream, path)
        matrix = next((d for d in frame.side_data if d.type == av.sidedata.sidedata.Type.DISPLAYMATRIX), None)
        rotation, mirrored = _orientation(bytes(matrix)) if matrix is not None else (0, False)
        info = VideoInfo(
            path=path,
            width=frame.width,
            height=frame.height,
            rate=Fraction(0),
            time_base=Fraction(stream.time_base),
            pts=np.empty(0, np.int64),
            end=0,
            pix_fmt=frame.format.name,
            depth=pixel_format(frame.format.name).depth,
            colour=_colour(frame, context, _chroma_location(frame, stream.time_base)),
            sample_aspect=Fraction(stream.sample_aspect_ratio or 1),
            stream=index,
            codec=context.name,
            rotation=rotation,
            mirrored=mirrored,
            crop=_crop(container, stream),
            interlaced=bool(frame.interlaced_frame or int(context.field_order) > 1),
            mastering=mastering_of(frame),
            content_light=content_light_of(frame),
            dynamic=dynamic_of(frame),
            beside=beside(frame, "matroska" in container.format.name),
        )
        return info, frame.pts


def _handed_out(info: VideoInfo) -> VideoInfo:
    """The same with size, format, pixel aspect and colour of the first picture that the reading ffmpeg hands out."""
    command = through(info, [*front(info), SHOW], "-frames:v", "1", "-f", "null", "-", level=LEVEL)
    listener = Listener()
    with Child(command, hear=listener, ended=listener.close) as child:
        code, errors = child.wait(), child.errors
    if (first := listener.next()) is None:
        raise InputError(
            f"{info.path}: no frame of its {info.codec} stream decodes: ffmpeg {ending(code, errors)}",
            "a stream that this ffmpeg decodes",
            "afitrt doctor tells which ffmpeg that is; the file may be cut off or encrypted",
        )
    facts = first[0]
    found = {name: value for name, value in vars(facts.colour).items() if value}
    return replace(
        info,
        width=facts.width,
        height=facts.height,
        pix_fmt=facts.pix_fmt,
        depth=pixel_format(facts.pix_fmt).depth,
        # Old versions of ffmpeg lose what they cannot hold in 16 bits.
        sample_aspect=facts.aspect if info.sample_aspect == 1 else info.sample_aspect,
        colour=replace(info.colour, **found),
        picture=facts,
    )


def _opaque(info: VideoInfo) -> VideoInfo:
    """The same without the alpha that its pictures may have."""
    alpha = pixel_format(info.pix_fmt).alpha or info.pix_fmt == PALETTE
    return _handed_out(without_alpha(info)) if alpha else info


def _crop(container: Any, stream: Any) -> Crop | None:
    """What Matroska's PixelCrop or MP4's clean aperture takes off, which PyAV tells in words only."""
    import av

    level = av.logging.get_level()
    av.logging.set_level(av.logging.INFO)
    try:
        words = container.dumps_format()
    finally:
        av.logging.set_level(level)
    streams = re.split(r"^ *Stream #0:(\d+)", words, flags=re.MULTILINE)
    own = dict(zip(streams[1::2], streams[2::2], strict=True)).get(str(stream.index), "")
    found = re.search(r"Frame Cropping: (\d+)/(\d+)/(\d+)/(\d+)", own)
    if not found or not any(map(int, found.groups())):
        return None
    left, right, above, below = map(int, found.groups())
    return Crop(left, right, above, below, Fraction(stream.sample_aspect_ratio or 1))


def _colour(frame: Any, context: Any, chroma: str | None) -> Colour:
    """What the picture says of its colour, else what its stream does."""
    return Colour(
        matrix=MATRICES.get(frame.colorspace) or MATRICES.get(context.colorspace),
        primaries=PRIMARIES.get(frame.color_primaries) or PRIMARIES.get(context.color_primaries),
        transfer=TRANSFERS.get(frame.color_trc) or TRANSFERS.get(context.color_trc),
        range=RANGES.get(frame.color_range) or RANGES.get(context.color_range),
        chroma_location=chroma,
    )


def _decode_one(container: Any, stream: Any, path: Path) -> Any:
    """The first picture; packets that do not decode are passed over, as ffmpeg does. Raises InputError for none."""
    import av

    if stream.metadata.get("alpha_mode", "0") != "0":
        raise transparent(path, "ALPHA_MODE", "yuv420p", "-metadata:s:v alpha_mode=")
    stream.codec_context.thread_type = "NONE"
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.FFmpegError:
            continue
        if frames:
            return frames[0]
    if container.format.name == "mpegts" and scrambled(path, disc=False):
        raise unreadable(path)
    raise InputError(
        f"{path}: no frame of its {stream.codec_context.name} stream decodes",
        "at least one frame",
        "the file may be cut off or encrypted; copy or download it again",
    )


def _orientation(matrix: bytes) -> tuple[int, bool]:
    """Counter-clockwise degrees and mirroring of a display matrix (nine int32, row by row, first row x)."""
    a, b, _, c, d, *_ = struct.unpack("=9i", matrix)
    mirrored = a * d - b * c < 0
    degrees = -math.degrees(math.atan2(b, -a if mirrored else a))
    return round(degrees) % 360, mirrored


def _chroma_location(frame: Any, time_base: Fraction) -> str | None:
    """Where chroma samples lie, which PyAV keeps to itself: the showinfo filter says it."""
    import av

    level = av.logging.get_level()
    graph = av.filter.Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=time_base)
    show, sink = graph.add("showinfo", "checksum=0"), graph.add("buffersink")
    source.link_to(show)
    show.link_to(sink)
    av.logging.set_level(av.logging.INFO)
    try:
        with av.logging.Capture() as told:
            graph.configure()
            source.push(frame)
            sink.pull()
    except av.FFmpegError:
        return None
    finally:
        av.logging.set_level(level)
    found = re.search(r"\bcl:(\w+)", "".join(text for _, _, text in told))
    return found[1] if found and found[1] != "unspecified" else None


def _check_picture(picture: VideoInfo) -> None:
    pixels, path = pixel_format(picture.pix_fmt), picture.path
    matrix = picture.colour.matrix
    if not pixels.rgb and not pixels.grey and matrix not in (None, "gbr", *ZSCALE_MATRICES):
        raise InputError(
            f"{path} uses the colour matrix {matrix}",
            f"one of {', '.join(ZSCALE_MATRICES)}",
            "convert it to bt709 or bt2020nc first",
        )
