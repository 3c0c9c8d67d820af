"""What every interpolator must do, as a class of tests: subclass it in your own test file and name your model.

    from afitrt.testing import InterpolatorContract

    class TestMine(InterpolatorContract):
        model = "mine"

pytest collects it; nothing here needs pytest. afitrt runs the same class over its own models.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from afitrt import models
from afitrt.frames import Geometry, Pixels, from_planar, to_planar
from afitrt.models import Interpolator, Picture
from afitrt.options import ModelOptions
from afitrt.yuv import Yuv420, YuvLayout

QUARTER, THIRD, HALF = Fraction(1, 4), Fraction(1, 3), Fraction(1, 2)


def moving(width: int, height: int, count: int) -> list[Pixels]:
    """`count` frames uint8 [height, width, 3], RGB: a bright disc moves 2 pixels a frame over a smooth background."""
    rows, columns = np.indices((height, width), np.float64)
    frames: list[Pixels] = []
    for index in range(count):
        shade = 110 + 50 * np.sin((columns + index) / 9) * np.cos(rows / 7)
        inside = np.hypot(columns - width / 3 - 2 * index, rows - height / 2) < min(width, height) / 5
        colours = np.stack([np.where(inside, level, shade) for level in (235, 60, 40)], axis=-1)
        frames.append(np.rint(colours).astype(np.uint8))
    return frames


class InterpolatorContract:
    """The contract of `afitrt.models.Interpolator`. A subclass names the model; the rest has defaults.

    options: beside the model, of `afitrt.options.ModelOptions`. width, height: odd and no multiple of anything, so
    that a model must pad and crop. exact: whether the same call gives the same bits twice; where it does not, pictures
    may differ by `tolerance` of full range.
    """

    model: str
    options: dict[str, object] = {"threads": 2}  # noqa: RUF012, a subclass replaces it
    width, height = 118, 61
    exact = True
    tolerance = 1e-3

    @contextmanager
    def made(self, dtype: npt.DTypeLike = np.float32, yuv: Yuv420 | None = None) -> Iterator[Interpolator]:
        """An interpolator of the model that downloads as dtype, or takes and gives planar frames; closed at the end."""
        options = ModelOptions(model=self.model, **self.options)  # type: ignore[arg-type]
        interpolator = models.make(options, self.width, self.height, dtype, lambda _: None, (12, 12), yuv)
        try:
            yield interpolator
        finally:
            interpolator.close()

    def frames(self, count: int) -> list[Pixels]:
        """Frames to interpolate between."""
        return moving(self.width, self.height, count)

    def same(self, one: Any, other: Any, why: str) -> None:
        """Fails unless two pictures are the same, as far as the model promises."""
        if self.exact:
            np.testing.assert_array_equal(one, other, why)
        else:
            np.testing.assert_allclose(one, other, rtol=0, atol=self.tolerance, err_msg=why)

    def test_planar_frames_give_planar_pictures_of_the_same(self) -> None:
        """But for the rounding of codes, and of colours where they change within two pixels."""
        yuv = Yuv420(self.width, self.height, YuvLayout(10, "bt709"))
        size = Geometry(self.width, self.height)
        codes = [yuv.from_planar(to_planar(frame, size)) for frame in self.frames(2)]
        with self.made(np.uint16, yuv) as model:
            found = _between(model, [model.upload(frame) for frame in codes], HALF)[0]
        with self.made() as model:
            frames = [from_planar(yuv.to_planar(frame, size), self.width, self.height, np.float32) for frame in codes]
            middle = _between(model, [model.upload(frame) for frame in frames], HALF)[0]
        expected = yuv.from_planar(to_planar(middle, size))
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype), f"download gave {found.dtype}"
        limit = 2 if self.exact else 2 + 1023 * self.tolerance
        luma, *chroma = (
            one.astype(int) - other for one, other in zip(yuv.planes(found), yuv.planes(expected), strict=True)
        )
        assert np.abs(luma).max() <= limit, f"luma differs by {np.abs(luma).max()} codes of 1023"
        assert max(np.abs(plane).mean() for plane in chroma) <= limit, "chroma differs"

    def test_a_picture_is_cropped_to_its_size_in_the_type_asked_for(self) -> None:
        """And an uploaded frame comes back as it was."""
        frames = self.frames(2)
        kinds: tuple[tuple[npt.DTypeLike, int], ...] = ((np.uint8, 255), (np.uint16, 65535), (np.float32, 1))
        for dtype, full in kinds:
            with self.made(dtype) as model:
                pair = [model.upload(frame) for frame in frames]
                (middle,) = _between(model, pair, HALF)
                facts = (middle.shape, str(middle.dtype))
                asked = ((self.height, self.width, 3), str(np.dtype(dtype)))
                assert facts == asked, f"download gave {facts}, asked for {asked}"
                back = model.download(pair[0]).astype(np.float64) / full
                np.testing.assert_allclose(back, frames[0] / 255, atol=1e-6, err_msg="an uploaded frame changed")

    def test_deep_and_shallow_frames_are_the_same_picture(self) -> None:
        """8 and 16 bit take the same path."""
        frames = self.frames(2)
        deep = [frame.astype(np.uint16) * 257 for frame in frames]
        with self.made() as model:
            results = [_between(model, [model.upload(f) for f in each], HALF)[0] for each in (frames, deep)]
        difference = float(np.sqrt(np.mean((results[0].astype(np.float64) - results[1]) ** 2)))
        assert difference < 1e-4, f"the same frames in 8 and 16 bit differ by {difference} of full range"

    def test_two_runs_give_the_same_bits(self) -> None:
        """Nothing depends on chance."""
        results = []
        for _ in range(2):
            with self.made() as model:
                results.append(_between(model, [model.upload(frame) for frame in self.frames(2)], THIRD))
        self.same(results[0], results[1], "two runs differ")

    def test_times_in_one_call_and_apart_give_the_same_bits(self) -> None:
        """A pair is matched once for all its times, which may not change them."""
        with self.made() as model:
            pair = [model.upload(frame) for frame in self.frames(2)]
            together = _between(model, pair, THIRD, HALF)
            apart = [_between(model, pair, t)[0] for t in (HALF, THIRD)]
        self.same(together, apart[::-1], "times in one call and apart differ")
        assert not np.array_equal(together[0], together[1]), "the time makes no difference"

    def test_the_ends_of_time_are_the_pictures(self) -> None:
        """Near 0 a picture looks like the left one, near 1 like the right one."""
        frames = self.frames(2)
        with self.made() as model:
            near = _between(model, [model.upload(each) for each in frames], Fraction(1, 64), Fraction(63, 64))
        for side, picture in enumerate(near):
            to = [float(np.mean((picture - frame / 255) ** 2)) for frame in frames]
            assert to[side] <= to[1 - side], f"at the {('left', 'right')[side]} end the other picture is nearer: {to}"

    def test_a_pair_is_matched_once_and_a_picture_encoded_once(self) -> None:
        """The clock counts: `encode` a picture, `match` a pair, everything else a time."""
        with self.made() as model:
            left, middle, right = (model.upload(frame) for frame in self.frames(3))
            _between(model, [left, middle], THIRD, HALF)
            _between(model, [middle, right], HALF)
            calls = dict(model.clock.calls)
        assert calls.pop("encode", 3) == 3, "each of three pictures is encoded once"
        assert calls.pop("match", 2) == 2, "each of two pairs is matched once"
        assert calls and set(calls.values()) == {3}, f"what is left runs once for each of three times: {calls}"

    def test_results_outlive_their_sources_and_take_part_in_pairs(self) -> None:
        """The pyramid is made of pictures that were made."""
        with self.made() as model:
            left, right = (model.upload(frame) for frame in self.frames(2))
            quarter, half = model.between(left, right, [QUARTER, HALF])
            before = model.download(half).copy()
            (inner,) = _between(model, [quarter, half], HALF)
            for picture in (left, right, quarter):
                model.release(picture)
            _between(model, [model.upload(frame) for frame in self.frames(2)], THIRD)
            np.testing.assert_array_equal(model.download(half), before, "a live picture changed")
        assert inner.shape == before.shape and np.isfinite(inner).all(), "a picture of made pictures is no picture"

    def test_no_frame_is_changed(self) -> None:
        """Frames and pictures stay as they were."""
        frames = self.frames(2)
        kept = [frame.copy() for frame in frames]
        with self.made() as model:
            pair = [model.upload(frame) for frame in frames]
            before = model.download(pair[0]).copy()
            _between(model, pair, HALF)
            np.testing.assert_array_equal(model.download(pair[0]), before, "a picture changed by taking part in a pair")
        np.testing.assert_array_equal(frames, kept, "a frame was changed")

    def test_the_manifest_tells_the_truth(self) -> None:
        """Its name, its sizes, and a memory estimate that grows with the picture."""
        manifest = models.find(self.model)
        assert manifest.name == self.model and manifest.about, "a manifest needs a name and a line about it"
        for scale in manifest.scales:
            size = manifest.geometry(self.width, self.height, scale)
            assert size.width >= self.width and size.height >= self.height, f"{size} cannot hold the picture"
            small, large = (manifest.memory(manifest.geometry(*wh, scale)) for wh in ((640, 360), (1920, 1080)))
            assert small.stages <= large.stages and small.picture <= large.picture, "memory shrinks with size"


def _between(model: Interpolator, pair: list[Picture], *times: Fraction) -> list[Pixels]:
    """Downloaded pictures, released at once."""
    pictures = model.between(pair[0], pair[1], times)
    assert len(pictures) == len(times), f"{len(pictures)} pictures for {len(times)} times"
    downloaded = [model.download(each).copy() for each in pictures]
    for each in pictures:
        model.release(each)
    return downloaded
