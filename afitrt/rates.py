"""Frame rates as people write them."""

from __future__ import annotations

import re
from fractions import Fraction

from afitrt.errors import UsageError

_RATE = re.compile(r"(?P<whole>[0-9]{1,9})(?:/(?P<per>[0-9]{1,9})|\.(?P<decimals>[0-9]{1,9}))?")
# Rates that also exist slowed down by 1000/1001, and are then written as rounded decimals.
_NTSC = (24, 30, 48, 60, 96, 120, 240)


def parse_rate(text: str, option: str = "--fps") -> Fraction:
    """Frames per second of "60", "60000/1001", "12.5" or, as NTSC rates, "23.976", "29.97", "59.94" etc.

    A decimal is an NTSC rate when that rate, rounded to as many places (two at least), is written so.
    Raises UsageError, which names the option, for all else and for 0.
    """
    match = _RATE.fullmatch(text.strip())
    rate = Fraction(0)
    if match and int(match["per"] or 1):
        rate = _exact(match["decimals"] or "", Fraction(match.group()))
    if rate <= 0:
        expected = "a rate above 0, such as 60, 60000/1001 or 59.94"
        raise UsageError(f"{option} {text}", expected, f"{option} 60")
    return rate


def rate_text(rate: Fraction) -> str:
    """A rate as file names carry it: at most 3 decimals, no trailing zeros ("47.952", "60")."""
    whole, thousandths = divmod(round(rate * 1000), 1000)
    return f"{whole}.{thousandths:03}".rstrip("0").rstrip(".")


def _exact(decimals: str, rate: Fraction) -> Fraction:
    places = len(decimals.rstrip("0"))
    for nominal in _NTSC if places >= 2 else ():
        slowed = Fraction(nominal * 1000, 1001)
        if round(slowed, places) == rate:
            return slowed
    return rate
