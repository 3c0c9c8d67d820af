"""Times, from the source's packets to those of the file written: exact, whatever the spacing, start and container.

What is written is read by ffmpeg's framecrc writer, not by our own probe.
"""

from __future__ import annotations

import re
import subprocess
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from command import afitrt
from video_helpers import BUNDLED, ffmpeg, pattern

from afitrt.frames import VideoInfo
from afitrt.options import Job, ScheduleOptions
from afitrt.schedule import End, Frame, Node, Source, plan
from afitrt.task import resolve
from afitrt.video import Reader, probe, probe_source

pytestmark = pytest.mark.slow

FAST = ("--model", "blend", "--codec", "libx264", "--preset", "ultrafast")
B_FRAMES = ("-c:v", "libx264", "-preset", "veryfast", "-bf", 3, "-g", 12)
MS = Fraction(1, 1000)
# Ten pictures at 30 a second, then every third of them.
UNEVEN = "select='lt(n,10)+not(mod(n,3))'"
UNEVEN_TIMES = [Fraction(k, 30) for k in range(60) if k < 10 or k % 3 == 0]


def shown(path: Path, stream: str = "v", *, discarded: bool = False) -> list[Fraction]:
    """Times of the packets of a stream that are to be shown, as ffmpeg's framecrc writer tells them, ascending."""
    command = [
        BUNDLED,
        "-v",
        "error",
        "-i",
        path,
        "-map",
        f"0:{stream}",
        "-c",
        "copy",
        "-copyts",
        "-f",
        "framecrc",
        "-",
    ]
    told = subprocess.run(list(map(str, command)), capture_output=True, check=True, text=True).stdout
    base = Fraction(re.search(r"#tb 0: (\S+)", told)[1])
    rows = [line.split(",") for line in told.splitlines() if not line.startswith("#")]
    # F=0x4 marks what an edit list hides.
    kept = [row for row in rows if discarded or not re.search(r"F=0x[4-7]", ",".join(row))]
    return sorted(int(row[2]) * base for row in kept)


def halved(times: list[Fraction], last: Fraction) -> list[Fraction]:
    return [each for a, b in pairwise([*times, times[-1] + last]) for each in (a, (a + b) / 2)]


def varying(path: Path, *encode: object, filters: str = UNEVEN, sound: tuple[object, ...] = ("-c:a", "aac")) -> Path:
    picture = ("-f", "lavfi", "-i", "testsrc2=s=64x48:r=30:d=2", "-f", "lavfi", "-i", "sine=d=2")
    exact = ("-vf", f"{filters},settb=1/90000", "-fps_mode", "passthrough", "-enc_time_base", "1/90000")
    ffmpeg(*picture, *exact, *(encode or B_FRAMES), *sound, path)
    return path


@pytest.mark.parametrize("suffix, codec", [("mp4", "libx264"), ("mp4", "libx265"), ("mov", "prores_ks")])
def test_a_varying_rate_keeps_every_time_exactly(tmp_path: Path, suffix: str, codec: str) -> None:
    source, out = varying(tmp_path / "in.mp4"), tmp_path / f"out.{suffix}"
    assert shown(source) == UNEVEN_TIMES
    preset = () if codec == "prores_ks" else ("--preset", "fast")
    ran = afitrt("interpolate", source, out, "--model", "blend", "--codec", codec, *preset)
    assert ran.code == 0, ran.err
    assert "on average, as the source varies" in ran.out
    assert shown(out) == halved(UNEVEN_TIMES, Fraction(1, 30))
    assert shown(out, "a", discarded=True) == shown(source, "a", discarded=True)


def test_in_matroska_they_are_rounded_once_and_the_name_says_the_ratio(tmp_path: Path) -> None:
    source = varying(tmp_path / "in.mp4")
    assert afitrt("interpolate", source, *FAST).code == 0
    found = shown(tmp_path / "in.x2.mkv")
    expected = halved(UNEVEN_TIMES, Fraction(1, 30))
    assert [round(each / MS) for each in found] == [int(each / MS + Fraction(1, 2)) for each in expected]


def test_a_rate_makes_it_constant_and_counts_exactly(tmp_path: Path) -> None:
    source, out = varying(tmp_path / "in.mp4"), tmp_path / "out.mp4"
    ran = afitrt("interpolate", source, out, *FAST, "--fps", "60000/1001")
    assert ran.code == 0, ran.err
    # The last frame begins at 57/30 s and stays for 1/30 s.
    assert shown(out) == [Fraction(k * 1001, 60000) for k in range(116)]


def test_normalizing_stays_a_choice(tmp_path: Path) -> None:
    source, out = varying(tmp_path / "in.mp4"), tmp_path / "out.mp4"
    ran = afitrt("interpolate", source, out, *FAST, "--normalize", "30")
    assert "frames repeated" in ran.err
    assert shown(out) == [Fraction(k, 60) for k in range(len(shown(out)))]
    assert len(shown(out)) == pytest.approx(116, abs=2)


