"""Two commands that write one output: the second says who is at it, and what ends gives the place free."""

from __future__ import annotations

import builtins
import json
import os
import platform
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from command import Ran, afitrt, process
from video_helpers import pattern

from afitrt.errors import RetryError
from afitrt.locks import held
from afitrt.video import probe

FAST = ("--model", "blend", "--codec", "libx264", "--preset", "ultrafast")


def refused(ran: Ran, code: int, *words: str) -> None:
    assert ran.code == code, ran.err
    assert "expected:" in ran.err and "try:" in ran.err and "Traceback" not in ran.err
    assert all(word in ran.err for word in words), ran.err


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pattern(tmp_path_factory.mktemp("locks") / "in.mkv", seconds=10)


@contextmanager
def at_work(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A command that has written something, and then waits for SIGCONT; killed at the end."""
    running = process(*arguments, "--json")
    assert running.stdout is not None
    try:
        for line in running.stdout:
            if '"progress"' in line and json.loads(line)["outputs"] > 0:
                break
        running.send_signal(signal.SIGSTOP)
        yield running
    finally:
        running.kill()
        running.communicate()


def test_the_same_command_twice_at_once(tmp_path: Path, film: Path) -> None:
    source = shutil.copy(film, tmp_path / "in.mkv")
    job = ("interpolate", source, tmp_path / "out.mkv", *FAST)
    with at_work(*job) as first:
        who = f"out.mkv is being written by process {first.pid} on {platform.node()}"
        others = (job, (*job, "--times", "3", "--overwrite"), (*job, "--workers", "2"), (*job, "--vf", "hflip"))
        for other in others:
            refused(afitrt(*other), 75, who, "another name")
        first.send_signal(signal.SIGCONT)
        _, err = first.communicate(timeout=100)
        assert first.returncode == 0, err
    assert probe(tmp_path / "out.mkv").frames == 500
    assert sorted(os.listdir(tmp_path)) == ["in.mkv", "out.mkv"]
    refused(afitrt(*job), 4, "exists")


def test_after_a_kill_the_same_command_goes_on(tmp_path: Path, film: Path) -> None:
    job = ("interpolate", film, tmp_path / "out.mkv", *FAST, "--segment-outputs", "50")
    with at_work(*job) as first:
        first.send_signal(signal.SIGCONT)
        assert first.stdout is not None
        next(line for line in first.stdout if '"segment"' in line)
        first.send_signal(signal.SIGKILL)
        first.wait()
    assert [name for name in os.listdir(tmp_path) if name.endswith(".lock")]
    ran = afitrt(*job, "--json")
    assert ran.code == 0, ran.err
    started = next(json.loads(line) for line in ran.out.splitlines() if '"start"' in line)
    assert started["finished"] >= 50
    assert os.listdir(tmp_path) == ["out.mkv"]


def test_workers_pictures_and_a_preview_hold_their_output_too(tmp_path: Path, film: Path) -> None:
    crowd = ("interpolate", film, tmp_path / "a.mkv", *FAST, "--workers", "1")
    pictures = ("interpolate", film, tmp_path / "out" / "%03d.png", "--model", "blend")
    with at_work(*crowd) as first, at_work(*pictures) as second:
        refused(afitrt(*crowd), 75, f"process {first.pid} ")
        refused(afitrt(*pictures, "--overwrite"), 75, f"process {second.pid} ")
        for place in ("a.mkv", "out/%03d.png"):
            with pytest.raises(RetryError), held(tmp_path / place):
                pass
    with held(tmp_path / "b.mkv"):
        refused(afitrt("preview", film, tmp_path / "b.mkv", *FAST), 75, f"process {os.getpid()} ")
        assert afitrt("plan", film, *FAST, "-o", tmp_path / "job.json").code == 0
        assert afitrt("render", tmp_path / "job.json", "--segment", "0", "-q").code == 0
        job = (tmp_path / "job.json", tmp_path / "b.mkv", "--partial")
        refused(afitrt("join", *job), 75, f"process {os.getpid()} ")
    assert afitrt("join", *job).code == 0


def test_a_lock_that_nobody_holds_is_taken_and_removed(tmp_path: Path) -> None:
    with held(tmp_path / "out.mkv"):
        (lock,) = tmp_path.iterdir()
        left = lock.read_text()
    assert not list(tmp_path.iterdir())
    lock.write_text(left)
    with held(tmp_path / "out.mkv"), held(tmp_path / "other.mkv"):
        assert json.loads(lock.read_text()) == {"process": os.getpid(), "host": platform.node()}
    lock.write_text("")
    with held(tmp_path / "out.mkv"):
        lock.write_text("no JSON")
        with pytest.raises(RetryError, match="another process"), held(tmp_path / "out.mkv"):
            pass
    assert not list(tmp_path.iterdir())


def test_a_disk_or_a_system_without_locks_lets_everyone_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *others: Any) -> Any:
        if name in ("fcntl", "msvcrt"):
            raise ImportError(name)
        return real(name, *others)

    monkeypatch.setattr(builtins, "__import__", without)
    with held(tmp_path / "out.mkv"), held(tmp_path / "out.mkv"):
        pass
    monkeypatch.undo()
    import fcntl

    def unknown(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", unknown)
    with held(tmp_path / "out.mkv"), held(tmp_path / "out.mkv"):
        pass
    assert not list(tmp_path.iterdir())
