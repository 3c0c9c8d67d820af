"""How far two renderings are apart: PSNR and SSIM of every frame by ffmpeg's filters, and the worst side by side.

Frame k of one is laid beside frame k of the other, whatever their time stamps say. Two files of one pixel format and
colour are compared as they are stored, any others as RGB, converted as `interpolate` reads them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from afitrt.artefacts import writing_in, written_aside
from afitrt.errors import InputError, OutputError, RenderError
from afitrt.frames import Change, VideoInfo
from afitrt.video import find, probe
from afitrt.video.colour import assumed_matrix, assumed_range, pixel_format, to_rgb
from afitrt.video.decode_errors import Signs
from afitrt.video.ffmpeg import Child, ending
from afitrt.video.input_options import front, opened
from afitrt.video.showinfo import LEVEL, SHOW, Listener, alike, changed

AMPLIFIED = 8
PANEL = 320
"""Pixels that a picture of the worst frames is wide at least, so that its label fits."""
STRIP = 24
PARTS = "cut it into parts whose pictures are alike"
# Frame k at time k, so that ffmpeg pairs frames by their number.
_ALIGNED = ("settb=1/25", "setpts=N")
_SHOWN = tuple(SHOW.replace("showinfo", f"showinfo@{name}") for name in ("first", "second"))
_KEY = re.compile(r"lavfi\.(?:psnr\.(mse)_avg|(ssim)\.All)=(\S+)")
_STORED = re.compile(r"(yuvj?|gray|gbrp)(?!a)")

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Comparison:
    """Both files frame by frame. psnr: dB, infinite where equal; ssim: 0..1, 1 where equal; one value a frame compared.

    mean_psnr: of the mean squared error over all frames. compared_as: the pixel format in which both were compared.
    notes: what a reader of the table should know, in plain lines. whole: both files decode to their ends.
    """

    first: VideoInfo
    second: VideoInfo
    compared_as: str
    psnr: Values
    ssim: Values
    mean_psnr: float
    notes: tuple[str, ...]
    whole: bool

    @property
    def frames(self) -> int:
        """Frames compared: those that both have."""
        return len(self.psnr)

    def worst(self, count: int) -> list[int]:
        """Frames of the lowest PSNR, worst first; equal frames are not among them."""
        order = np.argsort(self.psnr, kind="stable")[:count]
        return [int(index) for index in order if math.isfinite(self.psnr[index])]

    def seconds(self, index: int) -> Fraction:
        """When the first file shows this frame, after its first one."""
        return self.first.seconds(index) - self.first.seconds(0)


def compare(left: Path, right: Path) -> Comparison:
    """Compares two video files frame by frame.

    Raises InputError where one is no video, their sizes differ, or nothing decodes.
    """
    first, second = probe(left), probe(right)
    if (first.width, first.height) != (second.width, second.height):
        raise InputError(
            f"{left} is {first.width}x{first.height} and {right} is {second.width}x{second.height}",
            "two videos of one size",
            f"ffmpeg -i {right} -vf scale={first.width}:{first.height} scaled.mkv",
        )
    stored = _alike(first, second)
    depth = max(pixel_format(each.pix_fmt).depth for each in (first, second))
    shared = first.pix_fmt if stored else "gbrp16le" if depth > 8 else "gbrp"
    mse, ssim, damage = _measured(first, second, shared, stored)
    peak = 2 ** pixel_format(shared).depth - 1
    return Comparison(
        first=first,
        second=second,
        compared_as=shared,
        psnr=_decibels(mse, peak),
        ssim=ssim,
        mean_psnr=float(_decibels(mse.mean(keepdims=True), peak)[0]),
        notes=tuple(_notes(first, second, len(mse), stored, damage)),
        whole=len(mse) == min(first.frames, second.frames) and not (first.damage or second.damage or damage),
    )


def _alike(first: VideoInfo, second: VideoInfo) -> bool:
    """Do the same numbers mean the same colours, in a layout that the filters know?"""

    def meaning(info: VideoInfo) -> tuple[object, ...]:
        matrix = assumed_matrix(info.colour, info.width, info.height)
        return info.pix_fmt, matrix, assumed_range(info.colour, pixel_format(info.pix_fmt)), info.colour.chroma_location

    return meaning(first) == meaning(second) and bool(_STORED.match(first.pix_fmt))


def _decibels(mse: Values, peak: int) -> Values:
    with np.errstate(divide="ignore"):
        decibels: Values = 10 * np.log10(peak**2 / mse)
    return decibels


def _measured(first: VideoInfo, second: VideoInfo, shared: str, stored: bool) -> tuple[Values, Values, str]:
    """Mean squared error and SSIM of every frame that both have, and what ffmpeg says of damage, "" for none."""
    chains = [
        ",".join([*front(each), show, *_ALIGNED, *([] if stored else _wide_rgb(each, shared))])
        for each, show in zip((first, second), _SHOWN, strict=True)
    ]
    graph = (
        f"[0:{first.stream}]{chains[0]}[a];[1:{second.stream}]{chains[1]},split[b][c];"
        "[a][b]psnr=shortest=1[d];[d][c]ssim=shortest=1,metadata=mode=print:file=-[out]"
    )
    command = [*_inputs(first, second), "-filter_complex", graph, "-map", "[out]"]
    found: dict[str, list[float]] = {"mse": [], "ssim": []}
    signs = Signs(first.codec, second.codec)
    heard = _Both(signs)
    command += ["-fps_mode", "passthrough", "-f", "null", "-"]
    with Child(command, stdout=True, hear=heard, ended=heard.close) as child:
        for line in child.stdout:
            if key := _KEY.match(line.decode("ascii", "replace")):
                found[key[1] or key[2]].append(float(key[3]))
        code, errors = child.wait(), child.errors
    heard.check(first, second)
    if not found["ssim"] or code < 0:
        raise (RenderError if code < 0 else InputError)(
            f"ffmpeg, comparing {first.path} and {second.path}, {ending(code, errors)}",
            "two videos that decode",
            "run the command again; if it repeats, look at both with a player",
        )
    damage = "; ".join((*errors, *signs.summary)[-2:]) if signs.damaged else ""
    return np.array(found["mse"]), np.array(found["ssim"]), damage


class _Both:
    """Hears what becomes of the pictures of either file."""

    def __init__(self, hear: Callable[[str], str]) -> None:
        self._hear = hear
        self._listeners = tuple(Listener(str, show.partition("=")[0]) for show in _SHOWN)

    def __call__(self, line: str) -> str:
        """See Listener."""
        kept = [each(line) for each in self._listeners]
        return self._hear(line) if all(kept) else ""

    def close(self) -> None:
        """See Listener."""
        for each in self._listeners:
            each.close()

    def check(self, first: VideoInfo, second: VideoInfo) -> None:
        """Raises InputError where pictures differ from the first one of their file, or began to and ended the run."""
        frame = 0
        for info, listener in zip((first, second), self._listeners, strict=True):
            frame = 0
            while (told := listener.next()) and frame < info.frames:
                if info.picture and not alike(told[0], info.picture):
                    raise changed(info, frame, Change(info.seconds(frame), (info.picture, told[0])), PARTS)
                frame += 1
        if any(each.anew for each in self._listeners):
            raise InputError(f"{first.path} or {second.path} changes near frame {frame}", "pictures of one kind", PARTS)


def _inputs(first: VideoInfo, second: VideoInfo) -> list[str]:
    return [find().path, "-hide_banner", "-nostdin", "-nostats", *LEVEL, *opened(first), *opened(second)]


def _wide_rgb(info: VideoInfo, shared: str) -> list[str]:
    """Filters to full-range planar RGB; zscale widens, since swscale's 16 bits have another white."""
    narrow = pixel_format(info.pix_fmt).depth <= 8
    if narrow and shared == "gbrp16le":
        widen = "zscale=matrixin=gbr:matrix=gbr:rangein=full:range=full:dither=none"
        return [*to_rgb(info), "format=gbrp", widen, f"format={shared}"]
    return [*to_rgb(info), f"format={shared}"]


