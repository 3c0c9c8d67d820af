"""Other systems than Linux: what they lack is taken away, and the real jobs run without it."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from command import afitrt, command_line, heeding_signals, process
from video_helpers import pattern

from afitrt import system
from afitrt.cli import main
from afitrt.cli.deadline import ending_in_time
from afitrt.errors import AfitrtError, Terminated
from afitrt.video import probe
from afitrt.video.ffmpeg import ending

ROOT = Path(__file__).resolve().parent.parent
FAST = ("--codec", "libx264", "--preset", "ultrafast")
LACKING = """
import os, signal, sys
for name in ("sched_getaffinity", "sched_setaffinity", "set_blocking", "pathconf", "killpg", "setsid", "mkfifo"):
    delattr(os, name)
for name in ("SIGHUP", "SIGALRM", "SIGUSR1", "SIGUSR2"):
    delattr(signal, name)
for name in ("fcntl", "termios", "tty", "pty", "grp"):
    sys.modules[name] = None
"""


@pytest.fixture
def poor(tmp_path: Path) -> dict[str, str]:
    """The environment of processes, and their children, on a system that lacks all of that."""
    (tmp_path / "lacking").mkdir()
    (tmp_path / "lacking" / "sitecustomize.py").write_text(LACKING)
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path / "lacking"), os.environ.get("PYTHONPATH", "")])}


def done(environment: dict[str, str], *arguments: object) -> None:
    ran = subprocess.run(command_line(*arguments), capture_output=True, text=True, check=False, env=environment)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.weights
@pytest.mark.usefixtures("weights_home")
def test_stages_load_and_films_are_made_without_what_only_linux_has(tmp_path: Path, poor: dict[str, str]) -> None:
    source = pattern(tmp_path / "in.mkv", seconds=0.12)
    done(poor, "interpolate", source, tmp_path / "net.mkv", "--model", "rife", *FAST)
    done(poor, "interpolate", source, tmp_path / "two.mkv", "--model", "rife", *FAST, "--workers", "2")
    assert probe(tmp_path / "net.mkv").frames == 6
    assert (tmp_path / "net.mkv").read_bytes() == (tmp_path / "two.mkv").read_bytes()


def test_a_run_is_stopped_and_keeps_its_work_without_what_only_linux_has(tmp_path: Path, poor: dict[str, str]) -> None:
    source = pattern(tmp_path / "in.mkv", seconds=20)
    running = process("interpolate", source, tmp_path / "out.mkv", "--model", "blend", *FAST, "--json", env=poor)
    assert running.stdout is not None
    next(line for line in running.stdout if '"progress"' in line and json.loads(line)["outputs"] >= 20)
    running.send_signal(signal.SIGTERM)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 75 and "out.partial.mkv" in err, err


def test_cores_are_counted_where_nobody_tells_which_are_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    assert system.cores() == len(os.sched_getaffinity(0))
    monkeypatch.delattr(os, "sched_getaffinity")
    assert system.cores() == os.cpu_count()
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert system.cores() == 1


def test_a_signal_that_has_no_name_is_told_by_its_number() -> None:
    assert ending(-signal.SIGKILL, ()) == "was killed by SIGKILL (it said nothing)"
    assert ending(-40, ("no",)) == "was killed by signal 40 (no)"
    assert ending(3221225786, ()) == "ended with exit code 3221225786 (it said nothing)"


def test_a_child_heeds_ctrl_c_though_our_shell_ignores_it(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        running = process("interpolate", "-", tmp_path / "out.mkv", stdin=subprocess.PIPE)
    finally:
        signal.signal(signal.SIGINT, before)
    running.send_signal(signal.SIGINT)
    try:
        running.wait(60)  # Its input stays open: nothing else ends it.
    finally:
        running.kill()
        running.communicate()
    assert running.returncode in (130, -signal.SIGINT)


def test_a_run_whose_ctrl_c_was_ignored_by_its_shell_ignores_it(tmp_path: Path) -> None:
    frame = b"FRAME\n" + bytes(64 * 48 * 3 // 2)
    job = shlex.join(command_line("interpolate", "-", tmp_path / "out.mkv", "--model", "blend", *FAST))
    running = subprocess.Popen(
        ["sh", "-c", f"trap '' INT; exec {job}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert running.stdin is not None
    running.stdin.write(b"YUV4MPEG2 W64 H48 F25:1\n" + frame)
    running.stdin.flush()
    while not [child for child in psutil.Process(running.pid).children() if "ffmpeg" in child.name()]:
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(frame * 9, timeout=60)
    assert running.returncode == 0, err
    assert probe(tmp_path / "out.mkv").frames == 20


def test_every_signal_of_the_system_that_asks_to_end_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signal, "SIGBREAK", signal.SIGUSR1, raising=False)
    heard = []

    def run() -> None:
        for each in (signal.SIGHUP, signal.SIGUSR1):
            with pytest.raises(Terminated):
                signal.raise_signal(each)
            heard.append(each)

    monkeypatch.setattr("afitrt.cli.app", run)
    with heeding_signals():
        main()
    assert heard == [signal.SIGHUP, signal.SIGUSR1] and signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL


@pytest.mark.parametrize("sent, code", [(signal.SIGINT, 130), (signal.SIGTERM, 75), (signal.SIGHUP, 75)])
def test_a_signal_at_any_moment_and_again_has_its_code(sent: int, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def run() -> None:
        try:
            signal.raise_signal(sent)
        finally:
            signal.raise_signal(sent)

    def told(error: AfitrtError) -> None:
        signal.raise_signal(sent)
        shown.append(error.exit_code)

    shown: list[int] = []
    monkeypatch.setattr("afitrt.doctor.examine", run)
    monkeypatch.setattr("afitrt.cli.console.print_error", told)
    with heeding_signals():
        assert afitrt("doctor").code == code and shown == [code]


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_inside_a_destructor_is_not_lost(sent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    class Ending:
        def __del__(self) -> None:
            signal.raise_signal(sent)

    def run() -> None:
        with pytest.raises(Terminated):
            Ending()
            time.sleep(10)
        ran.append(sent)

    ran: list[int] = []
    monkeypatch.setattr("afitrt.cli.app", run)
    with heeding_signals():
        main()
    assert ran == [sent]


def test_the_deadline_gives_the_signals_back() -> None:
    with ending_in_time():
        inside = signal.set_wakeup_fd(-1)
        signal.set_wakeup_fd(inside)
    assert inside != -1 and signal.set_wakeup_fd(-1) == -1


def test_types_are_checked_for_three_systems() -> None:
    words = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert all(f"--platform {each}" in words for each in ("darwin", "win32"))
