"""Which ffmpeg is used where two are installed: by what they can do, not by where they are."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import pytest
from command import afitrt
from video_helpers import BUNDLED, facts, noise, pattern

from afitrt.errors import MissingToolError
from afitrt.options import EncodeOptions
from afitrt.video import Ffmpeg, Writer, choose_encoding, find, find_for, installed, present_encoders
from afitrt.video import ffmpeg_discovery as module

FAST = ("--model", "blend", "--preset", "ultrafast", "--segment-outputs", "20")
LIBAVCODEC = {"9.0": "63. 1.102", "5.1": "59. 37.100", "4.2": "58. 54.100"}


@dataclass(frozen=True)
class Fake:
    """A program that tells of another version than the bundled ffmpeg, which does its work."""

    path: Path

    @property
    def ran(self) -> str:
        """Its command lines, but for questions."""
        log = self.path.with_suffix(".log")
        return log.read_text() if log.exists() else ""


def fake(path: Path, version: str, library: str, lacks: str = "NOTHING", extra: str = "") -> Fake:
    """lacks: an encoder, or the zscale filter, that it does not have; extra: an encoder that it says it has."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        f"""#!/bin/sh
case "$*" in
*-version*) echo "ffmpeg version {version} Copyright"; echo "libavcodec     {library} / {library}" ;;
*-encoders*) "{BUNDLED}" "$@" | grep -v " {lacks} "; test -z "{extra}" || echo " V....D {extra} an encoder" ;;
*-filters*) "{BUNDLED}" "$@" | grep -v " {lacks} " ;;
*) echo "$*" >> "{path.with_suffix(".log")}"; exec "{BUNDLED}" "$@" ;;
esac
"""
    )
    path.chmod(0o755)
    return Fake(path)


@pytest.fixture(autouse=True)
def nothing_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AFITRT_FFMPEG", raising=False)


def two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: tuple[str, ...], bundled: tuple[str, ...]
) -> tuple[Fake, Fake]:
    """The only ffmpeg on PATH, and that of imageio-ffmpeg; arguments as those of `fake` after its path."""
    ours, theirs = fake(tmp_path / "bin" / "ffmpeg", *system), fake(tmp_path / "bundled", *bundled)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(theirs.path))
    return ours, theirs


@pytest.mark.parametrize(
    ("system", "bundled", "chosen"),
    [
        (("5.1.9-0+deb12u1", LIBAVCODEC["5.1"]), ("n9.0.2-17-g2a57-20260930", LIBAVCODEC["9.0"]), "bundled"),
        (("9.0", LIBAVCODEC["9.0"]), ("5.1", LIBAVCODEC["5.1"]), "system"),
        (("9.0.2", LIBAVCODEC["9.0"]), ("n9.0.2", LIBAVCODEC["9.0"]), "system"),
        (("9.0.1", LIBAVCODEC["9.0"]), ("9.0.2", LIBAVCODEC["9.0"]), "bundled"),
        (("10.0", LIBAVCODEC["9.0"]), ("9.0", LIBAVCODEC["9.0"]), "system"),
        # Builds between releases have no number of their own, and their libraries have.
        (("N-118000-gabcdef0123", "64. 1.100"), ("n9.0.2", LIBAVCODEC["9.0"]), "system"),
        (("N-90000-gabcdef0123", LIBAVCODEC["4.2"]), ("n9.0.2", LIBAVCODEC["9.0"]), "bundled"),
        (("2020-05-01-git-abc-full_build", LIBAVCODEC["4.2"]), ("n9.0.2", LIBAVCODEC["9.0"]), "bundled"),
        (("9.0", LIBAVCODEC["9.0"], "zscale"), ("5.1", LIBAVCODEC["5.1"]), "bundled"),
        (("5.1", LIBAVCODEC["5.1"]), ("9.0", LIBAVCODEC["9.0"], "zscale"), "system"),
    ],
)
def test_the_newer_one_that_can_is_used(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    system: tuple[str, ...],
    bundled: tuple[str, ...],
    chosen: str,
) -> None:
    ours, theirs = two(tmp_path, monkeypatch, system, bundled)
    assert find().path == str(ours.path if chosen == "system" else theirs.path)


def test_an_encoder_that_only_the_older_one_has_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = two(tmp_path, monkeypatch, ("5.1", LIBAVCODEC["5.1"]), ("9.0", LIBAVCODEC["9.0"], "libx264"))
    source = pattern(tmp_path / "in.mkv")
    ran = afitrt("interpolate", source, tmp_path / "out.mkv", *FAST, "--codec", "x264")
    assert ran.code == 0, ran.err
    assert "-c:v libx264" in old.ran and "libx264" not in new.ran
    assert "pipe:1" in new.ran and "pipe:1" not in old.ran, "the newer one reads"
    job = tmp_path / "job.json"
    assert afitrt("plan", source, "-o", job, *FAST, "--codec", "x264").code == 0
    named = json.loads(job.read_text())["recipe"]["encoder"]
    assert named == f"{find_for('libx264').build}, read by {find().build}"
    job.unlink()
    assert afitrt("plan", source, "-o", job, *FAST, "--codec", "x265").code == 0
    assert json.loads(job.read_text())["recipe"]["encoder"] == find().build


def test_hardware_encoders_of_the_older_one_are_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = two(tmp_path, monkeypatch, ("5.1", LIBAVCODEC["5.1"]), ("9.0", LIBAVCODEC["9.0"], "hevc_nvenc"))
    assert find_for("hevc_nvenc").path == str(old.path)
    assert find_for("h264_nvenc").path == find_for("no_such_encoder").path == str(new.path)
    encode, _ = choose_encoding(facts(320, 240), EncodeOptions("nvenc"), "matroska", present_encoders())
    assert Writer(tmp_path / "out.mkv", facts(320, 240), Fraction(25), encode)._command[0] == str(old.path)
    checks = json.loads(afitrt("doctor", "--json").out)["checks"]
    told = {check["name"]: check["found"] for check in checks}
    assert str(new.path) in told["ffmpeg"] and "none here is newer" in told["ffmpeg"]
    assert str(old.path) in told["another ffmpeg"]
    assert "encodes nvenc, which the other one does not have" in told["another ffmpeg"]
    assert told["NVENC"].startswith("nvenc, ")


def test_options_of_an_encoder_are_those_of_the_one_that_encodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, _ = two(tmp_path, monkeypatch, ("5.1", LIBAVCODEC["5.1"]), ("9.0", LIBAVCODEC["9.0"], "libx264"))
    choose_encoding(facts(), EncodeOptions("x264", extra=(("tune", "animation"),)), "matroska", present_encoders())
    assert "encoder=libx264" in old.ran


def test_a_hardware_encoder_that_fails_names_the_other_ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver may be older than what the newer ffmpeg was built for."""
    old, _ = two(
        tmp_path,
        monkeypatch,
        ("5.1", LIBAVCODEC["5.1"], "NOTHING", "h264_nvenc"),
        ("9.0", LIBAVCODEC["9.0"], "NOTHING", "h264_nvenc"),
    )
    source = pattern(tmp_path / "in.mkv", size="320x240")
    ran = afitrt("interpolate", source, tmp_path / "out.mkv", "--model", "blend", "--codec", "nvenc-h264")
    if Path("/dev/nvidia0").exists():
        pytest.skip("NVENC may work here")
    assert ran.code == 5 and f"AFITRT_FFMPEG={old.path} or --codec" in ran.err, ran.err


