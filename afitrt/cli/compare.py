"""`afitrt compare`: how far two renderings are apart, and where."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from afitrt.cli.flags import whole
from afitrt.errors import PartialInputError, UsageError, counted
from afitrt.file_names import check_name

if TYPE_CHECKING:
    from afitrt.compare import Comparison

EPILOG = (
    "Exit codes: 0 compared, however different; 2 options; 3 a file cannot be read, or the sizes differ; 4 the picture "
    "cannot be written; 9 a file is damaged, and what decodes was compared."
)


def compare(
    left: Annotated[Path, typer.Argument(metavar="A", help="A video: the one to compare with.", show_default=False)],
    right: Annotated[Path, typer.Argument(metavar="B", help="Another of the same size.", show_default=False)],
    worst: Annotated[str, typer.Option("--worst", help="How many of the worst frames to list and draw.")] = "3",
    output: Annotated[
        Path | None, typer.Option("-o", help="Draw them into this PNG: A, B and their difference, a row each.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout, with a value a frame.")] = False,
) -> None:
    """Compare two videos frame by frame: PSNR, SSIM, and the worst frames side by side."""
    from afitrt import compare as room
    from afitrt.cli.console import print_json, stderr

    count = whole("--worst", worst, "a whole number from 1", "--worst 3")
    if count < 1:
        raise UsageError(f"--worst {count}", "a whole number from 1", "--worst 3")
    if output is not None:
        check_name(output, "-o with a shorter name")
    comparison = room.compare(left, right)
    frames = comparison.worst(count)
    if output is not None and frames:
        room.picture(comparison, frames, output)
    drawn = output if frames else None
    if as_json:
        print_json(_facts(comparison, frames, drawn))
    else:
        for note in comparison.notes:
            stderr.print(f"warning: {note}", style="yellow", markup=False)
        _print(comparison, frames, drawn)
    if not comparison.whole:
        raise PartialInputError(
            comparison.notes[0], "two whole videos", "take the figures for what decodes, or use whole copies"
        )


def _facts(comparison: Comparison, frames: list[int], drawn: Path | None) -> dict[str, Any]:
    """Everything as JSON values; null is an infinite PSNR, that of equal frames."""
    first, second = comparison.first, comparison.second
    return {
        "a": str(first.path),
        "b": str(second.path),
        "size": f"{first.width}x{first.height}",
        "frames_a": first.frames,
        "frames_b": second.frames,
        "frames": comparison.frames,
        "compared_as": comparison.compared_as,
        "psnr": {"mean": _finite(comparison.mean_psnr), "min": _finite(comparison.psnr.min())},
        "ssim": {"mean": float(comparison.ssim.mean()), "min": float(comparison.ssim.min())},
        "equal_frames": int((~_differs(comparison)).sum()),
        "worst": [
            {
                "frame": index,
                "seconds": float(comparison.seconds(index)),
                "psnr": float(comparison.psnr[index]),
                "ssim": float(comparison.ssim[index]),
            }
            for index in frames
        ],
        "picture": None if drawn is None else str(drawn),
        "warnings": list(comparison.notes),
        "psnr_of_frames": [_finite(value) for value in comparison.psnr],
        "ssim_of_frames": comparison.ssim.tolist(),
    }


def _differs(comparison: Comparison) -> Any:
    import numpy as np

    return np.isfinite(comparison.psnr)


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _print(comparison: Comparison, frames: list[int], drawn: Path | None) -> None:
    from rich.table import Table

    from afitrt.cli.console import stdout

    first, equal = comparison.first, int((~_differs(comparison)).sum())
    size = f"{first.width}x{first.height}, {comparison.compared_as}"
    stdout.print(f"{counted(comparison.frames, 'frame')} compared, {equal} of them equal; {size}", markup=False)
    table = Table("", "mean", "min", box=None)
    table.add_row("PSNR, dB", f"{comparison.mean_psnr:.2f}", f"{comparison.psnr.min():.2f}")
    table.add_row("SSIM", f"{comparison.ssim.mean():.4f}", f"{comparison.ssim.min():.4f}")
    stdout.print(table)
    if frames:
        worst = Table("worst frame", "seconds", "PSNR, dB", "SSIM", box=None)
        for index in frames:
            seconds, psnr = float(comparison.seconds(index)), comparison.psnr[index]
            worst.add_row(str(index), f"{seconds:.3f}", f"{psnr:.2f}", f"{comparison.ssim[index]:.4f}")
        stdout.print(worst)
    if drawn is not None:
        stdout.print(f"{drawn}: A, B and their difference", markup=False)
