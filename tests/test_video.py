"""Probing and reading real files, whole and broken; no ffmpeg outlives its reader."""

from __future__ import annotations

import os
import signal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from video_helpers import X264, children, drawn, ffmpeg, noise, packets, pattern

from afitrt.errors import InputError, RenderError
from afitrt.frames import Colour, VideoInfo
from afitrt.video import Reader, normalise, probe


def read(info: VideoInfo, **more: object) -> list[np.ndarray]:
    with Reader(info, **more) as reader:
        frames = list(reader)
    assert reader.complete, (reader.frames, reader.expected, reader.errors)
    return frames


# Facts.


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "mov", "ts", "avi"])
def test_frames_are_counted_in_packets_in_every_container(tmp_path: Path, suffix: str) -> None:
    clip = pattern(tmp_path / f"in.{suffix}", "-c:v", "libx264", "-bf", "2", "-g", "12", seconds=2)
    info = probe(clip)
    assert (info.frames, info.rate, info.constant, info.damage) == (50, Fraction(25), True, "")
    assert (info.width, info.height, info.depth, info.codec) == (64, 48, 8, "h264")
    assert info.seconds(info.frames) - info.seconds(0) == 2
    assert len(read(info)) == 50


@pytest.mark.parametrize("rate", ["24000/1001", "30000/1001", "24", "60", "48000/1001"])
@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_rates_are_exact(tmp_path: Path, rate: str, suffix: str) -> None:
    info = probe(pattern(tmp_path / f"in.{suffix}", rate=rate))
    assert (info.rate, info.constant) == (Fraction(rate), True)


def test_colour_facts_have_ffmpegs_words(tmp_path: Path) -> None:
    tags = "range=pc:color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc:chroma_location=topleft"
    filters = f"setsar=32/27,format=yuv420p10le,setparams={tags}"
    info = probe(pattern(tmp_path / "in.mkv", "-vf", filters, *X264))
    assert info.colour == Colour("bt2020nc", "bt2020", "smpte2084", "pc", "topleft")
    assert (info.sample_aspect, info.depth, info.pix_fmt) == (Fraction(32, 27), 10, "yuv420p10le")


def test_silent_colour_stays_silent(tmp_path: Path) -> None:
    info = probe(pattern(tmp_path / "in.mp4"))
    assert info.colour.matrix is info.colour.primaries is info.colour.transfer is None


def test_rotation_is_read_and_not_applied(tmp_path: Path) -> None:
    clip = pattern(tmp_path / "in.mp4")
    ffmpeg("-display_rotation", 90, "-i", clip, "-c", "copy", tmp_path / "turned.mp4")
    ffmpeg("-display_rotation", 270, "-display_hflip", "-i", clip, "-c", "copy", tmp_path / "mirrored.mp4")
    turned, mirrored = probe(tmp_path / "turned.mp4"), probe(tmp_path / "mirrored.mp4")
    assert (turned.rotation, turned.mirrored) == (90, False)
    assert (mirrored.rotation, mirrored.mirrored) == (270, True)
    assert all(np.array_equal(a, b) for a, b in zip(read(turned), read(probe(clip)), strict=True))


def test_an_interlaced_flag_is_seen(tmp_path: Path) -> None:
    clip = pattern(tmp_path / "in.mkv", "-vf", "setfield=tff", "-flags", "+ildct+ilme", "-c:v", "mpeg2video")
    info = probe(clip)
    assert info.interlaced
    assert len(read(info)) == info.frames == 25
    assert not probe(pattern(tmp_path / "plain.mkv")).interlaced


def test_a_cover_picture_is_not_the_video(tmp_path: Path) -> None:
    clip = pattern(tmp_path / "in.mp4")
    ffmpeg("-f", "lavfi", "-i", "color=red:s=32x32", "-frames:v", 1, tmp_path / "cover.png")
    covered = tmp_path / "covered.mp4"
    ffmpeg(*("-i", tmp_path / "cover.png", "-i", clip, "-map", 0, "-map", 1, "-c", "copy"),
           *("-disposition:v:0", "attached_pic", "-disposition:v:1", "default", covered))  # fmt: skip
    info = probe(covered)
    assert (info.width, info.height, info.frames) == (64, 48, 25)
    assert all(np.array_equal(a, b) for a, b in zip(read(info), read(probe(clip)), strict=True))


def test_an_edit_list_hides_frames_from_both(tmp_path: Path) -> None:
    whole = pattern(tmp_path / "in.mp4", "-c:v", "libx264", "-bf", "3", "-g", "25", seconds=3)
    ffmpeg("-ss", "1.28", "-i", whole, "-c", "copy", tmp_path / "cut.mp4")
    info = probe(tmp_path / "cut.mp4")
    assert len(packets(tmp_path / "cut.mp4")[0]) > info.frames
    frames = read(info)
    assert len(frames) == info.frames == 43
    assert np.array_equal(frames[0], read(probe(whole))[32])


