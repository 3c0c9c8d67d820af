"""What the host does beside the network at 1080p: frames read, pictures written, and both through the whole pipeline.

    python bench/host.py

A 10-bit 4:2:0 clip, blend as the model, x264 ultrafast as the encoder: its planes as they are, and as RGB beside that.
It writes bench/results/host.json.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Any
from unittest import mock

from measuring import hardware

from afitrt import pipeline, video
from afitrt.options import EncodeOptions, Job, ModelOptions, SceneOptions, ScheduleOptions
from afitrt.scenes import detector

OUT = Path(__file__).parent / "results" / "host.json"
FRAMES = 96
ENCODE = EncodeOptions("libx264", preset="ultrafast")


def drawn(path: Path) -> Path:
    """A moving 10-bit test picture."""
    source = ["-f", "lavfi", "-i", "testsrc2=s=1920x1080:r=24", "-frames:v", str(FRAMES), "-pix_fmt", "yuv420p10le"]
    coded = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "24", video.readable_path(path)]
    subprocess.run([video.find().path, "-v", "error", "-y", *source, *coded], check=True)
    return path


def measure(folder: Path, source: Path, planar: bool) -> dict[str, Any]:
    """Pictures a second: read alone, written alone, and through `interpolate` at 2x."""
    info = video.probe_source(source, None)
    encode, _ = video.choose_encoding(info, ENCODE, video.container_of(source), video.present_encoders())
    yuv = video.carried_yuv(info, encode) if planar else None
    began = time.perf_counter()
    with video.open_reader(info, yuv=yuv) as reader:
        frames = [frame for number, frame in enumerate(reader) if number < 16]
    read = FRAMES / (time.perf_counter() - began)
    judge = detector(SceneOptions(), yuv=yuv).judge
    began = time.perf_counter()
    for frame in frames:
        judge(frame)
    judged = 1000 * (time.perf_counter() - began) / len(frames)
    began = time.perf_counter()
    with video.Writer(folder / "out.mkv", info, Fraction(48), encode, yuv) as writer:
        for number in range(FRAMES):
            writer.write(frames[number % len(frames)])
    written = FRAMES / (time.perf_counter() - began)
    schedule = ScheduleOptions(times=2, n_forward=1)
    job = Job(
        folder / "smooth.mkv", schedule, source=source, model=ModelOptions(model="blend"), encode=ENCODE, overwrite=True
    )
    began = time.perf_counter()
    with mock.patch.object(video, "carried_yuv", lambda *_: yuv):
        done = pipeline.interpolate(job, lambda event: None)
    seconds = time.perf_counter() - began
    return {
        "scenes_milliseconds_a_frame": round(judged, 2),
        "read_a_second": round(read, 1),
        "written_a_second": round(written, 1),
        "interpolate_frames_a_second": round(FRAMES / seconds, 1),
        "interpolate_pictures_a_second": round(done.outputs / seconds, 1),
        "interpolate_stages": done.stages,
        "interpolate_waited": done.waited,
        "interpolate_seconds": round(seconds, 2),
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        source = drawn(Path(folder) / "in.mkv")
        found = {name: measure(Path(folder), source, name == "planar") for name in ("planar", "rgb")}
    what = "1920x1080, 10 bit 4:2:0 in and out, as it is and as rgb48le, blend, n_forward 1, 2x, libx264 ultrafast"
    OUT.write_text(
        json.dumps({"command": "python bench/host.py", "hardware": hardware(), "what": what, **found}, indent=1) + "\n"
    )
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
