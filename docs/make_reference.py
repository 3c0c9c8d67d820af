"""The reference, from the code: every command's page from Typer, the Python API's pages from docstrings by pdoc.

    python docs/make_reference.py [FOLDER]

It writes docs/reference/cli.md, and the API as HTML into FOLDER (build/docs).
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import typer
from typer.cli import get_docs_for_click

import afitrt
from afitrt.cli import app

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/reference/cli.md"
GUIDE = ROOT / "CONTRIBUTING.md"
HEAD = "<!-- Made by `make docs` of what each command says of itself: change that instead. -->\n\n"
ROOMS = ("afitrt", *(f"afitrt.{room}" for room in ("errors", "events", "frames", "models", "options", "schedule")))
PUBLIC = (*ROOMS, "afitrt.testing", "!afitrt.models.", "!afitrt.schedule.")
"""What pdoc is told: public rooms, without the files inside them."""


def commands() -> str:
    """The page of all commands, as Typer's own documentation tool writes it."""
    command = typer.main.get_command(app)
    with typer.Context(command, info_name="afitrt") as context:
        text = get_docs_for_click(obj=command, ctx=context, name="afitrt", title="Commands")
    return HEAD + text.strip() + "\n"


def api(folder: Path) -> None:
    """HTML pages of the public rooms."""
    import pdoc

    for name in afitrt.__all__:  # pdoc sees only what is loaded
        setattr(afitrt, name, getattr(afitrt, name))
    # Fields of named tuples lose their module's names on the way to pdoc; it shows them as they are written.
    warnings.filterwarnings("ignore", "Error parsing type annotation")
    pdoc.render.configure(docformat="markdown", show_source=False, footer_text="afitrt")
    pdoc.pdoc(*PUBLIC, output_directory=folder)


def guide() -> str:
    """CONTRIBUTING with the table of rooms as the test of the house holds it."""
    from test_house import BASE, TABLE

    lines = ["| room | may import |", "|---|---|"]
    for name, below in TABLE.items():
        whole = below >= BASE
        listed = sorted(below - BASE if whole else below)
        words = [*(["*values*"] if whole else []), *(f"`{each}`" for each in listed)]
        lines.append(f"| `{name}` | {', '.join(words) or 'nothing'} |")
    values = ", ".join(f"`{each}`" for each in sorted(BASE))
    text = GUIDE.read_text(encoding="utf-8")
    begin, end = "<!-- rooms: make docs -->", "<!-- end -->"
    before, rest = text.split(begin)
    table = "\n".join([*lines, "", f"*values* are {values}."])
    return f"{before}{begin}\n{table}\n{end}{rest.split(end, 1)[1]}"


def main() -> None:
    PAGE.write_text(commands(), encoding="utf-8")
    GUIDE.write_text(guide(), encoding="utf-8")
    api(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build/docs")


if __name__ == "__main__":
    main()
