"""The other doors of `afitrt interpolate`: pictures, pipes, several inputs, another source rate."""

from __future__ import annotations

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from command import Ran, afitrt, heeding_signals, process
from video_helpers import X264, drawn, ffmpeg, noise, packets, pattern, payload

from afitrt.video import Reader, probe

pytestmark = pytest.mark.slow

BLEND = ("--model", "blend")
FAST = (*BLEND, "--codec", "libx264", "--preset", "ultrafast")
LOSSLESS = (*BLEND, "--codec", "ffv1")
RATE = ("--rate", "25")


def write(path: Path, picture: np.ndarray) -> Path:
    """RGB picture to a file in the format that its name says, without loss where that can."""
    path.parent.mkdir(exist_ok=True)
    lossless = [cv2.IMWRITE_WEBP_QUALITY, 101] if path.suffix == ".webp" else []
    assert cv2.imwrite(str(path), picture[:, :, ::-1], lossless)
    return path


def read(path: Path) -> np.ndarray:
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert picture is not None
    return picture[:, :, ::-1]


def frames(path: Path) -> list[np.ndarray]:
    with Reader(probe(path)) as reader:
        return list(reader)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def refused(ran: Ran, code: int, *words: str) -> None:
    assert ran.code == code, ran.err
    assert all(word in ran.err for word in (*words, "expected:", "try:")), ran.err
    assert "Traceback" not in ran.err and ran.out == ""


# Pictures in.


@pytest.fixture
def stills(tmp_path: Path) -> Path:
    """frames/1.png to frames/12.png, 64x48, and a text file."""
    for number, picture in enumerate(noise(12), 1):
        write(tmp_path / "frames" / f"{number}.png", picture)
    (tmp_path / "frames" / "notes.txt").write_text("no picture")
    return tmp_path / "frames"


def test_a_folder_is_read_in_natural_order_and_named_after(stills: Path) -> None:
    ran = afitrt("interpolate", stills, *LOSSLESS, *RATE, "--pix-fmt", "bgr0")
    assert ran.code == 0, ran.err
    out = stills.with_name("frames.50fps.mkv")
    assert (probe(out).frames, probe(out).rate) == (24, 50)
    np.testing.assert_array_equal(frames(out)[0], noise(12)[0])
    np.testing.assert_array_equal(frames(out)[-1], noise(12)[11])
    assert names(stills.parent) == ["frames", "frames.50fps.mkv"]


def test_a_pattern_takes_what_it_names(stills: Path, tmp_path: Path) -> None:
    write(stills / "other-1.png", noise(1)[0])
    out = tmp_path / "out.mkv"
    ran = afitrt("interpolate", stills / "%d.png", out, *FAST, "--rate", "24000/1001", "--start", "0.1", "--end", "0.3")
    assert ran.code == 0, ran.err
    assert (probe(out).frames, probe(out).rate) == (10, Fraction(48000, 1001))
    assert afitrt("interpolate", "%d.png", *FAST, *RATE, "--dry-run").code == 3


@pytest.mark.parametrize("kind", ["png uint16", "tiff uint8", "TIF uint16", "webp uint8", "jpg uint8"])
def test_every_format_and_depth(tmp_path: Path, kind: str) -> None:
    suffix, dtype = kind.split()
    pictures = [cv2.GaussianBlur(each, (0, 0), 9) for each in noise(3, dtype=np.dtype(dtype).type)]
    for number, picture in enumerate(pictures):
        write(tmp_path / "in" / f"{number:06}.{suffix}", picture)
    ran = afitrt("interpolate", tmp_path / "in", f"{tmp_path}/out/", *BLEND, *RATE)
    assert ran.code == 0, ran.err
    first = read(tmp_path / "out" / "000000001.png")
    assert first.dtype == np.dtype(dtype)
    if suffix == "jpg":
        assert np.abs(first.astype(int) - pictures[0]).mean() < 3
    else:
        np.testing.assert_array_equal(first, pictures[0])


def test_one_deep_or_grey_picture_among_others(tmp_path: Path) -> None:
    colour, deep = noise(1)[0], noise(1, dtype=np.uint16)[0]
    write(tmp_path / "in" / "1.png", colour)
    write(tmp_path / "in" / "2.png", deep)
    cv2.imwrite(str(tmp_path / "in" / "3.png"), colour[:, :, 0])
    assert afitrt("interpolate", tmp_path / "in", f"{tmp_path}/out/", *BLEND, *RATE, "--times", 1).code == 0
    out = [read(tmp_path / "out" / f"{number:09}.png") for number in (1, 3)]
    np.testing.assert_array_equal(out[0], colour.astype(np.uint16) * 257)
    np.testing.assert_array_equal(out[1], np.repeat(colour[:, :, :1], 3, 2).astype(np.uint16) * 257)


