"""A job made definite: names, rates, spans and counts, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from afitrt.errors import OutputError, UsageError
from afitrt.frames import VideoInfo
from afitrt.options import Job, SceneOptions, ScheduleOptions
from afitrt.schedule import End, Frame, plan
from afitrt.task import resolve

NTSC = Fraction(24000, 1001)


def info(path: Path, frames: int = 10, rate: Fraction = NTSC, start: int = 0) -> VideoInfo:
    pts = start + np.arange(frames, dtype=np.int64) * 1001
    return VideoInfo(
        path=path,
        width=64,
        height=48,
        rate=rate,
        time_base=Fraction(1, 24000),
        pts=pts,
        end=int(pts[-1]) + 1001,
        pix_fmt="yuv420p",
        depth=8,
    )


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.mkv"
    path.write_bytes(b"video")
    return path


@pytest.mark.parametrize(
    "schedule, name, outputs",
    [
        (ScheduleOptions(), "in.47.952fps.mkv", 20),
        (ScheduleOptions(times=5), "in.119.88fps.mkv", 50),
        (ScheduleOptions(times=None, fps=Fraction(60)), "in.60fps.mkv", 26),
        (ScheduleOptions(times=None, fps=Fraction(60000, 1001)), "in.59.94fps.mkv", 25),
    ],
)
def test_the_name_says_the_real_rate_and_counts_are_exact(
    source: Path, schedule: ScheduleOptions, name: str, outputs: int
) -> None:
    task = resolve(Job(source=source, schedule=schedule), info(source))
    assert task.output == source.with_name(name)
    assert task.outputs(task.frames) == outputs
    assert task.schedule.n_forward == 2
    assert task.span is None


@pytest.mark.parametrize(
    "start, end, frames",
    [
        (None, None, (0, 10)),
        (Fraction(0), Fraction(1001, 24000), (0, 1)),
        (Fraction(1001, 24000), None, (1, 10)),
        (Fraction(1, 1000), Fraction(1001, 12000), (1, 2)),
        (Fraction(1, 10), Fraction(100), (3, 10)),
    ],
)
def test_a_span_is_half_open_on_the_sources_clock(
    source: Path, start: Fraction | None, end: Fraction | None, frames: tuple[int, int]
) -> None:
    task = resolve(Job(source=source, start=start, end=end), info(source))
    assert (task.first, task.last) == frames


def test_the_sources_clock_need_not_begin_at_zero(source: Path) -> None:
    late = info(source, start=24000)
    task = resolve(Job(source=source, start=Fraction(1), end=Fraction(25001, 24000)), late)
    assert (task.first, task.last) == (0, 1)
    assert task.span == (Fraction(1), Fraction(25001, 24000))


@pytest.mark.parametrize(
    "start, end", [(Fraction(10), None), (None, Fraction(0)), (Fraction(1, 1000), Fraction(2, 1000))]
)
def test_a_span_without_a_frame_is_refused(source: Path, start: Fraction | None, end: Fraction | None) -> None:
    with pytest.raises(UsageError, match="no frame lies between"):
        resolve(Job(source=source, start=start, end=end), info(source))


def test_a_start_after_the_end_is_refused(source: Path) -> None:
    with pytest.raises(UsageError, match="--start 2 --end 1"):
        Job(source=source, start=Fraction(2), end=Fraction(1))


def test_cuts_beyond_the_video_are_refused(source: Path) -> None:
    resolve(Job(source=source, scenes=SceneOptions(cuts=(9,))), info(source))
    with pytest.raises(UsageError, match="cut 10"):
        resolve(Job(source=source, scenes=SceneOptions(cuts=(10,))), info(source))


def test_outputs_that_may_not_be_written_are_refused(source: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="is the source itself"):
        resolve(Job(source, source=source, overwrite=True), info(source))
    with pytest.raises(OutputError, match="is a folder"):
        resolve(Job(tmp_path, source=source, overwrite=True), info(source))
    existing = tmp_path / "out.mkv"
    existing.write_bytes(b"")
    with pytest.raises(OutputError, match="exists") as refused:
        resolve(Job(existing, source=source), info(source))
    assert "--overwrite" in refused.value.hint
    assert resolve(Job(existing, source=source, overwrite=True), info(source)).output == existing


def varying(source: Path) -> VideoInfo:
    """Frame 4 stays for five frames' time."""
    base = info(source, start=1001)
    return replace(base, constant=False, pts=base.pts + np.array([0] * 5 + [4004] * 5), end=base.end + 4004)


