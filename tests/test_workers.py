"""Several processes: same bytes, a worker that dies is replaced, a device that keeps failing is set aside."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from command import afitrt, process
from video_helpers import packets, pattern

from afitrt import segments
from afitrt.cli import deadline
from afitrt.errors import InputError, RetryError, UsageError
from afitrt.pipeline.pool import Pool, Work
from afitrt.pipeline.rendering import Placing

pytestmark = pytest.mark.slow

FLAGS = ("--model", "blend", "--codec", "libx264", "--preset", "ultrafast", "--segment-outputs", "24")


@pytest.mark.slow
def test_two_workers_give_the_bytes_of_one(tmp_path: Path) -> None:
    source = pattern(tmp_path / "in.mkv", seconds=4, rate="24")
    assert afitrt("interpolate", source, tmp_path / "one.mkv", *FLAGS).code == 0
    ran = afitrt("interpolate", source, tmp_path / "two.mkv", *FLAGS, "--workers", "2", "--json")
    assert ran.code == 0, ran.err
    assert (tmp_path / "two.mkv").read_bytes() == (tmp_path / "one.mkv").read_bytes()
    events = [json.loads(line) for line in ran.out.splitlines()]
    assert sorted(e["segment"] for e in events if e["event"] == "segment") == list(range(8))
    assert {e["device"] for e in events if e["event"] == "segment"} == {"cpu"}
    assert events[-1]["event"] == "done" and events[-1]["outputs"] == 192
    assert max(e["outputs"] for e in events if e["event"] == "progress") == 192
    assert {path.name for path in tmp_path.iterdir()} == {"in.mkv", "one.mkv", "two.mkv"}


def running(source: Path, out: Path, until: str) -> Any:
    started = process("interpolate", source, out, *FLAGS, "--workers", "2", "--json")
    assert started.stdout is not None
    for line in started.stdout:
        if json.loads(line)["event"] == until:
            break
    return started


@pytest.mark.slow
def test_a_worker_that_is_killed_is_replaced(tmp_path: Path) -> None:
    source = pattern(tmp_path / "in.mkv", seconds=20, rate="24", size="160x120")
    started = running(source, tmp_path / "out.mkv", "segment")
    workers = [each for each in psutil.Process(started.pid).children() if "render" in each.cmdline()]
    assert len(workers) == 2
    workers[0].kill()
    out, err = started.communicate(timeout=120)
    assert started.returncode == 0, err
    events = [json.loads(line) for line in out.splitlines()]
    assert [e["text"] for e in events if e["event"] == "warning" and "worker" in e["text"]]
    assert afitrt("interpolate", source, tmp_path / "one.mkv", *FLAGS).code == 0
    assert (tmp_path / "out.mkv").read_bytes() == (tmp_path / "one.mkv").read_bytes()
    assert len(packets(tmp_path / "out.mkv")[0]) == 960


@pytest.mark.slow
def test_sigterm_ends_all_within_ten_seconds_and_the_same_command_goes_on(tmp_path: Path) -> None:
    source = pattern(tmp_path / "in.mkv", seconds=20, rate="24", size="160x120")
    started = running(source, tmp_path / "out.mkv", "segment")
    children = psutil.Process(started.pid).children(recursive=True)
    began = time.monotonic()
    started.send_signal(signal.SIGTERM)
    _, err = started.communicate(timeout=30)
    assert started.returncode == 75 and time.monotonic() - began < 10
    assert "finished segment" in err
    assert not [each for each in children if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]
    ran = afitrt("interpolate", source, tmp_path / "out.mkv", *FLAGS, "--json")
    start = next(line for line in map(json.loads, ran.out.splitlines()) if line["event"] == "start")
    assert ran.code == 0 and start["finished"] >= 24
    assert afitrt("interpolate", source, tmp_path / "one.mkv", *FLAGS).code == 0
    assert (tmp_path / "out.mkv").read_bytes() == (tmp_path / "one.mkv").read_bytes()


@pytest.mark.slow
def test_what_no_repeating_helps_is_told_at_once(tmp_path: Path) -> None:
    source = pattern(tmp_path / "in.mkv", seconds=2, rate="24")
    job = tmp_path / "job.json"
    assert afitrt("plan", source, "-o", job, *FLAGS).code == 0
    source.write_bytes(source.read_bytes() + b"more")
    (tmp_path / "f").mkdir()
    with pytest.raises(InputError, match=r"source\.size"), Pool(job, [Placing(tmp_path / "f")], [0, 1]) as lines:
        list(lines)


@pytest.mark.slow
def test_devices_that_keep_dying_are_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = tmp_path / "job.json"
    assert afitrt("plan", pattern(tmp_path / "in.mkv", seconds=1, rate="24"), "-o", job, *FLAGS).code == 0
    monkeypatch.setattr("afitrt.pipeline.pool.sys", SimpleNamespace(executable="/bin/false"))
    told: list[str] = []
    placings = [Placing(tmp_path), Placing(tmp_path)]
    with pytest.raises(RetryError, match="devices failed twice"), Pool(job, placings, [0, 1]) as lines:
        for _, facts in lines:
            told.append(facts["text"])
    assert sum("set aside" in text for text in told) == 2 and len(told) == 4


def test_work_is_handed_out_once_and_comes_back() -> None:
    work = Work([4, 5])
    assert (work.take(), work.take()) == (4, 5)
    work.finish(5, done=True)
    work.finish(4, done=False)
    assert work.left and work.take() == 4
    work.finish(4, done=True)
    assert work.take() is None and not work.left
    stopped = Work([1])
    stopped.stop()
    assert stopped.take() is None


@pytest.mark.parametrize(
    "options, words",
    [
        (("--workers", "0"), "whole number from 1"),
        (("--workers", "two"), "whole number from 1"),
        (("--devices", "0;1"), "numbers from 0"),
        (("--workers", "2", "--device", "0"), "--devices for GPUs"),
        (("--workers", "2", "--devices", "0"), "one of the two"),
        (("--workers", "2", "--report", "r.html"), "--report"),
        (("--segment-outputs", "0"), "whole number from 1"),
    ],
)
def test_wrong_options_are_refused(tmp_path: Path, options: tuple[str, ...], words: str) -> None:
    source = pattern(tmp_path / "in.mkv", seconds=0.2)
    ran = afitrt("interpolate", source, tmp_path / "out.mkv", "--model", "blend", *options)
    assert ran.code == UsageError.exit_code and words in ran.err
    ran = afitrt("interpolate", source, f"{tmp_path}/png/", "--model", "blend", "--workers", "2")
    assert ran.code == UsageError.exit_code and "one worker" in ran.err


def test_a_process_that_hears_no_signal_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[int] = []
    monkeypatch.setattr(deadline.os, "_exit", ended.append)
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        with deadline.ending_in_time(0.05):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.5)
        with deadline.ending_in_time(5):
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert ended == [75]


def test_numbers_as_ranges() -> None:
    assert segments.numbers_text([0, 1, 2, 4, 7, 8]) == "0-2, 4, 7-8"
    assert segments.numbers_text([]) == ""
