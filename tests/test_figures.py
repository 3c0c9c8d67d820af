"""Numbers and figures of the docs are those of the schedule as it is now."""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree

import pytest

DOCS = Path(__file__).resolve().parent.parent / "docs"
sys.path.insert(0, str(DOCS))

import figures  # noqa: E402


def test_the_tables_of_the_page_are_what_the_script_works_out() -> None:
    text = figures.PAGE.read_text(encoding="utf-8")
    assert figures.write_tables(text) == text, "make figures"


def test_the_filter_is_what_the_schedule_does() -> None:
    for n in (1, 2, 3, 4):
        wobble = figures.gain(1 / 3, n)
        threes = figures.unevenness(figures.scheduled(figures.cel((3,)), n))
        assert threes == pytest.approx(wobble * figures.unevenness(figures.plain(figures.cel((3,)))))
        assert figures.unevenness(figures.scheduled(figures.cel((2,)), n)) == pytest.approx(0)
    assert figures.rates((2,)) == [Fraction(1, 2)] and figures.rates((3,)) == [Fraction(1, 3)]


def test_even_motion_stays_where_it_was() -> None:
    for n in (1, 2, 3, 4):
        moments = figures.scheduled(figures.cel((1,)), n)
        assert all(place == time for time, place in moments if n <= time <= figures.LENGTH - 1 - n)


def test_places_are_drawn_like_the_clip() -> None:
    import drawn

    for holds in figures.HOLDS.values():
        hold = holds if len(holds) > 1 else holds[0]
        assert figures.cel(holds) == [drawn.drawn_at(hold, k) for k in range(figures.LENGTH)]


@pytest.mark.slow
def test_the_figures_can_be_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    import drawing

    drawing.draw(tmp_path)
    made = {each.name for each in tmp_path.iterdir()}
    assert made == {each.name for each in figures.IMAGES.glob("why-*.svg")}
    for each in tmp_path.iterdir():
        assert ElementTree.parse(each).getroot().tag.endswith("svg")
    page = figures.PAGE.read_text(encoding="utf-8")
    assert all(f"../images/{name}" in page for name in made)
