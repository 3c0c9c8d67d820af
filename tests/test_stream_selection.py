"""Files of more than one video stream: which is the film, by rule and by hand, and what becomes of the others."""

from __future__ import annotations

from pathlib import Path

import av
import pytest
from command import afitrt
from video_helpers import X264, ffmpeg, packets, pattern, payload

from afitrt.cli.engines import _sizes
from afitrt.video import list_tracks, probe

FAST = ("--model", "blend", "--codec", "libx264", "--preset", "ultrafast")
FILM, OTHER = "testsrc2=s=64x48:r=25:d=1", "testsrc=s=48x32:r=25:d=0.4"


def cover_first(path: Path, flag: str = "0") -> Path:
    """A JPEG of one picture, then 25 frames of film; the cover has this flag and is not marked as one."""
    still = ("-f", "lavfi", "-i", "color=red:s=80x80:d=0.04:r=25", "-f", "lavfi", "-i", FILM)
    codecs = ("-c:v:0", "mjpeg", "-pix_fmt:v:0", "yuvj420p", "-c:v:1", "libx264", "-preset", "ultrafast")
    ffmpeg(*still, "-map", 0, "-map", 1, *codecs, "-disposition:v:0", flag, path)
    return path


def two(path: Path, first: str = "0", second: str = "0") -> Path:
    """10 frames of 48x32 (MPEG-4), then 25 of 64x48 (H.264), with these flags."""
    inputs = ("-f", "lavfi", "-i", OTHER, "-f", "lavfi", "-i", FILM, "-map", 0, "-map", 1)
    codecs = ("-c:v:0", "mpeg4", "-c:v:1", "libx264", "-preset:v:1", "ultrafast")
    ffmpeg(*inputs, *codecs, "-disposition:v:0", first, "-disposition:v:1", second, path)
    return path


@pytest.mark.parametrize("name", ["in.mkv", "in.mp4", "in.mov"])
@pytest.mark.parametrize("flag", ["0", "default"])
def test_a_cover_that_is_not_marked_as_one_is_not_the_film(tmp_path: Path, name: str, flag: str) -> None:
    source, out = cover_first(tmp_path / name, flag), tmp_path / f"out{Path(name).suffix}"
    ran = afitrt("interpolate", source, out, *FAST)
    assert ran.code == 0 and "25 frames in, 50 pictures out" in ran.out, ran.err
    assert {index: len(each) for index, each in packets(out).items()} == {0: 1, 1: 50}
    assert payload(out, 0) == payload(source, 0)
    assert probe(out).frames == 50 and "videos" not in ran.err


def test_a_single_picture_is_a_film_where_there_is_no_other(tmp_path: Path) -> None:
    assert probe(pattern(tmp_path / "in.mkv", "-frames:v", 1, "-c:v", "mjpeg")).frames == 1


@pytest.mark.parametrize(("first", "second", "taken"), [("0", "0", 1), ("default", "0", 0), ("default", "default", 1)])
def test_of_two_videos_the_flagged_one_is_taken_then_the_longest(
    tmp_path: Path, first: str, second: str, taken: int
) -> None:
    info = probe(two(tmp_path / "in.mkv", first, second))
    assert (info.stream, info.rivals) == (taken, (1 - taken,))


def test_two_videos_are_told_with_the_option_that_takes_the_other(tmp_path: Path) -> None:
    source, out = two(tmp_path / "in.mkv"), tmp_path / "out.mkv"
    ran = afitrt("interpolate", source, out, *FAST)
    line = "track 1 (video h264) is taken; track 0 (video mpeg4) is copied as it is; --video 0 takes that one"
    assert ran.code == 0 and f"the source holds 2 videos: {line}" in ran.err
    assert payload(out, 0) == payload(source, 0) and len(packets(out)[1]) == 50
    told = afitrt("interpolate", source, tmp_path / "frames" / "%d.png", *FAST[:2])
    assert told.code == 0 and "track 0 (video mpeg4) is left out; --video 0" in told.err
    dropped = afitrt("interpolate", source, tmp_path / "one.mkv", *FAST, "--drop-tracks", 0)
    assert dropped.code == 0 and "track 0 (video mpeg4) is left out" in dropped.err
    assert [str(each) for each in list_tracks(tmp_path / "one.mkv")] == ["track 0 (video h264)"]


