"""The schedule against the golden tables and against the rule written out naively."""

from __future__ import annotations

import itertools
import json
import math
import time
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from schedule_inputs import FILM, constant, inputs, options
from schedule_oracle import Digests, Expressions, Item, expected

from afitrt.errors import AfitrtError, InputError
from afitrt.options import ScheduleOptions
from afitrt.schedule import (
    End,
    Frame,
    Mix,
    Output,
    Source,
    Step,
    correction_cost,
    listing,
    plan,
    resolve_n_forward,
    summarise,
)

GOLDEN = json.loads((Path(__file__).parent / "golden" / "schedules.json").read_text())["cases"]


def options_of(case: dict) -> ScheduleOptions:
    fps = Fraction(case["target_fps"]) if case["mode"] == "fps" else None
    return ScheduleOptions(
        case.get("times"), fps, case["n_forward_eff"], shrink=case["shrink"], correct=case["correct"]
    )


def frames_of(case: dict) -> list[Item]:
    return constant(case["frames"], Fraction(case["source_fps"]), tuple(case["cuts"]))


# The reference's own schedules


def test_ratio_digests_equal_the_reference() -> None:
    cases = [
        case
        for case in GOLDEN
        if case["mode"] == "times"
        and "error" not in case
        and not case["cuts_missed"]
        and (not case["correct"] or case["n_forward_eff"] <= 2)
    ]
    assert (len(cases), sum(bool(case["cuts"]) for case in cases)) == (183, 94)
    for case in cases:
        text = listing(plan(frames_of(case), options_of(case)))
        assert Digests(text["nodes"]).all(text["out"]) == case["digest"], case["id"]


def test_rate_positions_equal_the_reference() -> None:
    cases = [case for case in GOLDEN if case["mode"] == "fps" and "error" not in case and not case["cuts"]]
    assert len(cases) == 172
    compared = 0
    for case in cases:
        options, make = options_of(case), Expressions()
        ratio = options.fps / Fraction(case["source_fps"])
        outputs = [output for step in plan(frames_of(case), options) for output in step.outputs]
        assert len(outputs) == math.ceil(case["frames"] * ratio), case["id"]
        # The reference counts an output exactly on the last apex to the tail; the rule does not. Its correction
        # of edges is mis-timed from three passes on; ours is not.
        edge = Fraction(options.n_forward, 2)
        first = math.ceil(edge * ratio) if options.correct and options.n_forward >= 3 else 0
        last = math.ceil((case["frames"] - 1 - edge) * ratio)
        steady = [float(make.positions[make.of(out.node)]) for out in outputs[first:last]]
        compared += len(steady)
        assert steady == pytest.approx(case["pos"][first:last], abs=1e-9), case["id"]
    assert compared > 1000


# The rule


@pytest.mark.slow
@settings(max_examples=300)
@given(inputs(), options())
def test_outputs_follow_the_rule(frames: list[Item], options: ScheduleOptions) -> None:
    make = Expressions()
    steps = list(plan(frames, options))
    outputs = [(make.of(output.node), output.pts) for step in steps for output in step.outputs]
    assert outputs == expected(frames, options, make)
    counts = summarise(steps)
    assert counts.outputs == len(outputs)
    assert counts.sources == len(frames) - 1


@pytest.mark.parametrize("n", range(1, 5))
@pytest.mark.parametrize(
    "target",
    [(1, None), (2, None), (3, None), *((None, rate) for rate in (Fraction(60), Fraction(7), FILM, 2 * FILM))],
)
def test_scenes_of_every_length(n: int, target: tuple[int | None, Fraction | None]) -> None:
    for length, following in itertools.product(range(9), (1, 2, 3)):
        frames = constant(length + following, FILM, (length,))
        for shrink, correct in itertools.product((False, True), repeat=2):
            options, make = ScheduleOptions(*target, n, shrink, correct), Expressions()
            outputs = [out for step in plan(frames, options) for out in step.outputs]
            assert [(make.of(out.node), out.pts) for out in outputs] == expected(frames, options, make)


@settings(max_examples=200)
@given(inputs(largest=40), options(), st.sampled_from([FILM, Fraction(25), Fraction(60000, 1001)]))
def test_counts_of_constant_rates(frames: list[Item], options: ScheduleOptions, rate: Fraction) -> None:
    count = len(frames) - 1
    cuts = tuple(k for k, frame in enumerate(frames[:-1]) if frame.cut)
    outputs = [out for step in plan(constant(count, rate, cuts), options) for out in step.outputs]
    if options.fps is None:
        assert [out.pts for out in outputs] == [i / rate / options.times for i in range(count * options.times)]
    else:
        total = math.ceil(count * options.fps / rate)
        assert [out.pts for out in outputs] == [i / options.fps for i in range(total)]


@pytest.mark.slow
@settings(max_examples=200)
@given(inputs(), options())
def test_order_and_scenes(frames: list[Item], options: ScheduleOptions) -> None:
    make = Expressions()
    outputs = [out for step in plan(frames, options) for out in step.outputs]
    shown = [out.pts for out in outputs]
    assert all(before < after for before, after in itertools.pairwise(shown))
    starts = [k for k, frame in enumerate(frames[:-1]) if k == 0 or frame.cut]
    for out in outputs:
        scene = max((s for s in starts if frames[s].pts <= out.pts), default=0)
        following = min((s for s in starts if s > scene), default=len(frames) - 1)
        assert make.frames[make.of(out.node)] <= set(range(scene, following))
    positions = [make.positions[make.of(out.node)] for out in outputs]
    assert positions == sorted(positions)


