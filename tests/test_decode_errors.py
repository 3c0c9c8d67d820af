"""Bytes that flipped inside packets are told for every codec whose decoder can tell, and whole files are whole."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from command import afitrt
from video_helpers import X264, pattern

from afitrt.errors import InputError
from afitrt.video import Reader, probe
from afitrt.video.decode_errors import Signs

FAST = ("--model", "blend", "--codec", "libx264", "--preset", "ultrafast")
CODECS = {
    "mpeg2video": ("in.ts", "-c:v", "mpeg2video", "-bf", 2),
    "mpeg4": ("in.avi", "-c:v", "mpeg4"),
    "mjpeg": ("in.avi", "-c:v", "mjpeg"),
    "ffv1": ("in.mkv", "-c:v", "ffv1", "-level", 3, "-g", 1),
    "prores": ("in.mov", "-c:v", "prores_ks"),
    "wmv2": ("in.mkv", "-c:v", "wmv2"),
    "h264": ("in.mkv", *X264),
    "h264 in mp4": ("in.mp4", "-c:v", "libx264"),
    "h263": ("in.avi", "-c:v", "h263p"),
    "flv1": ("in.flv", "-c:v", "flv1"),
    "theora": ("in.mkv", "-c:v", "libtheora"),
    "dvvideo": ("in.avi", "-c:v", "dvvideo", "-s", "720x576", "-frames:v", 4),
    "utvideo": ("in.avi", "-c:v", "utvideo"),
}
WHOLE = {
    **CODECS,
    "hevc": ("in.mkv", "-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error"),
    "vp9": ("in.webm", "-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", 8),
    "vp8": ("in.webm", "-c:v", "libvpx", "-deadline", "realtime"),
    "av1": ("in.mp4", "-c:v", "libsvtav1", "-preset", 12),
    "mpeg1video": ("in.mpg", "-c:v", "mpeg1video", "-bf", 2),
}


def made(folder: Path, codec: str) -> Path:
    name, *encode = WHOLE[codec]
    return pattern(folder / name, "-g", 6, *encode, seconds=0.48)


def flipped(source: Path) -> Path:
    """The same with bytes changed in the second halves of its second to sixth packet."""
    draw, data = np.random.default_rng(1), bytearray(source.read_bytes())
    with av.open(str(source)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    changed = 0
    for packet in packets[1:6]:
        # MPEG-TS cuts a packet into pieces of at most 184 bytes.
        piece = packet[60:120] if source.suffix == ".ts" else packet
        if (begin := data.find(piece)) < 0 or len(piece) < 10:
            continue
        for offset in draw.integers(len(piece) * 2 // 5, len(piece), max(3, len(piece) // 40)):
            data[begin + offset] ^= 0x55
        changed += 1
    assert changed > 1
    broken = source.with_stem("broken")
    broken.write_bytes(data)
    return broken


def complete(path: Path) -> bool:
    with Reader(probe(path)) as reader:
        try:
            assert sum(1 for _ in reader) > 0
        except InputError as error:  # A damaged header may name another size.
            assert "changes at frame" in error.found
            return False
    return reader.complete


@pytest.mark.parametrize("codec", CODECS)
def test_flipped_bytes_are_told(tmp_path: Path, codec: str) -> None:
    assert not complete(flipped(made(tmp_path, codec)))


@pytest.mark.parametrize("codec", WHOLE)
def test_whole_files_are_whole(tmp_path: Path, codec: str) -> None:
    assert complete(made(tmp_path, codec))


@pytest.mark.parametrize(
    ("suffix", "encode"),
    [
        ("ts", (*X264[:2], "-x264-params", "open-gop=1")),
        ("ts", ("-c:v", "mpeg2video")),
        ("mpg", ("-c:v", "mpeg2video")),
    ],
)
def test_a_recording_that_begins_inside_a_group_of_pictures_is_whole(
    tmp_path: Path, suffix: str, encode: tuple[object, ...]
) -> None:
    whole = pattern(tmp_path / f"whole.{suffix}", "-g", 12, "-bf", 2, *encode, seconds=3, size="320x240")
    data, unit = whole.read_bytes(), 188 if suffix == "ts" else 2048
    cut = tmp_path / f"in.{suffix}"
    head = 0 if suffix == "mpg" else 3 * unit
    cut.write_bytes(data[:head] + data[len(data) // 3 // unit * unit :])
    assert complete(cut)


def test_a_run_on_damaged_mpeg_2_ends_with_its_code_and_the_count(tmp_path: Path) -> None:
    source = flipped(made(tmp_path, "mpeg2video"))
    ran = afitrt("interpolate", source, tmp_path / "out.mkv", *FAST)
    assert ran.code == 9 and "decoded with errors" in ran.err and " @ 0x" not in ran.err, ran.err
    told = afitrt("compare", made(tmp_path, "mpeg2video"), source)
    assert told.code == 9 and "decoded with errors" in told.err
    assert "is damaged" in afitrt("scenes", source).err


def test_the_lines_of_both_generations_of_ffmpeg() -> None:
    for line in (
        "[vist#0:0/mpeg4] [dec:mpeg4] [warning] corrupt decoded frame",
        "[warning] a/b.avi: corrupt decoded frame in stream 0",
        "[vist#0:0/ffv1] [dec:ffv1] [error] Error submitting packet to decoder: Invalid data found",
        "[vist#0:0/vp9] [dec:vp9] [error] Decoding error: Generic error in an external library",
        "[error] Error while decoding stream #0:0: Generic error in an external library",
        "[mjpeg] [error] error y=0 x=2",
    ):
        signs = Signs("mjpeg")
        signs(line)
        assert signs.damaged, line
    signs = Signs("h264", "mjpeg")
    assert signs("[h264] [error] mmco: unref short failure") == "[h264] mmco: unref short failure"
    assert signs("[mjpeg] [error] unable to decode APP fields: Invalid data found when processing input") == ""
    assert signs("[rawvideo] [warning] a packet without a time") == "" and not signs.damaged and not signs.summary
