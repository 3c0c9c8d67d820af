"""What a source is, and who reads it: a video file, pictures, or y4m on standard input."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from afitrt.errors import UsageError
from afitrt.frames import VideoInfo
from afitrt.video.numbered import numbered
from afitrt.video.pictures import PictureReader, probe_pictures
from afitrt.video.pipes import STDIO, probe_pipe
from afitrt.video.probe import probe
from afitrt.video.read import Reader
from afitrt.video.seek import Entry


def probe_source(path: Path, rate: Fraction | None = None) -> VideoInfo:
    """The facts of a file, of a folder or pattern (%06d.png) of pictures, or of y4m on standard input (`-`).

    rate: of pictures and of raw streams, which do not tell it. Raises InputError, and UsageError where a rate is
    missing or not wanted.
    """
    if path == STDIO:
        return probe_pipe(rate)
    if path.is_dir() or numbered(path):
        return probe_pictures(path, rate)
    info = probe(path)
    if rate is not None and info.untimed:
        frames = np.arange(info.frames, dtype=np.int64)
        return replace(info, rate=rate, time_base=1 / rate, pts=frames, end=info.frames, constant=True, untimed=False)
    if rate is not None:
        raise UsageError(
            f"--rate {rate} for {path}, which tells its own", "pictures", f"leave it out, or --normalize {rate}"
        )
    return info


def open_reader(
    info: VideoInfo,
    span: tuple[int, int | None] | None = None,
    rate: Fraction | None = None,
    seek: Entry | None = None,
) -> Reader | PictureReader:
    """See Reader; what `probe_source` told decides who reads."""
    if info.pictures:
        return PictureReader(info, span, rate)
    return Reader(info, span, rate, seek)
