"""`afitrt between`: pictures between two stills; how to report a bad frame."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from afitrt.cli.flags import ModelFlags, grouped


@grouped
def between(
    left: Annotated[Path, typer.Argument(metavar="A.png", help="First picture: PNG or .npy.", show_default=False)],
    right: Annotated[Path, typer.Argument(metavar="B.png", help="Second picture.", show_default=False)],
    *,
    model: ModelFlags,
    times: Annotated[str, typer.Option("--times", help="Moments between 0 and 1, as in 0.25,0.5.")] = "0.5",
    output: Annotated[str, typer.Option("-o", help="Files to write; %d counts from 0.")] = "out-%d.png",
) -> None:
    """Interpolate between two stills. PNG is 16 bit; .npy is float32 [height, width, 3], RGB, 0..1."""
    from afitrt import stills
    from afitrt.cli.console import stderr, stdout

    moments = stills.parse_times(times)
    say = lambda text: stderr.print(text, markup=False)  # noqa: E731
    for path in stills.between(left, right, moments, model.options(), output, say):
        stdout.print(str(path), markup=False)
