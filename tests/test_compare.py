"""`afitrt compare`: figures equal those computed by hand, frames are paired by number, the worst ones are drawn."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from command import afitrt
from video_helpers import X264, drawn, facts, noise, pattern

from afitrt.compare import AMPLIFIED, STRIP, compare

WIDENED = "format=yuv444p,zscale=rangein=limited:range=full"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, list[np.ndarray], list[np.ndarray]]:
    """Two lossless files that differ by a little in frames 1 and 3, most in 3, and their frames."""
    folder = tmp_path_factory.mktemp("pair")
    left = [np.clip(frame, 16, 200) for frame in noise(5)]
    right = [frame.copy() for frame in left]
    right[1][:10] += 3
    right[3][10:30, 5:50] += 9
    return drawn(folder / "a.mkv", left), drawn(folder / "b.mkv", right), left, right


def decibels(mse: float, peak: int = 255) -> float:
    return float(10 * np.log10(peak**2 / mse))


def test_figures_are_those_of_the_definition(pair: tuple[Path, Path, list[np.ndarray], list[np.ndarray]]) -> None:
    first, second, left, right = pair
    mse = [float(((a.astype(float) - b) ** 2).mean()) for a, b in zip(left, right, strict=True)]
    found = compare(first, second)
    assert found.frames == 5 and found.compared_as == "gbrp" and found.whole
    assert np.isinf(found.psnr[[0, 2, 4]]).all()
    assert found.psnr[1] == pytest.approx(decibels(mse[1]), abs=1e-3)
    assert found.psnr[3] == pytest.approx(decibels(mse[3]), abs=1e-3)
    assert found.mean_psnr == pytest.approx(decibels(sum(mse) / 5), abs=1e-3)
    assert (found.ssim[[0, 2, 4]] == 1).all() and (found.ssim[[1, 3]] < 1).all()
    assert found.worst(5) == [3, 1] and found.worst(1) == [3]
    assert found.seconds(3) == Fraction(3, 25)


def test_json_holds_them_all_and_is_strict(pair: tuple[Path, Path, list[np.ndarray], list[np.ndarray]]) -> None:
    first, second, *_ = pair
    ran = afitrt("compare", first, second, "--json", "--worst", 2)
    assert ran.code == 0, ran.err
    told = json.loads(ran.out, parse_constant=lambda text: pytest.fail(f"{text} is no JSON"))
    assert (told["a"], told["b"], told["size"]) == (str(first), str(second), "64x48")
    assert (told["frames"], told["frames_a"], told["frames_b"], told["equal_frames"]) == (5, 5, 5, 3)
    assert [each["frame"] for each in told["worst"]] == [3, 1]
    assert [value is None for value in told["psnr_of_frames"]] == [True, False, True, False, True]
    assert told["psnr"]["min"] == told["psnr_of_frames"][3] == told["worst"][0]["psnr"]
    assert told["ssim"]["mean"] == pytest.approx(np.mean(told["ssim_of_frames"]))
    assert told["picture"] is None and "RGB" in told["warnings"][0]


def test_the_worst_are_drawn_beside_their_difference(
    pair: tuple[Path, Path, list[np.ndarray], list[np.ndarray]], tmp_path: Path
) -> None:
    first, second, left, right = pair
    ran = afitrt("compare", first, second, "-o", tmp_path / "made" / "worst.png")
    assert ran.code == 0, ran.err
    assert "worst.png: A, B" in ran.out and "0.120" in ran.out
    picture = cv2.imread(str(tmp_path / "made" / "worst.png"))[:, :, ::-1]
    factor = 5
    height, width = 48 * factor, 64 * factor
    assert picture.shape == (2 * (STRIP + height), 3 * width, 3)
    for place, index in enumerate([3, 1]):
        row = picture[place * (STRIP + height) :][: STRIP + height]
        assert row[:STRIP].std() > 10
        a, b, difference = (row[STRIP::factor, side * width : (side + 1) * width : factor] for side in range(3))
        np.testing.assert_array_equal(a, left[index])
        np.testing.assert_array_equal(b, right[index])
        np.testing.assert_array_equal(difference, AMPLIFIED * (right[index] - left[index]))
    assert not list((tmp_path / "made").glob(".*"))


def test_equal_files_say_so_and_draw_nothing(tmp_path: Path) -> None:
    source = pattern(tmp_path / "a.mkv", seconds=0.2)
    ran = afitrt("compare", source, source, "-o", tmp_path / "worst.png")
    assert (ran.code, ran.err) == (0, "")
    assert "5 frames compared, 5 of them equal; 64x48, yuv420p" in ran.out and "inf" in ran.out
    assert not (tmp_path / "worst.png").exists()


def test_frames_are_paired_by_number_and_the_shorter_one_counts(tmp_path: Path) -> None:
    frames = noise(6)
    long, short = drawn(tmp_path / "a.mkv", frames), drawn(tmp_path / "b.mkv", frames[:4], rate=Fraction(60))
    found = compare(long, short)
    assert found.frames == 4 and np.isinf(found.psnr).all() and found.whole
    ran = afitrt("compare", long, short)
    assert ran.code == 0
    assert "has 6 frames" in ran.err and "compared are the first 4" in ran.err and "60 fps" in ran.err


def test_depths_meet_in_the_deeper_one(tmp_path: Path) -> None:
    frames = noise(2)
    shallow = drawn(tmp_path / "a.mkv", frames)
    deep = drawn(tmp_path / "b.mkv", [frame.astype(np.uint16) * 257 for frame in frames])
    found = compare(shallow, deep)
    assert found.compared_as == "gbrp16le"
    assert np.isinf(found.psnr).all()


def test_full_and_limited_range_of_one_picture_are_nearly_equal(tmp_path: Path) -> None:
    limited = pattern(tmp_path / "a.mkv", "-vf", "format=yuv444p", "-c:v", "ffv1", seconds=0.2)
    full = pattern(tmp_path / "b.mkv", "-vf", WIDENED, "-color_range", "pc", "-c:v", "ffv1", seconds=0.2)
    found = compare(limited, full)
    assert found.compared_as == "gbrp"
    assert found.psnr.min() > 40


def test_sizes_that_differ_are_an_error_with_the_way_out(tmp_path: Path) -> None:
    first, second = pattern(tmp_path / "a.mkv", seconds=0.1), pattern(tmp_path / "b.mkv", seconds=0.1, size="80x48")
    ran = afitrt("compare", first, second)
    assert ran.code == 3 and ran.out == ""
    assert "64x48 and" in ran.err and "80x48" in ran.err and "scale=64:48" in ran.err


def test_what_decodes_of_a_damaged_file_is_compared(tmp_path: Path) -> None:
    whole = pattern(tmp_path / "a.mkv", *X264, seconds=4)
    cut = tmp_path / "b.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    ran = afitrt("compare", whole, cut)
    assert ran.code == 9, ran.err
    assert "frames compared" in ran.out and "damaged" in ran.err and "expected: two whole videos" in ran.err


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("--worst", "0"), 2, "--worst 0"),
        (("--worst", "many"), 2, "--worst many"),
        (("-o", "worst.jpg"), 4, "-o worst.png"),
        (("-o", "/dev/null/worst.png"), 4, "/dev/null"),
    ],
)
def test_wrong_options_are_told(
    pair: tuple[Path, Path, list[np.ndarray], list[np.ndarray]], arguments: tuple[str, ...], code: int, told: str
) -> None:
    ran = afitrt("compare", pair[0], pair[1], *arguments)
    assert ran.code == code
    assert told in ran.err and "expected:" in ran.err and "try:" in ran.err


def test_what_is_no_video_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.mkv").write_bytes(b"nothing")
    whole = drawn(tmp_path / "b.mkv", noise(1), facts())
    assert afitrt("compare", tmp_path / "a.mkv", whole).code == 3
    assert afitrt("compare", whole, tmp_path / "none.mkv").code == 3
