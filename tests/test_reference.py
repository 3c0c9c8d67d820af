"""The reference is what the code says of itself."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import afitrt

DOCS = Path(__file__).resolve().parent.parent / "docs"
sys.path.insert(0, str(DOCS))

import make_reference  # noqa: E402


def test_the_page_of_commands_is_up_to_date() -> None:
    assert make_reference.PAGE.read_text(encoding="utf-8") == make_reference.commands(), "make docs"


def test_the_table_of_rooms_is_up_to_date() -> None:
    assert make_reference.GUIDE.read_text(encoding="utf-8") == make_reference.guide(), "make docs"


@pytest.mark.slow
def test_the_api_is_built_from_docstrings(tmp_path: Path) -> None:
    pytest.importorskip("pdoc")
    make_reference.api(tmp_path)
    top = (tmp_path / "afitrt.html").read_text(encoding="utf-8")
    assert all(f'id="{name}"' in top for name in afitrt.__all__ if name != "__version__")
    assert {each.stem for each in (tmp_path / "afitrt").glob("*.html")} == {
        room.removeprefix("afitrt.") for room in make_reference.PUBLIC if "." in room and not room.startswith("!")
    }
    models = (tmp_path / "afitrt/models.html").read_text(encoding="utf-8")
    assert 'id="Interpolator.between"' in models and "matched once for all of them" in models


def test_what_the_python_page_calls_public_is_what_is_built() -> None:
    page = (DOCS / "reference/python.md").read_text(encoding="utf-8")
    assert all(f"`{room}`" in page for room in make_reference.PUBLIC if not room.startswith("!"))