def _notes(first: VideoInfo, second: VideoInfo, frames: int, stored: bool, damage: str) -> list[str]:
    notes = [f"{info.path} is damaged: {info.damage}" for info in (first, second) if info.damage]
    if frames < (promised := min(first.frames, second.frames)):
        notes.append(f"{frames} of {promised} frames could be compared" + (f" ({damage})" if damage else ""))
    elif damage:
        notes.append(f"one of the two does not decode without errors ({damage})")
    if first.frames != second.frames:
        notes.append(
            f"{first.path} has {first.frames} frames and {second.path} {second.frames}: compared are the first {frames}"
        )
    if first.rate != second.rate:
        notes.append(f"frames are paired by number, though one is at {first.rate} and the other at {second.rate} fps")
    if not stored:
        notes.append(f"compared as RGB: stored are {first.pix_fmt} and {second.pix_fmt}, or their colours differ")
    return notes


def picture(comparison: Comparison, frames: list[int], path: Path) -> None:
    """Writes these frames as a PNG, one row each: first, second, and their difference, AMPLIFIED.

    Raises OutputError for another suffix or a place that cannot be written.
    """
    if path.suffix.lower() != ".png":
        raise OutputError(f"-o {path}", "a name that ends in .png", f"-o {path.stem or 'worst'}.png")
    rows = _rows(comparison, sorted(frames))
    labelled = [_labelled(comparison, index, rows[index]) for index in frames]
    encoded = cv2.imencode(".png", np.concatenate(labelled)[:, :, ::-1])[1].tobytes()
    with writing_in(path.parent), written_aside(path) as aside:
        aside.write_bytes(encoded)


