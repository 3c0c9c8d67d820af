"""Strange files and broken surroundings through the real command line: a sentence, an exit code, nothing lost."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from command import Ran, afitrt, command_line, heeding_signals, process
from video_helpers import drawn, ffmpeg, noise, packets, pattern

from afitrt import artefacts, build, estimate
from afitrt.video import probe, space

pytestmark = pytest.mark.slow

FAST = ("--model", "blend", "--codec", "libx264", "--preset", "ultrafast")


def listing(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def refused(ran: Ran, code: int, *words: str) -> None:
    """Three parts, the documented exit code, no traceback, and the words that name the mistake."""
    assert ran.code == code, ran.err
    assert "expected:" in ran.err and "try:" in ran.err and "Traceback" not in ran.err
    for word in words:
        assert word in ran.err


@pytest.fixture(autouse=True)
def nothing_is_left_running() -> Iterator[None]:
    before = set(psutil.Process().children(recursive=True))
    yield
    assert not [child for child in psutil.Process().children(recursive=True) if child not in before]


def text_named_mkv(path: Path) -> None:
    path.write_text("a letter, not a film\n" * 50)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def audio_only(path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "sine=d=1", "-c:a", "flac", path)


def alpha(path: Path) -> None:
    ffmpeg(
        "-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=0.2,format=rgba,colorchannelmixer=aa=0.5", "-c:v", "ffv1", path
    )


def unknown_container(path: Path) -> None:
    path.write_bytes(b"\x00AFILM" + os.urandom(4096))


def unknown_codec(path: Path) -> None:
    whole = path.with_name("whole.mkv")
    pattern(whole, seconds=0.2)
    path.write_bytes(whole.read_bytes().replace(b"V_MPEG4/ISO/AVC", b"V_MPEG4/ISO/XYZ"))
    whole.unlink()


BROKEN = (text_named_mkv, empty, audio_only, alpha, unknown_container, unknown_codec)


@pytest.mark.parametrize("make", BROKEN, ids=lambda make: make.__name__)
def test_a_file_that_is_no_video_is_refused_by_name(tmp_path: Path, make: object) -> None:
    source = tmp_path / "in.mkv"
    make(source)  # type: ignore[operator]
    before = listing(tmp_path)
    refused(afitrt("interpolate", source, *FAST), 3, "in.mkv")
    assert listing(tmp_path) == before


def test_a_missing_file_and_a_folder_without_pictures(tmp_path: Path) -> None:
    refused(afitrt("interpolate", tmp_path / "none.mkv", *FAST), 3, "none.mkv")
    folder = tmp_path / "folder"
    folder.mkdir()
    refused(afitrt("interpolate", folder, *FAST, "--rate", "24"), 3, "folder")
    assert listing(tmp_path) == {"folder"}


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_shortest_videos_succeed(tmp_path: Path, count: int) -> None:
    source = drawn(tmp_path / "in.mkv", noise(count))
    ran = afitrt("interpolate", source, tmp_path / "out.mkv", *FAST)
    assert ran.code == 0, ran.err
    assert probe(tmp_path / "out.mkv").frames == 2 * count


def test_a_truncated_file_gives_all_that_decodes_and_says_so(tmp_path: Path) -> None:
    source = pattern(tmp_path / "in.mkv", "-c:v", "libx264", "-preset", "ultrafast", "-g", "5", seconds=4)
    data = source.read_bytes()
    source.write_bytes(data[: len(data) * 6 // 10])
    ran = afitrt("interpolate", source, tmp_path / "out.mkv", *FAST, "--json")
    refused(ran, 9, "in.mkv", "out.mkv")
    done = next(json.loads(line) for line in ran.out.splitlines() if '"done"' in line)
    frames = probe(tmp_path / "out.mkv").frames
    assert frames == 2 * done["frames"] and 40 <= done["frames"] < 100
    assert listing(tmp_path) == {"in.mkv", "out.mkv"}


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (15, 17), (63, 49), (16, 16), (7, 200)])
def test_odd_and_tiny_sizes_come_back_in_their_size(tmp_path: Path, size: tuple[int, int]) -> None:
    width, height = size
    source = drawn(tmp_path / "in.mkv", noise(4, height, width))
    ran = afitrt("interpolate", source, tmp_path / "out.mkv", "--model", "blend", "--preset", "ultrafast")
    assert ran.code == 0, ran.err
    out = probe(tmp_path / "out.mkv")
    assert (out.width, out.height, out.frames) == (width, height, 8)


@pytest.mark.parametrize(
    "filters, arguments",
    [
        ("format=gray", ("-c:v", "ffv1")),
        ("format=gray10le", ("-c:v", "ffv1")),
        ("format=yuv422p10le", ("-c:v", "ffv1")),
        ("format=yuv420p", ("-c:v", "libx264", "-preset", "ultrafast")),
    ],
)
def test_grey_and_other_formats_succeed(tmp_path: Path, filters: str, arguments: tuple[str, ...]) -> None:
    source = tmp_path / "in.mkv"
    ffmpeg("-f", "lavfi", "-i", f"testsrc2=s=64x48:r=25:d=0.4,{filters}", *arguments, source)
    ran = afitrt("interpolate", source, tmp_path / "out.mkv", "--model", "blend", "--preset", "ultrafast")
    assert ran.code == 0, ran.err
    assert probe(tmp_path / "out.mkv").frames == 20


def test_a_rotated_phone_video_stays_rotated(tmp_path: Path) -> None:
    flat = pattern(tmp_path / "flat.mp4", seconds=0.4)
    source = tmp_path / "in.mp4"
    ffmpeg("-display_rotation", "90", "-i", flat, "-c", "copy", source)
    assert probe(source).rotation != 0
    assert afitrt("interpolate", source, tmp_path / "out.mkv", *FAST).code == 0
    after = probe(tmp_path / "out.mkv")
    assert (after.rotation, after.width, after.height) == (probe(source).rotation, 64, 48)


def test_an_interlaced_source_is_warned_about(tmp_path: Path) -> None:
    source = tmp_path / "in.mkv"
    coded = ("-c:v", "libx264", "-preset", "ultrafast", "-flags", "+ilme+ildct", "-x264-params", "tff=1")
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:r=50:d=1,interlace", *coded, source)
    ran = afitrt("interpolate", source, tmp_path / "out.mkv", *FAST)
    assert ran.code == 0, ran.err
    assert "interlaced" in ran.err


def test_a_missing_folder_is_made_and_taken_away_again_on_failure(tmp_path: Path) -> None:
    source = pattern(tmp_path / "in.mkv", seconds=0.2)
    assert afitrt("interpolate", source, tmp_path / "new" / "er" / "out.mkv", *FAST).code == 0
    assert probe(tmp_path / "new" / "er" / "out.mkv").frames == 10


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    source = pattern(tmp_path / "in.mkv", seconds=0.2)
    (tmp_path / "file").write_text("in the way")
    refused(afitrt("interpolate", source, tmp_path / "file" / "out.mkv", *FAST), 4, "file")
    assert listing(tmp_path) == {"in.mkv", "file"}


@pytest.mark.parametrize(
    "content, code, words",
    [
        ("{", 3, "JSON"),
        ('{"cut": [3]}', 3, "cuts"),
        ('{"cuts": [3, 2]}', 2, "ascending"),
        ('{"cuts": ["3"]}', 2, "cut '3'"),
        ('{"cuts": [500]}', 2, "cut 500"),
    ],
)
def test_a_wrong_cuts_file_is_refused(tmp_path: Path, content: str, code: int, words: str) -> None:
    source = pattern(tmp_path / "in.mkv", seconds=0.2)
    cuts = tmp_path / "cuts.json"
    cuts.write_text(content)
    refused(afitrt("interpolate", source, *FAST, "--cuts", cuts), code, words)
    assert listing(tmp_path) == {"in.mkv", "cuts.json"}


def test_without_ffmpeg_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = pattern(tmp_path / "in.mkv", seconds=0.2)
    monkeypatch.setenv("AFITRT_FFMPEG", str(tmp_path / "no-ffmpeg"))
    refused(afitrt("interpolate", source, *FAST), 5, "AFITRT_FFMPEG")
    assert listing(tmp_path) == {"in.mkv"}


def test_too_little_memory_is_said_before_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = pattern(tmp_path / "in.mkv", seconds=0.2)
    monkeypatch.setattr(estimate.psutil, "virtual_memory", lambda: SimpleNamespace(available=1 << 20))
    refused(afitrt("interpolate", source, *FAST), 7, "64x48", "GB")
    assert listing(tmp_path) == {"in.mkv"}


def running_job(tmp_path: Path) -> tuple[subprocess.Popen[str], list[psutil.Process]]:
    """A job in a process of its own that has written some pictures, and its ffmpeg children."""
    source = pattern(tmp_path / "in.mkv", seconds=120, size="320x240")
    running = process("interpolate", source, tmp_path / "out.mkv", *FAST, "--json")
    assert running.stdout is not None
    for line in running.stdout:
        if '"progress"' in line and json.loads(line)["outputs"] >= 200:
            break
    return running, psutil.Process(running.pid).children(recursive=True)


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["pipe:0", "pipe:1"], ids=["writer", "reader"])
def test_an_ffmpeg_that_is_killed_leaves_a_playable_part(tmp_path: Path, victim: str) -> None:
    running, children = running_job(tmp_path)
    next(child for child in children if victim in child.cmdline()).send_signal(signal.SIGKILL)
    _, err = running.communicate(timeout=60)
    refused(Ran(running.returncode, "", err), 8, "SIGKILL", "out.partial.mkv")
    partial = tmp_path / "out.partial.mkv"
    # Finished segments, if there are any, stay for the next run; nothing else does.
    left = {name for name in listing(tmp_path) if not name.startswith(".afitrt-")}
    assert left == {"in.mkv", partial.name} and not list(tmp_path.rglob(".segment-*"))
    assert len(packets(partial)[0]) == probe(partial).frames > 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 400 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a small disk")
def test_a_full_disk_is_worth_another_try_and_keeps_the_work(tmp_path: Path, small_disk: Path) -> None:
    source = drawn(tmp_path / "in.mkv", noise(30, 240, 320))
    ran = afitrt("interpolate", source, small_disk / "out.mkv", "--model", "blend", "--codec", "ffv1")
    refused(ran, 75, "No space left")
    assert listing(small_disk) <= {"out.partial.mkv"}


def test_a_closed_pipe_ends_with_a_sentence(tmp_path: Path) -> None:
    source = pattern(tmp_path / "in.mkv", seconds=20)
    running = process("interpolate", source, tmp_path / "out.mkv", *FAST, "--json")
    assert running.stdout is not None and running.stderr is not None
    running.stdout.readline()
    running.stdout.close()
    refused(Ran(running.wait(timeout=60), "", running.stderr.read()), 4, "stdout was closed")
    running.stderr.close()
    assert listing(tmp_path) <= {"in.mkv", "out.partial.mkv"}


@pytest.mark.slow
def test_a_closed_terminal_leaves_a_playable_part(tmp_path: Path) -> None:
    source = pattern(tmp_path / "in.mkv", seconds=300, size="320x240")
    ours, theirs = os.openpty()
    taking = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
    shown = [sys.executable, "-c", taking, *command_line("interpolate", source, tmp_path / "out.mkv", *FAST)]
    streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    with heeding_signals():
        running = subprocess.Popen(shown, **streams, env={**os.environ, "TERM": "xterm"}, start_new_session=True)
    os.close(theirs)
    said = b""
    while b"fps" not in said:
        said += os.read(ours, 4096)
    time.sleep(0.5)
    os.close(ours)
    assert running.wait(timeout=60) == 75
    partial = tmp_path / "out.partial.mkv"
    assert {name for name in listing(tmp_path) if not name.startswith(".afitrt-")} == {"in.mkv", partial.name}
    assert len(packets(partial)[0]) == probe(partial).frames > 0


def test_a_corrupt_packet_in_the_middle_costs_its_pictures_and_no_others(tmp_path: Path) -> None:
    source = pattern(tmp_path / "in.mkv", "-c:v", "ffv1", "-g", "1", "-level", 3, "-slicecrc", 1, seconds=2)
    hit, data = packets(source)[0][20], bytearray(source.read_bytes())
    place = data.index(bytes(hit), hit.pos)
    data[place + hit.size // 3 : place + hit.size // 2] = bytes(hit.size // 2 - hit.size // 3)
    source.write_bytes(data)
    ran = afitrt("interpolate", source, tmp_path / "out.mkv", *FAST, "--json")
    done = next(json.loads(line) for line in ran.out.splitlines() if '"done"' in line)
    refused(ran, 9, "in.mkv", "out.mkv")
    assert 49 <= done["frames"] <= 50
    assert len(packets(tmp_path / "out.mkv")[0]) == 2 * done["frames"]
    assert listing(tmp_path) == {"in.mkv", "out.mkv"}


def test_a_short_disk_is_warned_about_before_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = pattern(tmp_path / "in.mkv", seconds=0.2)
    monkeypatch.setattr(space.shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    ran = afitrt("interpolate", source, tmp_path / "new" / "out.mkv", *FAST)
    assert ran.code == 0 and "where 0.0 MB are free" in " ".join(ran.err.split()), ran.err


@pytest.mark.weights
def test_damaged_weights_and_stages_are_refused_by_name(
    weights_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AFITRT_HOME", str(tmp_path / "home"))
    shutil.copytree(weights_home / "weights" / "gmfss-union", tmp_path / "home" / "weights" / "gmfss-union")
    for name in "ab":
        np.save(tmp_path / f"{name}.npy", noise(1, 64, 64)[0].astype(np.float32) / 255)
    shown = ("between", tmp_path / "a.npy", tmp_path / "b.npy", "-o", tmp_path / "out.npy")
    assert afitrt(*shown).code == 0
    stage = next(artefacts.engines_home().rglob("gmfss-fuse-*.onnx"))
    data = bytearray(stage.read_bytes())
    data[len(data) // 2] ^= 1
    stage.write_bytes(data)
    refused(afitrt(*shown), 6, stage.name, "damaged")
    stage.unlink()
    weights = tmp_path / "home" / "weights" / "gmfss-union" / "grid.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    refused(afitrt(*shown), 6, "grid.safetensors")


def test_a_read_only_home_is_no_hindrance_to_blend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(stat.S_IRUSR | stat.S_IXUSR)
    monkeypatch.setenv("AFITRT_HOME", str(home))
    source = pattern(tmp_path / "in.mkv", seconds=0.2)
    assert afitrt("interpolate", source, *FAST).code == 0


@pytest.mark.slow
def test_ctrl_c_twice_still_leaves_no_child(tmp_path: Path) -> None:
    running, children = running_job(tmp_path)
    running.send_signal(signal.SIGINT)
    time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=60)
    # The second may come when all is said, and Python dies of it; a shell shows 130 for both.
    assert running.returncode in (130, -signal.SIGINT) and "interrupted (Ctrl-C)" in err and "Traceback" not in err
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.weights
@pytest.mark.usefixtures("weights_home")
def test_a_damaged_graph_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graphs = tmp_path / "graphs"
    shutil.copytree(build.committed().folder, graphs)
    data = bytearray((graphs / "ifnet.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (graphs / "ifnet.onnx").write_bytes(data)
    damaged = build.read_library(graphs)
    monkeypatch.setattr("afitrt.build.making.committed", lambda: damaged)
    source = drawn(tmp_path / "in.mkv", noise(3, 96, 1056))
    before = listing(tmp_path)
    refused(afitrt("interpolate", source, "--model", "rife", "--codec", "libx264"), 6, "ifnet.onnx", "damaged")
    assert listing(tmp_path) == before


@pytest.mark.slow
def test_ctrl_c_gives_the_terminal_back(tmp_path: Path) -> None:
    source = pattern(tmp_path / "in.mkv", seconds=120, size="320x240")
    ours, theirs = os.openpty()
    shown = command_line("interpolate", source, tmp_path / "out.mkv", *FAST)
    environment = {**os.environ, "TERM": "xterm"}
    streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    with heeding_signals():
        running = subprocess.Popen(shown, **streams, env=environment)
    before = termios.tcgetattr(ours)
    os.close(theirs)
    said = b""
    while b"fps" not in said:
        said += os.read(ours, 4096)
    running.send_signal(signal.SIGINT)
    with contextlib.suppress(OSError):  # Linux tells the end of a terminal so.
        while got := os.read(ours, 4096):
            said += got
    assert running.wait(timeout=60) == 130
    assert said.rfind(b"\x1b[?25h") > said.rfind(b"\x1b[?25l") > -1, "the cursor stays hidden"
    assert termios.tcgetattr(ours) == before
    os.close(ours)
