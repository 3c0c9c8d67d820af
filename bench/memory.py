"""Peak memory of the whole pipeline at 1080p, short and long: it must not grow with the length.

python bench/memory.py [--out bench/results/memory.json]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

from afitrt import video

LENGTHS = (200, 2000)
SCHEDULE = ("--times", "1", "--n-forward", "1")
"""The cheapest one: what is held at a time depends on it, whether that grows with the length does not."""
SEGMENTS = ("--segment-outputs", "100")
"""Both lengths end a segment while the next one begins, which takes some megabytes once; by default only one would."""


def peak_bytes(command: list[str]) -> int:
    """Largest resident size of a command's Python process, sampled every 20 ms."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    watched, peak = psutil.Process(process.pid), 0
    done = threading.Event()

    def sample() -> None:
        nonlocal peak
        while not done.is_set():
            try:
                peak = max(peak, watched.memory_info().rss)
            except psutil.NoSuchProcess:
                return
            time.sleep(0.02)

    sampler = threading.Thread(target=sample)
    sampler.start()
    code = process.wait()
    done.set()
    sampler.join()
    if code:
        raise SystemExit(f"{command} ended with {code}")
    return peak


def measure(frames: int, folder: Path) -> int:
    """Peak of one run over so many drawn frames."""
    source = folder / f"{frames}.mkv"
    drawn = ["-f", "lavfi", "-i", "testsrc2=s=1920x1080:r=24", "-frames:v", str(frames)]
    coded = ["-c:v", "libx264", "-preset", "ultrafast", video.readable_path(source)]
    subprocess.run([video.find().path, "-v", "error", "-y", *drawn, *coded], check=True)
    job = ["interpolate", str(source), str(folder / "out.mkv"), "--overwrite", "--model", "blend", *SCHEDULE, *SEGMENTS]
    return peak_bytes([sys.executable, "-m", "afitrt", *job, "--codec", "libx264", "--preset", "ultrafast"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("bench/results/memory.json"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        peaks = {frames: measure(frames, Path(folder)) for frames in LENGTHS}
    facts = {
        "command": "python bench/memory.py",
        "what": "blend, 1920x1080, --times 1, --n-forward 1, --segment-outputs 100, libx264 ultrafast",
        "peak_bytes": peaks,
        "ratio": round(peaks[2000] / peaks[200], 3),
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(facts, indent=1) + "\n")
    print(json.dumps(facts, indent=1))


if __name__ == "__main__":
    main()