def _rows(comparison: Comparison, frames: list[int]) -> dict[int, npt.NDArray[np.uint8]]:
    """Each frame as uint8 [height, 3 * width, 3], RGB."""
    first, second = comparison.first, comparison.second
    chosen = "+".join(f"eq(n\\,{index})" for index in frames)
    chains = [
        ",".join([*front(each), f"select={chosen}", *_ALIGNED, *to_rgb(each), "format=gbrp", "split"])
        for each in (first, second)
    ]
    graph = (
        f"[0:{first.stream}]{chains[0]}[a][a2];[1:{second.stream}]{chains[1]}[b][b2];"
        f"[a2][b2]blend=all_mode=difference,lutrgb=val*{AMPLIFIED}:val*{AMPLIFIED}:val*{AMPLIFIED}[d];"
        "[a][b][d]hstack=inputs=3,format=rgb24[out]"
    )
    command = [*_inputs(first, second), "-filter_complex", graph, "-map", "[out]", "-frames:v", str(len(frames))]
    shape = (first.height, 3 * first.width, 3)
    drawing = [*command, "-fps_mode", "passthrough", "-f", "rawvideo", "pipe:1"]
    with Child(drawing, stdout=True, hear=Signs()) as child:
        data = child.stdout.readall()  # type: ignore[attr-defined]
        code, errors = child.wait(), child.errors
    if len(data) != len(frames) * math.prod(shape):
        raise RenderError(
            f"ffmpeg, drawing {len(frames)} frames, {ending(code, errors)}", "all of them", "the command without -o"
        )
    return dict(zip(frames, np.frombuffer(data, np.uint8).reshape(-1, *shape), strict=True))


def _labelled(comparison: Comparison, index: int, row: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The row, enlarged where it is small, under a strip that says what is seen."""
    width = comparison.first.width
    factor = -(-PANEL // width)
    row = row.repeat(factor, axis=0).repeat(factor, axis=1)
    strip = np.full((STRIP, row.shape[1], 3), 32, np.uint8)
    texts = (
        f"A  frame {index}, {float(comparison.seconds(index)):.3f} s",
        f"B  PSNR {comparison.psnr[index]:.2f} dB, SSIM {comparison.ssim[index]:.4f}",
        f"difference x {AMPLIFIED}",
    )
    for place, text in enumerate(texts):
        at = (place * width * factor + 6, STRIP - 8)
        # cv2 brings its letters along: ffmpeg's drawtext would need a font on this machine.
        cv2.putText(strip, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (230, 230, 230), 1, cv2.LINE_AA)
    return np.concatenate([strip, row])
