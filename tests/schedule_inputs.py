"""Inputs for schedule tests: constant rates, and strategies for frames and options."""

from __future__ import annotations

import itertools
from fractions import Fraction

from hypothesis import strategies as st
from schedule_oracle import Item

from afitrt.options import ScheduleOptions
from afitrt.schedule import End, Frame

FILM = Fraction(24000, 1001)
RATES = [Fraction(x) for x in ("60", "60000/1001", "25", "24", "10", "7/3", "1", "48000/1001")]


def constant(count: int, rate: Fraction, cuts: tuple[int, ...] = ()) -> list[Item]:
    return [*(Frame(k / rate, k in cuts) for k in range(count)), End(count / rate)]


@st.composite
def options(draw: st.DrawFn, rates: bool = True, passes: int = 6) -> ScheduleOptions:
    fps = draw(st.sampled_from([None, *RATES])) if rates else None
    times = None if fps else draw(st.integers(1, 5))
    n_forward, shrink, correct = draw(st.integers(1, passes)), draw(st.booleans()), draw(st.booleans())
    return ScheduleOptions(times, fps, n_forward, shrink, correct)


@st.composite
def inputs(draw: st.DrawFn, largest: int = 18, smallest: int = 0) -> list[Item]:
    """Constant or variable rate, any cuts, any start."""
    cuts = draw(st.lists(st.sampled_from([False] * 4 + [True]), min_size=smallest, max_size=largest))
    steady = st.just([draw(st.sampled_from([1 / FILM, Fraction(1, 25)]))] * (len(cuts) + 1))
    spacing = st.fractions(Fraction(1, 200), Fraction(2, 5), max_denominator=1000)
    spacings = draw(steady | st.lists(spacing, min_size=len(cuts) + 1, max_size=len(cuts) + 1))
    start = draw(st.sampled_from([Fraction(0), Fraction(-7, 90), Fraction(1001, 24000)]))
    times = list(itertools.accumulate(spacings[1:], initial=start))
    return [*(Frame(pts, cut) for pts, cut in zip(times, cuts, strict=False)), End(times[-1])]
