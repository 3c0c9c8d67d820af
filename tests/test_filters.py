"""Interlaced and telecined sources: found, named, undone; and any other filter of ffmpeg in front."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from command import afitrt
from test_times import shown
from video_helpers import X264, ffmpeg, pattern

from afitrt.errors import UsageError
from afitrt.video import Reader, probe_source
from afitrt.video.filters import DEINTERLACE, IVTC, judged

pytestmark = pytest.mark.slow

FAST = ("--model", "blend", "--codec", "libx264", "--preset", "ultrafast")
TELECINE = "telecine=pattern=23"
FIELDS = "tinterlace=interleave_top"
FILM = Fraction(24000, 1001)


def moving(path: Path, filters: str, *, rate: str = "24000/1001", seconds: int = 3, held: int = 1) -> Path:
    """A white box that moves over grey, as anime moves: each drawing held for some frames."""
    back, box = f"color=gray:s=192x144:r={rate}:d={seconds}", f"color=white:s=64x48:r={rate}:d={seconds}"
    graph = f"[0][1]overlay=x='mod(5*floor(n/{held}),128)':y=48,{filters},format=yuv420p"
    ffmpeg("-f", "lavfi", "-i", back, "-f", "lavfi", "-i", box, "-filter_complex", graph, *X264, "-crf", 10, path)
    return path


@pytest.mark.parametrize(
    "filters, rate, held, found",
    [
        ("null", "24000/1001", 2, "progressive"),
        (TELECINE, "24000/1001", 1, "telecined"),
        (f"{TELECINE},setfield=prog", "24000/1001", 3, "telecined"),
        (FIELDS, "50", 1, "interlaced"),
        ("tinterlace=interleave_bottom,setfield=prog", "50", 2, "interlaced"),
        ("tinterlace=interleave_top,setfield=prog", "60000/1001", 1, "interlaced"),
    ],
)
def test_what_a_sample_shows(tmp_path: Path, filters: str, rate: str, held: int, found: str) -> None:
    assert probe_source(moving(tmp_path / "in.mkv", filters, rate=rate, held=held)).scan == found


@pytest.mark.parametrize("seconds", [0.5, 1, 2, 3])
def test_a_progressive_pattern_that_moves_is_not_told_to_be_interlaced(seconds: float, tmp_path: Path) -> None:
    """For two seconds all of its pictures look combed to idet; the stream says that they are not."""
    path = pattern(tmp_path / "in.mkv", size="448x256", rate="24", seconds=seconds)
    assert probe_source(path).scan == "progressive"


def test_the_same_marked_as_interlaced_looks_so(tmp_path: Path) -> None:
    marked = pattern(tmp_path / "marked.mkv", *X264, "-vf", "setfield=tff", "-flags", "+ildct", size="448x256")
    assert probe_source(marked).scan == "interlaced"
    ran = afitrt("interpolate", marked, tmp_path / "out.mkv", *FAST)
    assert "the source looks interlaced" in ran.err, ran.err


def test_noise_is_no_interlacing(tmp_path: Path) -> None:
    assert probe_source(pattern(tmp_path / "in.mkv", size="320x240", seconds=4)).scan == "progressive"
    still = {"Neither": 200, "Top": 0, "Bottom": 0}
    even = {"TFF": 48, "BFF": 44, "Progressive": 8, "Undetermined": 100}
    counts = {"Repeated Fields": still, "Single frame detection": even, "Multi frame detection": even}
    assert judged(counts, Fraction(25), marked=True) == "progressive"


def test_the_warning_names_what_helps_and_it_does(tmp_path: Path) -> None:
    source = moving(tmp_path / "in.mkv", FIELDS, rate="50")
    ran = afitrt("interpolate", source, tmp_path / "a.mkv", *FAST)
    assert ran.code == 0 and "--deinterlace (bwdif)" in ran.err and "--ivtc (fieldmatch, decimate)" in ran.err
    assert "--deinterlace" in afitrt("plan", source).err
    ran = afitrt("interpolate", source, tmp_path / "b.mp4", *FAST, "--deinterlace")
    assert ran.code == 0 and "interlaced" not in ran.err, ran.err
    assert "filters run once to learn what they give: 75 frames" in ran.err
    assert shown(tmp_path / "b.mp4") == [Fraction(k, 50) for k in range(150)]
    assert probe_source(tmp_path / "b.mp4").scan == "progressive"


def test_film_gets_its_own_frames_and_rate_back(tmp_path: Path) -> None:
    film = moving(tmp_path / "film.mkv", "null")
    source = moving(tmp_path / "in.mkv", TELECINE)
    ran = afitrt("interpolate", source, "--model", "blend", "--dry-run")
    assert "film" in ran.err + ran.out and "--ivtc" in ran.err + ran.out
    info = probe_source(source, filters=IVTC)
    assert (info.rate, info.constant, info.scan) == (FILM, True, "progressive")
    assert abs(info.frames - probe_source(film).frames) <= 1
    with Reader(info) as read, Reader(probe_source(film)) as drawn:
        pairs = list(zip(read, drawn, strict=False))
        assert (read.complete, len(pairs)) == (True, min(info.frames, 72))
    assert np.median([np.abs(a.astype(float) - b).mean() for a, b in pairs]) < 1
    out = tmp_path / "out.mp4"
    assert afitrt("interpolate", source, out, *FAST, "--ivtc").code == 0
    assert shown(out) == [Fraction(k * 1001, 48000) for k in range(2 * info.frames)]


def test_any_filter_tells_size_count_and_times_by_what_it_gives(tmp_path: Path) -> None:
    source = pattern(tmp_path / "in.mkv", *X264, seconds=2)
    out = tmp_path / "out.mp4"
    chain = "select='gte(n,3)*not(eq(n,20))',crop=32:24,scale=64:32,setsar=1"
    ran = afitrt("interpolate", source, out, *FAST, "--vf", chain)
    assert ran.code == 0, ran.err
    kept = [Fraction(k, 25) for k in range(3, 50) if k != 20]
    assert shown(out)[::2] == [each for each in kept]
    info = probe_source(out)
    assert (info.width, info.height, info.frames) == (64, 32, 92)
    assert "46 frames in" in ran.out and "varies" in ran.out


def test_filters_see_the_times_at_which_their_frames_were_counted(tmp_path: Path) -> None:
    clip = pattern(tmp_path / "clip.mkv", *X264, seconds=2)
    source = tmp_path / "in.mkv"
    sound = ("-f", "lavfi", "-i", "sine=d=3", "-map", 0, "-map", 1, "-c:v", "copy", "-c:a", "flac")
    ffmpeg("-itsoffset", 0.6, "-i", clip, *sound, source)
    info = probe_source(source, filters="select='gte(t,1.2)'")
    assert (info.frames, info.seconds(0)) == (35, Fraction(6, 5))
    with Reader(info) as frames:
        assert len(list(frames)) == 35 and frames.complete
    ran = afitrt("interpolate", source, tmp_path / "out.mp4", *FAST, "--vf", "select='gte(t,1.2)'")
    assert ran.code == 0, ran.err
    assert shown(tmp_path / "out.mp4") == [Fraction(6, 5) + Fraction(k, 50) for k in range(70)]


def test_plan_and_scenes_count_filtered_frames(tmp_path: Path) -> None:
    source = pattern(tmp_path / "in.mkv", *X264)
    assert "source frames: 12" in afitrt("plan", source, "--vf", "framestep=2,trim=end_frame=12").out
    assert "frames 0 to 12" in afitrt("scenes", source, "--vf", "framestep=2").out


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("--vf", "nosuchfilter"), "nosuchfilter"),
        (("--vf", "scale=-5:x"), "--vf scale"),
        (("--deinterlace", "--ivtc"), "both --deinterlace and --ivtc"),
        (("--vf", "select=0"), "no frame"),
    ],
)
def test_filters_that_do_not_work_are_refused(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    source = pattern(tmp_path / "in.mkv", *X264)
    ran = afitrt("interpolate", source, tmp_path / "out.mkv", *FAST, *arguments)
    assert ran.code in (2, 3) and words in ran.err and "expected:" in ran.err and "Traceback" not in ran.err
    assert not (tmp_path / "out.mkv").exists()


def test_pictures_and_pipes_take_no_filters(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for path in (tmp_path / "in", tmp_path / "%d.png", Path("-")):
        with pytest.raises(UsageError, match="filters for"):
            probe_source(path, Fraction(24), DEINTERLACE)


def test_what_correcting_edges_costs_is_said(tmp_path: Path) -> None:
    few = afitrt("plan", "--frames", 30, "--n-forward", 6)
    assert "correcting an edge: 105 inferences" in few.out and "warning" not in few.err
    many = afitrt("plan", "--frames", 30, "--n-forward", 7)
    assert "correcting an edge: 168 inferences" in many.out and "up to 168 inferences; --no-correct" in many.err
    assert "correcting" not in afitrt("plan", "--frames", 30, "--n-forward", 7, "--no-correct").out
    source = pattern(tmp_path / "in.mkv", *X264)
    assert "up to 168 inferences" in afitrt("interpolate", source, "--model", "blend", "-n", 7, "--dry-run").out
