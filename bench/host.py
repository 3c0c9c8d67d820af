"""What the host does beside the network at 1080p: frames read, pictures written, and both through the whole pipeline.

    python bench/host.py

A 10-bit 4:2:0 clip, blend as the model, x264 ultrafast as the encoder. It writes bench/results/host.json.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

from measuring import hardware

from afitrt import pipeline, video
from afitrt.options import EncodeOptions, Job, ModelOptions, ScheduleOptions

OUT = Path(__file__).parent / "results" / "host.json"
FRAMES = 96
ENCODE = EncodeOptions("libx264", preset="ultrafast")


def drawn(path: Path) -> Path:
    """A moving 10-bit test picture."""
    source = ["-f", "lavfi", "-i", "testsrc2=s=1920x1080:r=24", "-frames:v", str(FRAMES), "-pix_fmt", "yuv420p10le"]
    coded = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "24", str(path)]
    subprocess.run([video.find().path, "-v", "error", "-y", *source, *coded], check=True)
    return path


def measure(folder: Path) -> dict[str, Any]:
    """Pictures a second: read alone, written alone, and through `interpolate` at 2x."""
    source = drawn(folder / "in.mkv")
    info = video.probe_source(source, None)
    began = time.perf_counter()
    with video.open_reader(info) as reader:
        frames = [frame for number, frame in enumerate(reader) if number < 16]
    read = FRAMES / (time.perf_counter() - began)
    encode, _ = video.choose_encoding(info, ENCODE, video.container_of(source), video.find().encoders)
    began = time.perf_counter()
    with video.Writer(folder / "out.mkv", info, Fraction(48), encode) as writer:
        for number in range(FRAMES):
            writer.write(frames[number % len(frames)])
    written = FRAMES / (time.perf_counter() - began)
    schedule = ScheduleOptions(times=2, n_forward=1)
    job = Job(
        folder / "smooth.mkv", schedule, source=source, model=ModelOptions(model="blend"), encode=ENCODE, overwrite=True
    )
    began = time.perf_counter()
    done = pipeline.interpolate(job, lambda event: None)
    seconds = time.perf_counter() - began
    return {
        "read_a_second": round(read, 1),
        "written_a_second": round(written, 1),
        "interpolate_frames_a_second": round(FRAMES / seconds, 1),
        "interpolate_pictures_a_second": round(done.outputs / seconds, 1),
        "interpolate_stages": done.stages,
        "interpolate_seconds": round(seconds, 2),
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder))
    what = "1920x1080, 10 bit 4:2:0 in and out as rgb48le, blend, n_forward 1, 2x, libx264 ultrafast"
    OUT.write_text(
        json.dumps({"command": "python bench/host.py", "hardware": hardware(), "what": what, **found}, indent=1) + "\n"
    )
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