def test_pictures_that_cannot_be_used_are_named(stills: Path, tmp_path: Path) -> None:
    def ask(source: Path | str, *more: object) -> Ran:
        return afitrt("interpolate", source, tmp_path / "out.mkv", *FAST, *more)

    refused(ask(stills), 2, "--rate", "frame rate")
    refused(ask(stills, "--rate", "fast"), 2, "--rate fast")
    refused(ask(stills / "%d.jpg", *RATE), 3, "%d.jpg")
    (tmp_path / "empty").mkdir()
    refused(ask(tmp_path / "empty", *RATE), 3, "empty", "without pictures")
    (stills / "7.png").rename(tmp_path / "7.png")
    refused(ask(stills / "%d.png", *RATE), 3, "7.png", "missing")
    write(stills / "7.png", noise(1, height=50)[0])
    refused(ask(stills, *RATE), 3, "7.png", "64x50", "64x48")
    (stills / "7.png").write_bytes((tmp_path / "7.png").read_bytes()[:20])
    refused(ask(stills, *RATE), 3, "7.png")
    cv2.imwrite(str(stills / "1.png"), np.zeros((48, 64, 4), np.uint8))
    (tmp_path / "7.png").rename(stills / "7.png")
    refused(ask(stills, *RATE), 3, "1.png", "alpha")
    assert names(tmp_path) == ["empty", "frames"]


def test_a_picture_that_fails_later_keeps_what_is_done(stills: Path, tmp_path: Path) -> None:
    (stills / "9.png").write_bytes((stills / "9.png").read_bytes()[:200])
    ran = afitrt("interpolate", stills, f"{tmp_path}/new/out/", *BLEND, *RATE)
    assert ran.code == 3 and "9.png cannot be read" in ran.err
    kept = names(tmp_path / "new" / "out")
    assert kept and f"({len(kept)} pictures)" in ran.err and "%09d.png" in ran.err
    assert kept == [f"{number:09}.png" for number in range(1, len(kept) + 1)]


def test_a_video_tells_its_own_rate(tmp_path: Path) -> None:
    clip = pattern(tmp_path / "in.mkv")
    refused(afitrt("interpolate", clip, *FAST, "--rate", "24"), 2, "--rate 24", "--normalize 24")


# Pictures out.


def test_pictures_are_numbered_as_the_scripts_do(tmp_path: Path) -> None:
    source = drawn(tmp_path / "in.mkv", noise(4))
    ran = afitrt("interpolate", source, f"{tmp_path}/new/out/", *BLEND)
    assert ran.code == 0, ran.err
    assert names(tmp_path / "new" / "out") == [f"{number:09}.png" for number in range(1, 9)]
    first = read(tmp_path / "new" / "out" / "000000001.png")
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, noise(4)[0])
    assert "8 pictures out" in ran.out


def test_deep_sources_become_16_bit_pictures(tmp_path: Path) -> None:
    source = drawn(tmp_path / "in.mkv", noise(3, dtype=np.uint16))
    assert afitrt("interpolate", source, tmp_path / "out-%04d.png", *BLEND).code == 0
    last = read(tmp_path / "out-0006.png")
    assert last.dtype == np.uint16
    np.testing.assert_array_equal(last, noise(3, dtype=np.uint16)[2])


def test_codec_png_makes_a_folder(tmp_path: Path) -> None:
    source = drawn(tmp_path / "in.mkv", noise(2))
    assert afitrt("interpolate", source, *BLEND, "--codec", "png").code == 0
    assert len(names(tmp_path / "in.50fps")) == 4
    (tmp_path / "there").mkdir()
    assert afitrt("interpolate", source, tmp_path / "there", *BLEND, "--codec", "png", "--pix-fmt", "rgb48le").code == 0
    assert read(tmp_path / "there" / "000000002.png").dtype == np.uint16


