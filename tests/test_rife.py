"""RIFE through the real command line: the published pictures, imported weights, what is said when they are missing."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest
import rife48_recipe as recipe
import torch_files
from command import afitrt
from drawn import clip, places
from measuring import psnr
from video_helpers import drawn as drawn_video

from afitrt import models
from afitrt.frames import Pixels
from afitrt.models.rife import RIFE
from afitrt.options import SCALES, ModelOptions
from afitrt.video import Reader, probe


def saved(folder: Path, *pictures: Pixels) -> tuple[Path, ...]:
    """Pictures [height, width, 3] as files."""
    paths = tuple(folder / f"{index}.npy" for index in range(len(pictures)))
    for path, picture in zip(paths, pictures, strict=True):
        np.save(path, np.ascontiguousarray(picture))
    return paths


@pytest.mark.export
@pytest.mark.weights
@pytest.mark.usefixtures("weights_home")
@pytest.mark.parametrize("scale", [1.0, 0.5])
@pytest.mark.parametrize("width, height", [(256, 128), (192, 320)])
def test_rife_gives_the_published_picture(torch, tmp_path: Path, width: int, height: int, scale: float) -> None:
    """IFNet of the wheel, alone on whole pictures; its scales are an attribute of the class."""
    oracle = importlib.import_module("oracle")
    pair = oracle.drawn(height, width)
    paths = saved(tmp_path, *(image[0].numpy().transpose(1, 2, 0) for image in pair))
    out = tmp_path / "out-%d.npy"
    ran = afitrt("between", *paths, "--times", "0.4", "--model", "rife", "--scale", scale, "-o", out)
    assert ran.code == 0, ran.err
    net = oracle.Published().ifnet
    net.scale_list = [factor / scale for factor in (8, 4, 2, 1)]
    with torch.inference_mode():
        expected = net(*pair, torch.full((1, 1, 1, 1), 0.4))[0].numpy().transpose(1, 2, 0)
    assert psnr(np.load(tmp_path / "out-0.npy"), expected) >= 70


@pytest.mark.weights
@pytest.mark.usefixtures("weights_home")
def test_rife_smooths_a_clip_of_odd_size(tmp_path: Path) -> None:
    frames = [frame[:, :-1] for frame in clip(160, 96, 8, (1, 1, 1))]
    source, out = drawn_video(tmp_path / "in.mkv", frames), tmp_path / "out.mkv"
    ran = afitrt("interpolate", source, out, "--model", "rife", "--codec", "ffv1", "--pix-fmt", "bgr0")
    assert ran.code == 0, ran.err
    with Reader(probe(out)) as reader:
        results = list(reader)
    assert len(results) == 16 and {picture.shape for picture in results} == {(96, 159, 3)}
    np.testing.assert_array_equal(results[0], frames[0])
    steps = np.diff(places(results[4:11], 1))
    assert np.abs(steps - 1.5).max() < 0.7, "half of three pixels a source frame; pictures shown twice give 0 and 3"


def imported(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home with the random weights of the golden pictures as set `mine`, imported as the seed's file has them."""
    monkeypatch.setenv("AFITRT_HOME", str(folder / "home"))
    file = folder / "rife48.pkl"
    file.write_bytes(torch_files.saved({f"module.{name}": array for name, array in recipe.weights().items()}))
    ran = afitrt("weights", "import", file, "--name", "mine")
    assert ran.code == 0 and "rife48: rife48.pkl" in ran.out, ran.err


def test_rife48_with_imported_weights_gives_the_published_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported(tmp_path, monkeypatch)
    chosen = ("--model", "rife48", "--weights", "mine")
    for width, height, t, scale in recipe.CASES:
        pair = recipe.pictures(width, height)
        paths = saved(tmp_path, *(image[0].transpose(1, 2, 0) for image in pair))
        out = tmp_path / "out.npy"
        ran = afitrt("between", *paths, "--times", str(t), "--scale", scale, *chosen, "-o", out)
        assert ran.code == 0, ran.err
        expected = recipe.golden(width, height)[0].transpose(1, 2, 0)
        assert np.abs(np.load(out) - expected).max() <= recipe.TOLERANCE


def test_what_is_said_without_the_weights_of_rife48(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AFITRT_HOME", str(tmp_path / "home"))
    paths = saved(tmp_path, *(np.zeros((32, 32, 3), np.float32) for _ in range(2)))
    asked = ("between", *paths, "-o", tmp_path / "out.npy")
    ran = afitrt(*asked, "--model", "rife48")
    assert ran.code == 6, "nothing is fetched that could not help"
    assert "there are no weights gmfss-union" in ran.err and "expected: weights of rife48 for --model rife48" in ran.err
    assert "try: afitrt weights import FILE --name mine, then --weights mine" in ran.err
    imported(tmp_path, monkeypatch)
    ran = afitrt(*asked, "--model", "rife48")
    assert "weights of rife48 for --model rife48, as mine" in ran.err and "try: --weights mine" in ran.err
    ran = afitrt(*asked, "--model", "rife", "--weights", "mine")
    assert "--weights mine have no ifnet" in ran.err and "try: leave --weights out" in ran.err
    assert not (tmp_path / "out.npy").exists()


@pytest.mark.parametrize("scale", SCALES)
def test_sides_are_padded_to_what_the_blocks_can_halve(scale: float) -> None:
    size = RIFE.geometry(100, 33, scale)
    unit = {0.25: 128, 0.5: 64, 1.0: 32, 2.0: 32}[scale]
    assert (size.width % unit, size.height % unit) == (0, 0)
    assert size.width - 100 < unit and size.height - 33 < unit


def test_the_estimate_grows_with_pixels_and_fineness() -> None:
    """Measured peaks in MiB, pictures included, of two threads; they must lie under the estimate, and not far."""
    peaks = {("rife", 1.0): 422, ("rife", 0.5): 294, ("rife48", 1.0): 830, ("rife48", 2.0): 1997}
    for (model, scale), peak in peaks.items():
        memory = models.memory(ModelOptions(model=model, scale=scale), 1280, 768)
        assert peak <= (memory.stages + 5 * memory.picture) / (1 << 20) <= 1.4 * peak
    assert models.advice(ModelOptions(model="rife"), 64, 64) == []
    assert models.advice(ModelOptions(), 64, 64) != []