@pytest.mark.parametrize("late", [Fraction(7, 10), Fraction(-7, 10)])
@pytest.mark.parametrize("source", ["mkv", "mp4", "ts"])
def test_video_before_or_after_the_sound_stays_there(tmp_path: Path, late: Fraction, source: str) -> None:
    clip = varying(tmp_path / f"clip.{source}")
    shifted, out = tmp_path / f"in.{source}", tmp_path / "out.mp4"
    ffmpeg("-itsoffset", float(late), "-i", clip, "-i", clip, "-map", "0:v", "-map", "1:a", "-c", "copy", shifted)
    ran = afitrt("interpolate", shifted, out, *FAST)
    assert ran.code == 0, ran.err
    begins, sound = shown(shifted), shown(shifted, "a", discarded=True)
    found, heard = shown(out), shown(out, "a", discarded=True)
    assert len(found) == 2 * len(begins)
    between = [(a - sound[0]) - (b - heard[0]) for a, b in zip(begins, found[::2], strict=True)]
    assert max(map(abs, between)) <= MS


def test_an_edit_list_hides_frames_and_sound(tmp_path: Path) -> None:
    clip = pattern(tmp_path / "clip.mkv", *B_FRAMES, seconds=3)
    ffmpeg("-i", clip, "-f", "lavfi", "-i", "sine=d=3", "-c:v", "copy", "-c:a", "aac", tmp_path / "whole.mp4")
    source, out = tmp_path / "in.mp4", tmp_path / "out.mp4"
    ffmpeg("-ss", 0.62, "-i", tmp_path / "whole.mp4", "-map", 0, "-c", "copy", source)
    assert len(shown(source)) < len(shown(source, discarded=True)), "nothing is hidden: nothing was tested"
    ran = afitrt("interpolate", source, out, *FAST)
    assert ran.code == 0, ran.err
    assert shown(out) == [Fraction(k, 50) for k in range(2 * len(shown(source)))]
    assert shown(out, "a", discarded=True) == shown(source, "a", discarded=True)
    exact = ("--model", "blend", "--codec", "ffv1", "--pix-fmt", "bgr0")
    assert afitrt("interpolate", source, tmp_path / "out.mkv", *exact).code == 0
    with Reader(probe(source)) as old, Reader(probe(tmp_path / "out.mkv")) as new:
        before, after = list(old), list(new)
    np.testing.assert_array_equal(before[0], after[0])
    np.testing.assert_array_equal(before[-1], after[-1])


def test_repeated_stamps_are_spread_over_the_gap(tmp_path: Path) -> None:
    clip = pattern(tmp_path / "clip.mp4", "-c:v", "libx264", "-bf", 0)
    source = tmp_path / "in.mkv"
    with av.open(str(clip)) as before, av.open(str(source), "w") as after:
        stream = before.streams.video[0]
        copy = after.add_stream_from_template(stream, opaque=True)
        step = int(1 / (25 * stream.time_base))
        for number, packet in enumerate(packet for packet in before.demux(stream) if packet.size):
            packet.stream, packet.dts = copy, packet.dts - 10 * step
            packet.pts = number // 5 * 5 * step if number >= 10 else number * step
            after.mux(packet)
    assert shown(source)[10:15] == [Fraction(4, 10)] * 5
    ran = afitrt("interpolate", source, tmp_path / "out.mp4", *FAST)
    assert ran.code == 0, ran.err
    assert shown(tmp_path / "out.mp4") == [Fraction(k, 50) for k in range(50)]


def test_a_stream_without_stamps_says_so_and_takes_a_rate(tmp_path: Path) -> None:
    clip = pattern(tmp_path / "in.h264", "-c:v", "libx264", "-bf", 2)
    ran = afitrt("interpolate", clip, tmp_path / "a.mp4", *FAST)
    assert ran.code == 0 and "no time stamps: taken at 25 fps; --rate" in ran.err
    ran = afitrt("interpolate", clip, tmp_path / "b.mp4", *FAST, "--rate", "24000/1001")
    assert ran.code == 0 and "time stamps" not in ran.err
    assert shown(tmp_path / "b.mp4") == [Fraction(k * 1001, 48000) for k in range(50)]


def test_files_with_decoding_times_only_keep_their_rate(tmp_path: Path) -> None:
    clip = pattern(tmp_path / "in.avi", "-c:v", "mpeg4", "-bf", 2, rate="24000/1001")
    ran = afitrt("interpolate", clip, tmp_path / "out.mp4", *FAST)
    assert ran.code == 0, ran.err
    found = shown(tmp_path / "out.mp4")
    assert {b - a for a, b in pairwise(found)} == {Fraction(1001, 48000)}


def test_stamps_that_jump_back_are_refused_by_name(tmp_path: Path) -> None:
    clip = pattern(tmp_path / "clip.ts", *B_FRAMES, seconds=2)
    (tmp_path / "in.ts").write_bytes(clip.read_bytes() * 2)
    ran = afitrt("interpolate", tmp_path / "in.ts", *FAST)
    assert ran.code == 3
    assert "jump back from 3" in ran.err and "joined.mkv" in ran.err


