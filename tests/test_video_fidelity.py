"""Pictures that nobody touched come back, code for code; measured before any lossy encoder, on lossless output."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from command import afitrt
from video_helpers import ffmpeg

from afitrt.frames import Geometry
from afitrt.video import decoded_yuv, open_reader, probe

pytestmark = pytest.mark.slow

ALONE = ("--model", "blend", "--codec", "ffv1", "--cuts", "1,2")


def planes(path: Path, number: int = 0) -> list[np.ndarray]:
    """Y, Cb and Cr of one picture as codes."""
    with av.open(str(path)) as container:
        frame = next(frame for place, frame in enumerate(container.decode(video=0)) if place == number)
    deep = np.uint16 if frame.format.components[0].bits > 8 else np.uint8
    return [
        np.frombuffer(plane, deep).reshape(plane.height, -1)[:, : plane.width].astype(int) for plane in frame.planes
    ]


def drawn(path: Path, pix_fmt: str, tags: str, luma: str, chroma: tuple[str, str]) -> Path:
    """Three pictures of these formulas, in codes of the format."""
    drawing = f"geq=lum='{luma}':cb='{chroma[0]}':cr='{chroma[1]}',setparams={tags}"
    range_ = "pc" if "range=pc" in tags else "tv"
    source = f"color=s=96x64:r=25:d=0.12,format={pix_fmt},{drawing}"
    ffmpeg("-f", "lavfi", "-i", source, "-c:v", "ffv1", "-color_range", range_, path)
    return path


def errors(source: Path, out: Path) -> list[int]:
    """Largest difference in each plane, away from the border."""
    pairs = zip(planes(source), planes(out), strict=True)
    return [int(np.abs(a - b)[4:-4, 4:-4].max()) for a, b in pairs]


COLOURS = ["bt709:range=tv", "bt709:range=pc", "bt2020nc:range=tv", "smpte170m:range=tv"]
FORMATS = [f"yuv{shape}p{depth}le" for depth in (10, 12) for shape in (420, 422, 444)]
CASES = [(pix_fmt, colour, "left") for pix_fmt in FORMATS for colour in COLOURS]
CASES += [("yuv420p10le", colour, place) for colour in COLOURS for place in ("center", "topleft")]


@pytest.mark.parametrize(("pix_fmt", "colour", "place"), CASES)
def test_4_2_0_returns_as_it_is_and_all_else_within_a_code_of_luma_and_two_of_smooth_chroma(
    tmp_path: Path, pix_fmt: str, colour: str, place: str
) -> None:
    """Inside the cube of RGB; luma has a chequerboard and noise."""
    """Inside the cube of RGB; luma has a chequerboard and noise."""
    unit = 4 if "10le" in pix_fmt else 16
    luma = f"{unit}*(60+80*X/W+30*mod(X+Y,2)*gt(Y,32)+4*random(0))"
    waves = (f"{unit}*(128+22*sin(X/9+Y/14))", f"{unit}*(128+22*cos(X/9+Y/14))")
    tags = f"colorspace={colour}:chroma_location={place}"
    source = drawn(tmp_path / "in.mkv", pix_fmt, tags, luma, waves)
    ran = afitrt("interpolate", source, tmp_path / "out.mkv", *ALONE)
    assert ran.code == 0, ran.err
    away = errors(source, tmp_path / "out.mkv")
    assert away[0] <= 1 and max(away[1:]) <= 2, away
    assert "420" not in pix_fmt or not any(away), away


@pytest.mark.parametrize("matrix", ["bt709", "bt2020nc"])
def test_a_dark_gradient_keeps_its_levels_through_an_interpolated_frame(tmp_path: Path, matrix: str) -> None:
    """96 levels from black upwards, two pixels wide each, that move by one pixel."""
    tags = f"colorspace={matrix}:range=tv"
    drawing = "geq=lum='64+floor((X+N)/2)':cb=512:cr=512"
    source = tmp_path / "in.mkv"
    picture = f"color=s=192x64:r=25:d=0.2,format=yuv420p10le,{drawing},setparams={tags}"
    ffmpeg("-f", "lavfi", "-i", picture, "-c:v", "ffv1", "-color_range", "tv", source)
    ran = afitrt(
        "interpolate", source, tmp_path / "out.mkv", "--model", "blend", "--codec", "ffv1", "--detector", "none"
    )
    assert ran.code == 0, ran.err
    before = np.unique(planes(source, 0)[0])
    assert len(before) == 96
    shown = {number: planes(tmp_path / "out.mkv", number) for number in range(2, 8)}
    blended = [
        picture
        for picture in shown.values()
        if not any(np.array_equal(picture[0], planes(source, k)[0]) for k in range(5))
    ]
    assert blended
    for luma, *chroma in blended:
        kept = np.isin(before, np.unique(luma)).sum()
        assert kept >= 0.95 * len(before), kept
        assert max(np.abs(plane - 512).max() for plane in chroma) <= 1


def test_sharp_chroma_edges_differ_only_beside_the_edge(tmp_path: Path) -> None:
    """What `away from sharp chroma edges` means: two samples of chroma on each side."""
    source = drawn(
        tmp_path / "in.mkv", "yuv422p10le", "colorspace=bt709:range=tv", "500", ("if(lt(X,24),440,580)", "512")
    )
    ran = afitrt("interpolate", source, tmp_path / "out.mkv", *ALONE)
    assert ran.code == 0, ran.err
    (_, before, _), (_, after, _) = planes(source), planes(tmp_path / "out.mkv")
    far = np.abs(before - after)
    far[:, 22:26] = 0
    assert far.max() <= 2


@pytest.mark.weights
def test_real_pictures_reach_the_network_and_return_but_for_saturated_colours_and_edges(
    bigbuckbunny: Path, tmp_path: Path
) -> None:
    """The figures of docs/reference/promises.md."""
    source = tmp_path / "in.mkv"
    ffmpeg("-ss", 1, "-i", bigbuckbunny, "-frames:v", 3, "-an", "-vf", "format=yuv420p10le", "-c:v", "ffv1", source)
    info = probe(source)
    yuv = decoded_yuv(info)
    assert yuv is not None
    with open_reader(info, yuv=yuv) as reader:
        frame = next(iter(reader))
    back = yuv.from_planar(yuv.to_planar(frame, Geometry(yuv.width, yuv.height)))
    away = [np.abs(a.astype(int) - b) for a, b in zip(yuv.planes(frame), yuv.planes(back), strict=True)]
    within = [float((each <= (1 if place == 0 else 2)).mean()) for place, each in enumerate(away)]
    assert within[0] > 0.998 and within[1] > 0.95 and within[2] > 0.99, within
