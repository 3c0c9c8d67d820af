"""Names of numbered pictures: `frames/%06d.png`, and which files of a folder are meant."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff")
# Others that may be named by a pattern; a film may have one of %d in its name, too.
STILLS = (*PICTURES, ".bmp", ".jp2", ".ppm", ".pgm", ".pnm", ".avif", "")
# As AFI-ForwardDeduplicate names its outputs, counted from 1.
DEFAULT_NAME = "%09d.png"
FIRST = 1

_NUMBER = re.compile(r"%(?:0([0-9]{1,2}))?d")


@dataclass(frozen=True)
class Numbered:
    """Files of one folder whose names differ in a number. width: digits, zeros in front; 0 for none."""

    folder: Path
    before: str
    width: int
    after: str

    def path(self, number: int) -> Path:
        """The file with this number."""
        return self.folder / f"{self.before}{number:0{self.width}d}{self.after}"

    def numbers(self) -> list[int]:
        """Ascending numbers of the files that exist."""
        middle = slice(len(self.before), -len(self.after) if self.after else None)
        found = []
        for path in self.folder.iterdir() if os.path.isdir(self.folder) else ():
            digits = path.name[middle]
            if re.fullmatch(r"[0-9]+", digits) and self.path(int(digits)).name == path.name:
                found.append(int(digits))
        return sorted(found)


def numbered(path: Path) -> Numbered | None:
    """What the name of a picture with one %d or %06d stands for; None for a plain name, and for a file that exists."""
    found = list(_NUMBER.finditer(path.name))
    if len(found) != 1 or path.suffix.lower() not in STILLS or os.path.isfile(path):
        return None
    start, end = found[0].span()
    return Numbered(path.parent, path.name[:start], int(found[0][1] or 0), path.name[end:])


def natural(path: Path) -> tuple[list[str | int], str]:
    """Sorting key that puts 2.png before 10.png."""
    parts = re.split(r"([0-9]+)", path.name.lower())
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], path.name
