"""What the README promises of us is held by tests that exist, and its figures are those that were measured."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROOF = {
    "what comes out": ["test_video_mux.py::test_all_tracks_arrive_in_order_with_words_and_flags"],
    "a frame that the schedule passes through": ["test_cli.py::test_untouched_pictures_return_bit_for_bit"],
    "depth": [
        "test_video.py::test_deep_rgb_files_arrive_bit_for_bit",
        "test_video_hdr.py::test_hdr10_is_in_the_stream_and_in_the_container",
    ],
    "output rates": [
        "test_schedule.py::test_counts_of_constant_rates",
        "test_times.py::test_a_varying_rate_keeps_every_time_exactly",
    ],
    "cuts": [
        "test_defects.py::test_3_a_cut_among_the_first_frames_is_not_blended",
        "test_cli.py::test_cuts_are_found_edited_and_obeyed",
    ],
    "without an NVIDIA GPU": ["test_real_clip.py::"],
    "networks": ["test_models.py::test_the_example_interpolates_from_file_to_file"],
}


def test_every_row_of_the_table_is_held_by_a_test() -> None:
    rows = re.findall(r"^\| ([^|]+) \|", README, flags=re.M)
    assert set(rows) == set(PROOF), "a row without a proof, or a proof without a row"


@pytest.mark.parametrize("proof", [proof for proofs in PROOF.values() for proof in proofs])
def test_the_tests_exist(proof: str) -> None:
    file, _, name = proof.partition("::")
    assert f"def {name or 'test_'}" in (TESTS / file).read_text(encoding="utf-8")


def test_the_figures_are_those_that_were_measured() -> None:
    results = json.loads((ROOT / "bench/results/quick.json").read_text())["results"]
    wanted = {"size": "448x256", "model": "gmfss", "scale": 1.0, "device": "cpu"}
    (small,) = [each for each in results if wanted.items() <= each.items()]
    seconds = [small["seconds"], small["seed_seconds"]]
    assert re.findall(r"(\d+\.\d\d) s\b", README) == [f"{each:.2f}" for each in seconds]


def test_it_fits_one_screen() -> None:
    assert len(README.splitlines()) <= 60
