"""Encoders: which is chosen, what they are given, what comes back; and what happens when they die."""

from __future__ import annotations

import os
import signal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from video_helpers import children, drawn, facts, ffmpeg, noise, packets

from afitrt.errors import MissingToolError, OutputError, RenderError, RetryError, UsageError
from afitrt.frames import Colour, VideoInfo
from afitrt.options import EncodeOptions
from afitrt.video import Ffmpeg, Reader, Writer, choose_encoding, find, picture_type, probe, try_encoder
from afitrt.video.encoders import ENCODERS
from afitrt.video.write import to_depth

ALL = frozenset(ENCODERS)
PRESETS = {"libx265": "ultrafast", "libx264": "ultrafast", "libsvtav1": "12"}


def chosen(info: VideoInfo, codec: str = "libx265", **more: object) -> EncodeOptions:
    wanted = EncodeOptions(codec=codec, **{"preset": PRESETS.get(codec), **more})
    return choose_encoding(info, wanted, "matroska", ALL)[0]


def write(path: Path, info: VideoInfo, frames: list[np.ndarray], encode: EncodeOptions) -> VideoInfo:
    with Writer(path, info, info.rate, encode) as writer:
        for frame in frames:
            writer.write(frame)
    return probe(path)


def read(info: VideoInfo) -> list[np.ndarray]:
    with Reader(info) as reader:
        return list(reader)


# The choice.

CHOICES = [
    # codec, size, source format, depth -> codec, format, words in the notes
    ("libx265", 64, 48, "yuv420p", 8, "libx265", "yuv420p10le", ()),
    ("x265", 64, 48, "yuv420p10le", 10, "libx265", "yuv420p10le", ()),
    ("libx265", 64, 48, "gray", 8, "libx265", "yuv420p10le", ()),
    ("libx265", 64, 48, "bgr0", 8, "libx265", "yuv420p10le", ("RGB becomes yuv420p10le",)),
    ("libx265", 64, 48, "yuv422p", 8, "libx265", "yuv422p10le", ()),
    ("libx265", 64, 48, "yuv444p10le", 10, "libx265", "yuv444p10le", ()),
    ("libx265", 64, 48, "yuv420p12le", 12, "libx265", "yuv420p12le", ()),
    ("libx265", 65, 48, "yuv420p", 8, "libx265", "yuv444p10le", ("odd",)),
    ("libx265", 64, 47, "yuv420p10le", 10, "libx265", "yuv444p10le", ("odd",)),
    ("libx265", 65, 48, "yuv422p", 8, "libx265", "yuv444p10le", ("odd",)),
    ("libx265", 64, 47, "yuv422p", 8, "libx265", "yuv422p10le", ()),
    ("libx265", 15, 48, "yuv420p", 8, "ffv1", "yuv444p10le", ("FFV1",)),
    ("libx265", 8, 8, "bgr0", 8, "ffv1", "bgr0", ("FFV1",)),
    ("libx265", 8, 8, "yuv420p", 8, "ffv1", "yuv444p10le", ("FFV1",)),
    ("libx264", 64, 48, "yuv420p", 8, "libx264", "yuv420p", ()),
    ("x264", 64, 48, "yuv420p10le", 10, "libx264", "yuv420p10le", ()),
    ("libx264", 63, 47, "yuv420p", 8, "libx264", "yuv444p", ("odd",)),
    ("libx264", 64, 48, "yuv420p12le", 12, "libx264", "yuv420p10le", ("12 bits become 10",)),
    ("svtav1", 64, 64, "yuv420p", 8, "libsvtav1", "yuv420p10le", ()),
    ("svtav1", 67, 65, "yuv420p", 8, "libsvtav1", "yuv420p10le", ()),
    ("svtav1", 64, 64, "yuv422p", 8, "libsvtav1", "yuv420p10le", ("chroma becomes 4:2:0",)),
    ("libx265", 64, 48, "yuv411p", 8, "libx265", "yuv420p10le", ("chroma becomes 4:2:0",)),
    ("prores", 64, 48, "yuv420p", 8, "prores_ks", "yuv422p10le", ()),
    ("prores", 63, 47, "yuv444p", 8, "prores_ks", "yuv444p10le", ()),
    ("ffv1", 64, 48, "bgr0", 8, "ffv1", "bgr0", ()),
    ("ffv1", 64, 48, "gbrp12le", 12, "ffv1", "gbrp12le", ()),
    ("ffv1", 64, 48, "rgb48le", 16, "ffv1", "gbrp16le", ()),
    ("ffv1", 64, 48, "yuv420p", 8, "ffv1", "yuv420p10le", ()),
    ("hevc_nvenc", 640, 480, "yuv420p", 8, "hevc_nvenc", "p010le", ()),
    ("hevc_nvenc", 641, 480, "yuv420p", 8, "hevc_nvenc", "yuv444p", ("odd",)),
]