def test_a_long_gap_in_a_broadcast_stays_between_picture_and_sound(tmp_path: Path) -> None:
    clip = varying(tmp_path / "a.ts", filters="null")
    ffmpeg("-i", clip, "-map", 0, "-c", "copy", "-output_ts_offset", 30, tmp_path / "b.ts")
    (tmp_path / "in.ts").write_bytes(clip.read_bytes() + (tmp_path / "b.ts").read_bytes())
    ran = afitrt("interpolate", tmp_path / "in.ts", tmp_path / "out.mp4", *FAST)
    assert ran.code in (0, 9), ran.err
    picture, sound = shown(tmp_path / "out.mp4"), shown(tmp_path / "out.mp4", "a")
    leaps = [max(((b - a, b) for a, b in pairwise(each))) for each in (picture, sound)]
    assert all(leap > 10 for leap, _ in leaps)
    assert abs(leaps[0][1] - leaps[1][1]) < Fraction(1, 10)


def uneven_film(frames: int) -> VideoInfo:
    """Frames of 1001/24000, 1001/30000 and 1001/60000 s in runs, rounded to milliseconds: about two hours."""
    draw = np.random.default_rng(7)
    spacing = np.repeat(draw.choice([1001 / 24, 1001 / 30, 1001 / 60], frames // 100), 100)
    pts = np.rint(np.cumsum(spacing) - spacing[0]).astype(np.int64)
    return VideoInfo(
        path=Path("in.mkv"),
        width=64,
        height=48,
        rate=Fraction(30000, 1001),
        time_base=MS,
        pts=pts,
        end=int(pts[-1]) + 17,
        pix_fmt="yuv420p",
        depth=8,
        constant=False,
    )


def positions(nodes: dict[Node, Fraction], node: Node) -> Fraction:
    """Place in source frames: what a picture would show if frame k showed k."""
    if isinstance(node, Source):
        return Fraction(node.index)
    if node not in nodes:
        left, right = positions(nodes, node.left), positions(nodes, node.right)
        nodes[node] = left + (right - left) * node.t
    return nodes[node]


@pytest.mark.slow
@pytest.mark.parametrize(
    "options", [ScheduleOptions(n_forward=1), ScheduleOptions(None, Fraction(60), 1, shrink=False)]
)
def test_two_hours_of_varying_frames_never_drift(options: ScheduleOptions, tmp_path: Path) -> None:
    info = uneven_film(200_000)
    task = resolve(Job(tmp_path / "out.mkv", source=tmp_path / "in.mkv", schedule=options), info)
    frames = (Frame(task.time(k), cut=k % 5000 == 0) for k in range(info.frames))
    stamps = task.stamps(task.outputs(info.frames))
    written = iter(stamps.pts.tolist())
    seconds = [float(info.seconds(k)) for k in range(info.frames + 1)]
    half = 1 / float(2 * task.rate) if options.fps else 0
    nodes: dict[Node, Fraction] = {}
    count, worst = 0, 0.0
    for step in plan((*frames, End(task.time(info.frames))), task.schedule):
        for output in step.outputs:
            assert next(written) * stamps.time_base == output.pts
            place = positions(nodes, output.node)
            frame = place.numerator // place.denominator
            ideal = seconds[frame] + float(place - frame) * (seconds[frame + 1] - seconds[frame])
            tail = 5000 - frame % 5000 <= 2 or frame + 3 > info.frames
            worst = max(worst, 0 if tail else abs(ideal - float(output.pts)))
            count += 1
        for node in step.release:
            nodes.pop(node, None)
    assert count == task.outputs(info.frames) == len(stamps.pts)
    assert count == (400_000 if options.times else -(-info.end * 60 // 1000))
    assert worst <= half + 1e-9
    assert stamps.pts[-1] * stamps.time_base < info.end * MS <= stamps.end * stamps.time_base
    assert info.end > 6_000_000


def test_behind_lost_frames_pictures_and_sound_stay_together_where_it_is_asked_for(tmp_path: Path) -> None:
    coded = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error:keyint=25:open-gop=0")
    source = pattern(tmp_path / "in.mkv", *coded, seconds=4, size="320x240")
    with av.open(str(source)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    damaged = bytearray(source.read_bytes())
    for packet in (packets[33], packets[34], packets[35]):
        damaged[packet.pos + 14 : packet.pos + packet.size] = bytes(packet.size - 14)
    source.write_bytes(damaged)
    ran = afitrt("interpolate", source, tmp_path / "a.mp4", *FAST)
    assert ran.code == 9 and "--vf null" in ran.err
    ran = afitrt("interpolate", source, tmp_path / "b.mp4", *FAST, "--vf", "null")
    assert ran.code == 9 and "is damaged" in ran.err and "--vf null" not in ran.err
    assert "of its 100 frames do not decode" in probe_source(source, filters="null").damage
    short, true = shown(tmp_path / "a.mp4"), shown(tmp_path / "b.mp4")
    assert len(short) == len(true) < 200
    # How many frames are lost differs between decoders.
    assert (true[0], true[-1]) == (0, Fraction(199, 50)) and short[-1] == Fraction(len(short) - 1, 50) < true[-1]
