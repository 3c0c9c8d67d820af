"""Ten thousand frames through the real command line: every picture, the same sound, and memory that stays flat."""

from __future__ import annotations

import json
from pathlib import Path

import psutil
import pytest
from command import process
from video_helpers import ffmpeg, packets, payload

FRAMES = 10_000
SETTLED = 1_000
"""Pictures after which the queues have been full and all code is loaded."""


@pytest.mark.slow
def test_ten_thousand_frames_come_out_in_flat_memory(tmp_path: Path) -> None:
    source, output = tmp_path / "in.mkv", tmp_path / "out.mkv"
    picture, sound = "testsrc2=s=256x144:r=24000/1001", "sine=f=440:b=2"
    ffmpeg(
        *("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound, "-frames:v", FRAMES, "-shortest"),
        *("-c:v", "libx264", "-preset", "ultrafast", "-threads", 1, "-c:a", "aac", "-b:a", "32k", source),
    )
    fast = ("--model", "blend", "--codec", "libx264", "--preset", "ultrafast")
    command = ("interpolate", source, output, "--times", 1, "--n-forward", 1, *fast, "--json")
    sizes, done = {}, {}
    with process(*command) as running:
        watched = psutil.Process(running.pid)
        assert running.stdout is not None
        for line in running.stdout:
            event = json.loads(line)
            if event["event"] == "progress" and event["outputs"] % 20 == 0:
                sizes[event["outputs"]] = watched.memory_info().rss
            done = event
    assert running.returncode == 0
    assert done["event"] == "done" and done["outputs"] == FRAMES
    settled = max(size for outputs, size in sizes.items() if outputs <= SETTLED)
    later = max(size for outputs, size in sizes.items() if outputs > SETTLED)
    assert later <= 1.05 * settled, f"{settled / 1e6:.0f} MB grew to {later / 1e6:.0f} MB"
    assert len(packets(output)[0]) == FRAMES
    assert payload(output, 1) == payload(source, 1)