@pytest.mark.parametrize("case", CHOICES, ids=lambda case: "-".join(map(str, case[:4])))
def test_the_choice(case: tuple) -> None:
    codec, width, height, source, depth, got, pix_fmt, words = case
    info = facts(width, height, source, depth=depth)
    encode, notes = choose_encoding(info, EncodeOptions(codec=codec), "matroska", ALL)
    assert (encode.codec, encode.pix_fmt) == (got, pix_fmt)
    assert len(notes) >= len(words) and all(word in " ".join(notes) for word in words)
    assert bool(words) == bool(notes)


def test_an_explicit_format_is_taken_or_refused() -> None:
    def ask(width: int, height: int, pix_fmt: str, codec: str = "libx265") -> EncodeOptions:
        wanted = EncodeOptions(codec=codec, pix_fmt=pix_fmt)
        return choose_encoding(facts(width, height, "yuv420p"), wanted, "matroska", ALL)[0]

    assert ask(64, 48, "yuv420p").pix_fmt == "yuv420p"
    assert ask(63, 47, "yuv444p12le").pix_fmt == "yuv444p12le"
    assert ask(63, 47, "yuv420p", "ffv1").pix_fmt == "yuv420p"
    for width, height, pix_fmt, codec in [
        (63, 48, "yuv420p10le", "libx265"),
        (64, 47, "yuv420p", "libx264"),
        (8, 8, "yuv420p10le", "libx265"),
        (64, 48, "yuv410p", "libx265"),
        (64, 48, "nonsense", "libx265"),
        (64, 48, "yuv444p", "libsvtav1"),
    ]:
        with pytest.raises(UsageError, match="--pix-fmt"):
            ask(width, height, pix_fmt, codec)


def test_an_absent_encoder_is_refused_with_the_list_of_those_present() -> None:
    for codec in ("libx266", "libtheora", "libx264"):
        with pytest.raises(MissingToolError) as refused:
            choose_encoding(facts(), EncodeOptions(codec=codec), "matroska", {"libx265", "ffv1", "libtheora"})
        assert (refused.value.expected, refused.value.hint) == ("one of x265, ffv1", "--codec x265")


@pytest.mark.parametrize(("codec", "container"), [("ffv1", "mp4"), ("prores", "mp4"), ("libx265", "mp4")])
def test_a_container_that_cannot_hold_the_stream_is_refused(codec: str, container: str) -> None:
    info = facts(8, 8, "yuv420p")
    with pytest.raises(OutputError, match="mp4"):
        choose_encoding(info, EncodeOptions(codec=codec), container, ALL)


# Pictures.


def test_depths_are_widened_exactly_and_narrowed_by_rounding() -> None:
    bytes_ = np.arange(256, dtype=np.uint8).reshape(-1, 1, 1)
    wide = to_depth(bytes_, np.uint16)
    assert np.array_equal(wide, bytes_.astype(np.uint16) * 257)
    assert np.array_equal(to_depth(wide, np.uint8), bytes_)
    deep = np.arange(65536).astype(np.uint16).reshape(-1, 1, 1)
    assert np.array_equal(to_depth(deep, np.uint8), np.rint(deep / 257).astype(np.uint8))


MATRICES = ["smpte170m", "bt709", "bt2020nc"]


