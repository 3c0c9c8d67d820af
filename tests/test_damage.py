"""Three hundred damaged files through the real command line: a file, part of one, or a three-part error; nothing else.

Never a hang, never a traceback, never a file that nobody asked for, never a child that goes on.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import numpy as np
import pytest
from command import Ran, afitrt, process
from video_helpers import children, ffmpeg

from afitrt.errors import InputError, PartialInputError
from afitrt.video import count_packets

pytestmark = pytest.mark.slow

SECONDS = 40
"""The watchdog's: a whole file of these takes half a second."""
VIDEO = {
    "mkv": ("-c:v", "libx264", "-preset", "ultrafast", "-g", "6", "-c:a", "aac"),
    "mp4": ("-c:v", "libx264", "-bf", "2", "-c:a", "aac"),
    "mov": ("-c:v", "prores_ks", "-profile:v", "0", "-c:a", "pcm_s16le"),
    "ts": ("-c:v", "mpeg2video", "-g", "6", "-c:a", "mp2"),
    "webm": ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-c:a", "libopus"),
    "avi": ("-c:v", "mpeg4", "-g", "6", "-c:a", "libmp3lame"),
}
EACH = 50
FAST = ("--model", "blend", "--codec", "libx264", "--preset", "ultrafast", "--n-forward", "1")

Damage = Callable[[np.random.Generator, bytearray, list[bytes]], bytes]


def truncated(draw: np.random.Generator, data: bytearray, _: list[bytes]) -> bytes:
    """The first part, of any length; now and then nothing."""
    return bytes(data[: int(len(data) * draw.random() * 1.02)]) if draw.random() > 0.03 else b""


def flipped(draw: np.random.Generator, data: bytearray, _: list[bytes]) -> bytes:
    """A few bits inverted: anywhere, or among the headers only."""
    reach = len(data) if draw.random() < 0.6 else min(len(data), 600)
    for place in draw.integers(0, reach, draw.integers(1, 25)):
        data[place] ^= 1 << draw.integers(0, 8)
    return bytes(data)


def swapped(draw: np.random.Generator, data: bytearray, others: list[bytes]) -> bytes:
    """Another file's beginning over this one's, or in front of it."""
    head = others[draw.integers(0, len(others))][: draw.choice([8, 64, 188, 600, 4096])]
    return head + bytes(data[len(head) if draw.random() < 0.7 else 0 :])


