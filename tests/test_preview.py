"""`afitrt preview`: several numbers of passes side by side, under labels, with the sound of the span."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from command import afitrt
from video_helpers import drawn, ffmpeg, noise

from afitrt import video

pytestmark = pytest.mark.slow

FAST = ("--model", "blend", "--codec", "ffv1")


def read(path: Path) -> list[np.ndarray]:
    with video.Reader(video.probe(path)) as reader:
        return [frame.astype(np.int32) for frame in reader]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of grey that steps up every frame, with sound."""
    folder = tmp_path_factory.mktemp("in")
    silent = drawn(folder / "silent.mkv", [np.full((48, 64, 3), 4 * k, np.uint8) for k in range(50)])
    path = folder / "in.mkv"
    ffmpeg("-i", silent, "-f", "lavfi", "-i", "sine=d=2", "-c:v", "copy", "-c:a", "flac", path)
    return path


def test_panels_show_the_source_and_each_number_of_passes(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mkv"
    ran = afitrt("preview", clip, out, "--at", "0.4", "--seconds", "0.8", "-n", "1,3", *FAST, "--detector", "none")
    assert ran.code == 0, ran.err
    assert ran.out.strip() == str(out)
    info = video.probe(out)
    assert (info.frames, info.rate) == (40, 50)
    assert (info.width, info.height) == (128, 2 * (48 + 16))
    assert [track.kind for track in video.list_tracks(out)] == ["video", "audio"]
    pictures = read(out)
    # Panels under their bands: the source above left, one pass above right, three below left, none below right.
    source = [int(np.median(each[16:64, :64])) for each in pictures]
    assert np.allclose(source, [4 * (10 + k // 2) for k in range(40)], atol=1), "each frame for two pictures"
    one, three = ([int(np.median(each[rows, columns])) for each in pictures] for rows, columns in PANELS)
    for shown in (one, three):
        assert np.all(np.diff(shown) >= 0) and shown[0] == source[0] and shown[-1] == source[-1]
    assert one != three
    assert all(each[80:, 64:].max() == 0 for each in pictures), "no panel"
    for band in (pictures[0][:16, :64], pictures[0][:16, 64:], pictures[0][64:80, :64]):
        assert band.max() > 200, "a label"


PANELS = ((slice(16, 64), slice(64, 128)), (slice(80, 128), slice(0, 64)))


def test_without_words_it_shows_three_seconds_beside_the_source(tmp_path: Path) -> None:
    source = drawn(tmp_path / "in.mkv", noise(10))
    ran = afitrt("preview", source, *FAST)
    assert ran.code == 0, ran.err
    assert ran.out.strip() == str(tmp_path / "in.preview.mkv")
    assert "n-forward 3 (3 of 3)" in ran.err
    again = afitrt("preview", source, *FAST)
    assert again.code == 4 and "--overwrite" in again.err
    assert sorted(each.name for each in tmp_path.iterdir()) == ["in.mkv", "in.preview.mkv"]


def test_deep_sources_stay_deep_and_large_sheets_shrink(tmp_path: Path) -> None:
    source = drawn(tmp_path / "in.mkv", noise(4, 48, 2000, np.uint16))
    ran = afitrt("preview", source, "-n", "1", *FAST)
    assert ran.code == 0, ran.err
    info = video.probe(tmp_path / "in.preview.mkv")
    assert info.depth > 8 and info.width == 3840


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("--at", "9"), 2, "--at 9"),
        (("--seconds", "0"), 2, "--seconds 0"),
        (("--at", "soon"), 2, "--at soon"),
        (("-n", "0,1"), 2, "whole numbers from 1"),
        (("-n", "1,x"), 2, "--n-forward x"),
        (("--n-pass", "2"), 2, "--n-forward"),
    ],
)
def test_what_cannot_be_shown_is_told(clip: Path, words: tuple[str, ...], code: int, told: str) -> None:
    ran = afitrt("preview", clip, *words, *FAST)
    assert (ran.code, told in ran.err, "Traceback" in ran.err) == (code, True, False)


def test_a_pipe_is_refused() -> None:
    ran = afitrt("preview", "-", "out.mkv", *FAST)
    assert ran.code == 2 and "a file" in ran.err
