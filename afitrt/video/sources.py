"""What a source is, and who reads it: a video file, pictures, or y4m on standard input."""

from __future__ import annotations

import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from afitrt.errors import UsageError
from afitrt.frames import VideoInfo
from afitrt.video.filters import filtered, scan
from afitrt.video.numbered import numbered
from afitrt.video.pictures import PictureReader, probe_pictures
from afitrt.video.pipes import STDIO, probe_pipe
from afitrt.video.probe import probe
from afitrt.video.read import Reader
from afitrt.video.seek import Entry
from afitrt.yuv import Yuv420


def probe_source(path: Path, rate: Fraction | None = None, filters: str = "", number: int | None = None) -> VideoInfo:
    """The facts of a file, of a folder or pattern (%06d.png) of pictures, or of y4m on standard input (`-`).

    rate: of pictures and of raw streams, which do not tell it. filters: ffmpeg's, in front of everything else; then the
    facts are those of what they give, learnt by running them once over the whole file. number: ffmpeg's, of the video
    stream to take. Raises InputError, and UsageError where a rate is missing or not wanted, or filters or a number
    cannot be used.
    """
    alone = path == STDIO or os.path.isdir(path) or numbered(path)
    what = "what comes from standard input" if path == STDIO else f"{path}, which is pictures"
    if number is not None and alone:
        raise UsageError(f"--video {number} for {what}", "a video file", "leave it out")
    if filters and alone:
        raise UsageError(f"filters for {what}", "a video file", f"ffmpeg -i IN -vf {filters} in front of afitrt")
    if path == STDIO:
        return probe_pipe(rate)
    if os.path.isdir(path) or numbered(path):
        return probe_pictures(path, rate)
    info = probe(path, number)
    if filters:
        info = filtered(info, filters)
    if rate is not None and info.untimed:
        info = replace(info.at(rate, info.frames), untimed=False)
    elif rate is not None:
        raise UsageError(
            f"--rate {rate} for {path}, which tells its own", "pictures", f"leave it out, or --normalize {rate}"
        )
    return replace(info, scan=scan(info))


def open_reader(
    info: VideoInfo,
    span: tuple[int, int | None] | None = None,
    rate: Fraction | None = None,
    seek: Entry | None = None,
    yuv: Yuv420 | None = None,
) -> Reader | PictureReader:
    """See Reader; what `probe_source` told decides who reads."""
    if info.pictures:
        return PictureReader(info, span, rate)
    return Reader(info, span, rate, seek, yuv)
