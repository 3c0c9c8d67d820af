"""A film from a render manager and from a cluster that loses a machine: byte for byte the one from a single run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import av
import pytest
from command import afitrt
from video_helpers import pattern

from afitrt.segments import read

pytestmark = pytest.mark.slow
FLAGS = ("--model", "blend", "--codec", "libx264", "--preset", "ultrafast", "--segment-outputs", "30")
WORDS = ("-c:v", "libx264", "-g", "12")


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """72 frames in one scene, which is rendered into five segments."""
    return pattern(tmp_path_factory.mktemp("film") / "in.mkv", *WORDS, seconds=3, rate="24")


@pytest.fixture(scope="module")
def whole(film: Path) -> Path:
    """The film from one undisturbed run."""
    ran = afitrt("interpolate", film, film.with_name("whole.mkv"), *FLAGS)
    assert ran.code == 0, ran.err
    return film.with_name("whole.mkv")


def same(out: Path, whole: Path) -> None:
    """The same bytes, and every picture once: counted by decoding, by a reader of its own."""
    assert out.read_bytes() == whole.read_bytes()
    with av.open(str(out)) as container:
        assert [frame.pts for frame in container.decode(video=0)] == [(k * 1000 + 24) // 48 for k in range(144)]


def openjd(*words: object) -> str:
    """What the command of that name says; it must succeed."""
    script = Path(sys.executable).parent / "openjd"
    path = f"{script.parent}{os.pathsep}{os.environ['PATH']}"
    ran = subprocess.run(
        [sys.executable, script, *map(str, words)],
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": path},
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_open_job_description_runs_a_film(film: Path, whole: Path, tmp_path: Path) -> None:
    job, template = tmp_path / "job.json", tmp_path / "job.template.yaml"
    assert afitrt("plan", film, "-o", job, *FLAGS).code == 0
    assert len(read(job).segments) == 5
    ran = afitrt("farm", "template", job, "-o", template)
    assert ran.code == 0 and f"-p Source={film}" in ran.out
    openjd("check", template)
    said = openjd("run", template, "--step", "join", "--run-dependencies", "-p", f"Source={film}")
    assert "144 pictures" in said
    same(tmp_path / "job.mkv", whole)
