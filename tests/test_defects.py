"""What the first scripts of this method got wrong, each tried on real files: it must not come back."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from command import afitrt
from video_helpers import drawn, noise

from afitrt.frames import Pixels
from afitrt.video import Reader, probe

pytestmark = pytest.mark.slow

LOSSLESS = ("--model", "blend", "--codec", "ffv1", "--pix-fmt", "bgr0")
NTSC = Fraction(24000, 1001)


def run(source: Path, *options: object) -> list[Pixels]:
    """All pictures of a lossless run."""
    out = source.with_name(f"out-{len(list(source.parent.iterdir()))}.mkv")
    ran = afitrt("interpolate", source, out, *LOSSLESS, *options)
    assert ran.code == 0, ran.err
    with Reader(probe(out)) as reader:
        return list(reader)


def flat(*levels: float, width: int = 64, height: int = 48) -> list[Pixels]:
    return [np.full((height, width, 3), level, np.uint8) for level in levels]


def test_1_no_race_loses_a_picture_or_its_end(tmp_path: Path) -> None:
    pictures = noise(6)
    source = drawn(tmp_path / "in.mkv", pictures)
    for _ in range(8):
        shown = run(source)
        assert len(shown) == 12
        np.testing.assert_array_equal(shown[-1], pictures[-1])


@pytest.mark.parametrize("length", [1, 2, 3, 4])
def test_2_a_short_video_or_last_scene_loses_nothing(tmp_path: Path, length: int) -> None:
    pictures = noise(12 + length)
    source = drawn(tmp_path / "in.mkv", pictures)
    shown = run(source, "--n-forward", 4, "--cuts", "12")
    assert len(shown) == 2 * (12 + length)
    np.testing.assert_array_equal(shown[24], pictures[12])
    np.testing.assert_array_equal(shown[-1], pictures[-1])


def test_3_a_cut_among_the_first_frames_is_not_blended(tmp_path: Path) -> None:
    source = drawn(tmp_path / "in.mkv", flat(*[20] * 2, *[220] * 10))
    shown = run(source, "--n-forward", 3, "--cuts", "2")
    assert {int(picture.mean()) for picture in shown} == {20, 220}
    blended = run(source, "--n-forward", 3, "--detector", "none")
    assert len({int(picture.mean()) for picture in blended}) > 2, "without the cut these scenes do blend"


def test_4_many_passes_work(tmp_path: Path) -> None:
    source = drawn(tmp_path / "in.mkv", noise(14))
    assert len(run(source, "--n-forward", 12)) == 28


@pytest.mark.parametrize("fps", ["25", "10", "60000/1001", "1"])
def test_5_any_rate_counts_exactly_over_cuts(tmp_path: Path, fps: str) -> None:
    source = drawn(tmp_path / "in.mkv", noise(60), rate=NTSC)
    shown = run(source, "--fps", fps, "--cuts", "7,9,30,31,32,55")
    assert len(shown) == math.ceil(60 * Fraction(fps) / NTSC)


def test_6_pictures_are_rounded_and_clipped(tmp_path: Path) -> None:
    source = drawn(tmp_path / "in.mkv", flat(*range(0, 80, 10)))
    levels = [int(picture[0, 0, 0]) for picture in run(source, "--times", 3, "--n-forward", 1)]
    apexes = levels.index(5)
    assert levels[apexes : apexes + 7] == [5, 8, 12, 15, 18, 22, 25]


@pytest.mark.parametrize("size", [(64, 48), (65, 49), (66, 130)])
def test_7_pictures_are_never_resized(tmp_path: Path, size: tuple[int, int]) -> None:
    width, height = size
    pictures = noise(4, height, width)
    shown = run(drawn(tmp_path / "in.mkv", pictures))
    np.testing.assert_array_equal(shown[0], pictures[0])
    np.testing.assert_array_equal(shown[-1], pictures[-1])


def test_8_red_stays_red_and_deep_stays_deep(tmp_path: Path) -> None:
    red = [np.full((48, 64, 3), (200, 30, 10 + k), np.uint8) for k in range(6)]
    for picture in run(drawn(tmp_path / "red.mkv", red)):
        assert np.abs(picture.astype(int).mean(axis=(0, 1)) - (200, 30, 12)).max() <= 4
    ramp = np.linspace(0, 65535, 64).astype(np.uint16)
    deep = [np.broadcast_to(ramp[None, :, None] // 2 + 97 * k, (48, 64, 3)).astype(np.uint16) for k in range(6)]
    source, out = drawn(tmp_path / "deep.mkv", deep), tmp_path / "deep-out.mkv"
    assert afitrt("interpolate", source, out, "--model", "blend", "--codec", "ffv1", "--pix-fmt", "gbrp16le").code == 0
    with Reader(probe(out)) as reader:
        shown = list(reader)
    assert shown[0].dtype == np.uint16
    np.testing.assert_array_equal(shown[0], deep[0])
    assert len(np.unique(shown[5])) > 60


def test_9_every_switch_can_be_switched_off_and_folders_are_made(tmp_path: Path) -> None:
    source = drawn(tmp_path / "in.mkv", noise(12))
    on, no_shrink = run(source), run(source, "--no-shrink")
    no_correct = run(source, "--no-correct")
    assert len(on) == len(no_shrink) == len(no_correct) == 24
    np.testing.assert_array_equal(no_shrink[-1], no_shrink[-2])
    assert (on[-1] != on[-2]).any() and (on[1] != no_correct[1]).any()
    assert afitrt("interpolate", source, tmp_path / "new" / "out.mkv", *LOSSLESS).code == 0


def test_10_fractions_decide_between_a_copy_and_an_inference() -> None:
    ran = afitrt("plan", "--frames", 3000, "--rate", "24000/1001", "--fps", "24000/1001", "--n-forward", 2, "--json")
    listing = json.loads(ran.out)
    apexes = [node for node in listing["out"][5:2990] if node.startswith("#")]
    assert len(apexes) == 2985
    assert all(node.endswith(",0.5)") for node in listing["nodes"]), "an output on a knot was interpolated again"
