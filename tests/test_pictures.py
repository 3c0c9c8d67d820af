"""Pictures are what the reading ffmpeg hands out: cropped as stream and container say, never scaled, and all alike."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from command import afitrt
from crop_files import cropped_matroska, cropped_mp4, joined, source
from video_helpers import X264, ffmpeg

from afitrt.errors import InputError
from afitrt.frames import VideoInfo
from afitrt.video import Reader, decoded_yuv, entry, index_packets, probe, probe_source

FAST = ("--model", "blend", "--preset", "ultrafast")
LOSSLESS = ("-c:v", "libx264", "-qp", 0, "-preset", "ultrafast")
VP9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", 8)
IN_PICTURES = "-bsf:v", "dump_extra"


def luma(path: Path) -> list[np.ndarray]:
    """Of every picture as PyAV decodes it, uncropped by the container."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray()[: frame.height, : frame.width] for frame in container.decode(video=0)]


def read(info: VideoInfo) -> list[np.ndarray]:
    """Luma of every picture, untouched."""
    yuv = decoded_yuv(info)
    assert yuv is not None
    with Reader(info, yuv=yuv) as reader:
        return [yuv.planes(frame)[0] for frame in reader]


@pytest.mark.parametrize("sides", [{"below": 32}, {"left": 2, "right": 4, "above": 16, "below": 16}, {"left": 3}])
def test_a_crop_of_matroska_is_taken_off(sides: dict[str, int], tmp_path: Path) -> None:
    path = cropped_matroska(tmp_path / "in.mkv", **sides)
    info = probe(path)
    left, right, above, below = (sides.get(side, 0) for side in ("left", "right", "above", "below"))
    assert (info.width, info.height) == (192 - left - right, 128 - above - below)
    with Reader(info) as reader:
        shapes = {frame.shape for frame in reader}
    assert shapes == {(info.height, info.width, 3)}
    if decoded_yuv(info):
        wanted = [frame[above : 128 - below, left : 192 - right] for frame in luma(path)]
        assert np.array_equal(read(info), wanted)
    ran = afitrt("interpolate", path, tmp_path / "out.mkv", *FAST)
    assert ran.code == 0 and f"{left} left, {right} right, {above} above, {below} below" in ran.err, ran.err
    out = probe(tmp_path / "out.mkv")
    assert (out.width, out.height, out.frames, out.sample_aspect) == (info.width, info.height, 20, 1)


def test_a_clean_aperture_of_mp4_is_taken_off(tmp_path: Path) -> None:
    path = cropped_mp4(tmp_path / "in.mp4", 188, 96, right=-4, down=16)
    info = probe(path)
    assert (info.width, info.height) == (188, 96)
    assert np.array_equal(read(info), [frame[24:120, :188] for frame in luma(path)])


@pytest.mark.parametrize(
    ("encoder", "crop", "size"),
    [
        ("libx264", "h264_metadata=crop_left=2:crop_right=4", (186, 128)),
        ("libx264", "h264_metadata=crop_top=6:crop_bottom=2:crop_left=34", (158, 120)),
        ("libx265", "hevc_metadata=crop_left=10:crop_right=2:crop_top=2", (180, 126)),
    ],
)
def test_a_crop_of_the_stream_is_taken_off_to_the_pixel(
    encoder: str, crop: str, size: tuple[int, int], tmp_path: Path
) -> None:
    whole, path = tmp_path / "whole.mkv", tmp_path / "in.mkv"
    ffmpeg(*source("192x128"), "-c:v", encoder, "-preset", "ultrafast", whole)
    ffmpeg("-i", whole, "-c", "copy", "-bsf:v", crop, path)
    info = probe(path)
    given = dict(each.split("=") for each in crop.partition("=")[2].split(":"))
    left, above = (int(given.get(f"crop_{side}", 0)) for side in ("left", "top"))
    assert (info.width, info.height) == size
    wanted = [frame[above : above + size[1], left : left + size[0]] for frame in luma(whole)]
    assert np.array_equal(read(info), wanted)


def ends(path: Path, folder: Path) -> str:
    """What interpolating a file whose frame 10 differs is refused with, before anything was made."""
    ran = afitrt("interpolate", path, folder / "out.mkv", *FAST)
    assert ran.code == 3 and "kept" not in ran.err, ran.err
    assert not list(folder.glob("*out*"))
    assert all(word in ran.err for word in ("changes at frame 10", "--end", "expected:", "try:")), ran.err
    return " ".join(ran.err.split())


