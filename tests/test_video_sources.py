"""Names of numbered pictures, heads of pictures and headers of y4m: parsing alone, and readers over pictures."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from video_helpers import facts, noise, pattern

from afitrt.errors import InputError, UsageError
from afitrt.frames import Colour
from afitrt.options import EncodeOptions
from afitrt.video import choose_encoding, container_of, default_output, find, open_reader, probe_source
from afitrt.video.numbered import natural, numbered
from afitrt.video.pictures import read_picture, size
from afitrt.video.pipes import parse_header

HEADER = b"YUV4MPEG2 W64 H48 F24000:1001 Ip A128:117 C420mpeg2 XYSCSS=420MPEG2 XCOLORRANGE=LIMITED"


@given(st.integers(0, 10**9), st.integers(0, 12), st.sampled_from(["", "a-", "x.1_"]))
def test_a_pattern_names_files_as_printf_does(number: int, width: int, before: str) -> None:
    name = f"{before}%0{width}d.png" if width else f"{before}%d.png"
    found = numbered(Path("in") / name)
    assert found is not None
    assert found.path(number) == Path("in") / (name % number)


def test_only_its_own_files_belong_to_a_pattern(tmp_path: Path) -> None:
    for name in ("001.png", "2.png", "0003.png", "010.png", "1234.png", "a.png", ".004.png", "005.jpg"):
        (tmp_path / name).touch()
    found = numbered(tmp_path / "%03d.png")
    assert found is not None and found.numbers() == [1, 10, 1234]
    plain = numbered(tmp_path / "%d.png")
    assert plain is not None and plain.numbers() == [2, 1234]
    assert [numbered(Path(name)) for name in ("a.png", "100%.png", "%d-%d.png", "%s.png")] == [None] * 4


@given(st.lists(st.integers(0, 2000), unique=True))
def test_natural_order_is_that_of_the_numbers(values: list[int]) -> None:
    files = [Path(f"Shot 2, {value}.png") for value in values]
    assert sorted(files, key=natural) == [Path(f"Shot 2, {value}.png") for value in sorted(values)]


def test_natural_order_bears_any_names() -> None:
    names = ["10.png", "9.png", "a10b2.png", "a9.png", "B1.png", "b02.png", "-.png"]
    assert [path.name for path in sorted(map(Path, names), key=natural)] == [
        *("9.png", "10.png", "-.png", "a9.png", "a10b2.png", "B1.png", "b02.png")
    ]


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tiff"])
@pytest.mark.parametrize("shape", [(48, 64, 3), (5, 7, 3), (9, 4)])
def test_the_head_tells_what_decoding_tells(tmp_path: Path, suffix: str, shape: tuple[int, ...]) -> None:
    path = tmp_path / f"a.{suffix}"
    cv2.imwrite(str(path), np.full(shape, 77, np.uint8))
    assert size(path) == (shape[1], shape[0], 8)
    assert read_picture(path).shape == (shape[0], shape[1], 3)
    if suffix in ("png", "tiff"):
        cv2.imwrite(str(path), np.full(shape, 770, np.uint16))
        assert size(path) == (shape[1], shape[0], 16)
        assert (read_picture(path) == 770).all()


def test_a_progressive_picture_with_a_thumbnail_is_measured(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    cv2.imwrite(str(path), noise(1)[0], [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])
    data = path.read_bytes()
    path.write_bytes(data[:2] + b"\xff\xe1\x00\x0a\xff\xc0\x00\x11\x08\x01\x01\x01" + data[2:])
    assert size(path) == (64, 48, 8)


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n", b"\xff\xd8\xff\xe0", b"no picture at all, and long enough"])
def test_what_is_no_picture_is_named(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(InputError, match=r"a\.png cannot be read"):
        size(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tiff"])
def test_a_picture_that_ends_early_is_named(tmp_path: Path, suffix: str, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / f"a.{suffix}"
    cv2.imwrite(str(path), noise(1)[0])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=rf"a\.{suffix} cannot be read"):
        read_picture(path)
    assert capfd.readouterr().err == ""


def test_a_reader_of_pictures_takes_spans_and_rates(tmp_path: Path) -> None:
    pictures = noise(10)
    for number, picture in enumerate(pictures):
        cv2.imwrite(str(tmp_path / f"{number}.png"), picture[:, :, ::-1])
    info = probe_source(tmp_path, Fraction(25))
    assert (info.frames, info.rate, info.constant, info.alone) == (10, 25, True, True)
    with open_reader(info, span=(2, 5)) as reader:
        np.testing.assert_array_equal(list(reader), pictures[2:5])
    assert reader.complete
    with open_reader(info, rate=Fraction(50), span=(1, None)) as reader:
        assert len(list(reader)) == 19 and reader.complete
    with open_reader(info) as reader:
        next(iter(reader))
    assert reader.frames == 1


def test_a_header_tells_everything() -> None:
    info = parse_header(HEADER)
    assert (info.width, info.height, info.rate, info.pix_fmt) == (64, 48, Fraction(24000, 1001), "yuv420p")
    assert (info.sample_aspect, info.interlaced, info.depth, info.frames) == (Fraction(128, 117), False, 8, 0)
    assert info.colour == Colour(range="tv", chroma_location="left") and info.piped
    deep = parse_header(b"YUV4MPEG2 W7 H5 F25:1 It A0:0 C422p10 XCOLORRANGE=FULL")
    assert (deep.pix_fmt, deep.depth, deep.interlaced, deep.colour.range) == ("yuv422p10le", 10, True, "pc")
    bare = parse_header(b"YUV4MPEG2 W64 H48 F25:1")
    assert (bare.pix_fmt, bare.colour.chroma_location, bare.sample_aspect) == ("yuv420p", "center", 1)


def test_headers_that_cannot_be_used() -> None:
    for change in ((b"W64", b"W0"), (b"W64", b"Wx"), (b"C420mpeg2", b"Cmono"), (b"C420mpeg2", b"C411"), (b" H48", b"")):
        with pytest.raises(InputError, match="y4m on standard input is"):
            parse_header(HEADER.replace(*change))
    with pytest.raises(UsageError, match="no frame rate"):
        parse_header(HEADER.replace(b"F24000:1001", b"F0:0"))
    assert parse_header(HEADER.replace(b"F24000:1001", b"F0:0"), Fraction(30)).rate == 30
    assert parse_header(HEADER, Fraction(24000, 1001)).rate == Fraction(24000, 1001)
    with pytest.raises(UsageError, match="--rate 24 "):
        parse_header(HEADER, Fraction(24))


@given(st.binary(max_size=80))
def test_no_header_is_a_traceback(rest: bytes) -> None:
    try:
        parse_header(b"YUV4MPEG2 " + rest)
    except (InputError, UsageError):
        return


@pytest.mark.parametrize(
    "source, depth, container, pix_fmt, words",
    [
        ("yuv420p", 8, "png", "rgb24", ""),
        ("yuv420p10le", 10, "png", "rgb48le", ""),
        ("yuv420p", 8, "yuv4mpegpipe", "yuv420p", ""),
        ("yuv422p10le", 10, "yuv4mpegpipe", "yuv422p10le", ""),
        ("yuv444p12le", 12, "yuv4mpegpipe", "yuv444p10le", "12 bits become 10"),
        ("bgr0", 8, "yuv4mpegpipe", "yuv420p", "RGB becomes yuv420p"),
        ("gray", 8, "yuv4mpegpipe", "yuv420p", ""),
    ],
)
def test_what_plain_outputs_hold(source: str, depth: int, container: str, pix_fmt: str, words: str) -> None:
    encode, notes = choose_encoding(facts(63, 47, source, depth=depth), EncodeOptions(), container, find().encoders)
    assert (encode.codec, encode.pix_fmt) == (container, pix_fmt)
    assert words in " ".join(notes) and bool(words) == bool(notes) and "ffv1" not in " ".join(notes)


def test_names_of_outputs(tmp_path: Path) -> None:
    assert [container_of(Path(name)) for name in ("-", "out/%09d.png", "a-%d.PNG")] == ["yuv4mpegpipe", "png", "png"]
    (tmp_path / "shots.v2").mkdir()
    assert default_output(tmp_path / "shots.v2", "60fps") == tmp_path / "shots.v2.60fps.mkv"
    assert default_output(tmp_path / "shots.v2" / "%06d.png", "60fps") == tmp_path / "shots.v2.60fps.mkv"


def test_a_file_named_like_a_pattern_is_a_file(tmp_path: Path) -> None:
    clip = pattern(tmp_path / "%d.mkv", seconds=0.2)
    assert probe_source(clip).frames == 5