def smooth(pix_fmt: str, folder: Path, matrix: str, range_: str) -> VideoInfo:
    """A picture inside the RGB cube with smooth chroma and noisy luma, stored losslessly."""
    depth = 10 if pix_fmt.endswith("10le") else 8
    unit = 1 << (depth - 8)
    luma = f"{unit}*(90+80*X/W+8*sin(Y/5)+4*random(0))"
    chroma = [f"{unit}*(128+20*{wave}(X/9+Y/14))" for wave in ("sin", "cos")]
    drawing = f"format={pix_fmt},geq=lum='{luma}':cb='{chroma[0]}':cr='{chroma[1]}'"
    path = folder / "smooth.mkv"
    tags = f"setparams=colorspace={matrix}:range={range_}"
    ffmpeg(
        "-f",
        "lavfi",
        "-i",
        f"color=s=96x64:r=25:d=0.12,{drawing}",
        "-vf",
        tags,
        "-c:v",
        "ffv1",
        "-color_range",
        range_,
        path,
    )
    return probe(path)


def planes(info: VideoInfo) -> list[np.ndarray]:
    import av

    with av.open(str(info.path)) as container:
        frame = next(container.decode(video=0))
    found = []
    for plane in frame.planes:
        deep = info.depth > 8
        row = np.frombuffer(plane, np.uint16 if deep else np.uint8).reshape(plane.height, -1)[:, : plane.width]
        found.append(row.astype(float) / (1 << (info.depth - 8)) if deep else row.astype(float))
    return found


@pytest.mark.parametrize("range_", ["tv", "pc"])
@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le", "yuv422p10le"])
def test_an_untouched_picture_returns_within_a_code(tmp_path: Path, pix_fmt: str, matrix: str, range_: str) -> None:
    info = smooth(pix_fmt, tmp_path, matrix, range_)
    assert (info.colour.matrix, info.colour.range) == (matrix, range_)
    written = write(tmp_path / "out.mkv", info, read(info), chosen(info, "ffv1"))
    assert (written.colour.matrix, written.colour.range, written.depth) == (matrix, range_, 10)
    code = 1.0 if info.depth == 8 else 0.25
    # Full range ends at 255 in 8 bits and at 1023 in 10.
    luma_scale = 255 / 255.75 if (info.depth, range_) == (8, "pc") else 1.0
    luma, *chroma = zip(planes(info), planes(written), strict=True)
    assert np.abs(luma[0] - luma[1] * luma_scale)[4:-4, 4:-4].max() <= code
    for before, after in chroma:
        assert np.abs(before - after)[4:-4, 4:-4].max() <= 2 * code


def test_a_dark_gradient_keeps_its_levels(tmp_path: Path) -> None:
    levels = np.arange(400, 400 + 96 * 10, 10, dtype=np.uint16)
    ramp = np.repeat(np.repeat(levels.reshape(1, 96, 1), 64, 0), 3, 2).copy()
    info = facts(96, 64, "yuv420p10le", depth=10)
    back = read(write(tmp_path / "out.mkv", info, [ramp], chosen(info, "ffv1")))[0]
    step = 65535 / 876
    assert np.abs(back.astype(float) - ramp).max() <= step


@pytest.mark.parametrize("codec", ["libx265", "libx264", "libsvtav1", "ffv1", "prores_ks"])
def test_every_encoder_writes_all_frames_tags_and_aspect(tmp_path: Path, codec: str) -> None:
    colour = Colour("bt2020nc", "bt2020", "smpte2084", "tv", "left")
    info = facts(64, 64, "yuv420p10le", depth=10, colour=colour, sample_aspect=Fraction(4, 3))
    frames = [np.full((64, 64, 3), 2000 * k, np.uint16) for k in range(12)]
    written = write(tmp_path / "out.mkv", info, frames, chosen(info, codec))
    assert (written.frames, written.rate, written.sample_aspect) == (12, Fraction(25), Fraction(4, 3))
    facts_written = (written.colour.matrix, written.colour.primaries, written.colour.transfer, written.colour.range)
    assert facts_written == ("bt2020nc", "bt2020", "smpte2084", "tv")
    assert max(np.abs(a.astype(float) - b).mean() for a, b in zip(read(written), frames, strict=True)) < 400


SIZES = [(1, 1), (2, 2), (15, 9), (16, 16), (33, 17), (63, 48)]
HELD = [(codec, *size) for codec in ("libx265", "libx264", "ffv1", "libsvtav1") for size in SIZES]


