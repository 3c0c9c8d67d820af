"""Still pictures: 16-bit PNG and float32 .npy in and out, and interpolation between two of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from afitrt import models
from afitrt.artefacts import writing_in, written_aside
from afitrt.errors import InputError, OutputError, UsageError
from afitrt.file_names import check_name
from afitrt.frames import Planar
from afitrt.options import ModelOptions


def parse_times(text: str) -> list[Fraction]:
    """Moments of "0.25,0.5", each in 0..1. Raises UsageError."""
    try:
        times = [Fraction(part.strip()) for part in text.split(",")]
    except (ValueError, ZeroDivisionError):
        times = []
    if not times or not all(0 <= t <= 1 for t in times):
        raise UsageError(f"--times {text}", "moments from 0 to 1", "--times 0.25,0.5")
    return times


def read(path: Path) -> Planar:
    """float32 [height, width, 3], RGB, 0..1, of a PNG (8 or 16 bit) or an .npy file. Raises InputError."""
    if path.suffix == ".npy":
        return _read_array(path)
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}", "a picture", "another path") from error
    picture = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
    if picture is None or picture.dtype not in (np.uint8, np.uint16):
        raise InputError(f"{path} is no picture of 8 or 16 bit", "a PNG file", "convert it to PNG")
    if picture.ndim == 2:
        picture = cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR)
    if picture.shape[2] != 3:
        raise InputError(f"{path} has an alpha channel", "RGB without alpha", "flatten it onto a background")
    rgb: Planar = (picture[:, :, ::-1] / np.float32(np.iinfo(picture.dtype).max)).astype(np.float32)
    return rgb


def _read_array(path: Path) -> Planar:
    try:
        picture: Planar = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"cannot read {path}: {error}", "an .npy file", "numpy.save(path, array)") from error
    if picture.dtype != np.float32 or picture.ndim != 3 or picture.shape[2] != 3:
        raise InputError(
            f"{path} holds {picture.dtype} {picture.shape}",
            "float32 [height, width, 3], RGB, 0..1",
            "numpy.save(path, array.astype('float32'))",
        )
    return picture


def write(path: Path, picture: Planar) -> None:
    """Writes float32 [height, width, 3], RGB, 0..1, as 16-bit PNG, or unchanged as .npy. Raises OutputError."""
    with writing_in(path.parent), written_aside(path) as aside, aside.open("wb") as file:
        if path.suffix == ".npy":
            np.save(file, picture)
            return
        levels = np.rint(np.clip(picture, 0, 1) * 65535).astype(np.uint16)
        file.write(cv2.imencode(".png", levels[:, :, ::-1])[1].tobytes())


def between(
    left: Path, right: Path, times: list[Fraction], options: ModelOptions, output: str, say: Callable[[str], None]
) -> Iterator[Path]:
    """Writes one picture for each time to `output`, in which %d counts from 0; yields their paths.

    Raises UsageError or OutputError for the name, InputError for the pictures.
    """
    if Path(output).suffix not in (".png", ".npy"):
        raise OutputError(f"-o {output}", "a name that ends in .png or .npy", "-o out-%d.png")
    if len(times) > 1 and "%d" not in output:
        raise UsageError(f"-o {output} for {len(times)} pictures", "a name with %d", "-o out-%d.png")
    check_name(Path(output), "-o with a shorter name")
    first, second = read(left), read(right)
    height, width, _ = first.shape
    if first.shape != second.shape:
        raise InputError(
            f"{right} is {second.shape[1]}x{second.shape[0]}",
            f"{width}x{height}, as {left} is",
            "two pictures of one size",
        )
    interpolator = models.make(options, width, height, np.float32, say, (2 + len(times), 2))
    try:
        pictures = interpolator.between(interpolator.upload(first), interpolator.upload(second), times)
        for index, picture in enumerate(pictures):
            path = Path(output.replace("%d", str(index)))
            write(path, np.asarray(interpolator.download(picture), np.float32))
            yield path
    finally:
        interpolator.close()
