"""What the measuring scripts committed: figures of the right shape, goals that are met, tables made of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import start

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "explanation" / "speed.md").read_text(encoding="utf-8")


def results(name: str) -> dict[str, Any]:
    """The committed figures of a script."""
    found: dict[str, Any] = json.loads((ROOT / "bench" / "results" / f"{name}.json").read_text())
    assert {"cpu", "cores"} <= found["hardware"].keys()
    return found


def put(command: str, table: str) -> str:
    """A table as it stands in the page."""
    return f"<!-- table: {command} -->\n{table}\n<!-- end of the table -->"


def test_the_table_of_the_start_is_made_of_its_figures() -> None:
    found = results("start")
    assert put(start.COMMAND, start.table(found)) in PAGE
    assert [row["what"] for row in found["results"] if row["goal"]] == [
        "`afitrt --help`",
        "`interpolate` to its first picture",
        "stages of a new size, made and loaded",
    ]


@pytest.mark.parametrize(
    "row", [row for row in results("start")["results"] if row["goal"]], ids=lambda row: row["what"]
)
def test_the_start_is_as_quick_as_it_should_be(row: dict[str, Any]) -> None:
    assert 0 < row["seconds"] < row["goal"]
