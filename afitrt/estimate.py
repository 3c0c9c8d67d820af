"""What a job will cost before it starts: seconds from one timed pair, bytes from what is alive at once."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import islice

import psutil

from afitrt.errors import ResourceError
from afitrt.frames import Pixels
from afitrt.models.protocol import Interpolator, Memory, StageClock
from afitrt.options import ScheduleOptions
from afitrt.schedule import Frame, Mix, plan

QUEUE_BYTES = 64 << 20
MARGIN = 200 << 20


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


def memory(model: Memory, schedule: ScheduleOptions, frame_bytes: int) -> int:
    """Bytes a job will hold at its peak: stages, live pictures, decoded frames and both queues."""
    frames, made = live_nodes(schedule)
    queues = 2 * max(QUEUE_BYTES, 2 * frame_bytes)
    return MARGIN + model.stages + (frames + made) * model.picture + frames * frame_bytes + queues


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
    """Stage seconds of one pair at one time, after one warm-up of the same."""
    for _ in range(2):
        interpolator.clock.reset()
        pictures = [interpolator.upload(left), interpolator.upload(right)]
        pictures += interpolator.between(pictures[0], pictures[1], [Fraction(1, 2)])
        interpolator.download(pictures[2])
        for picture in pictures:
            interpolator.release(picture)
    timed = StageClock(dict(interpolator.clock.calls), dict(interpolator.clock.seconds))
    interpolator.clock.reset()
    return timed


def seconds(clock: StageClock, frames: int, schedule: ScheduleOptions, ratio: Fraction) -> float:
    """Upper bound of the network's seconds: each frame costs n+1 matchings and n+ratio-1 of all else."""
    n = schedule.n_forward
    each = {stage: clock.seconds[stage] / clock.calls[stage] for stage in clock.calls}
    matching = each.pop("match", 0.0)
    return frames * ((n + 1) * matching + float(n + ratio - 1) * sum(each.values()))
