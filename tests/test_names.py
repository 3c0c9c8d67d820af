"""Names of files through the real command line: whatever a file system holds is read and written, or refused first."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from command import Ran, afitrt, command_line, process
from video_helpers import ffmpeg, pattern

from afitrt.file_names import fitted, readable
from afitrt.pipeline.finding import work_folders
from afitrt.video import probe

KANA = "あ" * 75
FAST = ("--model", "blend", "--codec", "libx264", "--preset", "ultrafast")
ODD = (
    "Re:Zero",
    "-dash",
    "a%20b",
    "it's",
    'say "x"',
    "two  spaces ",
    "back\\slash",
    "new\nline",
    "%d",
    "[Group] x [1080p]",
    "a*b?",
    "пример $HOME ~ 日本語",
)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("names")
    silent = pattern(folder / "silent.mkv", seconds=0.2)
    (folder / "font.ttf").write_bytes(b"font")
    ffmpeg("-f", "lavfi", "-i", "color=red:s=32x32", "-frames:v", 1, folder / "cover.png")
    attached = ("-attach", folder / "font.ttf", "-metadata:s:t:0", "mimetype=font/ttf")
    attached += ("-attach", folder / "cover.png", "-metadata:s:t:1", "mimetype=image/png")
    sound = ("-f", "lavfi", "-i", "sine=d=0.2")
    ffmpeg("-i", silent, *sound, *attached, "-c:v", "copy", "-c:a", "flac", folder / "film.mkv")
    return folder / "film.mkv"


@pytest.mark.parametrize("name", ODD)
def test_a_relative_name_of_any_letters_is_read_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, film: Path, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(film, tmp_path / f"{name}.mkv")
    ran = afitrt("interpolate", *FAST, "--", f"{name}.mkv")
    assert ran.code == 0, ran.err
    assert {path.name for path in tmp_path.iterdir()} == {f"{name}.mkv", f"{name}.50fps.mkv"}
    assert probe(tmp_path / f"{name}.50fps.mkv").frames == 10


def test_every_command_takes_a_name_with_a_colon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, film: Path) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(film, tmp_path / "a:b.mkv")
    (tmp_path / "c:d").mkdir()
    commands = (
        ("interpolate", "a:b.mkv", "c:d/e:f.mp4", *FAST, "--drop-tracks", "attachment,cover"),
        ("interpolate", "a:b.mkv", "c:d/%03d.png", "--model", "blend", "--codec", "png"),
        ("interpolate", "a:b.mkv", "c:d/g:h.mkv", *FAST, "--workers", "1"),
        ("plan", "a:b.mkv", *FAST, "-o", "c:d/job:1.json"),
        ("render", "c:d/job:1.json", "--segment", "0"),
        ("join", "c:d/job:1.json", "c:d/i:j.mkv"),
        ("scenes", "a:b.mkv", "-o", "c:d/cuts:1.json", "--report", "c:d/cuts:1.html"),
        ("preview", "a:b.mkv", "-n", "1", *FAST),
        ("compare", "c:d/g:h.mkv", "c:d/i:j.mkv", "-o", "c:d/worst:1.png"),
    )
    for each in commands:
        ran = afitrt(*each)
        assert ran.code == 0, (each, ran.err)
    assert probe(tmp_path / "c:d/e:f.mp4").frames == 10 and probe(tmp_path / "a:b.preview.mkv").frames == 10


def refused(ran: Ran, code: int, *words: str) -> None:
    assert ran.code == code, ran.err
    assert "expected:" in ran.err and "try:" in ran.err and "Traceback" not in ran.err
    assert all(word in ran.err for word in words), ran.err


def test_a_name_of_75_kana_goes_every_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, film: Path) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(film, tmp_path / f"{KANA}.mkv")
    (tmp_path / KANA).mkdir()
    longest = KANA + "x" * 26
    commands = (
        ("interpolate", f"{KANA}.mkv", *FAST, "--report", f"{KANA}.html"),
        ("interpolate", f"{KANA}.mkv", *FAST, "--workers", "1", "--times", "3"),
        ("interpolate", f"{KANA}.mkv", "--model", "blend", "--codec", "png"),
        ("interpolate", f"{KANA}.mkv", f"{KANA}/{longest}.mkv", *FAST),
        ("plan", f"{KANA}.mkv", *FAST, "-o", f"{KANA}.json"),
        ("render", f"{KANA}.json", "--segment", "0"),
        ("join", f"{KANA}.json", f"{KANA}/{longest}.mp4", "--overwrite"),
        ("preview", f"{KANA}.mkv", "-n", "1", *FAST),
        ("farm", "template", f"{KANA}.json", "-o", f"{KANA}.yaml"),
    )
    for each in commands[:6]:
        ran = afitrt(*each)
        assert ran.code == 0, (each, ran.err)
    refused(afitrt(*commands[6]), 4, "attachment", "drop-tracks")
    for each in commands[7:]:
        assert afitrt(*each).code == 0, each
    assert {path.name for path in tmp_path.iterdir()} == {
        *(KANA, f"{KANA}.50fps"),
        *(f"{KANA}{end}" for end in (".mkv", ".50fps.mkv", ".75fps.mkv", ".preview.mkv")),
        *(f"{KANA}{end}" for end in (".json", ".segments", ".html", ".yaml")),
    }
    assert [path.name for path in (tmp_path / KANA).iterdir()] == [f"{longest}.mkv"]


@pytest.mark.parametrize(
    "command",
    [
        ("interpolate", "in.mkv", f"{KANA}{'x' * 27}.mkv", *FAST),
        ("interpolate", "in.mkv", f"new/{KANA * 2}/%03d.png"),
        ("interpolate", "in.mkv", "out.mkv", "--report", f"{KANA}{'x' * 27}.html"),
        ("plan", "in.mkv", *FAST, "-o", f"{KANA}{'x' * 24}.json"),
        ("preview", "in.mkv", f"{KANA}{'x' * 27}.mkv", *FAST),
        ("scenes", "in.mkv", "-o", f"{KANA}{'x' * 27}.json"),
        ("compare", "in.mkv", "in.mkv", "-o", f"{KANA}{'x' * 27}.png"),
    ],
    ids=lambda each: f"{each[0]} {len(each[2])}",
)
def test_a_name_that_is_too_long_is_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, film: Path, command: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(film, tmp_path / "in.mkv")
    monkeypatch.setattr("afitrt.pipeline.run.make", lambda *_: pytest.fail("the work began"))
    monkeypatch.setattr("afitrt.pipeline.planning.Decoder", lambda *_: pytest.fail("the work began"))
    refused(afitrt(*command), 4, "bytes", "at most 255")
    assert os.listdir() == ["in.mkv"]


def test_a_name_that_grows_too_long_by_its_rate_asks_for_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, film: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    source = f"{KANA}{'x' * 26}.mkv"
    shutil.copy(film, source)
    for more in (FAST, (*FAST, "--dry-run"), (*FAST, "--workers", "2"), ("--model", "blend", "--codec", "png")):
        refused(afitrt("interpolate", source, *more), 4, "OUT", "261 bytes" if "png" not in more else "257 bytes")
    refused(afitrt("interpolate", f"{KANA * 2}.mkv", *FAST), 3, "too long")
    assert os.listdir() == [source]
    assert afitrt("interpolate", source, "out.mkv", *FAST).code == 0


def test_what_a_run_with_the_longest_name_finished_is_kept(tmp_path: Path, film: Path) -> None:
    out = tmp_path / f"{KANA}{'x' * 26}.mkv"
    source = pattern(tmp_path / "in.mkv", seconds=20)
    running = process("interpolate", source, out, *FAST, "--json")
    assert running.stdout is not None
    next(line for line in running.stdout if '"progress"' in line and json.loads(line)["outputs"] >= 20)
    running.send_signal(signal.SIGTERM)
    _, err = running.communicate(timeout=60)
    refused(Ran(running.returncode, "", err), 75, "partial.mkv")
    (partial,) = tmp_path.glob("*.partial.mkv")
    assert partial.name == fitted(out.stem, ".partial.mkv") and len(os.fsencode(partial.name)) <= 255
    assert probe(partial).frames > 0


NOT_UTF8 = os.fsdecode(b"\xff caf\xe9")


def test_a_name_that_is_no_utf8_goes_every_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, film: Path) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(film, f"{NOT_UTF8}.mkv")
    commands = (
        ("interpolate", f"{NOT_UTF8}.mkv", *FAST, "--json", "--report", f"{NOT_UTF8}.html"),
        ("interpolate", f"{NOT_UTF8}.mkv", *FAST, "--workers", "1", "--vf", "hflip", "--times", "3"),
        ("plan", f"{NOT_UTF8}.mkv", *FAST, "-o", f"{NOT_UTF8}.json"),
        ("render", f"{NOT_UTF8}.json", "--segment", "0", "--json"),
        ("join", f"{NOT_UTF8}.json", f"{NOT_UTF8}.joined.mkv"),
        ("farm", "template", f"{NOT_UTF8}.json", "-o", f"{NOT_UTF8}.yaml"),
        ("preview", f"{NOT_UTF8}.mkv", "-n", "1", *FAST),
        ("scenes", f"{NOT_UTF8}.mkv", "-o", f"{NOT_UTF8}.cuts.json"),
        ("compare", f"{NOT_UTF8}.mkv", f"{NOT_UTF8}.mkv", "-o", f"{NOT_UTF8}.png", "--json"),
    )
    for each in commands:
        if each[0] not in ("interpolate", "join"):
            assert afitrt(*each).code == 0, each
            continue
        # As a process: the encoding of its output is at stake.
        ran = subprocess.run(command_line(*each), capture_output=True, check=False)
        assert ran.returncode == 0 and b"Traceback" not in ran.stderr, (each, ran.stderr)
        shown = rb"\\xff caf\\xe9" if "--json" in each else rb"\xff caf\xe9"
        assert shown in ran.stdout and b"\\ud" not in ran.stdout
    assert Path(f"{NOT_UTF8}.html").read_text(encoding="utf-8").count(r"\xff caf\xe9") >= 3
    ran = subprocess.run(command_line("interpolate", f"{NOT_UTF8}.mkv", *FAST), capture_output=True, check=False)
    assert ran.returncode == 4 and rb"\xff caf\xe9.50fps.mkv exists" in ran.stderr


@pytest.mark.weights
def test_a_home_whose_name_is_no_utf8(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights_home: Path, film: Path
) -> None:
    home = tmp_path / NOT_UTF8
    home.mkdir()
    (home / "weights").symlink_to(weights_home.resolve() / "weights")
    monkeypatch.setenv("AFITRT_HOME", str(home))
    ran = afitrt("interpolate", film, tmp_path / "out.mkv", "--model", "rife", *FAST[2:], "--end", "0.1")
    assert ran.code == 0, ran.err
    assert probe(tmp_path / "out.mkv").frames == 6


def test_only_bytes_that_are_no_text_are_escaped() -> None:
    assert readable({"a": ["é日\n", NOT_UTF8, 3, None]}) == {"a": ["é日\n", "\\xff caf\\xe9", 3, None]}


def test_a_terminal_that_has_no_letters_for_a_name(tmp_path: Path, film: Path) -> None:
    shutil.copy(film, tmp_path / "日本語 é.mkv")
    environment = {**os.environ, "PYTHONIOENCODING": "cp1252"}
    for wanted in (0, 4):
        ran = subprocess.run(
            command_line("interpolate", "日本語 é.mkv", *FAST),
            capture_output=True,
            check=False,
            cwd=tmp_path,
            env=environment,
        )
        assert ran.returncode == wanted and b"Traceback" not in ran.stderr, ran.stderr
        told = (ran.stderr if wanted else ran.stdout).decode("cp1252")
        assert "\\u65e5\\u672c\\u8a9e é" in told


def test_what_is_no_plain_file_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe.mkv")
    with socket.socket(socket.AF_UNIX) as there:
        there.bind("socket.mkv")
        for name, kind in {"pipe.mkv": "a named pipe", "socket.mkv": "a socket", "/dev/null": "a device"}.items():
            for command in (("interpolate", name, "out.mkv"), ("scenes", name), ("compare", name, name)):
                refused(afitrt(*command), 3, f"{name} is {kind}")
        refused(afitrt("interpolate", "pipe.mkv"), 3, "interpolate - OUT < pipe.mkv")
    os.mkdir("frames")
    os.mkfifo("frames/1.png")
    for place in ("frames", "frames/%d.png"):
        refused(afitrt("interpolate", place, "out.mkv", "--rate", "24"), 3)
    assert sorted(os.listdir()) == ["frames", "pipe.mkv", "socket.mkv"]


def test_a_finished_run_is_found_again_whatever_its_name(tmp_path: Path, film: Path) -> None:
    """Killed between the film's name and the end of its folder."""
    out = tmp_path / "[Group] x [1080p]*.mkv"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("afitrt.segments.store.Store.remove", lambda self: None)
        assert afitrt("interpolate", film, out, *FAST).code == 0
    assert len(work_folders(out)) == 1
    ran = afitrt("interpolate", film, out, *FAST)
    assert ran.code == 0 and not work_folders(out), ran.err
    refused(afitrt("interpolate", film, out, *FAST), 4, "exists")
