"""Any range of outputs equals that part of the whole plan, from no more frames than it needs."""

from __future__ import annotations

import time
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st
from schedule_inputs import FILM, constant, inputs, options
from schedule_oracle import Item

from afitrt.options import ScheduleOptions
from afitrt.schedule import Film, Frame, Mix, Node, Output, Source, plan


def film_of(frames: list[Item]) -> Film:
    cuts = [k for k, item in enumerate(frames) if isinstance(item, Frame) and item.cut and k]
    return Film([item.pts for item in frames], cuts)


def shown_by(film: Film, options: ScheduleOptions) -> list[Output]:
    return [output for step in plan(film.timing(), options) for output in step.outputs]


def sources(node: Node) -> set[int]:
    return {node.index} if isinstance(node, Source) else sources(node.left) | sources(node.right)


@settings(max_examples=300)
@given(inputs(smallest=1), options(passes=4), st.data())
def test_a_range_equals_its_part_of_the_plan(frames: list[Item], options: ScheduleOptions, data: st.DataObject) -> None:
    film = film_of(frames)
    whole = shown_by(film, options)
    first = data.draw(st.integers(0, max(0, len(whole) - 1)))
    last = data.draw(st.integers(first + 1, len(whole))) if whole else first
    steps = list(film.steps((first, last), options)) if whole else []
    assert [output for step in steps for output in step.outputs] == whole[first:last]
    released = [node for step in steps for node in step.release]
    assert len(set(released)) == len(released)
    if whole:
        needed = set().union(*(sources(output.node) for output in whole[first:last]))
        assert film.contexts([(first, last)], options)[0] == (min(needed), max(needed) + 1)


@settings(max_examples=200)
@given(inputs(smallest=1), options(passes=4))
def test_times_and_counts_are_those_of_the_plan(frames: list[Item], options: ScheduleOptions) -> None:
    film = film_of(frames)
    whole = shown_by(film, options)
    assert list(film.shown(options)) == [output.pts for output in whole]
    assert film.outputs_before(film.frames, options) == len(whole)
    for cut in film.cuts:
        before = film.outputs_before(cut, options)
        assert all(max(sources(output.node)) < cut for output in whole[:before])
        assert all(min(sources(output.node)) >= cut for output in whole[before:])


def test_the_context_is_a_few_frames_inside_a_long_scene() -> None:
    film = film_of(constant(2000, FILM))
    for n in (1, 2, 3):
        first, last = film.contexts([(2000, 2100)], ScheduleOptions(times=2, n_forward=n))[0]
        assert 1000 - n - 1 <= first <= 1000 and 1050 <= last <= 1050 + n + 1


def test_planning_a_range_of_a_film_is_quick() -> None:
    film = film_of(constant(30_000, FILM, tuple(range(100, 30_000, 100))))
    began = time.process_time()
    steps = list(film.steps((50_000, 50_500), ScheduleOptions(fps=Fraction(60), times=None, n_forward=2)))
    assert sum(len(step.outputs) for step in steps) == 500
    assert time.process_time() - began < 1
    assert all(isinstance(o.node, Mix | Source) for step in steps for o in step.outputs)
