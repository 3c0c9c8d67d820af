"""Options thrown together at random on small blend jobs: a documented exit code, and the exact count when it is 0."""

from __future__ import annotations

import math
import tempfile
from fractions import Fraction
from pathlib import Path

import pytest
from command import afitrt, process
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from video_helpers import drawn, noise

from afitrt.video import count_packets, probe

CODES = {0, 2, 3, 4, 5, 6, 7, 8, 9, 75, 130}
CHUNKS, EXAMPLES = 10, 55
RATE = Fraction(24000, 1001)


@st.composite
def jobs(draw: st.DrawFn) -> tuple[int, list[str]]:
    """Number of source frames, and options of which most are right."""
    frames = draw(st.integers(1, 14))
    wild = draw(st.integers(1, 3)) == 1
    options: list[str] = []

    def maybe(flag: str, right: list[str], wrong: list[str], share: int) -> None:
        if draw(st.integers(1, share)) == 1:
            options.extend([flag, draw(st.sampled_from(right + wrong * wild))])

    if draw(st.booleans()):
        maybe("--times", ["1", "2", "3", "5"], ["0", "-1", "1.5", "many", ""], 1)
    if wild or not options:
        maybe("--fps", ["60", "59.94", "24000/1001", "25", "10", "120", "1"], ["0", "-5", "fast", "1/0"], 2)
    maybe("--n-forward", [str(n) for n in range(7)], ["-1", "16", "17", "two"], 2)
    maybe("--n-pass", ["0", "2", "3"], ["1", "18"], 6)
    maybe("--detector", ["svfi", "none"], ["pixels"], 4)
    maybe("--scene-threshold", ["0", "14", "1e9"], ["nan", "-1", "x"], 4)
    maybe("--cuts", ["1", str(max(1, frames // 2))], ["0", "3,2", "99", "a"], 5)
    maybe("--start", ["0", "0.1", "00:00:00.05"], ["5", "x", "-1"], 5)
    maybe("--end", ["0.2", "0.3", "10"], ["0", "0:0:0:0"], 5)
    maybe("--crf", ["0", "16", "30"], ["high"], 5)
    maybe("--threads", ["0", "1", "2"], ["-1"], 6)
    options += draw(st.lists(st.sampled_from(["--no-shrink", "--no-correct", "--json", "-q", "-v"]), unique=True))
    options += draw(st.sampled_from([["--codec", "libx264", "--preset", "ultrafast"]] * 8 + [["--codec", "ffv1"]]))
    return frames, options


def value(options: list[str], flag: str) -> str | None:
    return options[len(options) - options[::-1].index(flag)] if flag in options else None


def expected_outputs(frames: int, options: list[str]) -> int:
    """Straight from the rule: times x frames, or ceil(frames x fps / rate), of the frames inside the span."""
    first = Fraction((value(options, "--start") or "0").split(":")[-1])
    end = value(options, "--end")
    taken = [
        k for k in range(frames) if first <= round(k / RATE, 3) and (end is None or round(k / RATE, 3) < Fraction(end))
    ]
    if (fps := value(options, "--fps")) is not None:
        return math.ceil(len(taken) * (Fraction(60000, 1001) if fps == "59.94" else Fraction(fps)) / RATE)
    return len(taken) * int(value(options, "--times") or 2)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    folder = tmp_path_factory.mktemp("clips")
    pictures = noise(14)
    return {n: drawn(folder / f"{n}.mkv", pictures[:n], rate=RATE) for n in range(1, 15)}


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_any_options_end_in_a_documented_way(clips: dict[int, Path], chunk: int) -> None:
    succeeded = 0

    @seed(chunk)
    @settings(max_examples=EXAMPLES, database=None, suppress_health_check=list(HealthCheck))
    @given(jobs(), st.sampled_from([".mkv", ".mkv", ".mp4", ".webm"]))
    def try_one(job: tuple[int, list[str]], suffix: str) -> None:
        nonlocal succeeded
        frames, options = job
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / f"out{suffix}"
            ran = afitrt("interpolate", clips[frames], out, "--model", "blend", *options)
            assert ran.code in CODES, (options, ran.err)
            assert "Traceback" not in ran.err
            assert {path.name for path in Path(folder).iterdir()} <= {out.name}
            assert out.exists() == (ran.code == 0)
            if ran.code == 0:
                succeeded += 1
                assert count_packets(out) == expected_outputs(frames, options), options

    try_one()
    assert succeeded >= EXAMPLES // 5, "the strategy hardly ever makes a job that can run"


@pytest.mark.parametrize("options", [("--times", "3"), ("--fps", "60", "--n-forward", "4"), ("--times", "no")])
def test_a_sample_through_real_processes(clips: dict[int, Path], tmp_path: Path, options: tuple[str, ...]) -> None:
    out = tmp_path / "out.mkv"
    running = process("interpolate", clips[7], out, "--model", "blend", "--codec", "ffv1", *options)
    _, err = running.communicate(timeout=60)
    assert running.returncode == (2 if "no" in options else 0), err
    if running.returncode == 0:
        assert probe(out).frames == expected_outputs(7, list(options))