@pytest.mark.parametrize(("codec", "width", "height"), HELD)
def test_every_size_comes_back(tmp_path: Path, codec: str, width: int, height: int) -> None:
    info = facts(width, height, "yuv420p")
    encode = chosen(info, codec)
    try_encoder(info, info.rate, encode)
    grey = np.full((height, width, 3), 128, np.uint8)
    written = write(tmp_path / "out.mkv", info, [grey] * 3, encode)
    assert (written.width, written.height, written.frames) == (width, height, 3)
    assert np.abs(read(written)[1].astype(float) / np.iinfo(picture_type(encode)).max - 128 / 255).max() < 0.02


def test_what_an_older_build_finds_too_small_becomes_ffv1(monkeypatch: pytest.MonkeyPatch) -> None:
    """SVT-AV1 took nothing under 64 pixels at first."""
    asked = []

    def encodes(tool: Ffmpeg, *question: object) -> bool:
        asked.append(question)
        return False

    monkeypatch.setattr(Ffmpeg, "encodes", encodes)
    encode, notes = choose_encoding(facts(63, 80, "yuv420p"), EncodeOptions("svt-av1"), "matroska", ALL)
    assert (encode.codec, asked) == ("ffv1", [("libsvtav1", 63, 80)])
    assert notes == ["63x80 is under 64 pixels, too small for libsvtav1: written as FFV1"]
    with pytest.raises(UsageError, match="cannot hold 63x80 with libsvtav1"):
        choose_encoding(facts(63, 80), EncodeOptions("svt-av1", pix_fmt="yuv420p"), "matroska", ALL)
    with pytest.raises(OutputError, match=r"63x80 is under 64 pixels.*; mp4 cannot hold ffv1"):
        choose_encoding(facts(63, 80), EncodeOptions("svt-av1"), "mp4", ALL)
    assert choose_encoding(facts(64, 80), EncodeOptions("svt-av1"), "mp4", ALL)[0].codec == "libsvtav1"


@pytest.mark.parametrize("rate", [Fraction(48000, 1001), Fraction(60000, 1001), Fraction(50), Fraction(997, 13)])
def test_rates_are_written_exactly(tmp_path: Path, rate: Fraction) -> None:
    path = tmp_path / "out.mkv"
    drawn(path, noise(1) * 60, rate=rate)
    assert probe(path).rate == rate
    assert len(packets(path)[0]) == 60


# Failures.


def test_a_frame_of_another_size_is_refused(tmp_path: Path) -> None:
    info = facts()
    with (
        pytest.raises(ValueError, match="expected"),
        Writer(tmp_path / "o.mkv", info, info.rate, chosen(info)) as writer,
    ):
        writer.write(noise(1, 20, 20)[0])


def test_a_killed_encoder_is_an_error_and_no_child_stays(tmp_path: Path) -> None:
    info, before = facts(320, 240), children()
    frames = noise(4, 240, 320)
    with (
        pytest.raises(RenderError, match="SIGKILL"),
        Writer(tmp_path / "o.mkv", info, info.rate, chosen(info)) as writer,
    ):
        for count in range(200):
            writer.write(frames[count % 4])
            if count == 5:
                for child in children() - before:
                    os.kill(child, signal.SIGKILL)
    assert children() == before


def test_what_was_written_before_an_error_can_be_played(tmp_path: Path) -> None:
    info, before = facts(), children()
    with pytest.raises(ZeroDivisionError), Writer(tmp_path / "o.mkv", info, info.rate, chosen(info)) as writer:
        for frame in noise(7):
            writer.write(frame)
        _ = 1 / 0
    assert children() == before
    assert probe(tmp_path / "o.mkv").frames == 7


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")
def test_a_full_disk_asks_to_try_again() -> None:
    info = facts()
    with (
        pytest.raises(RetryError, match="No space left"),
        Writer(Path("/dev/full"), info, info.rate, chosen(info)) as writer,
    ):
        for frame in noise(30):
            writer.write(frame)


def test_an_encoder_that_cannot_start_is_found_before_the_work() -> None:
    info = facts()
    if "hevc_nvenc" in find().encoders and not Path("/dev/nvidia0").exists():
        with pytest.raises(MissingToolError, match="hevc_nvenc"):
            try_encoder(facts(640, 480), info.rate, chosen(facts(640, 480), "hevc_nvenc"))
    broken = chosen(info, preset="nonsense")
    with pytest.raises(MissingToolError, match="libx265"):
        try_encoder(info, info.rate, broken)
