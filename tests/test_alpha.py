"""Alpha that hides nothing is left out and said; alpha that hides something is refused before the work."""

from __future__ import annotations

import shlex
from pathlib import Path

import cv2
import numpy as np
import pytest
from command import afitrt
from crop_files import source
from video_helpers import BUNDLED, ffmpeg

from afitrt.video import Reader, find, probe

FAST = ("--model", "blend", "--preset", "ultrafast")
GIF = "split[a][b];[a]palettegen=reserve_transparent=1[p];[b][p]paletteuse"
HOLE = "format=rgba,geq=r='r(X,Y)':g='g(X,Y)':b='b(X,Y)':a='255*(1-lt(X,4)*lt(Y,4)*gt(N,3))'"
ENCODERS = {
    "gif": ("in.gif", GIF, ()),
    "apng": ("in.png", "format=rgba", ("-f", "apng", "-plays", 0)),
    "palette": ("in.mkv", "format=pal8", ("-c:v", "png")),
    "bgra": ("in.mkv", "format=bgra", ("-c:v", "ffv1")),
    "yuva420p": ("in.mkv", "format=yuva420p", ("-c:v", "ffv1")),
    "yuva444p10le": ("in.mov", "format=yuva444p10le", ("-c:v", "prores_ks", "-profile:v", "4444")),
    "rgba64be": ("in.mkv", "format=rgba64be", ("-c:v", "png")),
    "gbrap12le": ("in.mkv", "format=gbrap12le", ("-c:v", "ffv1")),
    "ya8": ("in.mkv", "format=ya8", ("-c:v", "png")),
}


def made(folder: Path, name: str, front: str) -> Path:
    file, filters, encode = ENCODERS[name]
    ffmpeg(*source("64x48", f"{front},{filters}"), *encode, folder / file)
    return folder / file


def refused(path: Path, out: Path) -> str:
    """What the file is refused with; the command that it names makes one that is taken."""
    ran = afitrt("interpolate", path, out, *FAST)
    assert ran.code == 3 and not out.exists(), ran.err
    assert "has an alpha channel" in ran.err and "opaque pictures" in ran.err
    words = shlex.split(ran.err.partition("try: ffmpeg ")[2])
    ffmpeg(*(path if word == path.name else path.parent / word if word == "opaque.mkv" else word for word in words))
    assert probe(path.parent / "opaque.mkv").frames == 10
    return ran.err


@pytest.mark.parametrize("name", ENCODERS)
def test_alpha_that_is_opaque_everywhere_is_left_out(name: str, tmp_path: Path) -> None:
    path = made(tmp_path, name, "null")
    info = probe(path)
    exact = "zscale," if name.startswith("gbr") else ""
    ffmpeg("-i", path, "-vf", f"{exact}format={info.opaque}", "-c:v", "rawvideo", "-f", "nut", tmp_path / "plain.nut")
    plain = probe(tmp_path / "plain.nut")
    # An old ffmpeg's zscale takes no 12 bit RGB with alpha; swscale, put before it, is up to three codes off.
    most = 3 * 16 if name == "gbrap12le" and find().path != BUNDLED else 0
    with Reader(info) as reader, Reader(plain) as wanted:
        assert np.abs(np.array(list(reader), int) - np.array(list(wanted), int)).max() <= most
    ran = afitrt("interpolate", path, tmp_path / "out.mkv", *FAST)
    assert ran.code == 0 and "the alpha channel is left out: it is opaque in every pixel" in ran.err, ran.err
    assert probe(tmp_path / "out.mkv").frames == 20


@pytest.mark.parametrize("name", [each for each in ENCODERS if each not in ("palette", "ya8")])
def test_alpha_that_hides_a_few_pixels_is_refused(name: str, tmp_path: Path) -> None:
    refused(made(tmp_path, name, HOLE), tmp_path / "out.mkv")


def test_a_palette_with_transparent_colours_is_refused(tmp_path: Path) -> None:
    ffmpeg(*source("64x48", f"{HOLE},{GIF}"), "-c:v", "png", "-pix_fmt", "pal8", tmp_path / "in.mkv")
    refused(tmp_path / "in.mkv", tmp_path / "out.mkv")


@pytest.mark.parametrize("encoder", ["libvpx", "libvpx-vp9"])
@pytest.mark.parametrize("container", ["webm", "mkv"])
def test_alpha_beside_vp8_and_vp9_is_refused(encoder: str, container: str, tmp_path: Path) -> None:
    path = tmp_path / f"in.{container}"
    ffmpeg(*source("64x48", HOLE), "-pix_fmt", "yuva420p", "-c:v", encoder, "-auto-alt-ref", 0, path)
    assert "ALPHA_MODE" in refused(path, tmp_path / "out.mkv")


@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_stills_with_opaque_alpha_are_taken_and_others_refused_before_the_work(suffix: str, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    picture = np.full((48, 64, 4), 255, np.uint8)
    for number in range(4):
        picture[:, :32, 0] = 40 * number
        assert cv2.imwrite(str(folder / f"{number}.{suffix}"), picture)
    ran = afitrt("interpolate", folder, tmp_path / "out.mkv", *FAST, "--rate", "25")
    assert ran.code == 0, ran.err
    picture[3, 5, 3] = 254
    assert cv2.imwrite(str(folder / f"2.{suffix}"), picture)
    ran = afitrt("interpolate", folder, tmp_path / "other.mkv", *FAST, "--rate", "25")
    assert ran.code == 3 and f"2.{suffix} has an alpha channel" in ran.err and "kept" not in ran.err, ran.err
    assert not list(tmp_path.glob("*other*"))


def test_a_paletted_still_with_transparency_is_refused_before_the_work(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    ffmpeg(*source("64x48", f"{HOLE},{GIF}"), "-pix_fmt", "pal8", folder / "%02d.png")
    ran = afitrt("interpolate", folder, tmp_path / "out.mkv", *FAST, "--rate", "25")
    assert ran.code == 3 and "has an alpha channel" in ran.err and not list(tmp_path.glob("*out*")), ran.err
