"""What a job will cost before it starts: seconds from one timed pair, bytes from what is alive at once."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from itertools import accumulate, islice
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil

from afitrt.buffers import pictures
from afitrt.errors import ResourceError
from afitrt.frames import Pixels, VideoInfo
from afitrt.models.protocol import Interpolator, Memory, StageClock
from afitrt.options import ScheduleOptions
from afitrt.schedule import End, Frame, Mix, Node, plan
from afitrt.yuv import Yuv420

# What waits between the threads. Far less for the encoder: frames fill their queue in the first second, rendered
# pictures do so only when the encoder stalls, which may be hours later, and memory would grow then.
DECODED_BYTES = 32 << 20
RENDERED_BYTES = 4 << 20
MARGIN = 200 << 20
WARM_SECONDS = 0.5
"""A pair that takes longer than this on a CPU was measured to be no slower the first time."""


def live_nodes(schedule: ScheduleOptions) -> tuple[int, int]:
    """Most decoded frames and most pictures that the schedule keeps at once, counted on a long scene."""
    frames = made = most_frames = most_made = 0
    endless = (Frame(Fraction(k, 24), cut=k == 0) for k in range(1 << 30))

    def counted() -> Iterator[Frame]:
        nonlocal frames
        for frame in endless:
            frames += 1
            yield frame

    seen: set[Mix] = set()
    for step in islice(plan(counted(), schedule), 8 * (schedule.n_forward + 2)):
        waiting = [output.node for output in step.outputs]
        while waiting:
            node = waiting.pop()
            if isinstance(node, Mix) and node not in seen:
                seen.add(node)
                made += 1
                waiting += (node.left, node.right)
        most_frames, most_made = max(most_frames, frames), max(most_made, made)
        for node in step.release:
            if isinstance(node, Mix):
                seen.discard(node)
                made -= 1
            else:
                frames -= 1
    return most_frames, most_made


@lru_cache(maxsize=16)
def live_on_device(schedule: ScheduleOptions) -> tuple[int, int]:
    """Most pictures that an interpolator holds at once, and most of them that have taken part in a pair.

    Counted in the plan of a long scene, for rates that meet frames at every place, then of ever shorter ones.
    """
    lengths = (128, *range(2 * (schedule.n_forward + 3), 0, -1), *range(1, 2 * (schedule.n_forward + 3)))
    cuts, total = set(accumulate(lengths, initial=0)), sum(lengths)
    frames = [Frame(Fraction(k, 24), cut=k in cuts) for k in range(total)]
    held: set[Node] = set()
    paired: set[Node] = set()
    most_held = most_paired = 0
    for step in plan([*frames, End(Fraction(total, 24))], schedule):
        waiting = [output.node for output in step.outputs]
        while waiting:
            node = waiting.pop()
            if isinstance(node, Mix) and node not in held:
                held.add(node)
                waiting += (node.left, node.right)
                paired |= {node.left, node.right}
        # A source frame is uploaded when it takes part in its first pair.
        held |= paired
        most_held, most_paired = max(most_held, len(held)), max(most_paired, len(paired))
        held.difference_update(step.release)
        paired.difference_update(step.release)
    return most_held, most_paired


def memory(model: Memory, schedule: ScheduleOptions, frame_bytes: int) -> int:
    """Bytes a job will hold at its peak: stages, live pictures, decoded frames and both queues."""
    frames, made = live_nodes(schedule)
    queues = sum(max(limit, 2 * frame_bytes) for limit in (DECODED_BYTES, RENDERED_BYTES))
    return MARGIN + model.stages + (frames + made) * model.picture + frames * frame_bytes + queues


def reserve(schedule: ScheduleOptions, info: VideoInfo, written: npt.DTypeLike | Yuv420, frames: int | None) -> None:
    """Takes the memory of all decoded frames and finished pictures that can wait at once: a run then has its peak in
    the first second, not when an encoder stalls for the first time. written: type of the RGB pictures that are made, or
    what frames and pictures both are instead. frames: how many are read, None of a pipe.
    """
    shape: tuple[int, ...] = (info.height, info.width, 3)
    read = np.dtype(np.uint8 if info.depth <= 8 else np.uint16)
    if isinstance(written, Yuv420):
        shape, read, written = written.shape, np.dtype(written.layout.dtype), written.layout.dtype
    most = 1 << 30 if frames is None else frames + 2

    def waiting(limit: int, dtype: np.dtype[Any]) -> int:
        # One more is being filled and one being emptied.
        return min(most, max(1, limit // (math.prod(shape) * dtype.itemsize)) + 2)

    decoded = min(most, waiting(DECODED_BYTES, read) + live_nodes(schedule)[0])
    rendered = waiting(RENDERED_BYTES, np.dtype(written))
    if read == np.dtype(written):
        pictures.reserve(decoded + rendered, shape, read)
    else:
        pictures.reserve(decoded, shape, read)
        pictures.reserve(rendered, shape, written)


def check_memory(needed: int, size: str) -> None:
    """Raises ResourceError when this machine cannot hold `needed` bytes now."""
    available = psutil.virtual_memory().available
    if needed > available:
        raise ResourceError(
            f"{size} needs about {needed / 1e9:.1f} GB of memory and {available / 1e9:.1f} GB are free",
            "a job that fits in memory",
            "--scale 0.5, a smaller picture, or a machine with more memory",
        )


def time_pair(interpolator: Interpolator, left: Pixels, right: Pixels) -> StageClock:
    """Stage seconds of one pair at one time, after a warm-up of the same unless that took long enough to count."""
    timed = _timed(interpolator, left, right)
    return timed if sum(timed.seconds.values()) > WARM_SECONDS else _timed(interpolator, left, right)


def _timed(interpolator: Interpolator, left: Pixels, right: Pixels) -> StageClock:
    pictures = [interpolator.upload(left), interpolator.upload(right)]
    pictures += interpolator.between(pictures[0], pictures[1], [Fraction(1, 2)])
    interpolator.download(pictures[2])
    for picture in pictures:
        interpolator.release(picture)
    timed = StageClock(dict(interpolator.clock.calls), dict(interpolator.clock.seconds))
    interpolator.clock.reset()
    return timed


def seconds(clock: StageClock, frames: int, schedule: ScheduleOptions, ratio: Fraction) -> float:
    """The network's seconds at most: each frame costs n+1 matchings and n+ratio-1 of all else."""
    n = schedule.n_forward
    each = {stage: clock.seconds[stage] / clock.calls[stage] for stage in clock.calls}
    matching = each.pop("match", 0.0)
    return frames * ((n + 1) * matching + float(n + ratio - 1) * sum(each.values()))
