"""`afitrt models`: the networks that --model finds, and their facts."""

from __future__ import annotations

from typing import Annotated

import typer


def models(as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False) -> None:
    """List the networks that are here, those of other packages included, with their facts."""
    from dataclasses import asdict

    from afitrt import models as room
    from afitrt.cli.console import print_json, stdout

    found = room.available()
    if as_json:
        print_json({"models": [asdict(each) for each in found]})
        return
    for each in found:
        stdout.print(f"{each.name} ({each.package})", markup=False)
        if each.problem:
            stdout.print(f"  broken: {each.problem}", markup=False)
            continue
        scales = ", ".join(f"{scale:g}" for scale in each.scales)
        runs = f"runs on {', '.join(each.runtimes)}" if each.runtimes else "brings its own arithmetic"
        stdout.print(f"  {each.about}", markup=False)
        stdout.print(
            f"  {runs}; scales {scales}; sides are padded to multiples of {each.multiple}; "
            f"about {each.memory / 1e9:.1f} GB for a pair at 1920x1080",
            markup=False,
        )
