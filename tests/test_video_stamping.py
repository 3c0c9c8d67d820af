"""Encoded packets get exactly the times that they are given, in every codec, out of one file or several."""

from __future__ import annotations

import re
import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from video_helpers import BUNDLED, facts, pattern, payload

from afitrt.errors import RenderError
from afitrt.video import mux
from afitrt.video.stamping import Stamps

CODECS = {
    "h264": ("-c:v", "libx264", "-preset", "ultrafast", "-bf", 3, "-x264-params", "open-gop=0:keyint=12:b-adapt=0"),
    "hevc": (
        *("-c:v", "libx265", "-preset", "ultrafast"),
        *("-x265-params", "log-level=error:info=0:open-gop=0:keyint=10:bframes=4:b-pyramid=1"),
    ),
    "av1": ("-c:v", "libsvtav1", "-preset", 12, "-g", 16),
    "ffv1": ("-c:v", "ffv1", "-g", 1),
    "prores": ("-c:v", "prores_ks"),
}


def stamp(parts: list[Path], stamps: Stamps, out: Path) -> None:
    """A file of nothing but these parts."""
    mux(parts, facts(pictures=tuple(parts)), out, stamps)


def independent(path: Path, *options: str) -> list[tuple[Fraction, Fraction, int]]:
    """(pts, dts in seconds, bytes) of every packet, as ffmpeg's framecrc writer tells them."""
    reading = [BUNDLED, "-v", "error", *options, "-i", path, "-map", "0:v", "-c", "copy"]
    command = [*reading, "-copyts", "-f", "framecrc", "-"]
    told = subprocess.run(list(map(str, command)), capture_output=True, check=True, text=True).stdout
    base = Fraction(re.search(r"#tb 0: (\S+)", told)[1])
    rows = [[field.strip() for field in line.split(",")] for line in told.splitlines() if not line.startswith("#")]
    return [(int(row[2]) * base, int(row[1]) * base, int(row[4])) for row in rows]


def pictures(path: Path) -> list[str]:
    """Checksum of every decoded picture, in order."""
    command = [BUNDLED, "-v", "error", "-i", path, "-fps_mode", "passthrough", "-f", "framemd5", "-"]
    told = subprocess.run(list(map(str, command)), capture_output=True, check=True, text=True).stdout
    return [line.split(",")[-1].strip() for line in told.splitlines() if not line.startswith("#")]


def uneven(count: int, seed: int = 1) -> np.ndarray:
    """Times that no rate explains: gaps of 1 to 5000 ticks, in jumps."""
    gaps = np.random.default_rng(seed).choice([1, 7, 375, 1001, 5000], count)
    return np.cumsum(gaps).astype(np.int64)


@pytest.mark.parametrize("codec", CODECS)
def test_every_codec_keeps_any_times(codec: str, tmp_path: Path) -> None:
    pts = uneven(51)
    times = Stamps(pts[:-1], int(pts[-1]), Fraction(1001, 48000)).later(Fraction(0))
    clip = pattern(tmp_path / "in.mkv", *CODECS[codec], seconds=2)
    form = "mov" if codec == "prores" else "mp4"
    stamp([clip], times, tmp_path / f"out.{form}")
    found = independent(tmp_path / f"out.{form}")
    assert sorted(row[0] for row in found) == [int(each) * Fraction(1001, 48000) for each in pts[:-1]]
    decoded = [row[1] for row in found]
    assert decoded == sorted(set(decoded)) and all(dts <= pts for pts, dts, _ in found)
    assert payload(tmp_path / f"out.{form}", 0) == payload(clip, 0)
    if codec in ("h264", "hevc"):
        assert [row[0] for row in found] != sorted(row[0] for row in found), "no B-frames: nothing was tested"
    assert pictures(tmp_path / f"out.{form}") == pictures(clip)


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
def test_parts_follow_one_another(codec: str, tmp_path: Path) -> None:
    parts = [pattern(tmp_path / f"{k}.mkv", *CODECS[codec], seconds=count / 25) for k, count in enumerate((25, 1, 13))]
    pts = uneven(40, seed=2)
    times = Stamps(pts[:-1], int(pts[-1]), Fraction(1, 90000)).later(Fraction(7, 10))
    stamp(parts, times, tmp_path / "out.mp4")
    found = independent(tmp_path / "out.mp4")
    expected = [int(each) * Fraction(1, 90000) + Fraction(7, 10) for each in pts[:-1]]
    assert sorted(row[0] for row in found) == expected
    decoded = [row[1] for row in found]
    assert decoded == sorted(set(decoded)) and all(dts <= pts for pts, dts, _ in found)
    assert pictures(tmp_path / "out.mp4") == [each for part in parts for each in pictures(part)]


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    one = pattern(tmp_path / "one.mkv", *CODECS["hevc"])
    other = pattern(tmp_path / "other.mkv", *CODECS["hevc"], size="128x96")
    with pytest.raises(RenderError, match="25 pictures"):
        stamp([one], Stamps.regular(24, Fraction(25)).later(Fraction(0)), tmp_path / "out.mp4")
    with pytest.raises(RenderError, match="encoded differently"):
        stamp([one, other], Stamps.regular(50, Fraction(25)).later(Fraction(0)), tmp_path / "out.mp4")
    (tmp_path / "none.mkv").write_text("no video")
    with pytest.raises(RenderError, match="no video that can be read"):
        stamp([tmp_path / "none.mkv"], Stamps.regular(1, Fraction(25)).later(Fraction(0)), tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()


@given(
    st.lists(st.integers(100, 10**7), min_size=1, max_size=20),
    st.fractions(0, 100, max_denominator=100_000),
    st.sampled_from([Fraction(1, 1000), Fraction(1001, 24000), Fraction(1, 90000), Fraction(1, 12_800)]),
)
def test_a_shift_is_exact_or_within_half_a_tick(gaps: list[int], late: Fraction, base: Fraction) -> None:
    times = Stamps(np.cumsum([0, *gaps])[:-1], sum(gaps), base)
    moved = times.later(late)
    ticks = moved.time_base
    if ticks in (Fraction(1, 1_000_000), Fraction(1, 10_000)):
        assert (
            max(abs(a * ticks - b * base - late) for a, b in zip(moved.pts.tolist(), times.pts.tolist(), strict=True))
            <= ticks / 2
        )
        return
    assert [each * ticks for each in moved.pts.tolist()] == [each * base + late for each in times.pts.tolist()]
    assert moved.end * ticks == times.end * base + late


def test_what_is_too_fine_is_rounded_to_microseconds() -> None:
    times = Stamps(np.array([0, 1, 10**10]), 10**10 + 1, Fraction(1, 10**10)).later(Fraction(1, 3))
    assert times.time_base == Fraction(1, 1_000_000)
    assert times.pts.tolist() == [333_333, 333_334, 1_333_333]