def test_a_stream_cut_in_an_open_gop_begins_where_it_decodes(tmp_path: Path) -> None:
    clip = pattern(tmp_path / "in.ts", "-c:v", "mpeg2video", "-bf", "2", "-g", "12", seconds=2)
    ffmpeg("-ss", "0.6", "-i", clip, "-c", "copy", tmp_path / "cut.ts")
    info = probe(tmp_path / "cut.ts")
    assert len(read(info)) == info.frames


# Pictures.


def test_rgb_files_arrive_bit_for_bit(tmp_path: Path) -> None:
    frames = noise(5)
    info = probe(drawn(tmp_path / "in.mkv", frames))
    assert (info.pix_fmt, info.depth) == ("bgr0", 8)
    assert all(np.array_equal(a, b) for a, b in zip(read(info), frames, strict=True))


def test_deep_rgb_files_arrive_bit_for_bit(tmp_path: Path) -> None:
    frames = noise(3, dtype=np.uint16)
    info = probe(drawn(tmp_path / "in.mkv", frames))
    assert (info.pix_fmt, info.depth) == ("gbrp16le", 16)
    assert all(np.array_equal(a, b) for a, b in zip(read(info), frames, strict=True))


@pytest.mark.parametrize(
    ("pix_fmt", "code", "white"),
    [("gray", 255, 255), ("gray10le", 1023, 65535), ("yuv420p", 235, 255), ("yuv420p10le", 940, 65535)],
)
def test_white_is_white(tmp_path: Path, pix_fmt: str, code: int, white: int) -> None:
    neutral = 512 if pix_fmt.endswith("10le") else 128
    filters = f"format={pix_fmt},geq=lum={code}:cb={neutral}:cr={neutral}"
    clip = pattern(tmp_path / "in.mkv", "-vf", filters, "-c:v", "ffv1", seconds=0.2)
    frame = read(probe(clip))[0]
    assert np.all(frame == white)


@pytest.mark.parametrize("pix_fmt", ["yuv422p", "yuv444p", "yuv411p", "yuv410p", "yuv440p", "yuv420p12le"])
@pytest.mark.parametrize("size", ["64x48", "37x23", "5x3"])
def test_every_chroma_layout_reads_at_every_size(tmp_path: Path, pix_fmt: str, size: str) -> None:
    filters = f"scale={size.replace('x', ':')},format={pix_fmt}"
    info = probe(pattern(tmp_path / "in.mkv", "-vf", filters, "-c:v", "ffv1", "-level", 1, seconds=0.2))
    assert f"{info.width}x{info.height}" == size
    assert len(read(info)) == 5


def test_a_span_is_half_open_and_ends_ffmpeg(tmp_path: Path) -> None:
    frames = noise(20)
    info = probe(drawn(tmp_path / "in.mkv", frames))
    part = read(info, span=(7, 12))
    assert all(np.array_equal(a, b) for a, b in zip(part, frames[7:12], strict=True))
    assert len(read(info, span=(18, 20))) == 2


@pytest.mark.parametrize("container", ["mkv", "mp4"])
def test_a_variable_rate_is_told_and_made_constant(tmp_path: Path, container: str) -> None:
    clip = tmp_path / f"in.{container}"
    pattern(clip, "-vf", "select='not(eq(mod(n,7),3)+eq(mod(n,11),5))'", "-fps_mode", "vfr", *X264, seconds=4)
    info = probe(clip)
    assert not info.constant
    assert info.frames < 100
    for rate in (info.rate, Fraction(25), Fraction(24000, 1001), Fraction(60)):
        grid = normalise(info, rate)
        assert len(read(info, rate=rate)) == grid.info.frames
        assert grid.info.frames == info.frames + grid.repeated - grid.dropped
    frames, grid = read(info), read(info, rate=Fraction(25))
    held = [int(np.searchsorted(info.pts, info.pts[0] + k / 25 / info.time_base, side="right")) - 1 for k in range(9)]
    assert all(np.array_equal(grid[k], frames[held[k]]) for k in range(9))


# What is broken.


