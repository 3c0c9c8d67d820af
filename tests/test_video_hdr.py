"""HDR10 and HLG through the real command line, read back by MediaInfo and by their own bytes."""

from __future__ import annotations

import re
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from command import Ran, afitrt
from hdr_files import DOLBY_VISION_UNIT, LIGHT, MASTERING, PQ, X265, hdr10, hdr10_plus_unit, with_record, with_units
from pymediainfo import MediaInfo
from video_helpers import BUNDLED, facts, ffmpeg, noise, pattern

from afitrt.frames import Colour, ContentLight, Mastering
from afitrt.options import EncodeOptions
from afitrt.video import Ffmpeg, Writer, choose_encoding, find, hdr, probe

pytestmark = pytest.mark.slow

BLEND = ("--model", "blend")
FAST = {"x265": ("--preset", "ultrafast"), "x264": ("--preset", "ultrafast"), "svt-av1": ("--preset", "12")}
# Matroska's MasteringMetadata and MaxCLL, MP4's boxes.
IN_CONTAINER = {".mkv": (b"\x55\xd0", b"\x55\xbc"), ".mp4": (b"mdcv", b"clli"), ".mov": (b"mdcv", b"clli")}


def told(path: Path) -> dict[str, Any]:
    return MediaInfo.parse(path).video_tracks[0].to_data()


def is_hdr10(path: Path) -> None:
    read = told(path)
    assert read["mastering_display_color_primaries"] == "Display P3"
    assert read["mastering_display_luminance"] == "min: 0.0050 cd/m2, max: 1000 cd/m2"
    assert read["maximum_content_light_level"].split()[0] == "1000"
    assert read["maximum_frameaverage_light_level"].split()[0] == "400"


def decodes_as_hdr10(path: Path) -> None:
    """By the words of ffmpeg's own decoder: MediaInfo does not look into AV1."""
    command = [BUNDLED, "-hide_banner", "-i", str(path), "-vf", "showinfo", "-f", "null", "-"]
    said = subprocess.run(command, capture_output=True, check=True, text=True).stderr
    primaries = re.search(r"Parsed_showinfo.*r\(0.6800,0.3200\) g\(0.2650,0.6900\) b\(0.1500 0.0600\)", said)
    assert primaries and "max_luminance=1000.0" in said and "MaxCLL=1000, MaxFALL=400" in said


def smoothed(source: Path, out: Path, codec: str) -> Ran:
    ran = afitrt("interpolate", source, out, *BLEND, "--codec", codec, *FAST.get(codec, ()))
    assert ran.code == 0, ran.err
    return ran


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hdr10(tmp_path_factory.mktemp("hdr") / "in.mkv", *X265, "-x265-params", "bframes=0")


@pytest.mark.parametrize(
    ("codec", "name"),
    [
        *(("x265", "out.mkv"), ("x265", "out.mp4"), ("x265", "out.mov"), ("x264", "out.mkv"), ("x264", "out.mp4")),
        *(
            ("svt-av1", "out.mkv"),
            ("svt-av1", "out.mp4"),
            ("ffv1", "out.mkv"),
            ("prores", "out.mkv"),
            ("prores", "out.mov"),
        ),
    ],
)
def test_hdr10_is_in_the_stream_and_in_the_container(source: Path, tmp_path: Path, codec: str, name: str) -> None:
    out = tmp_path / name
    smoothed(source, out, codec)
    read = told(out)
    colour = [read[fact] for fact in ("color_primaries", "transfer_characteristics", "matrix_coefficients")]
    assert colour == ["BT.2020", "PQ", "BT.2020 non-constant"]
    assert read.get("color_range", "Limited") == "Limited"  # ProRes in MOV tells none.
    is_hdr10(out)
    data = out.read_bytes()
    assert all(mark in data for mark in IN_CONTAINER[out.suffix])
    raw = {"x265": "hevc", "x264": "h264", "svt-av1": "obu"}.get(codec)
    if raw:  # Nothing but the coded pictures.
        bare = tmp_path / f"bare.{raw}"
        ffmpeg("-i", out, "-map", "0:v", "-c", "copy", "-f", raw, bare)
        decodes_as_hdr10(bare) if raw == "obu" else is_hdr10(bare)


def test_facts_are_found_in_the_stream_alone_and_in_the_container_alone(source: Path, tmp_path: Path) -> None:
    ffmpeg("-i", source, "-c", "copy", "-f", "mpegts", tmp_path / "stream.ts")
    hdr10(tmp_path / "container.mkv", "-c:v", "ffv1")
    wanted = Mastering((34000, 16000), (13250, 34500), (7500, 3000), (15635, 16450), 10_000_000, 50)
    assert (str(wanted), str(ContentLight(1000, 400))) == (MASTERING, LIGHT)
    for name in ("stream.ts", "container.mkv"):
        info = probe(tmp_path / name)
        assert (info.mastering, info.content_light, info.dynamic) == (wanted, ContentLight(1000, 400), ())


