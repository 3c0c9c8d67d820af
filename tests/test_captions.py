"""Closed captions and the like lie in single pictures, which a pipe cannot carry: told, with what saves them."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from captions import captioned
from command import afitrt
from video_helpers import X264, ffmpeg, pattern

from afitrt.video import find, probe

FAST = ("--model", "blend", "--codec", "libx264", "--preset", "ultrafast")


@pytest.mark.parametrize(("name", "codec"), [("in.mkv", "h264"), ("in.mp4", "h264"), ("in.ts", "mpeg2video")])
def test_closed_captions_are_told_with_what_saves_them(tmp_path: Path, name: str, codec: str) -> None:
    source = captioned(tmp_path / name, codec)
    ran = afitrt("interpolate", source, tmp_path / "out.mkv", *FAST)
    assert ran.code == 0 and "warning: closed captions are left out" in ran.err, ran.err
    assert ran.err.count("closed captions") == 1 and "timecodes" not in ran.err
    remedy = re.search(r"ffmpeg (-f lavfi .* captions.srt)", ran.err)
    assert remedy is not None
    subprocess.run([find().path, "-v", "error", *shlex.split(remedy[1])], cwd=tmp_path, check=True)
    assert "HELLO THERE FROM THE CAPTIONS" in (tmp_path / "captions.srt").read_text()


def test_captions_that_begin_later_are_found(tmp_path: Path) -> None:
    bare, late = tmp_path / "bare.ts", captioned(tmp_path / "late.ts", seconds=0.4)
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=0.4", *X264, bare)
    ffmpeg("-i", late, "-c", "copy", "-output_ts_offset", 0.4, tmp_path / "moved.ts")
    source = tmp_path / "in.ts"
    source.write_bytes(bare.read_bytes() + (tmp_path / "moved.ts").read_bytes())
    assert probe(source).beside == ("closed captions",)


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "ts"])
def test_a_film_without_any_is_not_warned_about(tmp_path: Path, suffix: str) -> None:
    for encode in (X264, ("-c:v", "mpeg2video")):
        assert probe(pattern(tmp_path / f"in.{suffix}", *encode, seconds=0.4)).beside == ()


def test_other_facts_of_pictures_are_named_in_one_line(tmp_path: Path) -> None:
    source = tmp_path / "in.ts"
    three = ("-x264-params", "frame-packing=3")
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=0.4", "-c:v", "libx264", *three, source)
    ran = afitrt("interpolate", source, tmp_path / "out.mkv", *FAST, "--dry-run")
    assert ran.code == 0 and "left out, since it lies in single pictures: stereo 3D layout" in ran.out, ran.out