DAMAGES: tuple[Damage, ...] = (truncated, flipped, swapped)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A whole file of each container, twelve frames with sound."""
    folder = tmp_path_factory.mktemp("whole")
    for suffix, encode in VIDEO.items():
        picture, sound = "testsrc2=s=64x48:r=25:d=0.48", "sine=f=440:d=0.48:sample_rate=48000"
        ffmpeg("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound, *encode, folder / f"whole.{suffix}")
    return {suffix: (folder / f"whole.{suffix}").read_bytes() for suffix in VIDEO}


class Hung(BaseException):
    """The watchdog barked; nothing may catch it by accident."""


@contextmanager
def watchdog() -> Iterator[None]:
    def bark(_signal: int, _frame: FrameType | None) -> None:
        raise Hung

    before = signal.signal(signal.SIGALRM, bark)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def damaged(clips: dict[str, bytes], suffix: str, number: int) -> bytes:
    """File `number` of a container; the same in every run."""
    draw = np.random.default_rng([list(VIDEO).index(suffix), number])
    others = [clips[other] for other in VIDEO if other != suffix]
    return DAMAGES[number % len(DAMAGES)](draw, bytearray(clips[suffix]), others)


def check(ran: Ran, source: Path, out: Path) -> None:
    """What must hold, whatever the file was."""
    assert "Traceback" not in ran.err, ran.err
    assert ran.code in (0, InputError.exit_code, PartialInputError.exit_code, 4, 8), (ran.code, ran.err)
    allowed = {source.name, "scratch"}
    if ran.code in (0, PartialInputError.exit_code):
        assert count_packets(out) > 0
        allowed.add(out.name)
    if ran.code:
        told = [line for line in ran.err.splitlines() if line.startswith("error: ")]
        assert len(told) == 1 and "\n  expected: " in ran.err and "\n  try: " in ran.err, ran.err
    if "kept: " in ran.err:
        kept = Path(ran.err.partition("kept: ")[2].rpartition(" (")[0])
        assert count_packets(kept) > 0
        allowed.add(kept.name)
    assert {each.name for each in source.parent.iterdir()} <= allowed, ran.err
    assert not list((source.parent / "scratch").iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("suffix", VIDEO)
def test_no_damage_hangs_crashes_or_litters(
    clips: dict[str, bytes], suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, codes = children(), []
    for number in range(EACH):
        folder = tmp_path / str(number)
        (folder / "scratch").mkdir(parents=True)
        monkeypatch.setattr(tempfile, "tempdir", str(folder / "scratch"))
        source = folder / f"in.{suffix}"
        source.write_bytes(damaged(clips, suffix, number))
        out = folder / f"out.{suffix if suffix in ('mp4', 'mov') else 'mkv'}"
        try:
            with watchdog():
                ran = afitrt("interpolate", source, out, *FAST)
            check(ran, source, out)
        except BaseException as failure:
            failure.add_note(f"file {number} of {suffix}, {DAMAGES[number % len(DAMAGES)].__name__}")
            raise
        codes.append(ran.code)
        assert children() == before
    assert len({*codes} & {0, InputError.exit_code, PartialInputError.exit_code}) >= 2, "the damage is too even"


@pytest.mark.parametrize(("suffix", "number"), [("mkv", 3), ("mp4", 1), ("ts", 0), ("avi", 4), ("webm", 2), ("mov", 6)])
def test_a_sample_through_real_processes(clips: dict[str, bytes], suffix: str, number: int, tmp_path: Path) -> None:
    source, out = tmp_path / f"in.{suffix}", tmp_path / "out.mkv"
    (tmp_path / "scratch").mkdir()
    source.write_bytes(damaged(clips, suffix, number))
    with process("interpolate", source, out, *FAST) as running:
        try:
            told, err = running.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            running.kill()
            raise
    check(Ran(running.returncode, told, err), source, out)


def test_every_command_that_reads_a_damaged_film_says_so(clips: dict[str, bytes], tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.mkv", tmp_path / "cut.mkv"
    whole.write_bytes(clips["mkv"])
    cut.write_bytes(clips["mkv"][: len(clips["mkv"]) * 2 // 3])
    for command, code, told in (
        (("scenes", cut), 0, "cut.mkv is damaged"),
        (("plan", cut), 0, "cut.mkv is damaged"),
        (("compare", whole, cut), 9, "one of the two does not decode without errors"),
    ):
        ran = afitrt(*command)
        assert ran.code == code, ran.err
        assert told in ran.err and "prematurely" in ran.err and " @ 0x" not in ran.err


def test_sound_of_which_nothing_decodes_does_not_cost_the_film(clips: dict[str, bytes], tmp_path: Path) -> None:
    data = bytearray(clips["ts"])
    for start in range(0, len(data), 188):
        pid, begins = int.from_bytes(data[start + 1 : start + 3], "big") & 0x1FFF, data[start + 1] & 0x40
        if pid == 0x101:
            stuffing = 1 + data[start + 4] if data[start + 3] & 0x20 else 0
            payload = start + 4 + stuffing + (14 if begins else 0)
            data[payload : start + 188] = bytes(max(0, start + 188 - payload))
    source, out = tmp_path / "in.ts", tmp_path / "out.mkv"
    source.write_bytes(data)
    ran = afitrt("interpolate", source, out, *FAST)
    assert ran.code == 0, ran.err
    assert "track 1 (audio unknown) is left out" in ran.err
    assert count_packets(out) == 24 and sorted(each.name for each in tmp_path.iterdir()) == ["in.ts", "out.mkv"]


def test_a_damaged_packet_of_a_sound_costs_itself(tmp_path: Path) -> None:
    source, out, draw = tmp_path / "in.ts", tmp_path / "out.mkv", np.random.default_rng(1)
    picture, sound = "testsrc2=s=64x48:r=25:d=3", "sine=f=440:d=3"
    ffmpeg("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound, *VIDEO["mkv"], source)
    data = bytearray(source.read_bytes())
    for start in range(0, len(data), 188):
        if int.from_bytes(data[start + 1 : start + 3], "big") & 0x1FFF == 0x101 and draw.random() < 0.15:
            data[start + 60 : start + 100] = draw.bytes(40)
    source.write_bytes(data)
    ran = afitrt("interpolate", source, out, *FAST)
    assert ran.code == 0 and "packets are damaged and left out" in ran.err, ran.err
    assert count_packets(out) == 150


def test_a_track_that_no_container_takes_does_not_cost_what_is_rendered(
    clips: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = tmp_path / "in.mkv", tmp_path / "out.mkv"
    source.write_bytes(clips["mkv"])
    command = ("interpolate", source, out, *FAST, "--json")

    def refuse(*_: object) -> object:
        raise ValueError("sample rate not set")

    with monkeypatch.context() as patch:
        patch.setattr(sys.modules["afitrt.video.mux"], "packets_of", refuse)
        ran = afitrt(*command)
    assert ran.code == 4 and "sample rate not set" in ran.out and "--drop-tracks" in ran.out
    assert "1 finished segment in" in ran.out
    again = afitrt(*command, "--drop-tracks", "audio")
    assert again.code == 0, again.err
    events = [json.loads(line) for line in again.out.splitlines()]
    assert [each["finished"] for each in events if each["event"] == "start"] == [24]
    assert count_packets(out) == 24
    assert sorted(each.name for each in tmp_path.iterdir()) == ["in.mkv", "out.mkv"]
