"""`make demo`: a real clip in, a smooth clip and a picture of it out, by the commands a user would type.

python bench/demo.py FOLDER
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
from clip import fetch_clip

from afitrt import video
from afitrt.frames import Pixels

FRAMES = 6
SIZE = "640x384"


def cut_sample(clip: Path, folder: Path) -> Path:
    """The first frames of the clip with their sound, scaled by ffmpeg."""
    sample = folder / "bigbuckbunny.mkv"
    width, height = SIZE.split("x")
    info = video.probe(clip)
    taken = ["-frames:v", str(FRAMES), "-t", f"{float(FRAMES / info.rate):.6f}", "-vf", f"scale={width}:{height}"]
    coded = ["-c:v", "libx264", "-crf", "10", "-preset", "veryfast", "-c:a", "copy"]
    command = [video.find().path, "-v", "error", "-y", "-i", video.readable_path(clip), "-map", "0", *taken, *coded]
    subprocess.run([*command, video.readable_path(sample)], check=True)
    return sample


def contact_sheet(before: Path, after: Path, sheet: Path, columns: int = 4) -> None:
    """A row of source frames over the rows of pictures that cover the same time, as one PNG."""
    sources, results = _first(before, columns // 2 + 1), _first(after, columns)
    rows = [_labelled(sources[index // 2], "in", index // 2) for index in range(columns)]
    made = [_labelled(picture, "out", index) for index, picture in enumerate(results)]
    cv2.imwrite(str(sheet), np.vstack([np.hstack(rows), np.hstack(made)])[:, :, ::-1])


def _first(path: Path, count: int) -> list[Pixels]:
    with video.Reader(video.probe(path), span=(0, count)) as reader:
        return [pixels if pixels.dtype == np.uint8 else (pixels // 257).astype(np.uint8) for pixels in reader]


def _labelled(picture: Pixels, word: str, index: int) -> Pixels:
    picture = np.ascontiguousarray(picture)
    cv2.putText(picture, f"{word} {index}", (9, 25), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (0, 0, 0), 4, cv2.LINE_AA)
    cv2.putText(picture, f"{word} {index}", (9, 25), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (255,) * 3, 1, cv2.LINE_AA)
    return picture


def main(folder: Path) -> None:
    """Fetches, cuts, smooths and draws."""
    folder.mkdir(parents=True, exist_ok=True)
    sample = cut_sample(fetch_clip(Path(".cache")), folder)
    result, sheet = folder / "bigbuckbunny.smooth.mkv", folder / "bigbuckbunny.png"
    command = [sys.executable, "-m", "afitrt", "interpolate", str(sample), str(result), "--overwrite"]
    print("> " + " ".join(["afitrt", *command[3:]]), flush=True)
    subprocess.run(command, check=True)
    contact_sheet(sample, result, sheet)
    before, after = video.probe(sample), video.probe(result)
    print(f"in:      {sample} ({before.frames} frames at {before.rate} fps)")
    print(f"out:     {result} ({after.frames} frames at {after.rate} fps)")
    print(f"picture: {sheet}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
