"""The figures of bench/smoothness.py: what they measure, and that the page shows those that are committed."""

from __future__ import annotations

import json
from itertools import pairwise

import cv2
import drawn
import numpy as np
import pytest
import smoothness


def cel(frame: np.ndarray, index: int = 0) -> np.ndarray:
    """The band of one cel."""
    return frame[drawn.band(index, len(smoothness.CELS), smoothness.SIDE)]


@pytest.fixture(scope="module")
def frames() -> list[np.ndarray]:
    return smoothness.source()


@pytest.mark.parametrize(
    "hold, expected",
    [(1, [0, 1, 2, 3, 4, 5, 6]), (3, [0, 0, 0, 3, 3, 3, 6]), ((1, 2, 3), [0, 1, 1, 3, 3, 3, 6])],
)
def test_when_a_drawing_was_new(hold: drawn.Hold, expected: list[int]) -> None:
    assert [drawn.drawn_at(hold, index) for index in range(7)] == expected


def test_cels_move_as_they_are_held(frames: list[np.ndarray]) -> None:
    for index, hold in enumerate(smoothness.CELS.values()):
        found = drawn.places([cel(frame, index) for frame in frames], index % 3)
        expected = [drawn.SPEED * drawn.drawn_at(hold, each) for each in range(smoothness.LENGTH)]
        np.testing.assert_allclose(found - found[0], expected, atol=0.1)


@pytest.mark.parametrize("sigma", [2.0, 3.0])
def test_the_edge_of_a_blurred_cel_is_as_wide_as_the_blur(frames: list[np.ndarray], sigma: float) -> None:
    """10 to 90 % of a normal distribution are 2.563 sigma; overshoot, as networks make it, changes little."""
    sharp = cel(frames[3])
    blurred = cv2.GaussianBlur(sharp, (0, 0), sigma)
    width = smoothness.edge_width(blurred, 0)
    assert width == pytest.approx(2.563 * sigma, rel=0.15)
    assert smoothness.edge_width(sharp, 0) < 2 < width
    deep = smoothness.edge_width((blurred / np.float32(255)).astype(np.float32), 0)
    assert deep == pytest.approx(width, abs=0.01)


def test_a_ghost_counts_as_blur(frames: list[np.ndarray]) -> None:
    both = (cel(frames[2]) / 2 + cel(frames[4]) / 2) / 255
    assert smoothness.edge_width(both, 0) > 2 * drawn.SPEED


def test_with_a_perfect_network_each_pass_halves_what_is_uneven_on_threes() -> None:
    spreads = [smoothness.perfect(n) for n in smoothness.DEPTHS]
    for before, after in pairwise(spreads):
        assert after["threes"] == pytest.approx(before["threes"] / 2, abs=2e-3)
        assert after["mixed"] < before["mixed"]
    assert spreads[0]["ones"] == 0 and spreads[0]["twos"] == 1.5
    assert all(each["twos"] == each["ones"] == 0 for each in spreads[1:])


def test_the_page_shows_the_committed_figures() -> None:
    found = json.loads(smoothness.RESULTS.read_text())
    page = smoothness.PAGE.read_text(encoding="utf-8")
    assert f"<!-- table: python bench/smoothness.py -->\n{smoothness.table(found)}\n" in page
    depths = {model: [each["n"] for each in found["results"] if each["model"] == model] for model in smoothness.MODELS}
    assert depths == {model: list(smoothness.DEPTHS) for model in smoothness.MODELS}
    assert [each["n"] for each in found["perfect_spread_px"]] == list(smoothness.DEPTHS)