def test_the_setting_overrides_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = two(
        tmp_path, monkeypatch, ("5.1", LIBAVCODEC["5.1"]), ("9.0", LIBAVCODEC["9.0"], "NOTHING", "hevc_other")
    )
    monkeypatch.setenv("AFITRT_FFMPEG", str(old.path))
    assert find().path == find_for("hevc_other").path == str(old.path) and "hevc_other" not in present_encoders()
    told = {check["name"]: check["found"] for check in json.loads(afitrt("doctor", "--json").out)["checks"]}
    assert "AFITRT_FFMPEG names it" in told["ffmpeg"] and str(old.path) in told["ffmpeg"]
    assert "not used; AFITRT_FFMPEG names another" in told["another ffmpeg"] and str(new.path) in told["another ffmpeg"]


def test_doctor_says_why_one_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    two(tmp_path, monkeypatch, ("9.0", LIBAVCODEC["9.0"], "zscale"), ("5.1", LIBAVCODEC["5.1"]))
    told = {check["name"]: check["found"] for check in json.loads(afitrt("doctor", "--json").out)["checks"]}
    assert told["ffmpeg"].endswith("reads and encodes; it has the zscale filter")
    assert told["another ffmpeg"].endswith("not used; no zscale filter")


def test_doctor_tells_an_older_x265(monkeypatch: pytest.MonkeyPatch) -> None:
    for version, words in (((3, 5), "present, older than 4.3: works on one frame at a time"), ((4, 3), "present")):
        monkeypatch.setattr(Ffmpeg, "x265", property(lambda tool, version=version: version))
        told = {check["name"]: check["found"] for check in json.loads(afitrt("doctor", "--json").out)["checks"]}
        assert told["encoder libx265"].startswith(words) and told["encoder libx264"] == "present"


def test_one_program_under_two_names_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ffmpeg").symlink_to(BUNDLED)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert [each.path for each in installed().values()] == [str(tmp_path / "ffmpeg")]


def test_a_missing_ffmpeg_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find().zscale
    monkeypatch.setenv("AFITRT_FFMPEG", "/nowhere/ffmpeg")
    with pytest.raises(MissingToolError, match="/nowhere/ffmpeg"):
        find()
    monkeypatch.delenv("AFITRT_FFMPEG")
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(module, "_packaged", lambda: None)
    with pytest.raises(MissingToolError, match="zscale"):
        find()


def test_what_is_no_ffmpeg_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ffmpeg").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "ffmpeg").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert find().path == BUNDLED
    monkeypatch.setenv("AFITRT_FFMPEG", str(tmp_path / "ffmpeg"))
    with pytest.raises(MissingToolError, match="does not run as ffmpeg"):
        find()


def test_builds_of_one_version_differ_by_their_libraries() -> None:
    told = subprocess.run([BUNDLED, "-version"], capture_output=True, text=True, check=True).stdout
    one, other = (Ffmpeg("ffmpeg", "9.0", text) for text in (told, told.replace("libswscale", "libfoo")))
    assert one.build != other.build and one.build.startswith("9.0 ")


def test_fixtures_do_not_depend_on_the_ffmpeg_under_test(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from video_helpers import drawn

    monkeypatch.setenv("AFITRT_FFMPEG", "/nowhere/ffmpeg")
    assert pattern(tmp_path / "a.mkv", seconds=0.2).exists()
    assert drawn(tmp_path / "b.mkv", noise(2)).exists()
