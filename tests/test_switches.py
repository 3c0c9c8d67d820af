"""The table for those who come from the older scripts: every right column is typed and understood."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from command import afitrt
from video_helpers import drawn

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "switches.md"
# What stands for a value in the table, and a value that differs from the default.
VALUES = {"N": "3", "T": "5", "F": "60000/1001", "S": "0.5"}
# What a dry run tells of a switch; None where it tells nothing.
SEEN = {
    "--normalize 24000/1001": {"source_rate": "24000/1001"},
    "--n-forward N": {"n_forward": 3},
    "--n-forward 0": {"n_forward": 2},
    "--n-pass N": {"n_forward": 2},
    "--times T": {"rate": "125"},
    "--fps F": {"rate": "60000/1001"},
    "--codec libx265 --crf 16 --preset slow": {"codec": "libx265"},
    "--codec libx264 --crf 16 --preset medium --pix-fmt yuv420p": {"codec": "libx264", "pix_fmt": "yuv420p"},
    "--codec hevc_nvenc": {"codec": "hevc_nvenc"},
}


def rows() -> list[tuple[str, list[str]]]:
    """The left cell of every row, and the code of its right cell that begins with --."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ") and "| theirs |" not in line]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    assert all(len(row) == 3 for row in cells)
    return [(left, re.findall(r"`(--[^`]+)`", right)) for left, _, right in cells]


TYPED = [(left, switch) for left, switches in rows() for switch in switches]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """320x240, so that hardware encoders take it."""
    return drawn(tmp_path_factory.mktemp("in") / "in.mkv", [np.full((240, 320, 3), k, np.uint8) for k in range(12)])


def test_the_page_has_both_scripts_and_their_switches() -> None:
    told = " ".join(left for left, _ in rows())
    for switch in (
        "-nf",
        "-np",
        "-t",
        "-fps",
        "-m gmfss",
        "-m rife",
        "-s",
        "-st",
        "-stf",
        "-c",
        "-scale",
        "-half",
        "-hw",
    ):
        assert f"`{switch}" in told, switch
    assert len(rows()) >= 30


@pytest.mark.parametrize("left, switch", TYPED, ids=lambda value: str(value).strip("`"))
def test_every_row_can_be_typed(clip: Path, left: str, switch: str) -> None:
    words = [re.sub(r"^([A-Z])(-1)?$", lambda found: VALUES[found[1]], word) for word in switch.split()]
    ran = afitrt("interpolate", clip, "--dry-run", "--json", *words)
    assert ran.code == 0, f"{left}: {ran.err}"
    facts = json.loads(ran.out)
    for name, value in SEEN.get(switch, {}).items():
        assert facts[name] == value, left


def test_the_defaults_it_names(clip: Path) -> None:
    facts = json.loads(afitrt("interpolate", clip, "--dry-run", "--json").out)
    assert (facts["n_forward"], facts["rate"], facts["codec"]) == (2, "50", "libx265")


def test_what_it_says_of_outputs(clip: Path, tmp_path: Path) -> None:
    for out in (f"{tmp_path}/folder/", tmp_path / "out" / "%09d.png", tmp_path / "file.mkv"):
        assert afitrt("interpolate", clip, out, "--model", "blend", "--end", "0.1").code == 0
    assert (tmp_path / "folder" / "000000001.png").exists() and (tmp_path / "out" / "000000006.png").exists()
    assert (tmp_path / "file.mkv").exists()
