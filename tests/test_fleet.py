"""AFITRT_HOME shared by machines: read only, and filled by two at once."""

from __future__ import annotations

import ctypes
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command import afitrt, command_line, process
from video_helpers import pattern, payload

MAKE = """
import platform, sys, time
from pathlib import Path
from unittest import mock
from afitrt import artefacts
host, content, others = sys.argv[1:]
identity = artefacts.Identity("onnx", "1", "gmfss", "fuse", "aa", "bb", 1, 448, 256, 1.0, "fp32", "cpu")
def write(path):
    path.write_bytes(content.encode() * 100000)
    (artefacts.home() / host).touch()
    while len(list(artefacts.home().glob("host*"))) < int(others):
        time.sleep(0.01)
with mock.patch.object(platform, "node", lambda: host):
    path = artefacts.make(identity, ".onnx", write)
    assert artefacts.find(identity, ".onnx") == path
"""


@pytest.mark.parametrize("machines", [4])
def test_machines_that_build_one_artefact_at_once_all_end_with_a_whole_one(machines: int, tmp_path: Path) -> None:
    environment = {**os.environ, "AFITRT_HOME": str(tmp_path)}
    words = [(f"host{number}", str(number), str(machines)) for number in range(machines)]
    running = [subprocess.Popen([sys.executable, "-c", MAKE, *each], env=environment) for each in words]
    assert [each.wait(timeout=60) for each in running] == [0] * machines
    shelf = tmp_path / "engines" / "onnx"
    (folder,) = shelf.iterdir()
    (file,) = folder.glob("*.onnx")
    assert set(file.read_bytes()) <= {ord(str(number)) for number in range(machines)}
    assert len(set(file.read_bytes())) == 1 and file.stat().st_size == 100000


def without_privilege() -> None:
    """In a child: root obeys the modes of files as anyone does (drops CAP_DAC_OVERRIDE)."""
    ctypes.CDLL(None).prctl(24, 1, 0, 0, 0)


def interpolate(*words: object, home: Path) -> subprocess.CompletedProcess[str]:
    command = command_line("interpolate", *words, "--model", "rife", "--preset", "ultrafast", "--runtime", "onnx")
    environment = {**os.environ, "AFITRT_HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, check=False, preexec_fn=without_privilege
    )


@pytest.mark.weights
@pytest.mark.slow
def test_a_home_that_may_only_be_read_serves_and_says_what_it_lacks(weights_home: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(weights_home / "weights", home / "weights", copy_function=os.symlink)
    clip = pattern(tmp_path / "in.mkv", seconds=0.2)
    assert interpolate(clip, tmp_path / "first.mkv", home=home).returncode == 0
    files = {path: path.stat().st_mtime_ns for path in home.rglob("*")}
    folders = [home, *(path for path in home.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    try:
        again = interpolate(clip, tmp_path / "again.mkv", home=home)
        assert again.returncode == 0, again.stderr
        assert payload(tmp_path / "again.mkv", 0) == payload(tmp_path / "first.mkv", 0)
        other = pattern(tmp_path / "other.mkv", seconds=0.2, size="128x128")
        lacking = interpolate(other, tmp_path / "none.mkv", home=home)
        assert lacking.returncode == 4 and "AFITRT_HOME" in lacking.stderr and "Traceback" not in lacking.stderr
        assert {path: path.stat().st_mtime_ns for path in home.rglob("*")} == files
    finally:
        for folder in folders:
            folder.chmod(0o755)


@pytest.mark.slow
def test_a_machine_that_is_taken_away_ends_in_time_and_another_goes_on(tmp_path: Path) -> None:
    clip = pattern(tmp_path / "in.mkv", seconds=20, size="320x240")
    job = tmp_path / "job.json"
    flags = ("--model", "blend", "--codec", "libx264", "--segment-outputs", "250")
    assert afitrt("plan", clip, "-o", job, *flags).code == 0
    with process("render", job, "--segments", "0-3", "--json") as running:
        assert running.stdout is not None
        lines = (json.loads(line) for line in running.stdout)
        assert next(line for line in lines if line["event"] == "segment")["segment"] == 0
        next(line for line in lines if line["event"] == "progress")
        running.send_signal(signal.SIGTERM)
        began = time.monotonic()
        last = [*lines][-1]
        assert running.wait(timeout=60) == 75 and time.monotonic() - began < 10
    assert (last["event"], last["exit_code"]) == ("error", 75)
    assert [path.name for path in sorted((tmp_path / "job.segments").glob("*.mkv"))] == ["segment-000000.mkv"]
    again = afitrt("render", job, "--segments", "0-3", "--json")
    found = [json.loads(line) for line in again.out.splitlines()]
    done = [(each["segment"], each["found"], each["host"]) for each in found if each["event"] == "segment"]
    assert done == [(number, number == 0, platform.node()) for number in range(4)]