@pytest.mark.parametrize("case", [(2, None, 16, True), (None, Fraction(60), 11, False)])
def test_deep_pyramids_follow_the_rule(case: tuple[int | None, Fraction | None, int, bool]) -> None:
    frames, make = constant(45, FILM, (20, 25)), Expressions()
    steps = plan(frames, ScheduleOptions(*case))
    outputs = [(make.of(out.node), out.pts) for step in steps for out in step.outputs]
    assert outputs == expected(frames, ScheduleOptions(*case), make)


# Speed and length


@pytest.mark.slow
@pytest.mark.parametrize("target", [(2, None), (None, Fraction(60))])
def test_an_output_costs_no_more_than_ten_additions_of_fractions(target: tuple[int | None, Fraction | None]) -> None:
    """Measured side by side, so that the machine does not matter; about seven."""
    options = ScheduleOptions(*target, n_forward=2)
    frames = constant(math.ceil(100_000 / (target[0] or target[1] / FILM)), FILM)
    began = time.process_time()
    outputs = sum(len(step.outputs) for step in plan(frames, options))
    planned = time.process_time()
    for k in range(outputs):
        _ = Fraction(k, 24) + Fraction(1, 3)
    assert outputs >= 100_000
    assert planned - began < 10 * (time.process_time() - planned)


@pytest.mark.slow
def test_two_hours_of_variable_rate_do_not_drift() -> None:
    """200,000 frames on a 90 kHz clock whose spacing wanders: counts and times stay exact."""
    ticks = itertools.accumulate((3003 + (k * 7919 % 401 - 200) for k in range(200_000)), initial=0)
    times = [Fraction(tick, 90_000) for tick in ticks]
    frames = [*(Frame(pts, k % 2000 == 0) for k, pts in enumerate(times[:-1])), End(times[-1])]
    shown = [out.pts for step in plan(frames, ScheduleOptions(None, Fraction(24), 2)) for out in step.outputs]
    assert len(shown) == math.ceil(times[-1] * 24)
    assert shown[-1] == Fraction(len(shown) - 1, 24)


# Small things


def test_nothing_in_nothing_out() -> None:
    assert list(plan([End(Fraction(0))], ScheduleOptions(2, None, 2))) == []


def test_one_frame_is_copied() -> None:
    (step,) = plan(constant(1, Fraction(25)), ScheduleOptions(2, None, 2))
    assert step == Step((Output(Source(0), Fraction(0)), Output(Source(0), Fraction(1, 50))), (Source(0),))


def test_two_frames_at_the_same_rate_stay_as_they_are() -> None:
    outputs = [out for step in plan(constant(2, Fraction(25)), ScheduleOptions(1, None, 2)) for out in step.outputs]
    assert [out.node for out in outputs] == [Source(0), Source(1)]


def test_equal_nodes_are_one_object_and_cannot_change() -> None:
    a, b = Source(3), Source(4)
    assert Mix(a, b, Fraction(1, 3)) is Mix(Source(3), Source(4), Fraction(2, 6))
    assert Mix(a, b, Fraction(1, 3)) is not Mix(b, a, Fraction(1, 3))
    with pytest.raises(AttributeError):
        a.index = 5
    with pytest.raises(AttributeError):
        del Mix(a, b, Fraction(1, 3)).t
    assert repr(Mix(a, Mix(a, b, Fraction(1, 2)), Fraction(1, 3))) == "M(S3,M(..),1/3)"


def test_text_of_a_plan() -> None:
    options = ScheduleOptions(3, None, 1, correct=False)
    assert listing(plan(constant(2, FILM), options)) == {
        "nodes": ["M(S0,S1,0.5)", "M(S0,#0,0.5)", "M(#0,S1,0.333333333)", "M(#0,S1,0.666666667)"],
        "out": ["S0", "#1", "#0", "#2", "#3", "S1"],
        "pts": ["0", "1001/72000", "1001/36000", "1001/24000", "1001/18000", "1001/14400"],
    }


@pytest.mark.parametrize(
    ("rate", "n"),
    [
        *[("1", 2), ("24000/1001", 2), ("24", 2), ("25", 2), ("30", 2), ("42", 4), ("48", 4), ("50", 4)],
        *[("60000/1001", 4), ("60", 4), ("65", 4), ("66", 6), ("120", 10), ("240", 16)],
    ],
)
def test_automatic_passes(rate: str, n: int) -> None:
    assert resolve_n_forward(0, Fraction(rate)) == n
    assert resolve_n_forward(3, Fraction(rate)) == 3


@pytest.mark.parametrize(("n", "cost"), [(1, 0), (2, 3), (3, 12), (6, 105), (7, 168)])
def test_correction_cost(n: int, cost: int) -> None:
    assert correction_cost(n) == cost


def test_defects_of_callers_are_named() -> None:
    with pytest.raises(AfitrtError, match="n_forward 0"):
        next(plan([End(Fraction(1))], ScheduleOptions()))
    with pytest.raises(AfitrtError, match="without an End"):
        list(plan([Frame(Fraction(0), True)], ScheduleOptions(2, None, 2)))


@pytest.mark.parametrize("late", ["1/25", "0"])
def test_times_that_do_not_rise_are_refused(late: str) -> None:
    frames = [Frame(Fraction(0), True), Frame(Fraction(1, 25), False), Frame(Fraction(late), False)]
    with pytest.raises(InputError, match="frame 2 at"):
        list(plan(frames, ScheduleOptions(2, None, 2)))
