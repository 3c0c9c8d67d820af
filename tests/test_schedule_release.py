"""When the schedule lets go of nodes, how far it reads ahead, and what it keeps: by a brute-force account."""

from __future__ import annotations

import collections
import gc
import itertools
import math
import sys
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from schedule_inputs import FILM, constant, inputs, options
from schedule_oracle import Item, held_after, made_in, pulled_steps, unneeded, used_in

from afitrt.options import ScheduleOptions
from afitrt.schedule import Frame, Mix, Node, Source, Summary, plan, summarise


@pytest.mark.slow
@settings(max_examples=200)
@given(inputs(), options())
def test_every_node_is_released_once_and_not_used_again(frames: list[Item], options: ScheduleOptions) -> None:
    made: set[Node] = set()
    released: list[Node] = []
    for _, step in pulled_steps(frames, options):
        assert step.outputs or step.release
        assert used_in(step, made).isdisjoint(released)
        released += step.release
    assert len(released) == len(set(released))
    assert set(released) == made | {Source(k) for k in range(len(frames) - 1)}


@settings(max_examples=60)
@given(inputs(largest=9, smallest=1), options(passes=3), st.data())
def test_release_is_not_late(frames: list[Item], options: ScheduleOptions, data: st.DataObject) -> None:
    read = data.draw(st.integers(1, len(frames) - 1))
    assert not unneeded(held_after(read, frames, options), frames[:read], options)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
@pytest.mark.parametrize("target", [1, 2, 3, Fraction(10), Fraction(25), Fraction(60)])
def test_release_is_not_late_at_any_frame_of_a_scene(n: int, target: int | Fraction) -> None:
    times, fps = (target, None) if isinstance(target, int) else (None, target)
    for shrink, correct in itertools.product((False, True), repeat=2):
        options = ScheduleOptions(times, fps, n, shrink, correct)
        frames = constant(10, FILM, (8,))
        for read in range(1, 11):
            assert not unneeded(held_after(read, frames, options), frames[:read], options), (options, read)


@pytest.mark.slow
@settings(max_examples=200)
@given(inputs(), options())
def test_look_ahead(frames: list[Item], options: ScheduleOptions) -> None:
    pts = [item.pts for item in frames]
    for pulled, step in pulled_steps(frames, options):
        for out in step.outputs:
            k = max(k for k in range(len(frames) - 1) if pts[k] <= out.pts)
            position = k + (out.pts - pts[k]) / (pts[k + 1] - pts[k])
            assert pulled - 1 <= math.ceil(position) + options.n_forward + 1


@pytest.mark.slow
@settings(max_examples=200)
@given(inputs(), options())
def test_a_pair_is_asked_for_in_one_step(frames: list[Item], options: ScheduleOptions) -> None:
    made: set[Node] = set()
    seen: set[tuple[Node, Node]] = set()
    inferences = 0
    steps = list(plan(frames, options))
    for step in steps:
        new = made_in(step, made)
        pairs = {(mix.left, mix.right) for mix in new}
        assert pairs.isdisjoint(seen)
        seen |= pairs
        inferences += len(new)
    assert summarise(steps) == Summary(sum(len(s.outputs) for s in steps), len(frames) - 1, len(seen), inferences)


@pytest.mark.slow
@pytest.mark.parametrize("target", [(2, None), (None, Fraction(60)), (None, Fraction(10))])
@pytest.mark.parametrize("shrink", [True, False])
def test_memory_is_constant_on_endless_input(target: tuple[int | None, Fraction | None], shrink: bool) -> None:
    options = ScheduleOptions(*target, n_forward=3, shrink=shrink)
    steps = plan((Frame(k / FILM, k % 1700 == 40) for k in itertools.count()), options)
    nodes, blocks = [], []
    for _ in range(3):
        # Long enough for every fraction that recurs to have been met in the first round.
        collections.deque(itertools.islice(steps, 4000), maxlen=0)
        gc.collect()
        nodes.append(sum(type(thing) in (Source, Mix) for thing in gc.get_objects()))
        blocks.append(sys.getallocatedblocks())
    assert max(nodes) < nodes[0] + 60
    assert blocks[2] < blocks[1] + 1000
