"""The real clip from end to end: whole with blend, and the demo with the real network."""

from __future__ import annotations

import importlib
from pathlib import Path

import cv2
import pytest
from command import afitrt
from video_helpers import payload

from afitrt.video import list_tracks, probe

pytestmark = [pytest.mark.weights, pytest.mark.slow]


def test_the_whole_clip_with_blend(bigbuckbunny: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mkv"
    ran = afitrt("interpolate", bigbuckbunny, out, "--model", "blend", "--codec", "libx264", "--preset", "ultrafast")
    assert ran.code == 0, ran.err
    after = probe(out)
    assert (after.frames, after.rate, after.width, after.height) == (264, 50, 1280, 720)
    assert [track.kind for track in list_tracks(out)] == [track.kind for track in list_tracks(bigbuckbunny)]
    assert payload(out, 1) == payload(bigbuckbunny, 1)


@pytest.mark.usefixtures("weights_home", "bigbuckbunny")
def test_the_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(Path(__file__).parent.parent)
    importlib.import_module("demo").main(tmp_path)
    before, after = probe(tmp_path / "bigbuckbunny.mkv"), probe(tmp_path / "bigbuckbunny.smooth.mkv")
    assert (before.frames, before.width, before.height) == (16, 448, 256)
    assert (after.frames, after.rate, after.width, after.height) == (32, 2 * before.rate, 448, 256)
    assert payload(after.path, 1) == payload(before.path, 1)
    sheet = cv2.imread(str(tmp_path / "bigbuckbunny.png"))
    assert sheet is not None and sheet.std() > 20
    said = capsys.readouterr().out
    assert "16 frames" in said and "32 frames" in said and str(after.path) in said
