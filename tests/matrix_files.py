"""Makes the files of the matrix: every combination is a line of options for ffmpeg, or bytes put together by hand."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path

from hdr_files import LIGHT, MASTERING
from video_helpers import X264, ffmpeg

SECONDS = 0.4
X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error")
FFV1 = ("-c:v", "ffv1")
VP9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", 8)
PRORES = ("-c:v", "prores_ks")
LANGUAGES = ("jpn", "eng", "ger", "fre")
WORDS = "1\n00:00:00,000 --> 00:00:00,200\nhello\n\n2\n00:00:00,200 --> 00:00:00,380\nyou\n"
CHAPTERS = ";FFMETADATA1\ntitle=The film\n" + "".join(
    f"[CHAPTER]\nTIMEBASE=1/1000\nSTART={start}\nEND={start + 200}\ntitle=part {start}\n" for start in (0, 200)
)


@dataclass(frozen=True)
class Clip:
    """One file to make. tags: of setparams. turned: degrees. varies: the spacing of the frames does."""

    name: str = "in.mkv"
    pix_fmt: str = "yuv420p"
    encode: tuple[object, ...] = X264
    tags: str = ""
    filters: str = ""
    rate: str = "25"
    size: str = "64x64"
    audio: tuple[str, ...] = ()
    subtitles: tuple[str, ...] = ()
    font: bool = False
    chapters: bool = False
    cover: bool = False
    turned: int | None = None
    varies: bool = False
    hdr10: bool = False
    options: tuple[object, ...] = field(default=())


def make(clip: Clip, folder: Path) -> Path:
    """The file that a clip describes."""
    path = folder / clip.name
    inputs, maps = _inputs(clip, folder)
    command = [*inputs, *maps, "-filter:v:0", _filters(clip), *clip.encode, *_streams(clip), *clip.options]
    if clip.varies:
        command += ["-fps_mode", "passthrough", "-enc_time_base:v", "1/1000"]
    if clip.turned is None:
        ffmpeg(*command, path)
        return path
    flat = path.with_stem("flat")
    ffmpeg(*command, flat)
    ffmpeg("-display_rotation", clip.turned, "-i", flat, "-map", 0, "-c", "copy", path)
    return path


def _filters(clip: Clip) -> str:
    filters = [f"format={clip.pix_fmt}"]
    filters += [f"setparams={clip.tags}"] if clip.tags else []
    filters += [clip.filters] if clip.filters else []
    filters += ["settb=1/1000,setpts='(N*40+20*gte(N,5)+13*gte(N,8))'"] if clip.varies else []
    return ",".join(filters)


def _inputs(clip: Clip, folder: Path) -> tuple[list[object], list[object]]:
    picture = f"testsrc2=s={clip.size}:r={clip.rate}:d={SECONDS}"
    if clip.hdr10:
        raw = folder / "raw.yuv"
        ffmpeg("-f", "lavfi", "-i", f"{picture},format={clip.pix_fmt}", "-f", "rawvideo", raw)
        shape = ("-pix_fmt", clip.pix_fmt, "-video_size", clip.size, "-framerate", clip.rate)
        facts = ("-mastering_display", MASTERING, "-content_light", LIGHT)
        inputs: list[object] = [*facts, "-f", "rawvideo", *shape, "-i", raw]
    else:
        inputs = ["-f", "lavfi", "-i", picture]
    maps: list[object] = ["-map", "0:v"]
    for place, _ in enumerate(clip.audio, 1):
        inputs += ["-f", "lavfi", "-i", f"sine=f={200 * place}:d={SECONDS}:r=48000"]
        maps += ["-map", f"{place}:a"]
    for place, codec in enumerate(clip.subtitles, 1 + len(clip.audio)):
        inputs += ["-i", pictures(folder / "words.sup") if codec in PICTURED else text(folder / "words.srt")]
        maps += ["-map", f"{place}:s"]
    after = 1 + len(clip.audio) + len(clip.subtitles)
    if clip.chapters:
        (folder / "chapters.txt").write_text(CHAPTERS)
        inputs += ["-i", folder / "chapters.txt"]
        maps += ["-map_metadata", after, "-map_chapters", after]
    if clip.cover and not clip.name.endswith(".mkv"):
        inputs += ["-i", cover(folder)]
        maps += ["-map", f"{after + clip.chapters}:v"]
    return inputs, maps


def _streams(clip: Clip) -> list[object]:
    """Codecs, languages, titles and flags of the other tracks, and what is attached."""
    options: list[object] = []
    for place, codec in enumerate(clip.audio):
        options += [f"-c:a:{place}", codec, f"-metadata:s:a:{place}", f"language={LANGUAGES[place]}"]
        options += [f"-metadata:s:a:{place}", f"title=sound {place}"]
        options += [f"-disposition:a:{place}", "default" if place == len(clip.audio) - 1 else "comment"]
    for place, codec in enumerate(clip.subtitles):
        options += [f"-c:s:{place}", codec, f"-metadata:s:s:{place}", f"language={LANGUAGES[place + 1]}"]
        options += [f"-disposition:s:{place}", "forced"]
    if clip.cover and not clip.name.endswith(".mkv"):
        options += ["-c:v:1", "copy", "-disposition:v:1", "attached_pic"]
    return options


def attach(clip: Clip, path: Path, folder: Path) -> Path:
    """The same file with a font and a cover attached, where Matroska is to have them."""
    files = [(font(folder), "font/ttf")] if clip.font else []
    files += [(cover(folder), "image/png")] if clip.cover and path.suffix == ".mkv" else []
    if not files:
        return path
    options: list[object] = []
    for place, (file, mime) in enumerate(files):
        options += ["-attach", file, f"-metadata:s:t:{place}", f"mimetype={mime}"]
        options += [f"-metadata:s:t:{place}", f"filename={file.name}"]
    bare = path.rename(path.with_stem("bare"))
    ffmpeg("-i", bare, "-map", 0, "-c", "copy", *options, path)
    return path


def font(folder: Path) -> Path:
    """Bytes under a font's name."""
    (folder / "letters.ttf").write_bytes(bytes(range(256)) * 20)
    return folder / "letters.ttf"