def test_pictures_are_replaced_only_when_told(stills: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ask = ("interpolate", stills, f"{out}/", *BLEND, *RATE)
    write(out / "000000007.png", noise(1)[0])
    write(out / "000000099.png", noise(1)[0])
    write(out / "mine.png", noise(1)[0])
    refused(afitrt(*ask), 4, "2 pictures", "--overwrite")
    ran = afitrt(*ask, "--overwrite")
    assert ran.code == 0 and "removed: 1 older picture with" in ran.err
    assert names(out) == [*(f"{number:09}.png" for number in range(1, 25)), "mine.png"]


def test_outputs_that_pictures_cannot_have(stills: Path, tmp_path: Path) -> None:
    refused(afitrt("interpolate", stills, f"{stills}/", *BLEND, *RATE, "--overwrite"), 4, "source's own folder")
    refused(afitrt("interpolate", stills, tmp_path, *BLEND, *RATE), 4, "is a folder", f"{tmp_path}/ for pictures")
    refused(afitrt("interpolate", stills, tmp_path / "%d.jpg", *BLEND, *RATE), 4, "PNG")
    refused(afitrt("interpolate", stills, f"{tmp_path}/out/", *FAST, *RATE), 2, "--codec libx264")
    refused(afitrt("interpolate", stills, tmp_path / "a.mkv", *BLEND, *RATE, "--codec", "png"), 4, "out/")
    assert names(tmp_path) == ["frames"]


def test_sound_that_pictures_cannot_hold_is_named(tmp_path: Path) -> None:
    source = tmp_path / "in.mkv"
    ffmpeg(
        "-f", "lavfi", "-i", "testsrc2=s=64x48:d=0.2", "-f", "lavfi", "-i", "sine=d=0.2", *X264, "-c:a", "flac", source
    )
    ran = afitrt("interpolate", source, f"{tmp_path}/out/", *BLEND)
    assert ran.code == 0 and "audio flac" in ran.err and "left out" in ran.err


# Pipes.


def piped(arguments: tuple[object, ...], data: bytes = b"") -> tuple[int, bytes, str]:
    """Runs the command line with these bytes on standard input; exit code, standard output and its messages."""
    command = [sys.executable, "-m", "afitrt", *map(str, arguments)]
    ran = subprocess.run(command, input=data, capture_output=True, check=False, timeout=60)
    return ran.returncode, ran.stdout, ran.stderr.decode()


def y4m(folder: Path, pix_fmt: str = "yuv420p", seconds: float = 0.4, size: str = "64x48") -> bytes:
    out = folder / "piped.y4m"
    source = f"testsrc2=s={size}:r=25:d={seconds}"
    ffmpeg("-f", "lavfi", "-i", source, "-pix_fmt", pix_fmt, "-strict", "-1", "-f", "yuv4mpegpipe", out)
    data = out.read_bytes()
    out.unlink()
    return data


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["420", "422", "444"])
@pytest.mark.parametrize("deep", ["", "10le"])
def test_y4m_through_both_pipes(tmp_path: Path, layout: str, deep: str) -> None:
    pix_fmt, size = f"yuv{layout}p{deep}", "63x47" if layout == "420" else "64x48"
    data = y4m(tmp_path, pix_fmt, size=size)
    code, out, err = piped(("interpolate", "-", "-", *BLEND, "--times", 3), data)
    assert code == 0, err
    assert "time is not estimated" in err and "30 pictures out at 75 fps" in err
    (tmp_path / "out.y4m").write_bytes(out)
    (tmp_path / "in.y4m").write_bytes(data)
    ours = probe(tmp_path / "out.y4m")
    assert (ours.rate, ours.pix_fmt, ours.frames) == (75, pix_fmt, 30)
    file = tmp_path / "out.mkv"
    same = afitrt("interpolate", tmp_path / "in.y4m", file, *LOSSLESS, "--pix-fmt", pix_fmt, "--times", 3)
    assert same.code == 0, same.err
    np.testing.assert_array_equal(frames(tmp_path / "out.y4m"), frames(file))


def test_a_pipe_becomes_a_file_of_the_same_pictures(tmp_path: Path) -> None:
    data = y4m(tmp_path)
    (tmp_path / "in.y4m").write_bytes(data)
    for source, name in (("-", "piped"), (tmp_path / "in.y4m", "named")):
        code, out, err = piped(("interpolate", source, tmp_path / f"{name}.mkv", *FAST), data)
        assert code == 0 and b"20 pictures out at 50 fps" in out, err
    assert payload(tmp_path / "piped.mkv", 0) == payload(tmp_path / "named.mkv", 0)
    code, out, err = piped(("interpolate", "-", tmp_path / "span.mkv", *FAST, "--start", "0.1", "--end", "0.3"), data)
    assert code == 0 and probe(tmp_path / "span.mkv").frames == 10, err


