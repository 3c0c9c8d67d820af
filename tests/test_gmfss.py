"""The real network on its real weights through our runtime: the published pictures, the same bits each time."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from command import afitrt
from drawn import clip, spread
from measuring import psnr

from afitrt import models
from afitrt.frames import Geometry, Pixels
from afitrt.models.protocol import Interpolator
from afitrt.options import ModelOptions, ScheduleOptions
from afitrt.render import Decoded, render
from afitrt.runtimes.onnx import OnnxRuntime
from afitrt.schedule import End, Frame
from afitrt.video import Reader, probe

pytestmark = [pytest.mark.weights, pytest.mark.usefixtures("weights_home")]
HALF = Fraction(1, 2)


def ignore(_: str) -> None:
    """Nobody listens."""


def gmfss(width: int, height: int, scale: float = 1.0) -> Interpolator:
    return models.make(ModelOptions(scale=scale), width, height, np.float32, ignore)


def test_stages_own_their_results_and_repeat_their_bits() -> None:
    runtime = OnnxRuntime(ModelOptions(), ignore)
    geometry = Geometry(128, 64)
    encode = runtime.stage("encode", geometry)
    assert encode.inputs == ("image",)
    rng = np.random.default_rng(0)
    images = [rng.random((1, 3, 64, 128)).astype(np.float32) for _ in range(2)]
    first = encode(image=runtime.to_device(images[0]))
    kept = {name: runtime.to_host(tensor).copy() for name, tensor in first.items()}
    encode(image=runtime.to_device(images[1]))
    for name, tensor in first.items():
        np.testing.assert_array_equal(runtime.to_host(tensor), kept[name], err_msg="a later run changed a result")
    again = encode(image=runtime.to_device(images[0]))
    for name, tensor in again.items():
        np.testing.assert_array_equal(runtime.to_host(tensor), kept[name])
    runtime.close()


def test_two_runs_give_identical_pictures_and_a_picture_is_encoded_once() -> None:
    frames = clip(128, 128, 3, (1, 2, 3))
    results = []
    for _ in range(2):
        model = gmfss(128, 128)
        pictures = [model.upload(frame) for frame in frames]
        left, right = (model.between(*pair, [HALF])[0] for pair in (pictures[:2], pictures[1:]))
        quarter, half = model.between(left, right, [Fraction(1, 4), HALF])
        results.append([model.download(quarter), model.download(half)])
        assert model.clock.calls == {"encode": 5, "match": 3, "splat": 4, "fuse": 4}
        model.close()
    np.testing.assert_array_equal(results[0], results[1])


@pytest.mark.export
@pytest.mark.parametrize("scale, size", [(1.0, (256, 128)), (1.0, (192, 320)), (0.5, (256, 384))])
@pytest.mark.parametrize("kind", ["drawn", "filmed"])
def test_between_gives_the_published_picture(
    torch: object, bigbuckbunny: Path, tmp_path: Path, kind: str, scale: float, size: tuple[int, int]
) -> None:
    oracle = importlib.import_module("oracle")
    width, height = size
    pair = oracle.drawn(height, width) if kind == "drawn" else oracle.filmed(bigbuckbunny, height, width)
    for name, image in zip("ab", pair, strict=True):
        np.save(tmp_path / f"{name}.npy", np.ascontiguousarray(image[0].numpy().transpose(1, 2, 0)))
    shown = ("between", tmp_path / "a.npy", tmp_path / "b.npy", "--times", "0.4", "--scale", scale)
    ran = afitrt(*shown, "-o", tmp_path / "out-%d.npy")
    assert ran.code == 0, ran.err
    expected = oracle.Published(scale).picture(*pair, 0.4)[0].numpy().transpose(1, 2, 0)
    assert psnr(np.load(tmp_path / "out-0.npy"), expected) >= 70


def test_a_pair_of_full_size_is_padded_and_cropped(bigbuckbunny: Path, tmp_path: Path) -> None:
    with Reader(probe(bigbuckbunny), span=(40, 42)) as reader:
        for name, frame in zip("ab", reader, strict=True):
            cv2.imwrite(str(tmp_path / f"{name}.png"), frame[:, :, ::-1])
    ran = afitrt("between", tmp_path / "a.png", tmp_path / "b.png", "-o", tmp_path / "out.png")
    assert ran.code == 0, ran.err
    a, b, middle = (
        cv2.imread(str(tmp_path / name), cv2.IMREAD_UNCHANGED).astype(np.float64)
        for name in ("a.png", "b.png", "out.png")
    )
    assert middle.shape == (720, 1280, 3)
    assert psnr(middle / 65535, (a + b) / 510) > 28, "a picture between two neighbours resembles their mean"


SIDE, LENGTH, EDGE = 320, 12, 3


def decoded(frames: list[Pixels]) -> Iterator[Decoded | End]:
    for index, pixels in enumerate(frames):
        yield Decoded(Frame(Fraction(index, 24), cut=False), pixels)
    yield End(Fraction(len(frames), 24))


@pytest.mark.slow
def test_cels_on_threes_move_evenly(capsys: pytest.CaptureFixture[str]) -> None:
    """The case the method is for: at n = 2 the motion of cels on threes is at most half as uneven as plain 2x."""
    holds = (1, 2, 3)
    frames = clip(SIDE, SIDE, LENGTH, holds)
    model = gmfss(SIDE, SIDE)
    smooth = [each.pixels for each in render(decoded(frames), ScheduleOptions(n_forward=2), model)]
    pictures = [model.upload(frame) for frame in frames]
    plain = [frames[0].astype(np.float32) / 255]
    for left, right, frame in zip(pictures, pictures[1:], frames[1:], strict=False):
        plain += [model.download(model.between(left, right, [HALF])[0]), frame.astype(np.float32) / 255]
    model.close()
    # The ends of a scene have their own rule; a whole number of cycles of six frames lies between.
    inner = slice(2 * EDGE, 2 * (EDGE + 6) + 1)
    uneven = {hold: (spread(plain[inner], c), spread(smooth[inner], c)) for c, hold in enumerate(holds)}
    with capsys.disabled():
        print("\nspread of displacement, px a picture (plain 2x, n = 2):")
        for hold, (before, after) in uneven.items():
            print(f"  on {hold}s  {before:.2f}  {after:.2f}")
    assert uneven[3][1] <= uneven[3][0] / 2
    assert uneven[2][1] <= uneven[2][0]
