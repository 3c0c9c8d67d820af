"""Pixels to planes and back: exact for every level, padded by repetition, rounded and clipped."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afitrt.frames import Geometry, from_planar, padded, to_planar


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_level_returns_exactly(dtype: type) -> None:
    levels = np.arange(np.iinfo(dtype).max + 1).astype(dtype).reshape(1, -1, 1).repeat(3, axis=2)
    planar = to_planar(levels, Geometry(levels.shape[1], 1))
    assert planar.dtype == np.float32
    assert planar.min() == 0 and planar.max() == 1
    np.testing.assert_array_equal(from_planar(planar, levels.shape[1], 1, dtype), levels)


@given(st.integers(1, 300), st.integers(1, 300), st.sampled_from([64, 128, 256]))
def test_padding_is_the_smallest_multiple_that_holds_the_picture(width: int, height: int, multiple: int) -> None:
    geometry = padded(width, height, multiple)
    for side, whole in ((width, geometry.width), (height, geometry.height)):
        assert whole % multiple == 0 and side <= whole < side + multiple


def test_edges_are_repeated_right_and_below_and_cropped_again() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    planar = to_planar(frame, Geometry(16, 8))
    expected = np.pad(frame, ((0, 3), (0, 9), (0, 0)), mode="edge").transpose(2, 0, 1)[None] / np.float32(255)
    np.testing.assert_array_equal(planar, expected.astype(np.float32))
    np.testing.assert_array_equal(from_planar(planar, 7, 5, np.uint8), frame)


def test_rounds_to_the_nearest_level_and_clips() -> None:
    planar = np.zeros((1, 3, 1, 4), np.float32)
    planar[0, :, 0] = np.float32([-0.5, 0.4 / 255, 0.6 / 255, 1.5])
    np.testing.assert_array_equal(from_planar(planar, 4, 1, np.uint8)[0, :, 0], [0, 0, 1, 255])


def test_float_pictures_pass_unrounded() -> None:
    picture = np.random.default_rng(1).random((4, 6, 3)).astype(np.float32)
    np.testing.assert_array_equal(from_planar(to_planar(picture, Geometry(64, 64)), 6, 4, np.float32), picture)
