"""Times that go back: several edits of a MOV are read as ffmpeg presents them, recordings laid together are refused."""

from __future__ import annotations

import shlex
import struct
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from command import afitrt
from video_helpers import X264, ffmpeg, packets, pattern

from afitrt.video import Reader, find, index_packets, probe

FAST = ("--model", "blend", "--codec", "libx264", "--preset", "ultrafast")
SOUND = ("-f", "lavfi", "-i", "sine=d=0.48")


def edited(source: Path, edits: list[tuple[float, float]]) -> Path:
    """A MOV whose tracks have these edits: (seconds shown, first second of the media)."""
    data = source.read_bytes()
    movie = struct.unpack_from(">I", data, data.index(b"mvhd") + 16)[0]
    with av.open(str(source)) as container:
        scales = [stream.time_base.denominator for stream in container.streams]

    def rebuilt(begin: int, end: int) -> bytes:
        out = b""
        while begin < end:
            size, kind = struct.unpack_from(">I4s", data, begin)
            body = data[begin + 8 : begin + size]
            if kind in (b"moov", b"trak"):
                body = rebuilt(begin + 8, begin + size)
            elif kind == b"edts":
                scale = scales.pop(0)
                pairs = [(round(shown * movie), round(first * scale)) for shown, first in edits]
                rows = b"".join(struct.pack(">IiHH", *pair, 1, 0) for pair in pairs)
                body = box(b"elst", struct.pack(">II", 0, len(edits)) + rows)
            out += box(kind, body)
            begin += size
        return out

    def box(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I4s", len(body) + 8, kind) + body

    path = source.with_stem("edited")
    path.write_bytes(rebuilt(0, len(data)))
    return path


def pictures(path: Path) -> list[np.ndarray]:
    with Reader(probe(path)) as reader:
        return list(reader)


@pytest.mark.parametrize(
    ("edits", "frames"),
    [
        ([(0.8, 0), (0.4, 1.08)], [*range(20), *range(27, 37)]),
        ([(0.8, 1), (0.8, 0)], [*range(25, 45), *range(20)]),
        ([(1, 0), (1, 0.48)], [*range(25), *range(12, 37)]),
    ],
)
def test_several_edits_of_a_mov_are_read_as_ffmpeg_presents_them(
    tmp_path: Path, edits: list[tuple[float, float]], frames: list[int]
) -> None:
    whole = pattern(tmp_path / "in.mov", *X264, "-g", 10, seconds=2)
    source = edited(whole, edits)
    all_of_it, shown = pictures(whole), pictures(source)
    assert len(shown) == len(frames) == probe(source).frames
    assert all(np.array_equal(all_of_it[frame], picture) for frame, picture in zip(frames, shown, strict=True))
    out = tmp_path / "out.mkv"
    ran = afitrt("interpolate", source, out, *FAST, "--segment-outputs", 20)
    assert ran.code == 0, ran.err
    times = sorted(packet.pts for packet in packets(out)[0])
    assert len(times) == 2 * len(frames) and set(np.diff(times)) == {20}
    assert not index_packets(probe(source)).keyframes and index_packets(probe(whole)).keyframes


def test_sound_of_several_edits_is_refused_with_a_remedy_that_works(tmp_path: Path) -> None:
    whole = tmp_path / "in.mov"
    picture, sound = "testsrc2=s=64x48:r=25:d=2", "sine=d=2:r=48000"
    ffmpeg("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound, *X264, "-g", 10, "-c:a", "aac", whole)
    source = edited(whole, [(0.8, 0), (0.8, 1.08)])
    ran = afitrt("interpolate", source, *FAST)
    assert ran.code == 3 and "several edits in track 1 (audio aac)" in ran.err and "--drop-tracks 1" in ran.err
    remedy = ran.err.partition("try: ffmpeg ")[2].partition(", or")[0]
    subprocess.run([find().path, "-v", "error", *shlex.split(remedy)], cwd=tmp_path, check=True)
    for picture, wanted in zip(pictures(tmp_path / "flat.mkv"), pictures(source), strict=True):
        assert np.array_equal(picture, wanted)
    sound = packets(tmp_path / "flat.mkv")[1]
    assert abs(float(sound[-1].pts + sound[-1].duration - sound[0].pts) / 1000 - 1.6) < 0.03
    assert afitrt("interpolate", tmp_path / "flat.mkv", tmp_path / "out.mkv", *FAST).code == 0
    assert afitrt("interpolate", source, tmp_path / "silent.mkv", *FAST, "--drop-tracks", 1).code == 0
    assert afitrt("interpolate", whole, tmp_path / "whole.mkv", *FAST).code == 0


@pytest.mark.parametrize(
    ("name", "encode"),
    [
        ("in.ts", (*X264, "-c:a", "aac")),
        ("in.ts", ("-c:v", "libx264", "-bf", 2, "-c:a", "mp2")),
        ("in.mpg", ("-c:v", "mpeg2video", "-bf", 2, "-c:a", "mp2")),
    ],
)
def test_a_short_recording_joined_to_itself_is_refused_with_a_remedy_that_works(
    tmp_path: Path, name: str, encode: tuple[object, ...]
) -> None:
    one, source = tmp_path / f"one.{name[-3:].strip('.')}", tmp_path / name
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=0.48", *SOUND, *encode, one)
    source.write_bytes(one.read_bytes() * 2)
    ran = afitrt("interpolate", source, *FAST)
    assert ran.code == 3 and "jump back" in ran.err, ran.err
    remedy = ran.err.partition("try: ffmpeg ")[2].partition(" puts")[0]
    subprocess.run([find().path, "-v", "error", *shlex.split(remedy)], cwd=tmp_path, check=True)
    joined, half = pictures(tmp_path / "joined.mkv"), pictures(one)
    assert len(joined) == 24 == 2 * len(half)
    for picture, wanted in zip(joined, half * 2, strict=True):
        assert np.array_equal(picture, wanted)
    assert afitrt("interpolate", tmp_path / "joined.mkv", tmp_path / "out.mkv", *FAST).code == 0


def test_a_clock_that_wraps_around_is_no_jump(tmp_path: Path) -> None:
    wrap = Fraction(1 << 33, 90000)
    source = tmp_path / "in.ts"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=1", *X264, "-bf", 2, "-output_ts_offset",
           f"{float(wrap) - 1.9:.3f}", source)  # fmt: skip
    ran = afitrt("interpolate", source, tmp_path / "out.mkv", *FAST)
    assert ran.code == 0, ran.err
    assert len(packets(tmp_path / "out.mkv")[0]) == 50
    info = probe(source)
    assert info.frames == 25 and info.seconds(0) < 0 < info.seconds(25)
