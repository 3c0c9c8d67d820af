"""Pictures of tutorial.md: runs the page's own commands with the real network, and shows what they wrote (minutes).

    python docs/tutorial_pictures.py [FOLDER]

FOLDER is where the pictures go (docs/images). Commands run as far as the preview, whose panel of two passes holds the
pictures that the job makes of that stretch of time.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

from afitrt import video
from afitrt.frames import Pixels

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/tutorial.md"
FIRST, FRAMES = 9, 6
"""Frames that the strips show: around the red cel's jump, a quarter of a second."""
PREVIEWED, HEIGHT = 6, 320
"""First frame of the preview, and height of its panels; that of two passes is below left."""
BANDS = (slice(46, 134), slice(186, 274))
"""Rows of a picture in which the red and the blue cel are."""
WIDTH, GAP = 250, 6
"""Of a band in a strip, and between bands, in pixels."""


def commands(folder: Path) -> None:
    """Runs the page in a folder until preview.mkv is there, with afitrt as it is in this checkout."""
    programs = folder / "bin"
    programs.mkdir()
    for name, words in {"afitrt": "-m afitrt", "python": ""}.items():
        (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable} {words} "$@"\n')
        (programs / name).chmod(0o755)
    (programs / "ffmpeg").symlink_to(video.find().path)
    environment = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    for info, text in re.findall(r"^```(\S+[^\n]*)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), flags=re.M | re.S):
        if named := re.search(r"name=(\S+)", info):
            (folder / named[1]).write_text(text)
        elif info == "bash" and not (folder / "preview.mkv").exists():
            command = ["bash", "-euo", "pipefail", "-c", text]
            subprocess.run(command, cwd=folder, env=environment, check=True, stdin=subprocess.DEVNULL)


def pictures(path: Path) -> list[Pixels]:
    """All pictures of a file, uint8."""
    with video.Reader(video.probe(path)) as reader:
        return [each if each.dtype == np.uint8 else (each // 257).astype(np.uint8) for each in reader]


def strip(shown: list[Pixels], first: int, times: int) -> Pixels:
    """A row for each picture, with its time in source frames: the red cel's band, then the blue one's."""
    return np.vstack([_row(picture, f"{first + index / times:g}") for index, picture in enumerate(shown)])


def _row(picture: Pixels, words: str) -> Pixels:
    bands = [picture[band] for band in BANDS]
    height = len(bands[0]) * WIDTH // picture.shape[1]
    label = np.full((height, 60, 3), 255, np.uint8)
    cv2.putText(label, words, (6, height // 2 + 6), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (40,) * 3, 1, cv2.LINE_AA)
    gap = np.full((height, GAP, 3), 255, np.uint8)
    small = [cv2.resize(band, (WIDTH, height), interpolation=cv2.INTER_AREA) for band in bands]
    row = np.hstack([label, small[0], gap, small[1]])
    return np.vstack([row, np.full((2, row.shape[1], 3), 255, np.uint8)])


def write(picture: Pixels, path: Path) -> None:
    """As PNG, as small as it gets."""
    cv2.imwrite(str(path), picture[:, :, ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])


def shown(folder: Path, out: Path) -> None:
    """The pictures of the page, from its files in a folder."""
    write(strip(pictures(folder / "clip.mkv")[FIRST : FIRST + FRAMES], FIRST, 1), out / "tutorial-source.png")
    preview = pictures(folder / "preview.mkv")
    write(preview[len(preview) // 2], out / "tutorial-preview.png")
    height, width, _ = preview[0].shape
    panels = [picture[height - HEIGHT :, : width // 2] for picture in preview]
    begin = 2 * (FIRST - PREVIEWED)
    write(strip(panels[begin : begin + 2 * FRAMES], FIRST, 2), out / "tutorial-smooth.png")


def main() -> None:
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs/images"
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="afitrt-tutorial-") as scratch:
        folder = Path(scratch)
        commands(folder)
        shown(folder, out)


if __name__ == "__main__":
    main()
