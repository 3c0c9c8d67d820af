"""Exit codes: one table, which is the tree of errors, and real commands that leave with them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from command import afitrt
from video_helpers import pattern

from afitrt import errors
from afitrt.cli import EPILOG

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "exit-codes.md"
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.read_text().splitlines()
    if re.match(r"\| \d", line)
]
CLASSES = {each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, errors.AfitrtError)}


def test_the_table_is_the_tree_of_errors() -> None:
    named = {int(code): name.strip("`") for code, name, _, _ in ROWS if name}
    assert named == {each.exit_code: each.__name__ for each in CLASSES}
    assert [int(code) for code, *_ in ROWS] == sorted({0, *named})


def test_only_what_passes_by_itself_is_to_be_tried_again() -> None:
    assert {int(code) for code, _, _, again in ROWS if again == "yes"} == {errors.RetryError.exit_code}
    assert {again for *_, again in ROWS} == {"yes", "no"}


def test_help_lists_the_same_codes() -> None:
    assert [int(code) for code in re.findall(r"(\d+) ", EPILOG)] == [int(code) for code, *_ in ROWS]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("in.mkv", "--times", "0"), 2),
        (("none.mkv",), 3),
        (("text.mkv",), 3),
        (("in.mkv", "in.mkv"), 4),
        (("in.mkv", "--codec", "none"), 5),
        (("in.mkv", "--weights", "none"), 6),
    ],
)
def test_what_somebody_must_change_is_not_to_be_tried_again(
    words: tuple[str, ...], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pattern(tmp_path / "in.mkv", seconds=0.2)
    (tmp_path / "text.mkv").write_text("no video")
    assert afitrt("interpolate", *words, "--runtime", "onnx").code == code
    assert next(again for number, _, _, again in ROWS if int(number) == code) == "no"
