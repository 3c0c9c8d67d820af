"""How long a run will take, measured on its first frames: a pair by the network, a few pictures by the encoder."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryDirectory

from afitrt import estimate, video
from afitrt.frames import Pixels
from afitrt.models.protocol import Interpolator
from afitrt.pipeline.preparing import Prepared
from afitrt.render import Decoded, Renderer
from afitrt.schedule import End, Frame

QUICK_SECONDS, SLOW_SECONDS = 0.05, 2.0
"""A pair that takes less is not most of the work, and the measured pictures are rendered, too; beside one that takes
more the encoder's share is small, and not worth the wait."""
TRIAL_SECONDS = 0.5
TRIAL_PICTURES, TRIAL_PIXELS = 64, 4_000_000
"""Most pictures and pixels that an encoder is given: it takes many before it shows how long it works on them."""


@dataclass(frozen=True)
class Calibration:
    """Seconds: network, of all frames; picture, of each one that is made; segment, of one encoder's start and end."""

    network: float
    picture: float
    segment: float


def calibrate(prepared: Prepared, interpolator: Interpolator, frames: Sequence[Pixels], count: int) -> Calibration:
    """Tries the first two frames of a run. count: how many frames will be read.

    The interpolator's clock begins anew afterwards. What reads a pipe is not known, and not in the figures.
    """
    task = prepared.task
    clock = estimate.time_pair(interpolator, frames[0], frames[1])
    quick = (pair := sum(clock.seconds.values())) < QUICK_SECONDS
    network = 0.0 if quick else estimate.seconds(clock, count, task.schedule, task.rate / task.source_rate)
    if pair > SLOW_SECONDS:
        return Calibration(network, 0.0, 0.0)
    segment = _encoded(prepared, frames[:1])[0]
    with closing(_rendered(prepared, interpolator, frames) if quick else _alternating(frames)) as pictures:
        seconds, written = _encoded(prepared, chain(frames[:1], pictures))
    interpolator.clock.reset()
    return Calibration(network, max(0.0, seconds - segment) / max(1, written - 1), segment)


def _alternating(frames: Sequence[Pixels]) -> Generator[Pixels, None, None]:
    while True:
        yield from frames


def _rendered(
    prepared: Prepared, interpolator: Interpolator, frames: Sequence[Pixels]
) -> Generator[Pixels, None, None]:
    rate = prepared.task.source_rate
    shown = enumerate(islice(_alternating(frames), TRIAL_PICTURES))
    decoded = (Decoded(Frame(index / rate, cut=not index), pixels) for index, pixels in shown)
    schedule = replace(prepared.task.schedule, correct=False)
    renderer = Renderer(interpolator)
    try:
        for each in renderer.render(chain(decoded, [End(Fraction(TRIAL_PICTURES) / rate)]), schedule):
            yield each.pixels
    finally:
        renderer.close()


def _encoded(prepared: Prepared, pictures: Iterable[Pixels]) -> tuple[float, int]:
    """Seconds for an encoder from start to end with some of these pictures, and how many these are."""
    if video.container_of(prepared.task.output) == video.Y4M:
        return 0.0, 0
    info = prepared.task.info
    most = min(TRIAL_PICTURES, max(2, TRIAL_PIXELS // (info.width * info.height)))
    began = time.monotonic()
    with TemporaryDirectory(prefix="afitrt-") as folder, _writer(prepared, Path(folder)) as writer:
        for picture in islice(pictures, most):
            writer.write(picture)
            if time.monotonic() - began > TRIAL_SECONDS:
                break
    return time.monotonic() - began, writer.frames


def _writer(prepared: Prepared, folder: Path) -> video.Writer | video.PngWriter:
    if video.container_of(prepared.task.output) == video.PNG:
        return video.PngWriter(folder / video.DEFAULT_NAME, prepared.encode)
    return prepared.writer(folder / "trial.mkv")
