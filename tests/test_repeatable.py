"""Equal pictures give equal bytes, twenty times, by every encoder that promises it and every ffmpeg that is here."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from video_helpers import BUNDLED, facts

from afitrt.options import EncodeOptions
from afitrt.video import Ffmpeg, Writer, choose_encoding, find
from afitrt.video.encoders import REPEATABLE_X265, params_for

pytestmark = pytest.mark.slow

RUNS = 20
AT_ONCE = 4  # Encoders that wait for each other's cores take other turns in each run.
WIDTH, HEIGHT, FRAMES = 32, 256, 120  # Many rows of blocks, each soon done: frames overtake one another.
PRESETS = {"libx265": "medium", "libx264": "medium", "libsvtav1": "10"}
SYSTEM = shutil.which("ffmpeg") or "/usr/bin/ffmpeg"


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    """uint8 [frames, height, width, 3] of a moving picture."""
    source = f"testsrc2=s={max(64, WIDTH)}x{HEIGHT}:r=25,crop={WIDTH}:{HEIGHT}"
    command = [BUNDLED, "-v", "error", "-f", "lavfi", "-i", source, "-frames:v", str(FRAMES)]
    raw = subprocess.run([*command, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], capture_output=True, check=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(FRAMES, HEIGHT, WIDTH, 3)


@pytest.mark.parametrize("codec", ["libx265", "libx264", "libsvtav1", "ffv1", "prores_ks"])
@pytest.mark.parametrize("program", [BUNDLED, SYSTEM], ids=["bundled", "system"])
def test_every_run_gives_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, frames: np.ndarray, program: str, codec: str
) -> None:
    if not Path(program).exists():
        pytest.skip("the system has no ffmpeg")
    monkeypatch.setenv("AFITRT_FFMPEG", program)
    turned = codec == "libsvtav1"  # Older builds take no width under 64.
    pictures = np.concatenate([frames, frames], 2) if turned else frames
    info = facts(pictures.shape[2], HEIGHT, "yuv420p")
    encode, _ = choose_encoding(info, EncodeOptions(codec, preset=PRESETS.get(codec)), "matroska", find().encoders)
    assert encode.codec == codec

    def run(number: int) -> str:
        path = tmp_path / f"{number}.mkv"
        with Writer(path, info, Fraction(25), encode) as writer:
            for frame in pictures:
                writer.write(frame)
        data = path.read_bytes()
        path.unlink()
        return hashlib.sha256(data).hexdigest()

    with ThreadPoolExecutor(AT_ONCE) as pool:
        made = list(pool.map(run, range(RUNS)))
    assert len(set(made)) == 1, [made.count(each) for each in set(made)]


@pytest.mark.parametrize(("version", "threads"), [((3, 5), "1"), ((0, 0), "1"), (REPEATABLE_X265, "4"), ((5, 0), "4")])
def test_older_x265_works_on_one_frame_at_a_time(
    monkeypatch: pytest.MonkeyPatch, version: tuple[int, int], threads: str
) -> None:
    monkeypatch.setattr(Ffmpeg, "x265", property(lambda tool: version))
    encode, _ = choose_encoding(facts(), EncodeOptions(), "matroska", find().encoders)
    command = Writer(Path("out.mkv"), facts(), Fraction(25), encode)._command
    assert f"frame-threads={threads}" in command[command.index("-x265-params") + 1].split(":")
    assert params_for(find(), "libx264") == {}


def test_the_version_of_x265_is_asked() -> None:
    assert Ffmpeg(BUNDLED, "", "").x265 >= (4, 0)
    assert Ffmpeg(os.devnull, "", "").x265 == (0, 0)
