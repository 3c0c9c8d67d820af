"""Files whose containers crop, or whose pictures change on the way: joined, or with a few bytes exchanged."""

from __future__ import annotations

import struct
from pathlib import Path

from video_helpers import X264, ffmpeg

from afitrt.video.matroska import SEGMENT, TRACKS, VOID, element, within
from afitrt.video.matroska_patch import ENTRY

TAGGED = "setparams=range=tv:color_primaries=bt709:color_trc=bt709:colorspace=bt709"
VIDEO, COLOUR = 0xE0, 0x55B0
SIDES = {"left": 0x54CC, "right": 0x54DD, "above": 0x54BB, "below": 0x54AA}


def source(size: str, filters: str = "null", frames: int = 10) -> tuple[object, ...]:
    """ffmpeg's input of a moving picture."""
    return "-f", "lavfi", "-i", f"testsrc2=s={size}:r=25:d={frames / 25},{filters}"


def cropped_matroska(path: Path, **sides: int) -> Path:
    """192x128 in Matroska, with PixelCrop elements in the place of its Colour element."""
    ffmpeg(*source("192x128", TAGGED), *X264, "-g", 1, path)
    data = path.read_bytes()
    colour = element(COLOUR, within(data, SEGMENT, TRACKS, ENTRY, VIDEO, COLOUR)[0])
    crops = b"".join(element(SIDES[side], count) for side, count in sides.items())
    assert data.count(colour) == 1
    path.write_bytes(data.replace(colour, crops + element(VOID, bytes(len(colour) - len(crops) - 2))))
    return path


def cropped_mp4(path: Path, width: int, height: int, right: int = 0, down: int = 0) -> Path:
    """192x128 in MP4 with a clean aperture of this size, its centre moved by so many half pixels."""
    ffmpeg(*source("192x128"), *X264, "-g", 1, path)
    data = path.read_bytes()
    clap = struct.pack(">I4s8i", 40, b"clap", width, 1, height, 1, right, 2, down, 2)
    place = data.index(b"avc1", data.index(b"stsd")) - 4
    end = place + int.from_bytes(data[place : place + 4], "big")
    grown = bytearray(data[:end] + clap + data[end:])
    # Every box around it is longer now; the index behind the pictures moves none of them.
    for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"avc1"):
        at = data.index(name, 0 if name == b"moov" else data.index(b"moov")) - 4
        grown[at : at + 4] = (int.from_bytes(grown[at : at + 4], "big") + len(clap)).to_bytes(4, "big")
    path.write_bytes(grown)
    return path


def joined(folder: Path, name: str, first: tuple[object, ...], second: tuple[object, ...]) -> Path:
    """Two streams of ten pictures one behind the other, packet by packet; each is source and encoder."""
    suffix = ".ts" if name.endswith(".ts") else ".mkv"
    for number, words in enumerate((first, second)):
        ffmpeg(*words, folder / f"{number}{suffix}")
    listed = folder / "list.txt"
    listed.write_text("".join(f"file '{folder / f'{number}{suffix}'}'\nduration 0.4\n" for number in range(2)))
    ffmpeg("-f", "concat", "-safe", 0, "-i", listed, "-c", "copy", folder / name)
    return folder / name
