"""Rates as people write them, and as file names carry them."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afitrt.errors import UsageError
from afitrt.rates import parse_rate, rate_text

NTSC = [("23.976", 24), ("29.97", 30), ("47.952", 48), ("59.94", 60), ("119.88", 120)]


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        *[("60", 60), ("60000/1001", Fraction(60000, 1001)), ("12.5", Fraction(25, 2)), (" 25 ", 25)],
        *[("0.5", Fraction(1, 2)), ("29.9", Fraction(299, 10)), ("59.93", Fraction(5993, 100))],
        *[(text, Fraction(nominal * 1000, 1001)) for text, nominal in NTSC],
        *[("23.98", Fraction(24000, 1001)), ("59.940", Fraction(60000, 1001)), ("24.000", 24)],
        *[("23.976024", Fraction(24000, 1001)), ("239.76", Fraction(240000, 1001))],
    ],
)
def test_rates_are_understood(text: str, rate: Fraction | int) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize(
    "text",
    [
        *["0", "0/1", "0.0", "-1", "-24000/1001", "60/0", "60/-1", "", "abc", "60fps", "nan", "inf", "1e3"],
        *["60/1001/2", "6 0", "60/", "/1001", "60.", ".5", "12.5/2", "٦٠", "1_0", "1" * 10],
    ],
)
def test_nonsense_is_refused_by_name(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_rate(text, "--rate")
    assert caught.value.found == f"--rate {text}"
    assert caught.value.hint == "--rate 60"


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        *[(60, "60"), (100, "100"), (Fraction(25, 2), "12.5"), (Fraction(60000, 1001), "59.94")],
        *[(Fraction(48000, 1001), "47.952"), (Fraction(30000, 1001), "29.97")],
        *[(Fraction(1, 3), "0.333"), (Fraction(2, 3), "0.667")],
    ],
)
def test_rates_as_text(rate: Fraction | int, text: str) -> None:
    assert rate_text(Fraction(rate)) == text


@given(st.integers(1, 300).map(Fraction) | st.sampled_from([Fraction(n * 1000, 1001) for _, n in NTSC]))
def test_text_leads_back_to_the_rate(rate: Fraction) -> None:
    assert parse_rate(rate_text(rate)) == rate