def test_the_first_pictures_leave_before_the_last_arrive(tmp_path: Path) -> None:
    data = y4m(tmp_path, seconds=2)
    command = [sys.executable, "-m", "afitrt", "interpolate", "-", "-", *BLEND]
    with heeding_signals():
        running = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert running.stdin and running.stdout
    running.stdin.write(data[: len(data) * 3 // 4])
    running.stdin.flush()
    assert running.stdout.read(40000)
    running.send_signal(2)
    assert running.wait(30) == 130, "a stalled pipe must not keep it"
    running.communicate()


def test_a_closed_pipe_ends_quietly(tmp_path: Path) -> None:
    source = pattern(tmp_path / "in.mkv", seconds=20, size="320x240")
    command = [sys.executable, "-m", "afitrt", "interpolate", str(source), "-", *BLEND]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert running.stdout and running.stderr
    assert running.stdout.read(10).startswith(b"YUV4MPEG2 ")
    running.stdout.close()
    words = running.stderr.read().decode()
    assert running.wait(30) == 4
    assert "error" not in words and "Traceback" not in words
    running.stderr.close()
    assert names(tmp_path) == ["in.mkv"]


@pytest.mark.parametrize(
    "data, words",
    [
        (b"", "empty"),
        (b"\x1aE\xdf\xa3 matroska", "begins with"),
        (b"YUV4MPEG2 W64 H48 F25:1 C420p12\nFRAME\n", "420p12"),
        (b"YUV4MPEG2 W64 H48 F25:1 C444alpha\nFRAME\n", "444alpha"),
        (b"YUV4MPEG2 W64 F25:1\n", "64x0"),
        (b"YUV4MPEG2 W64 H48 F25:1\n", "no frame arrived"),
        (b"YUV4MPEG2 W64 H48 F25:1\nFRAME\nabc", "no frame arrived"),
        (b"YUV4MPEG2 W64 H48 F0:0\n", "--rate"),
    ],
)
def test_what_is_no_y4m_is_refused(tmp_path: Path, data: bytes, words: str) -> None:
    code, out, err = piped(("interpolate", "-", tmp_path / "new" / "out.mkv", *FAST), data)
    assert code == (2 if words == "--rate" else 3), err
    assert words in err and "expected:" in err and "Traceback" not in err and out == b""
    assert names(tmp_path) == []


def test_a_stream_cut_inside_a_frame_is_damaged(tmp_path: Path) -> None:
    data = y4m(tmp_path)[:-100]
    code, _, err = piped(("interpolate", "-", tmp_path / "out.mkv", *FAST), data)
    assert code == 9 and "inside frame 9" in err
    assert probe(tmp_path / "out.mkv").frames == 18


def test_pipes_and_other_wishes(tmp_path: Path) -> None:
    source = pattern(tmp_path / "in.mkv")
    refused(afitrt("interpolate", "-", *FAST), 2, "no OUT")
    refused(afitrt("interpolate", source, "-", *BLEND, "--codec", "libx265", "--json"), 2, "--json")
    refused(afitrt("interpolate", source, "-", "--out-dir", tmp_path, *FAST), 2, "--out-dir")
    code, out, err = piped(("interpolate", source, "-", *BLEND, "--pix-fmt", "yuv444p10le", "--end", "0.1"))
    assert code == 0 and out.startswith(b"YUV4MPEG2 W64 H48 F50:1") and b"C444p10" in out[:100], err


# Several inputs.


def test_several_inputs_and_one_that_fails(tmp_path: Path) -> None:
    good = [pattern(tmp_path / name, seconds=0.2) for name in ("a.mkv", "c.mp4")]
    (tmp_path / "b.mkv").write_text("no video")
    out = tmp_path / "out"
    sources = (good[0], tmp_path / "b.mkv", good[1])
    ran = afitrt("interpolate", *sources, "--out-dir", out, *FAST)
    assert ran.code == 3
    assert names(out) == ["a.50fps.mkv", "c.50fps.mkv"]
    assert "b.mkv is not a video" in ran.err and "Traceback" not in ran.err
    table = ran.out.replace("\n", "")
    assert table.count("done") == 2 and table.count("failed") == 1
    again = afitrt("interpolate", *sources, "--out-dir", out, *FAST, "--overwrite", "--json")
    lines = [json.loads(line) for line in again.out.splitlines()]
    ends = [(line["event"], Path(line["source"]).name) for line in lines if line["event"] in ("done", "error")]
    assert ends == [("done", "a.mkv"), ("error", "b.mkv"), ("done", "c.mp4")]


def test_one_name_for_two_outputs_is_refused(tmp_path: Path) -> None:
    sources = [pattern(tmp_path / name, seconds=0.2) for name in ("a.mkv", "a.mp4")]
    refused(afitrt("interpolate", *sources, "--out-dir", tmp_path / "out", *FAST), 2, "a.mp4", "both become")
    refused(afitrt("interpolate", *sources, "third.mkv", *FAST), 2, "3 files", "--out-dir")
    assert afitrt("interpolate", sources[0], "--out-dir", tmp_path / "out", *FAST, "--dry-run").code == 0
    assert names(tmp_path) == ["a.mkv", "a.mp4"]


# Another source rate.


def clap(path: Path, rate: str = "30") -> Path:
    """Three seconds with sound: picture and sound change at 1.0 s."""
    picture = f"color=black:s=64x48:r={rate}:d=3,drawbox=color=white:t=fill:enable='gte(t,1)'"
    ffmpeg("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", "sine=d=3", *X264, "-c:a", "flac", path)
    return path


@pytest.mark.parametrize("span, first", [((), 1.0), (("--start", "0.5", "--end", "2"), 0.5)])
def test_normalize_keeps_time_and_sound(tmp_path: Path, span: tuple[str, ...], first: float) -> None:
    source, out = clap(tmp_path / "in.mkv"), tmp_path / "out.mkv"
    ran = afitrt("interpolate", source, out, *FAST, "--normalize", "24000/1001", "--times", 2, *span)
    assert ran.code == 0, ran.err
    assert "read at 23.976 instead of 30 fps: 0 frames repeated, 18 dropped" in ran.err
    info = probe(out)
    assert info.rate == Fraction(48000, 1001)
    white = next(index for index, frame in enumerate(frames(out)) if frame.mean() > 128)
    assert abs(white / info.rate - first) < 0.06
    if not span:
        assert info.frames == 144 and payload(out, 1) == payload(source, 1)
    with av.open(str(out)) as container:
        sound = [packet.pts * packet.time_base for packet in packets(out)[1] if packet.pts is not None]
        assert container.streams.audio and abs(sound[0]) < Fraction(1, 10)
    assert abs((sound[-1] + Fraction(1, 10)) - info.frames / info.rate) < Fraction(2, 10)


def test_normalize_pictures_and_pipes(tmp_path: Path) -> None:
    for number, picture in enumerate(noise(6)):
        write(tmp_path / "in" / f"{number}.png", picture)
    ask = ("--normalize", "25/2", "--times", 1, *BLEND)
    assert afitrt("interpolate", tmp_path / "in", f"{tmp_path}/out/", *ask, *RATE).code == 0
    assert len(names(tmp_path / "out")) == 3
    np.testing.assert_array_equal(read(tmp_path / "out" / "000000001.png"), noise(6)[0])
    code, _, err = piped(("interpolate", "-", tmp_path / "out.mkv", *ask), y4m(tmp_path))
    assert code == 0 and "instead of 25 fps" in err, err
    assert (probe(tmp_path / "out.mkv").frames, probe(tmp_path / "out.mkv").rate) == (5, Fraction(25, 2))
    refused(afitrt("interpolate", tmp_path / "in", *FAST, *RATE, "--normalize", "0"), 2, "--normalize 0")


# What is said before the work.


def test_interlaced_is_a_warning(tmp_path: Path) -> None:
    source = tmp_path / "in.mkv"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:d=0.2", "-vf", "setfield=tff", *X264, "-flags", "+ildct+ilme", source)
    ran = afitrt("interpolate", source, tmp_path / "out.mkv", *FAST)
    assert ran.code == 0 and "interlaced" in ran.err


def test_a_bad_preset_is_an_error_before_the_first_frame(tmp_path: Path) -> None:
    source = pattern(tmp_path / "in.mkv")
    ran = afitrt("interpolate", source, tmp_path / "new" / "out.mkv", *BLEND, "--codec", "libx264", "--preset", "warp")
    refused(ran, 5, "warp", "--preset")
    assert names(tmp_path) == ["in.mkv"]


def test_an_interrupted_picture_run_names_what_is_kept(tmp_path: Path) -> None:
    source = pattern(tmp_path / "in.mkv", seconds=60, size="320x240")
    running = process("interpolate", source, f"{tmp_path}/out/", *BLEND, "--json")
    assert running.stdout is not None
    for line in running.stdout:
        if json.loads(line).get("outputs", 0) >= 20 and '"progress"' in line:
            break
    running.send_signal(2)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 130, err
    kept = names(tmp_path / "out")
    assert len(kept) >= 20 and kept[-1] == f"{len(kept):09}.png"
    assert f"({len(kept)} pictures)" in err
    assert f"({len(kept)} pictures)" in json.loads(out.splitlines()[-1])["kept"]
