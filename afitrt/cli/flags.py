"""Command-line options in groups: each group is a frozen dataclass that turns its texts into an options value.

Numbers arrive as text, so that a wrong one is answered by our own three-part error and not by the parser's.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from afitrt.errors import UsageError
from afitrt.options import (
    AUTO_SCALE,
    DETECTORS,
    MAX_N_FORWARD,
    OUR_MODELS,
    PRECISIONS,
    RUNTIMES,
    SCALES,
    EncodeOptions,
    ModelOptions,
    SceneOptions,
    ScheduleOptions,
)

AUTO = "auto"


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """Spreads each parameter of a dataclass type into one option a field, and gathers them again at the call."""
    hints = get_type_hints(command, include_extras=True)
    groups = {name: kind for name, kind in hints.items() if is_dataclass(kind) and isinstance(kind, type)}
    parameters = []
    for name, parameter in inspect.signature(command).parameters.items():
        if name not in groups:
            parameters.append(parameter.replace(annotation=hints[name]))
            continue
        kinds = get_type_hints(groups[name], include_extras=True)
        parameters += [
            inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=f.default, annotation=kinds[f.name])
            for f in fields(groups[name])
        ]

    @functools.wraps(command)
    def spread(**given: Any) -> None:
        gathered = {name: kind(**{f.name: given.pop(f.name) for f in fields(kind)}) for name, kind in groups.items()}
        command(**given, **gathered)

    spread.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        sorted(parameters, key=lambda parameter: parameter.kind)
    )
    spread.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return spread


def whole(option: str, text: str, expected: str, example: str) -> int:
    """The whole number in an option's text. Raises UsageError."""
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"{option} {text}", expected, example) from None


def number(option: str, text: str, example: str) -> float:
    """The finite number in an option's text. Raises UsageError."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UsageError(f"{option} {text}", "a number", example)
    return value


def stream_number(text: str) -> int:
    """The number in --video's text. Raises UsageError."""
    if not text.isdecimal():
        raise UsageError(f"--video {text}", "ffmpeg's number of a track, from 0", "--video 1")
    return int(text)


def clock_time(option: str, text: str | None) -> Fraction | None:
    """Seconds of "12.5" or "HH:MM:SS.mmm" (hours and minutes may be left out). Raises UsageError."""
    if text is None:
        return None
    total = Fraction(0)
    try:
        for part in text.split(":", 2):
            value = Fraction(part)
            if value < 0:
                raise ValueError(part)
            total = total * 60 + value
    except (ValueError, ZeroDivisionError):
        raise UsageError(f"{option} {text}", "seconds or HH:MM:SS.mmm", f"{option} 00:01:30.5") from None
    return total


@dataclass(frozen=True)
class ScheduleFlags:
    """How many pictures, and how holds are smoothed."""

    times: Annotated[
        str | None, typer.Option("--times", "-t", help="Pictures for each source frame.", show_default="2")
    ] = None
    fps: Annotated[
        str | None,
        typer.Option("--fps", help="Pictures for each second instead: 60, 60000/1001, 59.94 (NTSC)."),
    ] = None
    n_forward: Annotated[
        str | None,
        typer.Option(
            "--n-forward", "-n", help="Smoothing passes: holds minus 1. 2 cures threes.", show_default="automatic"
        ),
    ] = None
    n_pass: Annotated[
        str | None, typer.Option("--n-pass", help="The same in MultiPassDedup's words: n-forward + 1.")
    ] = None
    shrink: Annotated[
        bool, typer.Option("--shrink/--no-shrink", help="End scenes with new pictures, not with repeats.")
    ] = True
    correct: Annotated[
        bool, typer.Option("--correct/--no-correct", help="Even out the motion at both ends of a scene.")
    ] = True

    def options(self) -> ScheduleOptions:
        """Raises UsageError."""
        from afitrt.rates import parse_rate

        fps = None if self.fps is None else parse_rate(self.fps, "--fps")
        times = 2 if fps is None else None
        if self.times is not None:
            example = "--fps for a rate that is not a whole multiple, as in --fps 60"
            times = whole("--times", self.times, "a whole number from 1", example)
        return ScheduleOptions(times, fps, self._passes(), self.shrink, self.correct)

    def _passes(self) -> int:
        if self.n_forward is not None and self.n_pass is not None:
            raise UsageError("both --n-forward and --n-pass", "one of the two", "--n-forward 2")
        expected = "a whole number from 0 (automatic) to 16"
        if self.n_pass is not None:
            return self._multipass(self.n_pass)
        return whole("--n-forward", self.n_forward or "0", expected, "--n-forward 2")

    @staticmethod
    def _multipass(text: str) -> int:
        expected = f"0 (automatic) or a whole number from 2 to {MAX_N_FORWARD + 1}"
        passes = whole("--n-pass", text, expected, "--n-pass 3")
        if passes == 1 or not 0 <= passes <= MAX_N_FORWARD + 1:
            raise UsageError(f"--n-pass {passes}", expected, "--n-pass 3, the same as --n-forward 2")
        return max(0, passes - 1)