@pytest.mark.parametrize("codec", ["libx265", "libx264", "libsvtav1", "ffv1", "prores_ks"])
def test_an_older_ffmpeg_keeps_them_too(tmp_path: Path, codec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ffmpeg, "options", property(lambda tool: frozenset()))
    mastering = Mastering((34000, 16000), (13250, 34500), (7500, 3000), (15635, 16450), 10_000_000, 50)
    info = facts(64, 64, "yuv420p10le", depth=10, mastering=mastering, content_light=ContentLight(1000, 400))
    encode, _ = choose_encoding(info, EncodeOptions(codec), "matroska", find().encoders)
    with Writer(tmp_path / "out.mkv", info, Fraction(25), encode) as writer:
        for frame in noise(3, 64):
            writer.write(frame)
    decodes_as_hdr10(tmp_path / "out.mkv") if codec == "libsvtav1" else is_hdr10(tmp_path / "out.mkv")


def test_hlg_survives(tmp_path: Path) -> None:
    tags = "format=yuv420p10le,setparams=color_primaries=bt2020:color_trc=arib-std-b67:colorspace=bt2020nc:range=tv"
    pattern(tmp_path / "in.mkv", "-vf", tags, *X265, seconds=0.2, size="64x64")
    for codec, name in (("x265", "out.mp4"), ("svt-av1", "out.mkv"), ("prores", "out.mov")):
        smoothed(tmp_path / "in.mkv", tmp_path / name, codec)
        read = told(tmp_path / name)
        assert (read["transfer_characteristics"], read["color_primaries"]) == ("HLG", "BT.2020")
        assert "mastering_display_luminance" not in read


def test_metadata_of_single_pictures_are_dropped_and_it_is_said(source: Path, tmp_path: Path) -> None:
    plus = with_units(source, tmp_path / "plus.mkv", hdr10_plus_unit())
    vision = with_units(source, tmp_path / "vision.mkv", DOLBY_VISION_UNIT, after=True)
    declared = with_record(source, tmp_path / "declared.mp4", profile=8, compatible=1)
    assert "2094" in told(plus)["hdr_format"] and "Dolby Vision" in told(declared)["hdr_format"]
    for clip, name in ((plus, "HDR10+"), (vision, "Dolby Vision"), (declared, "Dolby Vision")):
        out = tmp_path / f"out-{clip.stem}.mkv"
        ran = smoothed(clip, out, "x265")
        assert f"{name} metadata are left out" in " ".join(ran.err.split())
        assert told(out)["hdr_format"] == "SMPTE ST 2086"
        is_hdr10(out)


def test_dolby_vision_without_a_base_picture_is_refused(source: Path, tmp_path: Path) -> None:
    clip = with_record(source, tmp_path / "in.mp4", profile=5, compatible=0)
    ran = afitrt("interpolate", clip, tmp_path / "out.mkv", *BLEND)
    assert ran.code == 3 and "profile 5" in ran.err and "libplacebo" in ran.err
    assert not (tmp_path / "out.mkv").exists()


def test_pictures_and_pipes_hold_no_hdr_and_it_is_said(source: Path, tmp_path: Path) -> None:
    ran = afitrt("interpolate", source, f"{tmp_path}/pictures/", *BLEND)
    assert ran.code == 0 and "HDR facts are left out" in " ".join(ran.err.split())


def test_filters_that_leave_hdr_take_its_facts_along(source: Path, tmp_path: Path) -> None:
    tonemap = "zscale=t=linear:npl=100,tonemap=hable:desat=0,zscale=t=bt709:m=bt709:p=bt709:r=tv,format=yuv420p10le"
    for filters, name, stays in (("crop=64:40", "cropped", True), (tonemap, "mapped", False)):
        out = tmp_path / f"{name}.mkv"
        ran = afitrt("interpolate", source, out, *BLEND, "--preset", "ultrafast", "--vf", filters)
        assert ran.code == 0, ran.err
        assert ("mastering_display_luminance" in told(out)) == ("maximum_content_light_level" in told(out)) == stays
        assert told(out)["transfer_characteristics"] == ("PQ" if stays else "BT.709")


@pytest.mark.parametrize("location", ["left", "center", "topleft"])
@pytest.mark.parametrize("codec", ["libx265", "libx264", "ffv1"])
def test_the_place_of_chroma_is_written(tmp_path: Path, codec: str, location: str) -> None:
    """ffmpeg's own words of the file written; FFV1 leaves it to Matroska."""
    colour = Colour("bt709", "bt709", "bt709", "tv", location)
    info = facts(64, 48, "yuv420p", colour=colour)
    encode, _ = choose_encoding(info, EncodeOptions(codec), "matroska", find().encoders)
    with Writer(tmp_path / "out.mkv", info, Fraction(25), encode) as writer:
        writer.write(noise(1)[0])
    assert probe(tmp_path / "out.mkv").colour.chroma_location == location


def test_a_source_without_primaries_or_luminance_tells_nothing() -> None:
    assert PQ and hdr.encoder_params(facts(), "libx265", find()) == {} == hdr.input_options(facts(), find())
