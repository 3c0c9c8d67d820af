"""`afitrt build-engine`: stages made ready for this machine's runtime."""

from __future__ import annotations

from typing import Annotated

import typer

from afitrt.cli.flags import ModelFlags, grouped
from afitrt.errors import UsageError


@grouped
def build_engine(
    *,
    model: ModelFlags,
    size: Annotated[str, typer.Option(help="Size of the video, WxH.")] = "1920x1080",
) -> None:
    """Make every stage of the network ready for one size; `interpolate` does the same on the way."""
    from afitrt import models
    from afitrt.cli.console import stderr, stdout

    options = model.options()
    width, height = _size(size)
    stderr.print(
        "runtime: ONNX Runtime on this CPU, fp32; a GPU needs an NVIDIA driver and TensorRT, see `afitrt doctor`"
    )
    for path in models.prepare(options, width, height, lambda text: stderr.print(text, markup=False)):
        stdout.print(str(path), markup=False)


def _size(text: str) -> tuple[int, int]:
    width, cross, height = text.partition("x")
    if not (cross and width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise UsageError(f"--size {text}", "a width and a height, WxH", "--size 1920x1080")
    return int(width), int(height)