CHANGES = {
    "size": ("64x48", "96x64", "null", LOSSLESS, "size 96x64 instead of 64x48"),
    "aspect": ("64x48", "64x48", "setsar=4/3", LOSSLESS, "pixel aspect 4:3 instead of 1:1"),
    "matrix": ("64x48", "64x48", "setparams=colorspace=bt709", LOSSLESS, "matrix bt709"),
    "range": ("64x48", "64x48", "setparams=range=pc", (*LOSSLESS, "-color_range", "pc"), "range pc"),
    "depth": ("64x48", "64x48", "format=yuv420p10le", LOSSLESS, "pixel format yuv420p10le instead of yuv420p"),
    "chroma": ("64x48", "64x48", "format=yuv422p", LOSSLESS, "pixel format yuv422p instead of yuv420p"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_in_a_transport_stream_is_refused_before_the_work(name: str, tmp_path: Path) -> None:
    before, after, filters, encoder, words = CHANGES[name]
    first = (*source(before, "format=yuv420p"), *LOSSLESS)
    path = joined(tmp_path, "in.ts", first, (*source(after, f"format=yuv420p,{filters}"), *encoder))
    assert words in ends(path, tmp_path)


@pytest.mark.parametrize(
    "encoder",
    [
        (*X264, *IN_PICTURES),
        ("-c:v", "libx265", "-preset", "ultrafast", *IN_PICTURES),
        ("-c:v", "mpeg2video"),
        ("-c:v", "mpeg4", *IN_PICTURES),
        ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", 8),
        VP9,
        ("-c:v", "libsvtav1", "-preset", 12),
        ("-c:v", "mjpeg"),
        ("-c:v", "prores_ks"),
    ],
    ids=lambda encoder: encoder[1],
)
def test_a_size_that_changes_in_matroska_is_refused_before_the_work(
    encoder: tuple[object, ...], tmp_path: Path
) -> None:
    path = joined(tmp_path, "in.mkv", (*source("64x64"), *encoder), (*source("128x96"), *encoder))
    assert "size 128x96 instead of 64x64" in ends(path, tmp_path)


def unseen(folder: Path, second: str = "96x64") -> Path:
    """A file whose size changes at frame 30 where no packet's head that we read tells it."""
    png = ("-c:v", "png", "-pix_fmt", "rgb24")
    return joined(folder, "in.mkv", (*source("64x48", frames=30), *png), (*source(second), *png))


def test_a_change_that_no_packet_tells_ends_the_run_at_its_frame(tmp_path: Path) -> None:
    path = unseen(tmp_path)
    assert probe(path).change is None
    ran = afitrt("interpolate", path, tmp_path / "out.mkv", *FAST)
    assert ran.code == 3 and "changes at frame 30, 1.200 s" in ran.err and "96x64 instead of 64x48" in ran.err, ran.err
    assert "out.partial.mkv" in ran.err
    kept = probe(tmp_path / "out.partial.mkv")
    assert (kept.width, kept.height) == (64, 48) and 40 <= kept.frames <= 60
    assert not (tmp_path / "out.mkv").exists()


@pytest.mark.parametrize("command", ["scenes", "plan", "preview", "compare"])
def test_every_way_of_reading_refuses_a_change(command: str, tmp_path: Path) -> None:
    path = unseen(tmp_path)
    arguments = {
        "plan": ("-o", tmp_path / "job.json", "--model", "blend"),
        "preview": ("--at", "0", "--model", "blend"),
        "compare": (path,),
    }.get(command, ())
    ran = afitrt(command, path, *arguments)
    # Comparing reads two files at once, and says about where.
    words = "changes near frame" if command == "compare" else "changes at frame 30"
    assert ran.code == 3 and words in ran.err, ran.err + ran.out


def test_what_lies_behind_a_change_is_no_part_of_the_film(tmp_path: Path) -> None:
    """The filters begin anew where pictures change; what they count is then wrong, and nothing of it may be used."""
    path = unseen(tmp_path)
    info = probe(path)
    for span in ((32, 36), (0, None)):
        with Reader(info, span) as reader, pytest.raises(InputError, match="changes at frame"):
            list(reader)
    with Reader(info, (0, 30)) as reader:
        assert len(list(reader)) == 30 and reader.complete


def test_the_remedies_that_the_error_names_help(tmp_path: Path) -> None:
    first = (*source("64x48", "format=yuv420p"), *LOSSLESS)
    size = joined(tmp_path, "in.ts", first, (*source("96x64", "format=yuv422p"), *LOSSLESS))
    hint = ends(size, tmp_path)
    assert "--vf scale=64:48,format=yuv420p,setsar=1/1 makes all of them alike" in hint
    filters = hint.partition("--vf ")[2].split()[0]
    ran = afitrt("interpolate", size, tmp_path / "all.mkv", *FAST, "--vf", filters)
    assert ran.code == 0, ran.err
    out = probe(tmp_path / "all.mkv")
    assert (out.width, out.height, out.frames) == (64, 48, 40)
    end = hint.partition("--end ")[2].split()[0]
    ran = afitrt("interpolate", size, tmp_path / "part.mkv", *FAST, "--end", end)
    assert ran.code == 0 and probe(tmp_path / "part.mkv").frames == 20, ran.err


def test_the_remedy_for_another_pixel_aspect_helps(tmp_path: Path) -> None:
    first = (*source("64x48", "format=yuv420p"), *LOSSLESS)
    path = joined(tmp_path, "in.ts", first, (*source("64x48", "format=yuv420p,setsar=4/3"), *LOSSLESS))
    assert "--vf setsar=1/1 takes all of them alike" in ends(path, tmp_path)
    ran = afitrt("interpolate", path, tmp_path / "out.mkv", *FAST, "--vf", "setsar=1/1")
    assert ran.code == 0 and probe(tmp_path / "out.mkv").frames == 40, ran.err


def test_filters_that_leave_a_change_are_refused_before_the_work(tmp_path: Path) -> None:
    path = unseen(tmp_path)
    ran = afitrt("interpolate", path, tmp_path / "out.mkv", *FAST, "--vf", "hflip")
    assert ran.code == 3 and "changes at frame 30" in ran.err and "kept" not in ran.err, ran.err
    assert not list(tmp_path.glob("*out*"))


def test_other_headers_of_pictures_that_are_alike_change_nothing(tmp_path: Path) -> None:
    """Joined parts of one film have sequence headers that differ in what matters to a decoder only."""
    parts = [(*source("64x48", "format=yuv420p"), *LOSSLESS, "-x264-params", f"ref={refs}") for refs in (1, 3)]
    path = joined(tmp_path, "in.ts", *parts)
    info = probe_source(path)
    assert info.change is None and len(read(info)) == info.frames == 20
    index = index_packets(info)
    place = entry(info, index, 17)
    with Reader(info, (17, None), seek=place) as reader:
        assert len(list(reader)) == 3


@pytest.mark.parametrize("out", ["out.mp4", "out.mkv"])
@pytest.mark.parametrize("aspect", ["231/130", "1516/853"])
def test_a_pixel_aspect_of_large_terms_is_kept_exactly(aspect: str, out: str, tmp_path: Path) -> None:
    shape = f"setsar={aspect}:max=2000,format=yuv444p"
    ffmpeg(*source("853x480", shape, frames=2), *X264, tmp_path / "in.mp4")
    ran = afitrt("interpolate", tmp_path / "in.mp4", tmp_path / out, *FAST, "--codec", "x264")
    assert ran.code == 0 and "aspect" not in ran.err, ran.err
    with av.open(str(tmp_path / out)) as container:
        stream = container.streams.video[0]
        next(container.decode(stream))
        told = stream.sample_aspect_ratio, stream.codec_context.sample_aspect_ratio
    assert told == (Fraction(aspect), Fraction(aspect))


def test_a_pixel_aspect_beyond_16_bits_is_told(tmp_path: Path) -> None:
    ffmpeg(*source("64x48", frames=2), *X264, tmp_path / "in.mp4")
    data, one = (tmp_path / "in.mp4").read_bytes(), b"pasp" + struct.pack(">2I", 1, 1)
    assert data.count(one) == 1
    (tmp_path / "wide.mp4").write_bytes(data.replace(one, b"pasp" + struct.pack(">2I", 65537, 65536)))
    assert probe(tmp_path / "wide.mp4").sample_aspect == Fraction(65537, 65536)
    ran = afitrt("interpolate", tmp_path / "wide.mp4", tmp_path / "out.mp4", *FAST)
    assert ran.code == 0 and "the pixel aspect 65537/65536 is rounded in the stream" in ran.err, ran.err
