"""One picture for the readme: a cel on threes as it was drawn, and as afitrt shows it, column by column in time.

    python bench/strip.py [--out docs/images/strip.png]

The cels are those of smoothness.py; a thin line stands at the same place in every crop.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2
import drawn
import numpy as np
import smoothness

from afitrt import models
from afitrt.artefacts import written_aside
from afitrt.frames import Pixels
from afitrt.options import ModelOptions

CEL = "threes"
N_FORWARD = 2
SIDE, LENGTH = 448, 14
SHOWN = range(14, 22)
"""Pictures of the doubled rate, around the frame at which the cel is drawn anew (9)."""
LEFT, ACROSS, DOWN = 9, 76, 68
"""Left edge and size of a crop."""
COLUMN, GAP, LABEL = 146, 4, 30
LINE, PAPER, INK = (255, 240, 60), (245, 245, 245), (40, 40, 40)


def crop(picture: Pixels) -> Pixels:
    """uint8 [high, COLUMN, 3] around the cel, enlarged, with the line in the middle."""
    if picture.dtype.kind == "f":
        picture = np.rint(picture * 255).astype(np.uint8)
    names = list(smoothness.CELS)
    rows = drawn.band(names.index(CEL), len(names), SIDE)
    middle = (rows.start + rows.stop) // 2
    part = picture[middle - DOWN // 2 : middle + DOWN // 2, LEFT : LEFT + ACROSS]
    large = cv2.resize(part, (COLUMN, round(COLUMN * DOWN / ACROSS)), interpolation=cv2.INTER_CUBIC)
    large[:, COLUMN // 2] = LINE
    return large


def row(words: str, pictures: Sequence[Pixels]) -> Pixels:
    """Crops side by side under a line of text."""
    crops = [crop(picture) for picture in pictures]
    gap = np.full((len(crops[0]), GAP, 3), PAPER, np.uint8)
    parts = [each for picture in crops for each in (picture, gap)][:-1]
    band = np.hstack(parts)
    label = np.full((LABEL, band.shape[1], 3), PAPER, np.uint8)
    cv2.putText(label, words, (2, LABEL - 9), cv2.FONT_HERSHEY_SIMPLEX, 0.62, INK, 1, cv2.LINE_AA)
    return np.vstack([label, band])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/images/strip.png"))
    given = parser.parse_args()
    frames = drawn.clip(SIDE, SIDE, LENGTH, list(smoothness.CELS.values()), smoothness.GRAIN)
    model = models.make(ModelOptions(threads=2), SIDE, SIDE, np.float32, print)
    smooth = smoothness.pictures(model, frames, N_FORWARD)
    model.close()
    sheet = np.vstack(
        [
            row("source, each frame shown twice: held for three frames, then a jump", [frames[k // 2] for k in SHOWN]),
            row(f"afitrt, --times 2 --n-forward {N_FORWARD}", [smooth[k].pixels for k in SHOWN]),
        ]
    )
    with written_aside(given.out) as aside:
        aside.write_bytes(cv2.imencode(".png", sheet[:, :, ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes())


if __name__ == "__main__":
    main()