def bad_files(folder: Path) -> dict[str, tuple[Path, str]]:
    (folder / "text.mkv").write_text("no video\n" * 100)
    (folder / "empty.mkv").touch()
    ffmpeg("-f", "lavfi", "-i", "sine=d=0.2", folder / "sound.mkv")
    pattern(folder / "alpha.mkv", "-vf", "format=rgba,colorchannelmixer=aa=0.5", "-c:v", "ffv1", seconds=0.2)
    whole = pattern(folder / "whole.mp4", seconds=0.4)
    (folder / "headless.mp4").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    named = whole.read_bytes().replace(b"avc1", b"qqqq").replace(b"avcC", b"qqqC")
    (folder / "unknown.mp4").write_bytes(named)
    lossless = pattern(folder / "lossless.mkv", "-c:v", "ffv1", seconds=0.2)
    emptied = lossless.read_bytes()
    for packet in packets(lossless)[0]:
        emptied = emptied.replace(bytes(packet), bytes(packet.size))
    (folder / "emptied.mkv").write_bytes(emptied)
    return {
        "missing": (folder / "none.mkv", "does not exist"),
        "folder": (folder, "is a folder"),
        "text": (folder / "text.mkv", "not a video"),
        "empty": (folder / "empty.mkv", "is empty"),
        "sound": (folder / "sound.mkv", "holds no video"),
        "alpha": (folder / "alpha.mkv", "alpha channel"),
        "headless": (folder / "headless.mp4", "not a video"),
        "unknown": (folder / "unknown.mp4", "codec is unknown"),
        "emptied": (folder / "emptied.mkv", "no frame of its ffv1 stream decodes"),
    }


def test_what_is_no_video_is_refused_in_three_parts(tmp_path: Path) -> None:
    for name, (path, found) in bad_files(tmp_path).items():
        with pytest.raises(InputError) as refused:
            probe(path)
        assert found in refused.value.found, name
        assert refused.value.expected and refused.value.hint


@pytest.mark.parametrize(("suffix", "extra"), [("mkv", ()), ("mp4", ("-movflags", "+faststart"))])
def test_a_truncated_file_gives_what_decodes_and_says_so(tmp_path: Path, suffix: str, extra: tuple[str, ...]) -> None:
    whole = pattern(tmp_path / f"in.{suffix}", *X264, *extra, seconds=4)
    cut = tmp_path / f"cut.{suffix}"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    info = probe(cut)
    assert info.damage
    assert 30 < info.frames < 100
    with Reader(info) as reader:
        count = sum(1 for _ in reader)
    assert count in (info.frames, info.frames - 1)
    assert not reader.complete


def test_wrong_bytes_in_the_middle_are_noticed(tmp_path: Path) -> None:
    whole = pattern(tmp_path / "in.mkv", "-c:v", "libx264", "-g", "10", size="320x240", seconds=2)
    data = bytearray(whole.read_bytes())
    for place in range(len(data) // 3, len(data) // 2, 97):
        data[place] ^= 0xFF
    (tmp_path / "hurt.mkv").write_bytes(data)
    with Reader(probe(tmp_path / "hurt.mkv")) as reader:
        count = sum(1 for _ in reader)
    assert 20 < count <= 50
    assert not reader.complete


def test_names_that_look_like_something_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pattern(tmp_path / "plain.mkv", seconds=0.2)
    for name in ("-i.mkv", "a: b%03d [x] 'y'.mkv", "http:x.mkv", "画.mkv"):
        Path(name).write_bytes((tmp_path / "plain.mkv").read_bytes())
        assert len(read(probe(Path(name)))) == 5


def test_frames_lost_in_the_middle_are_noticed(tmp_path: Path) -> None:
    whole = pattern(tmp_path / "in.mkv", "-c:v", "ffv1", "-level", 3, "-slicecrc", 0, seconds=2)
    info = probe(whole)
    short = probe(pattern(tmp_path / "short.mkv", "-c:v", "ffv1", seconds=1))
    with Reader(VideoInfo(**{**info.__dict__, "path": short.path})) as reader:
        assert sum(1 for _ in reader) == 25
    assert (reader.expected, reader.complete) == (50, False)


# Children.


def test_leaving_early_ends_ffmpeg(tmp_path: Path) -> None:
    info = probe(pattern(tmp_path / "in.mkv", size="640x360", seconds=8))
    before = children()
    with Reader(info) as reader:
        next(iter(reader))
        assert children() > before
    assert children() == before
    with pytest.raises(ZeroDivisionError), Reader(info) as reader:
        for _ in reader:
            _ = 1 / 0
    assert children() == before


def test_a_killed_reader_is_an_error(tmp_path: Path) -> None:
    info = probe(pattern(tmp_path / "in.mkv", size="640x360", seconds=8))
    before = children()
    with pytest.raises(RenderError, match="SIGKILL"), Reader(info) as reader:
        for _ in reader:
            for child in children() - before:
                os.kill(child, signal.SIGKILL)
    assert children() == before
