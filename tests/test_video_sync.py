"""A flash and a beep stay together to a millisecond, whatever the codec says about its delay and whoever reads it."""

from __future__ import annotations

import shutil
from pathlib import Path

import av
import numpy as np
import pytest
from command import afitrt
from video_helpers import BUNDLED, ffmpeg

from afitrt.video.matroska import SEGMENT, TRACKS, VOID, element, within
from afitrt.video.matroska_patch import ENTRY

pytestmark = pytest.mark.slow

CODEC_DELAY = 0x56AA
FLASH = 0.6
FAST = ("--model", "blend", "--codec", "libx264", "--preset", "ultrafast")
SOURCES = [
    *((f"in.{suffix}", codec, True) for suffix in ("mkv", "mp4") for codec in ("aac", "libopus", "libmp3lame")),
    *(("in.mkv", codec, False) for codec in ("aac", "libopus", "libmp3lame")),
    *(("in.webm", "libopus", delay) for delay in (True, False)),
]


def flashing(path: Path, codec: str, delay: bool, begin: float = 0) -> Path:
    """Black and silent, then white and loud from FLASH seconds on; without the element CodecDelay where told so."""
    picture = f"color=black:s=64x48:r=50:d=1.2,drawbox=t=fill:color=white:enable='gte(t,{FLASH - 0.001})'"
    sound = f"aevalsrc='0.9*sin(2*PI*1000*t)*gte(t,{FLASH})':s=48000:d=1.2"
    coded = ("libvpx-vp9", "-deadline", "realtime", "-cpu-used", 8) if path.suffix == ".webm" else ("libx264", "-g", 5)
    inputs = ("-itsoffset", begin, "-f", "lavfi", "-i", picture, "-itsoffset", begin, "-f", "lavfi", "-i", sound)
    ffmpeg(*inputs, "-c:v", *coded, "-c:a", codec, "-b:a", "128k", path)
    if not delay:
        data = path.read_bytes()
        told = element(CODEC_DELAY, within(data, SEGMENT, TRACKS, ENTRY, CODEC_DELAY)[0])
        assert data.count(told) == 1
        path.write_bytes(data.replace(told, element(VOID, bytes(len(told) - 2))))
    return path


def distance(path: Path) -> float:
    """Seconds from the first white picture to the first loud sample."""
    with av.open(str(path)) as container:
        pictures = container.decode(video=0)
        flash = next(float(each.time) for each in pictures if each.to_ndarray(format="gray").mean() > 200)
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
    samples = np.concatenate([each.to_ndarray().reshape(each.samples, -1, order="F")[:, 0] for each in frames])
    loud = int(np.argmax(np.abs(samples.astype(float)) > 0.3 * np.abs(samples).max()))
    return float(frames[0].time) + loud / frames[0].sample_rate - flash


@pytest.mark.parametrize(("name", "codec", "delay"), SOURCES)
def test_flash_and_beep_keep_their_distance(
    name: str, codec: str, delay: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = flashing(tmp_path / name, codec, delay)
    before = distance(source)
    assert abs(before) < 0.06
    system = shutil.which("ffmpeg")
    for tool, suffix in ((BUNDLED, "mkv"), (BUNDLED, "mp4"), *([(system, "mkv")] if system else [])):
        monkeypatch.setenv("AFITRT_FFMPEG", tool)
        out = tmp_path / f"out.{suffix}"
        ran = afitrt("interpolate", source, out, *FAST, "--overwrite")
        assert ran.code == 0, ran.err
        assert distance(out) == pytest.approx(before, abs=0.0011), (tool, suffix)


@pytest.mark.parametrize("codec", ["aac", "libopus"])
@pytest.mark.parametrize("name", ["in.mkv", "in.mp4", "in.ts"])
def test_a_late_start_and_a_span_change_nothing(name: str, codec: str, tmp_path: Path) -> None:
    source = flashing(tmp_path / name, codec, True, begin=5)
    before = distance(source)
    for number, span in enumerate([(), ("--start", "0.31")]):
        for suffix in ("mkv", "mp4"):
            out = tmp_path / f"out{number}.{suffix}"
            ran = afitrt("interpolate", source, out, *FAST, *span)
            assert ran.code == 0, ran.err
            assert distance(out) == pytest.approx(before, abs=0.0011), (span, suffix)
