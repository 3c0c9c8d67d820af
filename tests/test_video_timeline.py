"""Time stamps to frames, rates and regularity: arithmetic, no files."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from video_helpers import facts

from afitrt.video.timeline import Packet, normalise, timeline

MS = Fraction(1, 1000)
NTSC_FILM = Fraction(24000, 1001)


def stamped(pts: list[int | None], duration: int = 0) -> list[Packet]:
    return [Packet(each, None, duration) for each in pts]


@pytest.mark.parametrize(
    "rate", [Fraction(24), NTSC_FILM, Fraction(25), Fraction(30000, 1001), Fraction(60000, 1001), Fraction(48000, 1001)]
)
@pytest.mark.parametrize("rounding", [round, int])
def test_a_constant_rate_is_found_through_matroskas_milliseconds(rate: Fraction, rounding) -> None:
    pts = [rounding(Fraction(k * 1000) / rate) for k in range(200)]
    found = timeline(stamped(pts), MS, [])
    assert (found.rate, found.constant) == (rate, True)


def test_an_odd_constant_rate_is_exact_where_the_ticks_are() -> None:
    found = timeline(stamped([k * 813 for k in range(50)], 813), Fraction(1, 10000), [])
    assert (found.rate, found.constant, found.end) == (Fraction(10000, 813), True, 50 * 813)


def test_the_containers_rate_is_kept_where_the_stamps_agree() -> None:
    pts = [round(Fraction(k * 1000) / NTSC_FILM) for k in range(4)]
    assert timeline(stamped(pts), MS, [NTSC_FILM]).rate == NTSC_FILM
    assert timeline(stamped(pts), MS, [Fraction(24)]).rate == Fraction(24)
    assert timeline(stamped([k * 40 for k in range(30)]), MS, [NTSC_FILM]).rate == Fraction(25)


def test_variable_spacing_is_told_and_averaged() -> None:
    found = timeline(stamped([0, 40, 80, 160, 200, 280, 400]), MS, [])
    assert (found.constant, found.rate) == (False, Fraction(15))


def test_lost_frames_do_not_change_the_rate() -> None:
    pts = [k * 40 for k in range(100) if k not in (50, 51, 98)]
    found = timeline(stamped(pts), MS, [])
    assert (found.constant, found.rate, len(found.pts)) == (False, Fraction(25), 97)


def test_a_lost_frame_is_seen_where_a_tick_is_a_frame() -> None:
    found = timeline(stamped([0, 1, 2, 4, 5, 6]), Fraction(1, 25), [Fraction(25)])
    assert not found.constant
    assert timeline(stamped([0, 1, 2, 3]), Fraction(1, 25), []).constant


def test_stamps_rounded_twice_are_constant() -> None:
    ticks = [round(Fraction(k * 90000) / NTSC_FILM) for k in range(500)]
    found = timeline(stamped([round(Fraction(each, 90)) + 7 for each in ticks]), MS, [])
    assert (found.rate, found.constant) == (NTSC_FILM, True)


def test_packets_in_decoding_order_are_sorted() -> None:
    assert list(timeline(stamped([0, 120, 40, 80]), MS, []).pts) == [0, 40, 80, 120]


def test_files_with_decoding_times_only_count_by_them() -> None:
    found = timeline([Packet(None, k, 1) for k in range(-1, 9)], Fraction(1, 25), [Fraction(25)])
    assert (found.constant, found.rate, len(found.pts)) == (True, Fraction(25), 10)


def test_missing_stamps_are_filled_by_spacing() -> None:
    found = timeline(stamped([0, None, 80, None, 160]), MS, [Fraction(25)])
    assert list(found.pts) == [0, 40, 80, 120, 160]
    assert found.constant


def test_repeated_stamps_are_spread_over_the_gap() -> None:
    found = timeline(stamped([0, 40, 40, 120]), MS, [])
    assert list(found.pts) == [0, 40, 80, 120]
    crowded = timeline(stamped([0, 1, 1, 2, 3]), Fraction(1, 25), [Fraction(25)])
    assert [pts * crowded.time_base * 50 for pts in crowded.pts] == [0, 2, 3, 4, 6]
    assert crowded.end * crowded.time_base == Fraction(4, 25)


def test_one_frame_has_the_hinted_rate_or_that_of_its_duration() -> None:
    alone = timeline(stamped([7], 40), MS, [])
    assert (alone.rate, alone.end, alone.constant) == (Fraction(25), 47, True)
    assert timeline(stamped([0]), MS, [Fraction(50)]).end == 20


@given(
    st.lists(st.one_of(st.none(), st.integers(-5000, 5000)), min_size=1, max_size=40),
    st.sampled_from([MS, Fraction(1, 25), Fraction(1, 90000)]),
)
def test_any_stamps_give_one_ascending_time_for_each_packet(pts: list[int | None], time_base: Fraction) -> None:
    found = timeline(stamped(pts), time_base, [])
    assert len(found.pts) == len(pts)
    assert np.all(np.diff(found.pts) > 0)
    assert found.end > found.pts[-1]
    assert found.rate > 0


def test_a_constant_source_at_its_own_rate_is_only_put_on_the_grid() -> None:
    pts = np.array([round(Fraction(k * 1000) / NTSC_FILM) + 83 for k in range(10)])
    info = replace(facts(), pts=pts, end=500, time_base=MS, rate=NTSC_FILM)
    grid = normalise(info, NTSC_FILM)
    assert (grid.repeated, grid.dropped, grid.info.frames) == (0, 0, 10)
    assert grid.info.seconds(3) == 3 / NTSC_FILM
    assert grid.info.seconds(10) == 10 / NTSC_FILM


def test_normalising_counts_what_it_repeats_and_drops() -> None:
    info = replace(facts(), pts=np.array([0, 40, 50, 120, 240]), end=280, time_base=MS, constant=False)
    grid = normalise(info, Fraction(25))
    assert (grid.info.frames, grid.repeated, grid.dropped) == (7, 3, 1)
