"""Pictures of a range are those of the whole, from the frames of its context alone, whatever is held."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from schedule_inputs import inputs, options
from schedule_oracle import Item
from test_schedule_ranges import film_of

from afitrt.errors import RenderError
from afitrt.models import Request
from afitrt.models.blend import Blend
from afitrt.options import ModelOptions, ScheduleOptions
from afitrt.render import Decoded, Part, Renderer
from afitrt.schedule import End, Film, Frame

pytestmark = pytest.mark.slow


def blend() -> Blend:
    return Blend(Request(3, 2, np.uint8, ModelOptions("blend"), lambda _: None))


def drawn(frames: list[Item]) -> list[np.ndarray]:
    """Pictures of which every third or so repeats the one before."""
    values = [k + 1 - (k * 7 % 3 == 0) for k in range(len(frames))]
    return [np.random.default_rng(value).integers(0, 256, (2, 3, 3), np.uint8) for value in values]


def decoded(film: Film, frames: list[Item]) -> list[Decoded | End]:
    """All of a film with its pictures."""
    return [
        Decoded(item, pixels) if isinstance(item, Frame) else item
        for item, pixels in zip(film.timing(), drawn(frames), strict=True)
    ]


@settings(max_examples=300)
@given(inputs(smallest=1), options(passes=3), st.data())
def test_pictures_of_a_range(frames: list[Item], options: ScheduleOptions, data: st.DataObject) -> None:
    film, hold = film_of(frames), data.draw(st.booleans())
    everything = decoded(film, frames)
    whole = list(Renderer(blend(), hold).render(everything, options))
    if not whole:
        return
    first = data.draw(st.integers(0, len(whole) - 1))
    last = data.draw(st.integers(first + 1, len(whole)))
    start, needed = film.start(first, options), range(*film.contexts([(first, last)], options)[0])
    some = [
        everything[k] if k in needed or k == film.frames else item
        for k, item in enumerate(film.timing(start.frame), start.frame)
    ]
    part = Part(lambda number: first <= number < last, start, last)
    made = list(Renderer(blend(), hold).render(some, options, part))
    assert [(m.pts, m.interpolated) for m in made] == [(w.pts, w.interpolated) for w in whole[first:last]]
    assert all(np.array_equal(m.pixels, w.pixels) for m, w in zip(made, whole[first:last], strict=True))


@settings(max_examples=200)
@given(inputs(smallest=1), options(passes=3), st.data())
def test_pictures_with_holes_between_them(frames: list[Item], options: ScheduleOptions, data: st.DataObject) -> None:
    hold = data.draw(st.booleans())
    everything = decoded(film_of(frames), frames)
    whole = list(Renderer(blend(), hold).render(everything, options))
    wanted = data.draw(st.lists(st.booleans(), min_size=len(whole), max_size=len(whole)))
    made = list(Renderer(blend(), hold).render(everything, options, Part(lambda number: wanted[number])))
    expected = [each for each, kept in zip(whole, wanted, strict=True) if kept]
    assert [each.pts for each in made] == [each.pts for each in expected]
    assert all(np.array_equal(m.pixels, e.pixels) for m, e in zip(made, expected, strict=True))


def test_outputs_that_nobody_wants_cost_nothing() -> None:
    film = film_of([*(Frame(Fraction(k, 24), False) for k in range(40)), End(Fraction(40, 24))])
    frame = np.zeros((2, 3, 3), np.uint8)
    decoded = [Decoded(item, frame) if isinstance(item, Frame) else item for item in film.timing()]
    model = blend()
    settings = ScheduleOptions(times=2, n_forward=2)
    assert not list(Renderer(model).render(decoded, settings, Part(lambda number: False)))
    assert not model.clock.calls
    assert len(list(Renderer(model).render(decoded, settings, Part(lambda number: number == 30)))) == 1
    assert model.clock.calls["match"] <= 6


def test_a_failure_names_the_output_by_its_number_in_the_film() -> None:
    film = film_of([*(Frame(Fraction(k, 24), False) for k in range(40)), End(Fraction(40, 24))])
    frame = np.zeros((2, 3, 3), np.uint8)
    decoded = [Decoded(item, frame) if isinstance(item, Frame) else item for item in film.timing()]
    model = blend()

    def between(left: object, right: object, times: object) -> list[object]:
        raise RenderError("it broke", "a picture", "again")

    model.between = between  # type: ignore[method-assign]
    with pytest.raises(RenderError, match=r"picture 31, between source frames 11[3-6] and 11[4-7]"):
        list(Renderer(model, first=100).render(decoded, ScheduleOptions(n_forward=2), Part(lambda n: n == 30)))
