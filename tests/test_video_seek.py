"""Decoding from a key frame gives the frames that decoding from the beginning gives, in every container and codec."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from video_helpers import drawn, ffmpeg, noise, pattern

from afitrt.video import probe
from afitrt.video.read import Reader
from afitrt.video.seek import Entry, entry, index_packets

pytestmark = pytest.mark.slow

X264 = ("-c:v", "libx264", "-preset", "veryfast", "-bf", "3")
CODECS = {
    "closed": (*X264, "-g", "12"),
    "open": (*X264, "-x264-params", "keyint=12:min-keyint=12:open-gop=1:b-pyramid=normal:scenecut=0"),
    "x265 open": ("-c:v", "libx265", "-x265-params", "log-level=none:keyint=12:min-keyint=12:open-gop=1:bframes=4"),
    "mpeg2": ("-c:v", "mpeg2video", "-g", "9", "-bf", "2"),
    "mpeg2 closed": ("-c:v", "mpeg2video", "-g", "9", "-bf", "2", "-flags", "+cgop", "-sc_threshold", "1000000000"),
    "mpeg4": ("-c:v", "mpeg4", "-g", "10", "-bf", "2"),
}
CASES = [(codec, suffix) for codec in CODECS for suffix in (".mkv", ".mp4", ".ts")]


def hashes(path: Path, span: tuple[int, int | None] | None = None, seek: Entry | None = None) -> list[str]:
    with Reader(probe(path), span, seek=seek) as reader:
        return [hashlib.sha256(frame).hexdigest() for frame in reader]


@pytest.mark.parametrize("codec, suffix", CASES)
def test_frames_are_those_of_a_decode_from_the_beginning(tmp_path: Path, codec: str, suffix: str) -> None:
    source = "testsrc2=s=64x48:r=25:d=2.4,noise=c0s=40:c0f=t:c0_seed=1"
    path = tmp_path / f"in{suffix}"
    ffmpeg("-f", "lavfi", "-i", source, *CODECS[codec], "-qmin", "2", "-qmax", "6", path)
    info, whole = probe(path), hashes(path)
    assert info.frames == len(whole) == len(set(whole)) == 60
    index = index_packets(info)
    assert index.keyframes
    places = [k for k in (11, 12, 13, 23, 25, 30, 36, 37, 47, 48, 59) if entry(info, index, k)]
    assert len(places) >= 3
    for first in places:
        span = (first, min(first + 5, 60))
        assert hashes(path, span, entry(info, index, first)) == whole[slice(*span)], first


@pytest.mark.parametrize("suffix", [".mkv", ".mov", ".avi"])
def test_intra_codecs_and_containers_without_exact_stamps(tmp_path: Path, suffix: str) -> None:
    plain = drawn(tmp_path / "plain.mkv", noise(12))
    path = tmp_path / f"in{suffix}"
    ffmpeg("-i", plain, "-c:v", "mjpeg" if suffix == ".avi" else "copy", path)
    info, whole = probe(path), hashes(path)
    place = entry(info, index_packets(info), 7)
    assert (place is None) == (suffix == ".avi")
    assert hashes(path, (7, 10), place) == whole[7:10]


def test_a_late_start_and_an_edit_list(tmp_path: Path) -> None:
    plain = pattern(tmp_path / "plain.mp4", *CODECS["closed"], seconds=2.4)
    for name, options in {"late.mp4": ("-output_ts_offset", "7.3"), "cut.mp4": ("-ss", "0.7")}.items():
        path = tmp_path / name
        before = options if options[0] == "-ss" else ()
        ffmpeg(*before, "-i", plain, "-c", "copy", *(() if before else options), path)
        info, whole = probe(path), hashes(path)
        index = index_packets(info)
        for first in range(1, len(whole), 7):
            span = (first, first + 3)
            assert hashes(path, span, entry(info, index, first)) == whole[slice(*span)], (name, first)


def test_the_packet_hash_knows_the_stream_and_not_the_container(tmp_path: Path) -> None:
    path = pattern(tmp_path / "in.mkv", *CODECS["closed"])
    other = tmp_path / "same.mkv"
    ffmpeg("-i", path, "-c", "copy", "-metadata", "title=another", other)
    assert index_packets(probe(path)).sha256 == index_packets(probe(other)).sha256
    changed = pattern(tmp_path / "changed.mkv", *CODECS["open"])
    assert index_packets(probe(path)).sha256 != index_packets(probe(changed)).sha256