def test_a_varying_rate_is_made_constant_when_asked_and_said(source: Path) -> None:
    task = resolve(Job(source=source, normalize=NTSC), varying(source))
    assert task.normalised and not task.varies
    assert task.output.name == "in.47.952fps.mkv"
    assert task.frames == 14
    assert "4 frames repeated, 0 dropped" in task.warnings[0]


def test_a_varying_rate_is_kept_by_times_and_made_constant_by_fps(source: Path) -> None:
    task = resolve(Job(source=source), varying(source))
    assert (task.varies, task.normalised, task.frames, task.warnings) == (True, False, 10, ())
    assert (task.output.name, task.rate) == ("in.x2.mkv", 2 * NTSC)
    halves = [*range(9), 13, *range(18, 28)]
    assert resolve(Job(source=source, schedule=ScheduleOptions(times=1)), varying(source)).output.name == "in.x1.mkv"
    shown = task.stamps(20)
    assert [pts * shown.time_base for pts in shown.pts.tolist()] == [Fraction(k * 1001, 48000) for k in halves]
    fixed = resolve(Job(source=source, schedule=ScheduleOptions(times=None, fps=Fraction(60))), varying(source))
    assert (fixed.varies, fixed.output.name) == (False, "in.60fps.mkv")
    assert fixed.outputs(10) == 36  # 14 x 1001 / 24000 s are 35.035 pictures.


def test_where_there_are_no_times_a_varying_rate_is_refused_or_warned_about(source: Path) -> None:
    with pytest.raises(UsageError, match="y4m has one rate") as refused:
        resolve(Job(Path("-"), source=source), varying(source))
    assert "--normalize 23.976" in refused.value.hint
    assert (
        "--normalize 23.976"
        in resolve(Job(source.parent / "out" / "%d.png", source=source), varying(source)).warnings[0]
    )


def test_film_with_repeated_fields_is_told_how_to_get_an_even_rate(source: Path) -> None:
    base = info(source, frames=40)
    pts = np.cumsum([0] + [round(k * 1001 / 60) for k in (2, 3) * 20])
    film = replace(base, constant=False, pts=pts[:-1], end=int(pts[-1]), time_base=Fraction(1, 1000))
    assert "--normalize 24000/1001" in resolve(Job(source=source), film).warnings[0]
    even = resolve(Job(source=source, normalize=NTSC), film)
    assert even.frames == 40 and len(even.warnings) == 1 and "0 frames repeated, 0 dropped" in even.warnings[0]
    assert resolve(Job(source=source), varying(source)).warnings == ()


@pytest.mark.parametrize("first, last", [(None, None), (3, 7), (5, 10)])
@pytest.mark.parametrize("times", [1, 2, 5])
def test_written_times_are_those_of_the_schedule(source: Path, first: int | None, last: int | None, times: int) -> None:
    read = varying(source)
    start, end = (None if each is None else read.seconds(each) for each in (first, last))
    task = resolve(Job(source=source, schedule=ScheduleOptions(times=times), start=start, end=end), read)
    frames = task.frames or 0
    timing = [*(Frame(task.time(k), cut=k == 2) for k in range(frames)), End(task.time(frames))]
    planned = [output.pts for step in plan(timing, task.schedule) for output in step.outputs]
    shown = task.stamps(len(planned))
    assert [pts * shown.time_base for pts in shown.pts.tolist()] == planned
    assert shown.end * shown.time_base == task.time(frames)
