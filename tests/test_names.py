"""Names of files through the real command line: whatever a file system holds is read and written, or refused first."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from command import afitrt
from video_helpers import ffmpeg, pattern

from afitrt.video import probe

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
        ("interpolate", "a:b.mkv", "c:d/g:h.mkv", *FAST, "--workers", "1", "--vf", "hflip"),
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