def cover(folder: Path) -> Path:
    """A red PNG."""
    if not (folder / "cover.png").exists():
        ffmpeg("-f", "lavfi", "-i", "color=red:s=32x32", "-frames:v", 1, folder / "cover.png")
    return folder / "cover.png"


def text(path: Path) -> Path:
    """Two subtitles as SubRip."""
    path.write_text(WORDS)
    return path


PICTURED = ("dvbsub", "dvdsub", "copy")


def pictures(path: Path) -> Path:
    """One subtitle as a picture, in the PGS of Blu-ray: a white bar, shown and taken away again."""
    shown = struct.pack(">HHBHBBBB HBBHH", 64, 48, 0x10, 0, 0x80, 0, 0, 1, 0, 0, 0, 8, 32)
    window = struct.pack(">BBHHHH", 1, 0, 8, 32, 16, 2)
    palette = bytes([0, 0, 1, 235, 128, 128, 255])
    row = bytes([0, 0x80 | 16, 1, 0, 0])
    picture = struct.pack(">HBB", 0, 0, 0xC0) + (4 + 2 * len(row)).to_bytes(3, "big") + struct.pack(">HH", 16, 2)
    gone = struct.pack(">HHBHBBBB", 64, 48, 0x10, 1, 0x00, 0, 0, 0)
    parts = [(0, 0x16, shown), (0, 0x17, window), (0, 0x14, palette), (0, 0x15, picture + 2 * row), (0, 0x80, b"")]
    parts += [(18000, 0x16, gone), (18000, 0x17, window), (18000, 0x80, b"")]
    path.write_bytes(
        b"".join(b"PG" + struct.pack(">IIBH", pts, 0, kind, len(body)) + body for pts, kind, body in parts)
    )
    return path
