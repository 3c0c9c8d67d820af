"""Scene detectors against the golden table of the original, and the file of cuts."""

from __future__ import annotations

import json
import math
from pathlib import Path
from time import perf_counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scdet_frames import sequences, sha1, tiles

from afitrt.errors import AfitrtError, InputError, UsageError
from afitrt.options import SceneOptions
from afitrt.scenes import SvfiDetector, check_cuts, cuts_text, detector, read_cuts

GOLDEN = json.loads((Path(__file__).parent / "golden" / "scdet.json").read_text())["sequences"]
DRAWN = sequences()


def verdicts(frames, options=SceneOptions(), first=0):  # noqa: B008
    judge = detector(options, first)
    return [judge.judge(frame) for frame in frames]


def rgb(name):
    return [np.ascontiguousarray(frame[:, :, ::-1]) for frame in DRAWN[name]]


def test_golden_table_is_whole():
    assert len(GOLDEN) == 27
    assert sum(len(each["t12"]) + len(each["t14"]) for each in GOLDEN) == 1260


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case["name"])
def test_sequences_are_those_of_the_table(case):
    assert sha1(DRAWN[case["name"]]) == case["sha1"]


@pytest.mark.parametrize("threshold", [12, 14])
@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case["name"])
def test_svfi_equals_the_original(case, threshold):
    first, *rest = verdicts(rgb(case["name"]), SceneOptions(threshold=threshold))
    assert (first.index, first.branch, first.cut, first.diff) == (0, "first", False, None)
    for verdict, row in zip(rest, case[f"t{threshold}"], strict=True):
        assert (verdict.branch, verdict.cut) == (row[2], bool(row[1])), verdict
        assert math.isclose(verdict.diff, row[0], abs_tol=1e-6)
        if verdict.branch == "judge":
            assert math.isclose(verdict.score, row[3], rel_tol=1e-6, abs_tol=1e-6)
        else:
            assert verdict.score is None
    assert [each.index for each in rest if each.cut] == case[f"cuts{threshold}"]


@pytest.mark.parametrize("name", ["mixture", "red_hue_wrap", "near_flat_var_9"])
def test_sixteen_bits_are_rounded_to_eight(name):
    """v * 257 is exactly v; up to 128 on either side still rounds to v."""
    noise = np.random.default_rng(5).integers(-128, 129, size=rgb(name)[0].shape)
    deep = [np.clip(frame.astype(np.int64) * 257 + noise, 0, 65535).astype(np.uint16) for frame in rgb(name)]
    assert verdicts(deep) == verdicts(rgb(name))


@pytest.mark.parametrize(("height", "step"), [(1000, 2), (1001, 4), (1024, 4)])
def test_sampling_step(height, step):
    """Pixels between the samples change nothing; a sampled pixel changes the diff by its share."""
    base = np.zeros((height, 64, 3), np.uint8)
    base[::step, ::step] = tiles(1, height, 64, 16)[::step, ::step]
    between = np.random.default_rng(2).integers(0, 256, size=base.shape, dtype=np.uint8)
    between[::step, ::step] = base[::step, ::step]
    changed = between.copy()
    changed[step * 3, step * 5] = (0, 0, 0)
    other = between.copy()
    other[step * 3, step * 5] = (0, 0, 255)
    samples = math.ceil(height / step) * (64 // step)
    diffs = [each.diff for each in verdicts([base, between, changed, other])]
    assert diffs[1] == 0
    # Black to blue: hue 0 to 120, saturation and value 0 to 255, the mean of the three over all samples.
    assert math.isclose(diffs[3], (120 + 255 + 255) / samples / 3, rel_tol=1e-12)


@pytest.mark.parametrize("height", [1000, 1024])
def test_flatness_is_measured_in_every_fourth_blue_pixel(height):
    """Red and green, and blue anywhere else, do not keep a picture from being flat."""
    flat = np.random.default_rng(3).integers(0, 256, size=(height, 64, 3), dtype=np.uint8)
    flat[::4, ::4, 2] = 77
    textured = flat.copy()
    textured[::4, ::4, 2] = tiles(4, height, 64, 8)[::4, ::4, 2]
    new = tiles(5, height, 64, 8)
    assert [each.branch for each in verdicts([flat, flat, new])] == ["first", "dup", "pure"]
    assert [each.branch for each in verdicts([textured, textured, new])] == ["first", "dup", "fill"]


def test_frames_may_be_reused_by_the_caller():
    """A reader may hand out one buffer again and again."""
    buffer = np.empty_like(rgb("hardcut")[0])
    judge = detector(SceneOptions())
    seen = []
    for frame in rgb("hardcut"):
        buffer[:] = frame
        seen.append(judge.judge(buffer))
    assert seen == verdicts(rgb("hardcut"))


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (3, 2)])
def test_tiny_pictures(size):
    frames = [np.full((*size, 3), level, np.uint8) for level in (0, 0, 255)]
    assert [each.branch for each in verdicts(frames)] == ["first", "dup", "pure"]


