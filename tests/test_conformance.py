"""What every interpolator must do, whatever its network, on ONNX Runtime: one suite over all models."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import rife48_recipe as recipe
import torch_files
from drawn import clip

from afitrt import models, weights
from afitrt.frames import Pixels
from afitrt.models.protocol import Interpolator, Picture
from afitrt.options import OUR_MODELS, ModelOptions

WIDTH, HEIGHT = 118, 61
"""Odd, and no multiple of anything, so that every model pads and crops."""
THIRD, HALF = Fraction(1, 3), Fraction(1, 2)
NEEDED = {"gmfss": pytest.mark.weights, "rife": pytest.mark.weights}

Make = Callable[..., Interpolator]


@pytest.fixture(params=[pytest.param(name, marks=NEEDED.get(name, ())) for name in OUR_MODELS])
def make(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Makes an interpolator of one model; random weights for what is not published."""
    name, chosen = request.param, ModelOptions.weights
    if name == "rife48":
        monkeypatch.setenv("AFITRT_HOME", str(tmp_path))
        (tmp_path / "rife48.pkl").write_bytes(torch_files.saved(recipe.weights()))
        chosen = weights.import_weights([tmp_path / "rife48.pkl"], "mine").name
    elif name in NEEDED:
        request.getfixturevalue("weights_home")
    made = []

    def maker(dtype: type = np.float32) -> Interpolator:
        options = ModelOptions(model=name, weights=chosen, threads=2)
        made.append(models.make(options, WIDTH, HEIGHT, dtype, lambda _: None))
        return made[-1]

    yield maker
    for each in made:
        each.close()


@pytest.fixture(scope="module")
def frames() -> list[Pixels]:
    return list(clip(WIDTH, HEIGHT, 3, (1, 2, 3)))


def between(model: Interpolator, pair: list[Picture], *times: Fraction) -> list[Pixels]:
    """Downloaded pictures, released at once."""
    pictures = model.between(pair[0], pair[1], times)
    downloaded = [model.download(each) for each in pictures]
    for each in pictures:
        model.release(each)
    return downloaded


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_picture_is_cropped_to_its_size_in_the_type_asked_for(make: Make, frames: list[Pixels], dtype: type) -> None:
    model = make(dtype)
    pair = [model.upload(frame) for frame in frames[:2]]
    (middle,) = between(model, pair, HALF)
    assert (middle.shape, middle.dtype) == ((HEIGHT, WIDTH, 3), dtype)
    back = model.download(pair[0]).astype(np.float64)
    full = 1 if dtype == np.float32 else np.iinfo(dtype).max
    np.testing.assert_allclose(back / full, frames[0] / 255, atol=1e-6, err_msg="an uploaded picture comes back")


def test_deep_and_shallow_frames_are_the_same_picture(make: Make, frames: list[Pixels]) -> None:
    model = make()
    pairs = [[model.upload(frame) for frame in frames[:2]]]
    pairs.append([model.upload(frame.astype(np.uint16) * 257) for frame in frames[:2]])
    shallow, deep = (between(model, pair, HALF)[0] for pair in pairs)
    assert np.sqrt(np.mean((shallow - deep) ** 2)) < 1e-4


def test_two_runs_give_the_same_bits(make: Make, frames: list[Pixels]) -> None:
    results = []
    for _ in range(2):
        model = make()
        results.append(between(model, [model.upload(frame) for frame in frames[:2]], THIRD))
    np.testing.assert_array_equal(*results)


def test_times_in_one_call_and_apart_give_the_same_bits(make: Make, frames: list[Pixels]) -> None:
    model = make()
    pair = [model.upload(frame) for frame in frames[:2]]
    together = between(model, pair, THIRD, HALF)
    apart = [between(model, pair, t)[0] for t in (HALF, THIRD)]
    np.testing.assert_array_equal(together, apart[::-1])
    assert not np.array_equal(*together), "the time matters"


def test_a_pair_is_matched_once_and_a_picture_encoded_once(make: Make, frames: list[Pixels]) -> None:
    model = make()
    left, middle, right = (model.upload(frame) for frame in frames)
    between(model, [left, middle], THIRD, HALF)
    between(model, [middle, right], HALF)
    calls = dict(model.clock.calls)
    assert calls.pop("encode", 3) == 3
    assert calls.pop("match", 2) == 2
    assert calls and set(calls.values()) == {3}, "what is left runs once for each time"


def test_results_outlive_their_sources_and_take_part_in_pairs(make: Make, frames: list[Pixels]) -> None:
    model = make()
    left, right = (model.upload(frame) for frame in frames[:2])
    quarter, half = model.between(left, right, [Fraction(1, 4), HALF])
    before = model.download(half).copy()
    (inner,) = between(model, [quarter, half], HALF)
    for picture in (left, right, quarter):
        model.release(picture)
    again = [model.upload(frame) for frame in frames[:2]]
    between(model, again, THIRD)
    np.testing.assert_array_equal(model.download(half), before)
    assert inner.shape == before.shape and np.isfinite(inner).all()


def test_no_frame_is_changed(make: Make, frames: list[Pixels]) -> None:
    model = make()
    kept = [frame.copy() for frame in frames]
    pair = [model.upload(frame) for frame in frames[:2]]
    before = model.download(pair[0]).copy()
    between(model, pair, HALF)
    np.testing.assert_array_equal(model.download(pair[0]), before)
    np.testing.assert_array_equal(frames, kept)
