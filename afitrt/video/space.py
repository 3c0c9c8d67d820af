"""How much room a job will take on the disk, and whether it is there."""

from __future__ import annotations

import shutil
from pathlib import Path

from afitrt.frames import VideoInfo
from afitrt.options import EncodeOptions
from afitrt.video.colour import pixel_format
from afitrt.video.encoders import ENCODERS, PNG, Y4M

# Bits of a pixel, measured on 40 frames of a real clip of 1280x720 at the default quality, and rounded up.
BITS = {"libx265": 0.25, "libx264": 0.2, "libsvtav1": 0.15, "prores_ks": 4.1}
HARDWARE = 0.25
# Lossless pictures take this share of their raw bits.
LOSSLESS = {"ffv1": 0.26, PNG: 0.4}
# So much less of --crf doubles the bits.
CRF_STEP = 6
# Encoded, then with the other tracks: for a moment both are there.
COPIES = 2


def space_needed(info: VideoInfo, encode: EncodeOptions, pictures: int) -> int:
    """Bytes that a job takes on the disk at most, about; encode is resolved. 0 for a pipe."""
    if encode.codec == Y4M:
        return 0
    pixels = pictures * info.width * info.height
    layout = pixel_format(str(encode.pix_fmt))
    if encode.codec in LOSSLESS:
        samples = 1.0 if layout.grey else 3.0 if layout.rgb else 1 + 2 / (layout.sub_width * layout.sub_height)
        bits = samples * layout.depth * LOSSLESS[encode.codec]
    else:
        encoder = ENCODERS[encode.codec]
        usual = encoder.crf if encode.crf is None else encode.crf
        bits = BITS.get(encode.codec, HARDWARE) * 2 ** ((encoder.crf - usual) / CRF_STEP)
    video = round(pixels * bits / 8)
    if encode.codec == PNG:
        return video
    others = 0 if info.alone else info.path.stat().st_size
    return COPIES * video + others


def shortage(folder: Path, needed: int) -> list[str]:
    """A plain line where the disk of the folder (which may not exist yet) has less room than that, else none."""
    there = next((each for each in (folder, *folder.absolute().parents) if each.exists()), Path())
    free = shutil.disk_usage(there).free
    if free >= needed:
        return []
    return [f"about {_bytes(needed)} may be needed in {folder}, where {_bytes(free)} are free"]


def _bytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
