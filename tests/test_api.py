"""What is public at the top: listed once, importable, lazy, and it works."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest
from video_helpers import pattern

import afitrt


def test_public_names_are_what_can_be_imported() -> None:
    for name in afitrt.__all__:
        assert getattr(afitrt, name) is not None
        assert name in dir(afitrt)
    assert len(set(afitrt.__all__)) == len(afitrt.__all__) == len(afitrt._HOMES) + 1
    with pytest.raises(AttributeError, match="no attribute nothing"):
        afitrt.nothing  # noqa: B018


def test_planning_loads_no_array_library() -> None:
    script = "import sys, afitrt; afitrt.plan; afitrt.ScheduleOptions; print('numpy' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"


def test_interpolate_from_file_to_file(tmp_path: Path) -> None:
    clip = pattern(tmp_path / "in.mkv", seconds=0.4)
    heard: list[afitrt.Event] = []
    options = afitrt.Options(
        tmp_path / "out.mkv",
        schedule=afitrt.ScheduleOptions(times=3, n_forward=1),
        model=afitrt.ModelOptions("blend"),
        encode=afitrt.EncodeOptions("libx264", preset="ultrafast"),
    )
    done = afitrt.interpolate(str(clip), options, heard.append)
    assert (done.frames, done.outputs, done.rate) == (10, 30, "75")
    assert heard[-1] == done and Path(done.output) == tmp_path / "out.mkv"
    with pytest.raises(afitrt.AfitrtError, match="exists"):
        afitrt.interpolate(clip, options)


def test_plan_is_arithmetic() -> None:
    frames = [afitrt.Frame(Fraction(k, 24), cut=False) for k in range(6)]
    steps = list(afitrt.plan([*frames, afitrt.End(Fraction(6, 24))], afitrt.ScheduleOptions(n_forward=2)))
    shown = [output for step in steps for output in step.outputs]
    assert len(shown) == 12 and shown[0].node is afitrt.Source(0)
    apex = shown[2].node
    assert isinstance(apex, afitrt.Mix) and apex.t == Fraction(1, 2)