def test_none_never_cuts():
    seen = verdicts(rgb("hardcut"), SceneOptions(detector="none"))
    assert not any(each.cut for each in seen)
    assert [each.index for each in seen] == list(range(20))
    assert {each.branch for each in seen[1:]} == {"none"}


@given(st.lists(st.integers(1, 30), unique=True).map(sorted), st.integers(0, 10), st.integers(1, 40))
def test_given_cuts_are_absolute(cuts, first, count):
    frame = np.zeros((1, 1, 3), np.uint8)
    seen = verdicts([frame] * count, SceneOptions(cuts=tuple(cuts)), first)
    assert [each.index for each in seen] == list(range(first, first + count))
    assert [each.index for each in seen if each.cut] == [cut for cut in cuts if first < cut < first + count]


def test_cuts_win_over_the_detector():
    assert [each.index for each in verdicts(rgb("hardcut"), SceneOptions(cuts=(3, 19))) if each.cut] == [
        3,
        19,
    ]


def test_detector_refuses_impossible_cuts():
    with pytest.raises(UsageError, match="cut 5 after 9"):
        detector(SceneOptions(cuts=(9, 5)))


@given(st.lists(st.integers(1, 10**9), unique=True).map(sorted))
def test_cuts_survive_the_file(tmp_path_factory, cuts):
    path = tmp_path_factory.mktemp("cuts") / "cuts.json"
    path.write_text(cuts_text(cuts))
    assert read_cuts(path) == tuple(cuts)


def test_cuts_text():
    assert cuts_text((31, 64)) == '{"cuts": [31, 64]}\n'


@pytest.mark.parametrize(
    ("text", "kind", "found"),
    [
        ("", InputError, "is not JSON"),
        ("{", InputError, "is not JSON"),
        ("[" * 100_000, InputError, "is not JSON"),
        ("\udcff", InputError, "is not JSON"),
        ("[31, 64]", InputError, 'has no list "cuts"'),
        ('{"cut": [31]}', InputError, 'has no list "cuts"'),
        ('{"cuts": 31}', InputError, 'has no list "cuts"'),
        ('{"cuts": ["31"]}', UsageError, "cut '31'"),
        ('{"cuts": [31.0]}', UsageError, r"cut 31\.0"),
        ('{"cuts": [true]}', UsageError, "cut True"),
        ('{"cuts": [null]}', UsageError, "cut None"),
        ('{"cuts": [0, 5]}', UsageError, "cut 0"),
        ('{"cuts": [-3]}', UsageError, "cut -3"),
        ('{"cuts": [64, 31]}', UsageError, "cut 31 after 64"),
        ('{"cuts": [31, 31]}', UsageError, "cut 31 twice"),
        ('{"cuts": [31, 100]}', UsageError, "cut 100 in a video of 100 frames"),
    ],
)
def test_bad_cuts_files(tmp_path, text, kind, found):
    path = tmp_path / "cuts.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(kind, match=found) as caught:
        read_cuts(path, frames=100)
    assert "cuts.json" in caught.value.found
    assert caught.value.expected and caught.value.hint


def test_missing_cuts_file(tmp_path):
    with pytest.raises(InputError, match=r"cannot read .*cuts\.json"):
        read_cuts(tmp_path / "cuts.json")


def test_last_frame_may_be_a_cut():
    assert check_cuts([31, 99], frames=100) == (31, 99)


@pytest.mark.slow
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["cuts", "x"]), inner),
        max_leaves=8,
    )
)
def test_any_json_is_read_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("cuts") / "cuts.json"
    path.write_text(json.dumps(content))
    try:
        cuts = read_cuts(path)
    except AfitrtError as error:
        assert type(error) in (InputError, UsageError)
    else:
        assert list(cuts) == content["cuts"] == sorted(set(cuts))


def test_full_hd_takes_milliseconds():
    frames = [np.random.default_rng(i).integers(0, 256, (1080, 1920, 3), dtype=np.uint8) for i in range(2)]
    judge = SvfiDetector()
    judge.judge(frames[1])
    spent = []
    for i in range(20):
        start = perf_counter()
        judge.judge(frames[i % 2])
        spent.append(perf_counter() - start)
    assert min(spent) < 0.02
