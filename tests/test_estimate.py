"""What a run says before it starts: seconds for all of the work, and the memory of pictures on a GPU."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction
from itertools import accumulate, count
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from command import afitrt
from video_helpers import pattern

from afitrt import estimate
from afitrt.cli.console import duration
from afitrt.errors import OutputError
from afitrt.events import Event, Progress
from afitrt.frames import Pixels
from afitrt.models.protocol import StageClock
from afitrt.options import EncodeOptions, Job, ModelOptions, ScheduleOptions
from afitrt.pipeline import calibration, interpolate
from afitrt.pipeline.workers import Decoder
from afitrt.render import Decoded, render
from afitrt.schedule import End, Frame

FAST = ("--model", "blend", "--codec", "libx264", "--preset", "ultrafast")


class Encoding:
    """An encoder that takes a second to start, and half a second for each picture, by the clock that it is given."""

    def __init__(self, clock: SimpleNamespace) -> None:
        self._clock, self.frames = clock, 0

    def __enter__(self) -> Encoding:
        self._clock.now += 1.0
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is held."""

    def write(self, _: Pixels) -> None:
        self._clock.now += 0.5
        self.frames += 1


@pytest.mark.parametrize(("segments", "encoders"), [((), 1), (("--segment-outputs", 10), 5)])
@pytest.mark.parametrize(("pair", "network"), [(0.01, 0.0), (0.1, 25 * 2 * 0.1)])
def test_the_estimate_counts_decoding_and_encoding(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    segments: tuple[object, ...],
    encoders: int,
    pair: float,
    network: float,
) -> None:
    """A frame decodes in 0.25 s; matching takes a pair's time, n is 1. Rendering is in what a quick network encodes."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(calibration, "time", SimpleNamespace(monotonic=lambda: clock.now))
    monkeypatch.setattr(calibration, "TRIAL_SECONDS", 1000)
    monkeypatch.setattr(calibration, "_writer", lambda *_: Encoding(clock))
    monkeypatch.setattr(estimate, "time_pair", lambda *_: StageClock({"match": 1}, {"match": pair}))
    monkeypatch.setattr(Decoder, "pace", property(lambda _: 0.25))
    source = pattern(tmp_path / "in.mkv", seconds=1)
    ran = afitrt("interpolate", source, tmp_path / "out.mkv", *FAST, "--n-forward", 1, "--json", *segments)
    assert ran.code == 0, ran.err
    start = next(json.loads(line) for line in ran.out.splitlines() if '"start"' in line)
    # The encoder's start is counted once for each segment, with the first picture of each.
    assert start["seconds"] == pytest.approx(25 * 0.25 + network + 50 * 0.5 + encoders * (1.0 + 0.5))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "1 second"), (1, "1 second"), (1.5, "2 seconds"), (61, "2 minutes"), (3601, "2 hours"), (90000, "2 days")],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_one_of_a_kind_is_told_as_one(tmp_path: Path) -> None:
    source = pattern(tmp_path / "in.mkv", seconds=0.04)
    ran = afitrt("interpolate", source, tmp_path / "out.mkv", *FAST, "--times", 1)
    assert ran.code == 0 and "1 frame in, 1 picture out" in ran.out and "1 scene," in ran.out
    planned = afitrt("plan", source, "-o", tmp_path / "job.json", *FAST)
    assert "2 pictures in 1 segment, 1 scene" in planned.out


@pytest.mark.parametrize("failure", [OutputError("a", "b", "c"), KeyboardInterrupt()])
def test_no_failure_is_its_own_cause(tmp_path: Path, failure: BaseException) -> None:
    def tell(event: Event) -> None:
        if isinstance(event, Progress):
            raise failure

    encode = EncodeOptions("libx264", preset="ultrafast")
    source = pattern(tmp_path / "in.mkv", seconds=0.2)
    job = Job(tmp_path / "out.mkv", model=ModelOptions(model="blend"), encode=encode, source=source)
    with pytest.raises(Exception) as raised:
        interpolate(job, tell)
    seen, cause = {id(raised.value)}, raised.value.__cause__
    while cause is not None:
        assert id(cause) not in seen
        seen.add(id(cause))
        cause = cause.__cause__
    assert raised.value is failure or raised.value.__cause__ is failure


class Counting:
    """An interpolator that counts what it holds."""

    def __init__(self) -> None:
        self.clock = StageClock()
        self._held: set[int] = set()
        self._paired: set[int] = set()
        self._numbers = count()
        self.most = (0, 0)

    def _new(self) -> int:
        number = next(self._numbers)
        self._held.add(number)
        self.most = max(self.most[0], len(self._held)), max(self.most[1], len(self._paired))
        return number

    def upload(self, frame: Pixels) -> int:
        return self._new()

    def between(self, left: int, right: int, times: Sequence[Fraction]) -> list[int]:
        self._paired |= {left, right}
        return [self._new() for _ in times]

    def download(self, picture: int) -> Pixels:
        return np.zeros((1, 1, 3), np.uint8)

    def release(self, picture: int) -> None:
        self._held.discard(picture)
        self._paired.discard(picture)

    def close(self) -> None:
        assert not self._held


@pytest.mark.parametrize(
    "schedule",
    [
        ScheduleOptions(n_forward=1),
        ScheduleOptions(n_forward=2),
        ScheduleOptions(times=3, n_forward=3),
        ScheduleOptions(times=1, n_forward=2),
        ScheduleOptions(times=None, fps=Fraction(60000, 1001), n_forward=2),
        ScheduleOptions(times=None, fps=Fraction(20), n_forward=3),
        ScheduleOptions(n_forward=4, correct=False, shrink=False),
    ],
    ids=str,
)
def test_live_pictures_are_counted_in_the_plan_as_rendering_has_them(schedule: ScheduleOptions) -> None:
    lengths = (128, *range(2 * (schedule.n_forward + 3), 0, -1), *range(1, 2 * (schedule.n_forward + 3)))
    cuts, total = set(accumulate(lengths, initial=0)), sum(lengths)
    frame, model = np.zeros((1, 1, 3), np.uint8), Counting()
    decoded = [Decoded(Frame(Fraction(k, 24), cut=k in cuts), frame) for k in range(total)]
    for _ in render([*decoded, End(Fraction(total, 24))], schedule, model):
        pass
    model.close()
    assert estimate.live_on_device(schedule) == model.most


def test_on_a_cpu_nobody_counts_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def counted(_: ScheduleOptions) -> tuple[int, int]:
        raise AssertionError

    monkeypatch.setattr(estimate, "live_on_device", counted)
    source = pattern(tmp_path / "in.mkv", seconds=0.2)
    assert afitrt("interpolate", source, tmp_path / "out.mkv", *FAST).code == 0