def test_the_video_is_chosen_by_hand_wherever_a_source_is_probed(tmp_path: Path) -> None:
    source, out, job = two(tmp_path / "in.mkv"), tmp_path / "out.mkv", tmp_path / "job.json"
    ran = afitrt("interpolate", source, out, *FAST, "--video", 0)
    assert ran.code == 0 and "10 frames in, 20 pictures out" in ran.out and "videos" not in ran.err
    assert payload(out, 1) == payload(source, 1)
    info = probe(out)
    assert (info.stream, info.width, info.frames) == (0, 48, 20)
    with av.open(str(out)) as container:
        flags = [bool(each.disposition & av.stream.Disposition.default) for each in container.streams.video]
    assert flags == [True, False]
    assert afitrt("plan", source, "-o", job, *FAST, "--video", 0).code == 0
    assert afitrt("render", job, "--segments", "0").code == 0
    joined = afitrt("join", job, tmp_path / "joined.mkv")
    assert joined.code == 0 and (tmp_path / "joined.mkv").read_bytes() == out.read_bytes(), joined.err
    assert "source frames: 10" in afitrt("plan", source, "--video", 0).out
    assert "frames 0 to 9" in afitrt("scenes", source, "--video", 0).out
    assert "is taken" in afitrt("scenes", source).err and "is taken" in afitrt("plan", source).err
    shown = afitrt("preview", source, tmp_path / "p.mkv", *FAST, "-n", 1, "--seconds", "0.2", "--video", 0)
    assert shown.code == 0 and probe(tmp_path / "p.mkv").width == 96, shown.err
    assert _sizes([], source, "0") == [(48, 32)] and _sizes([], source, None) == [(64, 48)]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        ("7", ("--video 7: no track of the source", "track 0 (video mpeg4), track 1 (video h264)")),
        ("2", ("--video 2: track 2 (audio flac)", "try: --video 0")),
        ("x", ("--video x", "--video 1")),
    ],
)
def test_a_number_that_is_no_video_is_refused(tmp_path: Path, number: str, words: tuple[str, ...]) -> None:
    source = tmp_path / "in.mkv"
    ffmpeg("-i", two(tmp_path / "two.mkv"), "-f", "lavfi", "-i", "sine=d=1", "-map", 0, "-map", 1, "-c:v", "copy",
           "-c:a", "flac", source)  # fmt: skip
    ran = afitrt("interpolate", source, *FAST, "--video", number)
    assert ran.code == 2 and all(word in ran.err for word in words), ran.err
    assert afitrt("build-engine", "--video", "0").code == 2


def test_pictures_have_no_number(tmp_path: Path) -> None:
    pattern(tmp_path / "%d.png", "-frames:v", 2, "-c:v", "png")
    ran = afitrt("interpolate", tmp_path, "--rate", 24, *FAST, "--video", 0)
    assert ran.code == 2 and "--video 0 for" in ran.err


def test_a_second_video_that_the_container_cannot_hold_is_told_before_the_work(tmp_path: Path) -> None:
    source = tmp_path / "in.mkv"
    ffmpeg("-f", "lavfi", "-i", FILM, "-f", "lavfi", "-i", OTHER, "-map", 0, "-map", 1, *X264, "-c:v:1", "wmv2", source)
    ran = afitrt("interpolate", source, tmp_path / "out.mp4", *FAST)
    assert ran.code == 4 and "mp4 cannot hold track 1 (video wmv2)" in ran.err and "--drop-tracks 1" in ran.err
