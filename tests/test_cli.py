"""The command line from end to end on small files: what a user types, reads and gets."""

from __future__ import annotations

import json
import signal
from fractions import Fraction
from pathlib import Path

import numpy as np
import psutil
import pytest
from command import afitrt, process
from video_helpers import drawn, ffmpeg, noise, packets, pattern, payload

from afitrt import __version__
from afitrt.video import Reader, probe

FAST = ("--model", "blend", "--codec", "libx264", "--preset", "ultrafast")


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """64x48, 25 frames at 25 fps with a tone."""
    path = tmp_path / "in.mkv"
    picture = ("-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=1")
    sound = ("-f", "lavfi", "-i", "sine=d=1", "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "flac")
    ffmpeg(*picture, *sound, path)
    return path


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_main_job(clip: Path) -> None:
    ran = afitrt("interpolate", clip, *FAST, "-v")
    assert ran.code == 0, ran.err
    assert names(clip.parent) == {"in.mkv", "in.50fps.mkv"}
    result = probe(clip.with_name("in.50fps.mkv"))
    assert (result.frames, result.rate, result.width, result.height) == (50, 50, 64, 48)
    assert payload(result.path, 1) == payload(clip, 1)
    assert "25 frames in, 50 pictures out at 50 fps" in ran.out
    assert "about" in ran.err and "GB of memory" in ran.err and "afitrt doctor" in ran.err


@pytest.mark.parametrize(
    "options, rate, frames",
    [
        (("--times", 3), Fraction(75), 75),
        (("--fps", "60"), Fraction(60), 60),
        (("--fps", "59.94"), Fraction(60000, 1001), 60),
        (("--fps", "10"), Fraction(10), 10),
        (("--times", 1, "--n-pass", 2), Fraction(25), 25),
        (("--start", "0.2", "--end", "00:00:00.600"), Fraction(50), 20),
    ],
)
def test_rates_and_spans(clip: Path, options: tuple[object, ...], rate: Fraction, frames: int) -> None:
    out = clip.with_name("out.mkv")
    ran = afitrt("interpolate", clip, out, *FAST, *options)
    assert ran.code == 0, ran.err
    assert (probe(out).frames, probe(out).rate) == (frames, rate)


def test_untouched_pictures_return_bit_for_bit(tmp_path: Path) -> None:
    source = drawn(tmp_path / "in.mkv", noise(5))
    out = tmp_path / "out.mkv"
    ran = afitrt("interpolate", source, out, "--model", "blend", "--codec", "ffv1", "--pix-fmt", "bgr0")
    assert ran.code == 0, ran.err
    with Reader(probe(source)) as before, Reader(probe(out)) as after:
        first, last = list(before), list(after)
    np.testing.assert_array_equal(last[0], first[0])
    np.testing.assert_array_equal(last[-1], first[-1])


def test_two_runs_give_the_same_pictures(clip: Path) -> None:
    outs = [clip.with_name(name) for name in ("a.mkv", "b.mkv")]
    for out in outs:
        assert afitrt("interpolate", clip, out, *FAST).code == 0
    assert payload(outs[0], 0) == payload(outs[1], 0)


def test_json_lines_and_nothing_else(clip: Path) -> None:
    ran = afitrt("interpolate", clip, *FAST, "--json")
    assert ran.code == 0
    events = [json.loads(line) for line in ran.out.splitlines()]
    told = [event["event"] for event in events if event["event"] != "progress"]
    assert told == ["start", "scene", "segment", "done"]
    assert events[0]["outputs"] == 50 and events[-1]["outputs"] == 50
    assert max(event["outputs"] for event in events if event["event"] == "progress") == 50


def test_a_dry_run_writes_nothing(clip: Path) -> None:
    ran = afitrt("interpolate", clip, "--dry-run", "--json")
    assert ran.code == 0
    facts = json.loads(ran.out)
    assert (facts["frames"], facts["outputs"], facts["rate"]) == (25, 50, "50")
    assert names(clip.parent) == {"in.mkv"}


def test_an_existing_output_is_kept_unless_told(clip: Path) -> None:
    out = clip.with_name("out.mkv")
    out.write_text("precious")
    refused = afitrt("interpolate", clip, out, *FAST)
    assert refused.code == 4
    assert "--overwrite" in refused.err and out.read_text() == "precious"
    assert afitrt("interpolate", clip, out, *FAST, "--overwrite").code == 0
    assert probe(out).frames == 50


def test_cuts_are_found_edited_and_obeyed(tmp_path: Path) -> None:
    drift = (0, 2, 5, 6, 9, 11, 12, 16)
    dark = [np.full((48, 64, 3), 40 + level, np.uint8) for level in drift]
    light = [np.full((48, 64, 3), 200 + level, np.uint8) for level in drift]
    source = drawn(tmp_path / "in.mkv", dark + light)
    cuts = tmp_path / "cuts.json"
    ran = afitrt("scenes", source, "-o", cuts, "--json")
    assert ran.code == 0, ran.err
    frames = json.loads(ran.out)["frames"]
    assert [frame["index"] for frame in frames] == list(range(1, 16))
    assert set(frames[0]) == {"index", "diff", "score", "branch", "cut"}
    assert json.loads(cuts.read_text()) == {"cuts": [8]}
    lossless = ("--model", "blend", "--codec", "ffv1", "--pix-fmt", "bgr0", "--cuts", cuts)
    assert afitrt("interpolate", source, tmp_path / "cut.mkv", *lossless).code == 0
    with Reader(probe(tmp_path / "cut.mkv")) as reader:
        levels = [int(frame.mean()) for frame in reader]
    assert all(level <= 56 or level >= 200 for level in levels), "a picture blends both scenes"
    cuts.write_text('{"cuts": [16]}')
    refused = afitrt("interpolate", source, tmp_path / "late.mkv", *FAST, "--cuts", cuts)
    assert refused.code == 2 and "cut 16" in refused.err


def test_plan_needs_no_video() -> None:
    shown = ("--frames", 100, "--rate", "24000/1001", "--cuts", "31,64", "--times", 2, "--n-forward", 2)
    ran = afitrt("plan", *shown, "--no-shrink", "--no-correct", "--json")
    assert ran.code == 0, ran.err
    listing = json.loads(ran.out)
    assert len(listing["out"]) == len(listing["pts"]) == 200
    assert listing["out"][0] == "S0" and listing["pts"][1] == "1001/48000"
    assert listing["nodes"][0] == "M(S0,S1,0.5)"
    table = afitrt("plan", *shown)
    assert "scenes: 3" in table.out and "outputs: 200" in table.out


def test_plan_of_a_video_counts_its_scenes(clip: Path) -> None:
    ran = afitrt("plan", clip)
    assert ran.code == 0
    assert "scenes: 1" in ran.out and "outputs: 50" in ran.out and "matchings:" in ran.out


def test_between_two_stills(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.random((20, 30, 3)).astype(np.float32) for _ in range(2))
    np.save(tmp_path / "a.npy", a)
    np.save(tmp_path / "b.npy", b)
    shown = ("between", tmp_path / "a.npy", tmp_path / "b.npy", "--model", "blend", "--times", "0.25,0.5")
    assert afitrt(*shown, "-o", tmp_path / "out-%d.npy").code == 0
    np.testing.assert_allclose(np.load(tmp_path / "out-0.npy"), a + (b - a) * 0.25, atol=1e-6)
    assert afitrt(*shown, "-o", tmp_path / "out-%d.png").code == 0
    again = ("between", tmp_path / "out-0.png", tmp_path / "out-1.png", "--model", "blend", "--times", "0")
    assert afitrt(*again, "-o", tmp_path / "same.npy").code == 0
    np.testing.assert_allclose(np.load(tmp_path / "same.npy"), a + (b - a) * 0.25, atol=1 / 65535)


@pytest.mark.parametrize(
    "arguments, code, words",
    [
        (("missing.mkv",), 3, "missing.mkv"),
        (("in.mkv", "--times", "0"), 2, "--times 0"),
        (("in.mkv", "--times", "1.5"), 2, "--fps"),
        (("in.mkv", "--fps", "0"), 2, "--fps 0"),
        (("in.mkv", "--fps", "fast"), 2, "fast"),
        (("in.mkv", "--times", "2", "--fps", "60"), 2, "both --times and --fps"),
        (("in.mkv", "--n-forward", "17"), 2, "16"),
        (("in.mkv", "--model", "dain"), 2, "gmfss"),
        (("in.mkv", "--runtime", "cuda"), 2, "onnx"),
        (("in.mkv", "--scale", "0.3"), 2, "0.25, 0.5, 1"),
        (("in.mkv", "--precision", "int8"), 2, "fp32"),
        (("in.mkv", "--detector", "magic"), 2, "svfi"),
        (("in.mkv", "--scene-threshold", "high"), 2, "a number"),
        (("in.mkv", "--start", "1:xx"), 2, "HH:MM:SS"),
        (("in.mkv", "--start", "5"), 2, "no frame lies between"),
        (("in.mkv", "in.mkv", "--overwrite"), 4, "source itself"),
        (("in.mkv", "out.avi"), 4, "out.avi"),
        (("in.mkv", "--codec", "nonesuch"), 5, "x265, x264, svt-av1"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else None,
)
def test_mistakes_get_three_parts_and_leave_nothing(
    clip: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], code: int, words: str
) -> None:
    monkeypatch.chdir(clip.parent)
    ran = afitrt("interpolate", *arguments)
    assert ran.code == code, ran.err
    assert words in ran.err and "expected:" in ran.err and "try:" in ran.err
    assert "Traceback" not in ran.err and ran.out == ""
    assert names(clip.parent) == {"in.mkv"}


def test_doctor_weights_and_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AFITRT_HOME", str(tmp_path))
    checks = {check["name"]: check for check in json.loads(afitrt("doctor", "--json").out)["checks"]}
    assert checks["ffmpeg"]["ok"] and checks["ONNX Runtime"]["ok"]
    assert not checks["weights"]["ok"] and checks["weights"]["hint"] == "afitrt weights fetch"
    assert "afitrt weights fetch" in afitrt("weights", "list").out
    assert afitrt("weights", "verify").code == 6
    assert afitrt("--version").out == f"afitrt {__version__}\n"


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True)}


@pytest.mark.parametrize("sent, code", [(signal.SIGINT, 130), (signal.SIGTERM, 75)])
def test_a_stopped_run_keeps_its_work_and_no_child(tmp_path: Path, sent: signal.Signals, code: int) -> None:
    source = pattern(tmp_path / "in.mkv", seconds=60, size="320x240")
    running = process("interpolate", source, *FAST, "--json")
    assert running.stdout is not None
    for line in running.stdout:
        if json.loads(line).get("outputs", 0) >= 20 and '"progress"' in line:
            break
    started = psutil.Process(running.pid).children(recursive=True)
    assert started
    running.send_signal(sent)
    _, err = running.communicate(timeout=60)
    assert running.returncode == code, err
    partial = tmp_path / "in.50fps.partial.mkv"
    # Finished segments, if there are any, stay for the next run; nothing else does.
    assert {name for name in names(tmp_path) if not name.startswith(".afitrt-")} == {"in.mkv", partial.name}
    assert str(partial) in err and "Traceback" not in err
    assert probe(partial).frames >= 20
    assert len(packets(partial)[0]) == probe(partial).frames
    assert not [child for child in started if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
