"""Encrypted sources are called so, before the work: MP4, WebM and Matroska, scrambled MPEG-TS and MPEG-PS."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest
from command import afitrt
from video_helpers import X264, ffmpeg, packets, pattern

from afitrt.video import find
from afitrt.video.matroska import SEGMENT, TRACKS, element, with_elements
from afitrt.video.matroska_patch import ENTRY

FAST = ("--model", "blend", "--codec", "libx264", "--preset", "ultrafast")
KEY, KID = "76a6c65c5ea762046bd749a2e632ccbb", "a7e61c373e219033c21091fa607bf3b8"
LOCK = ("-encryption_scheme", "cenc-aes-ctr", "-encryption_key", KEY, "-encryption_kid", KID)
INPUTS = ("-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=0.48", "-f", "lavfi", "-i", "sine=d=0.48")


@pytest.mark.parametrize("options", [(), ("-movflags", "+frag_keyframe+empty_moov")])
def test_an_encrypted_mp4_is_called_so_and_its_key_opens_it(tmp_path: Path, options: tuple[object, ...]) -> None:
    source = tmp_path / "in.mp4"
    ffmpeg(*INPUTS, *X264, "-c:a", "aac", *options, *LOCK, source)
    ran = afitrt("interpolate", source, *FAST)
    assert ran.code == 3 and "its video (track 0) is encrypted" in ran.err and "damaged" not in ran.err, ran.err
    remedy = ran.err.partition("key: ffmpeg ")[2].partition(", if")[0].replace("KEY", KEY)
    subprocess.run([find().path, "-v", "error", *shlex.split(remedy)], cwd=tmp_path, check=True)
    ran = afitrt("interpolate", tmp_path / "clear.mp4", tmp_path / "out.mkv", *FAST)
    assert ran.code == 0 and len(packets(tmp_path / "out.mkv")[0]) == 24, ran.err


def test_encrypted_sound_is_named_with_the_option_that_leaves_it_out(tmp_path: Path) -> None:
    locked, clear, source = tmp_path / "locked.mp4", tmp_path / "clear.mp4", tmp_path / "in.mp4"
    ffmpeg(*INPUTS, *X264, "-c:a", "aac", *LOCK, locked)
    ffmpeg(*INPUTS, *X264, "-c:a", "aac", clear)
    data = locked.read_bytes().replace(b"encv", b"avc1", 1).replace(b"sinf", b"free", 1)
    for hidden, plain in zip(packets(locked)[0], packets(clear)[0], strict=True):
        assert bytes(hidden) in data and hidden.size == plain.size
        data = data.replace(bytes(hidden), bytes(plain), 1)
    source.write_bytes(data.replace(b"senc", b"free", 1))
    ran = afitrt("interpolate", source, tmp_path / "out.mkv", *FAST)
    assert ran.code == 3 and "track 1 (audio aac, und) is encrypted" in ran.err and "--drop-tracks 1" in ran.err
    ran = afitrt("interpolate", source, tmp_path / "out.mkv", *FAST, "--drop-tracks", 1)
    assert ran.code == 0, ran.err


@pytest.mark.parametrize("suffix", ["mkv", "webm"])
def test_encrypted_matroska_is_called_so(tmp_path: Path, suffix: str) -> None:
    encode = ("-c:v", "libvpx", "-deadline", "realtime") if suffix == "webm" else X264
    whole = pattern(tmp_path / f"whole.{suffix}", *encode, seconds=0.48)
    key = element(0x47E2, bytes.fromhex(KID))
    rule = element(0x5035, element(0x47E1, 5) + key)
    encoding = element(0x6240, element(0x5033, 1) + rule)
    source = tmp_path / f"in.{suffix}"
    source.write_bytes(with_elements(whole.read_bytes(), {0x6D80: encoding}, SEGMENT, TRACKS, ENTRY))
    ran = afitrt("interpolate", source, *FAST)
    assert ran.code == 3 and "its video (track 0) is encrypted" in ran.err, ran.err


def test_a_scrambled_broadcast_and_a_scrambled_disc_are_called_so(tmp_path: Path) -> None:
    data = bytearray(pattern(tmp_path / "whole.ts", *X264, seconds=0.48).read_bytes())
    for start in range(0, len(data), 188):
        if int.from_bytes(data[start + 1 : start + 3], "big") & 0x1FFF == 0x100:
            data[start + 3] |= 0x80
            data[start + 40 : start + 188] = bytes(148)
    (tmp_path / "in.ts").write_bytes(data)
    data = bytearray(pattern(tmp_path / "whole.vob", "-c:v", "mpeg2video", seconds=2).read_bytes())
    place = 0
    while (place := data.find(b"\x00\x00\x01\xe0", place + 1)) > 0:
        data[place + 6] |= 0x10
        end = place + 6 + int.from_bytes(data[place + 4 : place + 6], "big")
        data[place + 300 : end] = bytes(max(0, end - place - 300))
    (tmp_path / "in.vob").write_bytes(data)
    for name in ("in.ts", "in.vob"):
        ran = afitrt("interpolate", tmp_path / name, *FAST)
        assert ran.code == 3 and "expected:" in ran.err, ran.err
        assert "its video is scrambled" in ran.err, (name, ran.err)
