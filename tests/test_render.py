"""Render: every node once, every pair matched once, sources untouched, everything given back."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from command import afitrt
from hypothesis import given, settings
from hypothesis import strategies as st
from video_helpers import drawn, noise

from afitrt import estimate
from afitrt.frames import Pixels
from afitrt.models.blend import Blend
from afitrt.models.manifest import Request
from afitrt.models.protocol import StageClock
from afitrt.options import ModelOptions, ScheduleOptions
from afitrt.render import Decoded, render
from afitrt.schedule import End, Frame, Mix, Node, Source, plan, summarise


class Positions:
    """An interpolator whose picture is one number, the position in time; counts what is alive and what is asked."""

    def __init__(self) -> None:
        self.clock = StageClock()
        self.alive: set[int] = set()
        self.uploads: Counter[float] = Counter()
        self.pairs: Counter[tuple[int, int]] = Counter()
        self._values: dict[int, float] = {}

    def _new(self, value: float) -> int:
        handle = len(self._values)
        self._values[handle] = value
        self.alive.add(handle)
        return handle

    def upload(self, frame: Pixels) -> int:
        self.uploads[float(frame[0, 0, 0])] += 1
        return self._new(float(frame[0, 0, 0]))

    def between(self, left: int, right: int, times: Sequence[Fraction]) -> list[int]:
        assert {left, right} <= self.alive
        self.pairs[left, right] += 1
        a, b = self._values[left], self._values[right]
        return [self._new(a + (b - a) * float(t)) for t in times]

    def download(self, picture: int) -> Pixels:
        assert picture in self.alive
        return np.full((1, 1, 3), self._values[picture], np.float32)

    def release(self, picture: int) -> None:
        self.alive.remove(picture)

    def close(self) -> None:
        assert not self.alive


def decoded(count: int, cuts: Sequence[int] = (), rate: Fraction = Fraction(24)) -> Iterator[Decoded | End]:
    for index in range(count):
        pixels = np.full((1, 1, 3), index, np.float32)
        yield Decoded(Frame(index / rate, index in cuts), pixels)
    yield End(count / rate)


def position(node: Node) -> float:
    if isinstance(node, Source):
        return node.index
    return position(node.left) * (1 - float(node.t)) + position(node.right) * float(node.t)


schedules = st.one_of(
    st.builds(
        ScheduleOptions,
        times=st.integers(1, 4),
        n_forward=st.integers(1, 4),
        shrink=st.booleans(),
        correct=st.booleans(),
    ),
    st.builds(
        ScheduleOptions,
        times=st.none(),
        fps=st.sampled_from([Fraction(60), Fraction(25), Fraction(60000, 1001), Fraction(10)]),
        n_forward=st.integers(1, 4),
        shrink=st.booleans(),
        correct=st.booleans(),
    ),
)


@settings(max_examples=60)
@given(st.integers(0, 24), st.sets(st.integers(1, 23), max_size=3), schedules)
def test_every_picture_is_the_schedules_and_nothing_is_done_twice(
    count: int, cuts: set[int], options: ScheduleOptions
) -> None:
    timing = [item if isinstance(item, End) else item.frame for item in decoded(count, tuple(cuts))]
    steps = list(plan(timing, options))
    outputs = [output for step in steps for output in step.outputs]
    model = Positions()
    rendered = list(render(decoded(count, tuple(cuts)), options, model))

    assert [each.pts for each in rendered] == [output.pts for output in outputs]
    np.testing.assert_allclose(
        [each.pixels[0, 0, 0] for each in rendered], [position(output.node) for output in outputs], atol=1e-5
    )
    assert [each.interpolated for each in rendered] == [isinstance(output.node, Mix) for output in outputs]
    assert sum(model.pairs.values()) == summarise(steps).matchings
    assert set(model.uploads.values()) <= {1}
    model.close()


def test_a_source_output_is_the_decoded_picture_itself() -> None:
    frames = list(decoded(9))
    rendered = list(render(frames, ScheduleOptions(n_forward=2), Positions()))
    first, last = frames[0], frames[8]
    assert isinstance(first, Decoded) and isinstance(last, Decoded)
    assert rendered[0].pixels is first.pixels
    assert rendered[-1].pixels is last.pixels


def test_the_first_frame_of_a_film_waits_for_no_network() -> None:
    model = Positions()
    pictures = render(decoded(9), ScheduleOptions(n_forward=2), model)
    assert not next(pictures).interpolated and not model.pairs
    assert next(pictures).interpolated and model.pairs
    pictures.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize(("spent", "pairs"), [(0.1, 2), (1.0, 1)])
def test_the_estimate_takes_a_second_pair_only_where_the_first_was_quick(spent: float, pairs: int) -> None:
    class Slow(Positions):
        def between(self, left: int, right: int, times: Sequence[Fraction]) -> list[int]:
            self.clock.calls["fuse"], self.clock.seconds["fuse"] = 1, spent
            return super().between(left, right, times)

    model = Slow()
    clock = estimate.time_pair(model, *(np.full((1, 1, 3), value, np.float32) for value in (0, 1)))
    assert clock.seconds == {"fuse": spent} and model.pairs.total() == pairs and not model.clock.calls
    model.close()


def test_leaving_early_and_failing_give_everything_back() -> None:
    model = Positions()
    pictures = render(decoded(20), ScheduleOptions(n_forward=2), model)
    for _ in range(7):
        next(pictures)
    pictures.close()  # type: ignore[attr-defined]
    model.close()

    def broken() -> Iterator[Decoded | End]:
        for index, item in enumerate(decoded(20)):
            if index == 9:
                raise RuntimeError("reader")
            yield item

    with pytest.raises(RuntimeError, match="reader"):
        list(render(broken(), ScheduleOptions(n_forward=2), model))
    model.close()


def test_blend_is_the_rounded_weighted_mean() -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.integers(0, 65536, (6, 10, 3)).astype(np.uint16) for _ in range(2))
    blend = Blend(Request(10, 6, np.uint16, ModelOptions(model="blend"), lambda _: None))
    quarter, half = blend.between(blend.upload(a), blend.upload(b), [Fraction(1, 4), Fraction(1, 2)])
    for picture, t in ((quarter, 0.25), (half, 0.5)):
        expected = a.astype(float) * (1 - t) + b.astype(float) * t
        assert np.abs(blend.download(picture).astype(float) - expected).max() <= 0.5 + 1e-2


@settings(max_examples=60)
@given(st.lists(st.integers(1, 3), min_size=1, max_size=8), schedules)
def test_holds_change_no_picture_and_save_work(holds: list[int], options: ScheduleOptions) -> None:
    drawings = [drawing for drawing, length in enumerate(holds) for _ in range(length)]
    frames = [
        item if isinstance(item, End) else Decoded(item.frame, np.full((1, 1, 3), drawing, np.float32))
        for item, drawing in itertools.zip_longest(decoded(len(drawings)), drawings)
    ]
    plain, holding = Positions(), Positions()
    off = list(render(frames, options, plain))
    exact = list(render(frames, options, holding, hold=True))
    np.testing.assert_allclose([each.pixels for each in exact], [each.pixels for each in off], atol=1e-5)
    assert [each.pts for each in exact] == [each.pts for each in off]
    assert len(holding.uploads) <= len(holds)
    assert holding.pairs.total() <= plain.pairs.total()
    holding.close()
    plain.close()


def test_between_equal_frames_no_network_runs() -> None:
    still = np.full((1, 1, 3), 7, np.float32)
    frames = [item if isinstance(item, End) else Decoded(item.frame, still.copy()) for item in decoded(6)]
    model = Positions()
    shown = list(render(frames, ScheduleOptions(n_forward=2), model, hold=True))
    assert not model.pairs and not model.uploads
    assert all(np.array_equal(each.pixels, still) for each in shown)


def test_holds_are_found_in_a_file_and_can_be_ignored(tmp_path: Path) -> None:
    drawings = noise(4)
    source = drawn(tmp_path / "twos.mkv", [drawings[k // 2] for k in range(8)])
    flags = ("--detector", "none", "--model", "blend", "--codec", "ffv1", "--json")
    done = {}
    for hold in ("exact", "off"):
        ran = afitrt("interpolate", source, tmp_path / f"{hold}.mkv", "--hold", hold, *flags)
        assert ran.code == 0, ran.err
        done[hold] = json.loads(ran.out.splitlines()[-1])
    assert done["off"]["held"] == 0 < done["exact"]["held"]
    calls = {hold: each["stages"]["fuse"]["calls"] for hold, each in done.items()}
    assert calls["exact"] + done["exact"]["held"] == calls["off"]
    assert afitrt("interpolate", source, "--hold", "sometimes").code == 2