@dataclass(frozen=True)
class FilterFlags:
    """Which frames of the source are taken, and what ffmpeg does to them before anything else."""

    deinterlace: Annotated[bool, typer.Option("--deinterlace", help="Undo interlacing first (bwdif).")] = False
    ivtc: Annotated[
        bool, typer.Option("--ivtc", help="Give telecined film its own frames back first (fieldmatch, decimate).")
    ] = False
    vf: Annotated[
        str | None, typer.Option("--vf", help="Any other filters of ffmpeg first, as in --vf crop=1280:720.")
    ] = None
    video: Annotated[
        str | None,
        typer.Option(
            help="The video to take, by ffmpeg's number of its track.", show_default="flagged default, then the longest"
        ),
    ] = None

    def number(self) -> int | None:
        """Of the video stream to take, None where none is named. Raises UsageError."""
        return None if self.video is None else stream_number(self.video)

    def chain(self) -> str:
        """One chain of ffmpeg's filters, "" for none. Raises UsageError."""
        from afitrt.video.filters import DEINTERLACE, IVTC

        if self.deinterlace and self.ivtc:
            raise UsageError("both --deinterlace and --ivtc", "one of the two", "--ivtc, which does both where needed")
        chosen = [DEINTERLACE] * self.deinterlace + [IVTC] * self.ivtc + ([self.vf] if self.vf else [])
        return ",".join(chosen)


@dataclass(frozen=True)
class SceneFlags:
    """Where scenes begin."""

    detector: Annotated[str, typer.Option(help=f"Scene detector: {', '.join(DETECTORS)}.")] = "svfi"
    scene_threshold: Annotated[str, typer.Option(help="Sensitivity of svfi; lower finds more cuts.")] = "14"
    cuts: Annotated[
        str | None,
        typer.Option(help="Cuts to use instead: 31,64, or a file as `afitrt scenes IN -o FILE` writes it."),
    ] = None

    def options(self) -> SceneOptions:
        """Raises UsageError or InputError."""
        cuts = None if self.cuts is None else _cuts(self.cuts)
        threshold = number("--scene-threshold", self.scene_threshold, "--scene-threshold 14")
        return SceneOptions(self.detector, threshold, cuts)


def _cuts(text: str) -> tuple[int, ...]:
    from afitrt.scenes import check_cuts, read_cuts

    parts = [part.strip() for part in text.split(",")]
    if all(part.isdigit() for part in parts):
        return check_cuts([int(part) for part in parts])
    return read_cuts(Path(text))


@dataclass(frozen=True)
class ModelFlags:
    """Which network runs where."""

    model: Annotated[str, typer.Option(help=f"Network: {', '.join(OUR_MODELS)}, or one of `afitrt models`.")] = "gmfss"
    weights: Annotated[str, typer.Option(help="Weight set, as `afitrt weights list` names it.")] = "gmfss-union"
    scale: Annotated[
        str,
        typer.Option(help=f"Optical flow's scale: auto (by the size), or {', '.join(f'{s:g}' for s in SCALES)}."),
    ] = AUTO
    precision: Annotated[
        str | None,
        typer.Option(help=f"Arithmetic: {', '.join(PRECISIONS)}.", show_default="fp16 on TensorRT, fp32 on onnx"),
    ] = None
    runtime: Annotated[
        str | None,
        typer.Option(help=f"Runtime: {', '.join(RUNTIMES)}.", show_default="TensorRT where it works, else onnx"),
    ] = None
    device: Annotated[
        str | None,
        typer.Option(
            help="Which GPU, from 0; with onnx, through its CUDA provider.", show_default="the CPU on onnx, else GPU 0"
        ),
    ] = None
    threads: Annotated[str, typer.Option(help="CPU threads of the network.", show_default="all cores")] = "0"

    def options(self, building: bool = False) -> ModelOptions:
        """building: engines are wanted, perhaps for other machines, not a runtime for this one. Raises UsageError."""
        threads = whole("--threads", self.threads, "a whole number from 0 (all cores)", "--threads 2")
        device = None
        if self.device is not None:
            device = whole("--device", self.device, "a whole number from 0", "--device 0")
        runtime = self.runtime or self._best_runtime(device or 0, building)
        precision = self.precision or ("fp32" if runtime == "onnx" else "fp16")
        return ModelOptions(self.model, self.weights, self._scale(), precision, runtime, threads, device)

    def _scale(self) -> float:
        if self.scale == AUTO:
            return AUTO_SCALE
        listed = f"{AUTO}, or one of " + ", ".join(f"{s:g}" for s in SCALES)
        try:
            scale = float(self.scale)
        except ValueError:
            scale = AUTO_SCALE
        if scale == AUTO_SCALE:
            raise UsageError(f"--scale {self.scale}", listed, "--scale 1.0")
        return scale

    def _best_runtime(self, device: int, building: bool) -> str:
        from afitrt.runtimes import choosing

        return choosing.for_building(device) if building else choosing.for_running(device)


@dataclass(frozen=True)
class EncodeFlags:
    """How the result is encoded."""

    codec: Annotated[
        str, typer.Option(help="Encoder: x265, x264, svt-av1, ffv1, prores, nvenc, vaapi, or ffmpeg's name.")
    ] = "libx265"
    crf: Annotated[
        str | None, typer.Option(help="Quality; lower is better and larger.", show_default="the encoder's own")
    ] = None
    preset: Annotated[str | None, typer.Option(help="The encoder's preset.", show_default="the encoder's own")] = None
    pix_fmt: Annotated[str | None, typer.Option(help="Pixel format.", show_default="10 bit 4:2:0 where it fits")] = None
    encoder_args: Annotated[
        str | None, typer.Option(help="More options of the encoder, as in '-tune animation -g 120'.")
    ] = None

    def options(self) -> EncodeOptions:
        """Raises UsageError."""
        from afitrt.video import parse_arguments

        crf = None if self.crf is None else number("--crf", self.crf, "--crf 16")
        extra = () if self.encoder_args is None else parse_arguments(self.encoder_args)
        return EncodeOptions(self.codec, crf, self.preset, self.pix_fmt, extra)
