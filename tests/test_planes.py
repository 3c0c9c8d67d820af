"""Planar 4:2:0 from the decoder to the encoder: nothing but depth changes, and only where it can be so."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from command import afitrt
from video_helpers import BUNDLED

from afitrt.frames import Colour, VideoInfo
from afitrt.options import EncodeOptions, SceneOptions
from afitrt.scenes import detector
from afitrt.video import carried_yuv, decoded_yuv, open_reader, probe_source
from afitrt.yuv import Yuv420, YuvLayout


def clip(path: Path, pix_fmt: str = "yuv420p", size: str = "64x48", frames: int = 6, *more: str) -> Path:
    """Moving test pictures without loss."""
    source = ["-f", "lavfi", "-i", f"testsrc2=s={size}:r=24", "-frames:v", str(frames)]
    coded = ["-c:v", "ffv1", "-pix_fmt", pix_fmt, *more, str(path)]
    subprocess.run([BUNDLED, "-v", "error", "-y", *source, *coded], check=True)
    return path


def codes(path: Path, pix_fmt: str, dtype: type) -> np.ndarray:
    """[frames, samples] as ffmpeg itself decodes them."""
    command = [BUNDLED, "-v", "error", "-i", str(path), "-f", "rawvideo", "-pix_fmt", pix_fmt, "-"]
    raw = subprocess.run(command, check=True, capture_output=True).stdout
    return np.frombuffer(raw, dtype).reshape(probe_source(path).frames, -1)


@pytest.mark.parametrize(
    ("pix_fmt", "dtype", "more"),
    [
        ("yuv420p", np.uint8, ()),
        ("yuv420p10le", np.uint16, ()),
        ("yuv420p12le", np.uint16, ()),
        ("yuv420p", np.uint8, ("-color_range", "pc")),
        ("yuv420p", np.uint8, ("-colorspace", "bt709", "-chroma_sample_location", "topleft")),
    ],
)
def test_codes_are_read_as_they_are(tmp_path: Path, pix_fmt: str, dtype: type, more: tuple[str, ...]) -> None:
    source = clip(tmp_path / "in.mkv", pix_fmt, "64x48", 6, *more)
    info = probe_source(source)
    with open_reader(info, yuv=decoded_yuv(info)) as reader:
        read = np.stack(list(reader))
    assert read.dtype == dtype
    np.testing.assert_array_equal(read, codes(source, pix_fmt, dtype))
    assert reader.complete


def test_source_frames_keep_their_codes_and_the_mean_of_codes_lies_between(tmp_path: Path) -> None:
    source = clip(tmp_path / "in.mkv")
    out = tmp_path / "out.mkv"
    options = (
        "--model",
        "blend",
        "--n-forward",
        "1",
        "--no-shrink",
        "--codec",
        "ffv1",
        "--detector",
        "none",
        "--hold",
        "off",
    )
    assert afitrt("interpolate", source, out, *options).code == 0
    given = codes(source, "yuv420p", np.uint8).astype(int) * 4
    got = codes(out, "yuv420p10le", np.uint16)
    means = (given[:-1] + given[1:]) / 2
    np.testing.assert_array_equal(got[[0, -2, -1]], given[[0, -1, -1]])
    np.testing.assert_array_equal(got[1:-2:2], means)
    np.testing.assert_array_equal(got[2:-2:2], (means[:-1] + means[1:]) / 2)


INFO = VideoInfo(Path("in.mkv"), 64, 48, Fraction(24), Fraction(1, 24), np.arange(3), 3, "yuv420p", 8)
HDR = Colour("bt2020nc", "bt2020", "smpte2084", "tv", "topleft")
H265 = EncodeOptions("libx265", pix_fmt="yuv420p10le")


@pytest.mark.parametrize(
    ("info", "pix_fmt", "codec", "layout"),
    [
        (INFO, "yuv420p10le", "libx265", YuvLayout(10)),
        (INFO, "yuv420p", "libx264", YuvLayout(8)),
        (replace(INFO, width=1280, height=720), "p010le", "hevc_nvenc", YuvLayout(10, "bt709")),
        (replace(INFO, pix_fmt="yuv420p10le", depth=10, colour=HDR), "yuv420p10le", "libx265", "hdr"),
        (replace(INFO, pix_fmt="nv12"), "yuv420p", "libx264", YuvLayout(8)),
        (replace(INFO, colour=Colour(range="pc")), "yuv420p", "libx264", YuvLayout(8, range="pc")),
        (replace(INFO, pix_fmt="yuvj420p"), "yuv420p", "libx264", YuvLayout(8, range="pc")),
        (replace(INFO, pix_fmt="yuv420p10le", depth=10), "yuv420p", "libx264", None),
        (replace(INFO, pix_fmt="yuv422p"), "yuv422p10le", "libx265", None),
        (replace(INFO, pix_fmt="yuv422p"), "yuv420p", "libx264", None),
        (replace(INFO, pix_fmt="yuva420p"), "yuv420p", "libx264", None),
        (replace(INFO, pix_fmt="gray"), "yuv420p", "libx264", None),
        (replace(INFO, pix_fmt="rgb24"), "yuv420p", "libx264", None),
        (replace(INFO, width=63), "yuv444p10le", "libx265", None),
        (replace(INFO, width=63), "yuv420p", "ffv1", None),
        (INFO, "yuv444p10le", "libx265", None),
        (INFO, "rgb24", "png", None),
        (replace(INFO, colour=Colour("ycgco")), "yuv420p", "libx264", None),
        (replace(INFO, colour=Colour(chroma_location="bottom")), "yuv420p", "libx264", None),
    ],
)
def test_what_source_and_output_have_in_common(
    info: VideoInfo, pix_fmt: str, codec: str, layout: YuvLayout | str | None
) -> None:
    if layout == "hdr":
        layout = YuvLayout(10, "bt2020nc", "tv", "topleft")
    found = carried_yuv(info, EncodeOptions(codec, pix_fmt=pix_fmt))
    assert found == (layout and Yuv420(info.width, info.height, layout))


def test_scenes_and_interpolate_find_the_same_cuts(tmp_path: Path) -> None:
    parts = [clip(tmp_path / "a.mkv", frames=9), tmp_path / "b.mkv"]
    source = ["-f", "lavfi", "-i", "smptebars=s=64x48:r=24,hue=H=t*8", "-frames:v", "9", "-c:v", "ffv1"]
    subprocess.run([BUNDLED, "-v", "error", *source, "-pix_fmt", "yuv420p", str(parts[1])], check=True)
    joined, listing = tmp_path / "in.mkv", tmp_path / "list.txt"
    listing.write_text("".join(f"file '{part}'\n" for part in parts))
    join = ["-f", "concat", "-safe", "0", "-i", str(listing), "-c", "copy", str(joined)]
    subprocess.run([BUNDLED, "-v", "error", *join], check=True)
    told = json.loads(afitrt("scenes", joined, "--json").out)["frames"]
    ran = afitrt("interpolate", joined, tmp_path / "out.mkv", "--model", "blend", "--codec", "ffv1", "--json")
    events = [json.loads(line) for line in ran.out.splitlines()]
    begun = [event["index"] for event in events if event["event"] == "scene"]
    assert begun == [0, *(frame["index"] for frame in told if frame["cut"])]
    assert 9 in begun


@pytest.mark.parametrize("step", [2, 4])
def test_the_sample_for_scenes_is_the_same_in_any_depth(step: int) -> None:
    eight, ten = (Yuv420(30, 18, YuvLayout(depth, "bt709")) for depth in (8, 10))
    frame = np.random.default_rng(1).integers(0, 256, eight.shape, np.uint8)
    sample = eight.small(frame, step)
    np.testing.assert_array_equal(sample, ten.small(frame.astype(np.uint16) * 4, step))
    assert sample.shape == (-(-18 // step), -(-30 // step), 3)


def test_the_sample_for_scenes_is_near_the_picture() -> None:
    yuv = Yuv420(32, 16, YuvLayout(8, "bt709"))
    smooth = np.linspace(0.1, 0.8, 32 * 16 * 3, dtype=np.float32).reshape(1, 3, 16, 32)
    sample = yuv.small(yuv.from_planar(smooth), 2)
    np.testing.assert_allclose(sample / 255, smooth[0, :, ::2, ::2].transpose(1, 2, 0), atol=0.02)


def test_a_detector_takes_planar_frames() -> None:
    yuv = Yuv420(32, 16, YuvLayout())
    judge = detector(SceneOptions(), yuv=yuv).judge
    black, white = (np.full(yuv.shape, luma, np.uint8) for luma in (16, 235))
    for frame in (black, white):
        frame[32 * 16 :] = 128
    assert [judge(frame).branch for frame in (black, black, white)] == ["first", "dup", "pure"]
