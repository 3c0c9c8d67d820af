"""Encoders by name: defaults, what --encoder-args may say, equal bytes on any machine, groups that stand alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from command import afitrt
from video_helpers import facts, ffmpeg, noise, packets, pattern, payload

from afitrt.errors import MissingToolError, UsageError
from afitrt.frames import VideoInfo
from afitrt.options import EncodeOptions
from afitrt.video import Writer, choose_encoding, find, parse_arguments, space_needed, try_encoder
from afitrt.video.arguments import check_arguments
from afitrt.video.colour import from_rgb, written_colour
from afitrt.video.encoders import ENCODERS, FRIENDLY, encoder_arguments, encoder_name

pytestmark = pytest.mark.slow

SOFTWARE = ("libx265", "libx264", "libsvtav1", "ffv1", "prores_ks")
QUICK = {"libx265": "superfast", "libx264": "veryfast", "libsvtav1": "10"}


def resolved(codec: str, info: VideoInfo | None = None, **more: object) -> EncodeOptions:
    wanted = EncodeOptions(codec, **more)  # type: ignore[arg-type]
    return choose_encoding(info or facts(640, 480, "yuv420p"), wanted, "matroska", frozenset(ENCODERS))[0]


@pytest.mark.parametrize("short", FRIENDLY)
def test_a_friendly_name_and_ffmpegs_own_are_one(short: str) -> None:
    full = FRIENDLY[short]
    assert full in ENCODERS and encoder_name(short) == full == encoder_name(full)
    assert resolved(short) == resolved(full)


@pytest.mark.parametrize(
    ("codec", "option", "value", "preset"),
    [
        ("x265", "crf", "16", "medium"),
        ("x264", "crf", "16", "medium"),
        ("svt-av1", "crf", "20", "6"),
        ("nvenc", "cq", "19", "p6"),
        ("vaapi", "qp", "20", None),
    ],
)
def test_each_has_its_own_defaults_and_a_given_quality_wins(
    codec: str, option: str, value: str, preset: str | None
) -> None:
    arguments = encoder_arguments(resolved(codec))
    assert (arguments[option], arguments.get("preset")) == (value, preset)
    assert encoder_arguments(resolved(codec, crf=7.0))[option] == "7"


def test_what_means_nothing_to_an_encoder_is_said() -> None:
    wanted = EncodeOptions("ffv1", crf=3, preset="slow")
    encode, notes = choose_encoding(facts(64, 48, "yuv420p"), wanted, "matroska", frozenset(ENCODERS))
    assert (encode.crf, encode.preset) == (None, None)
    assert notes == ["--preset slow means nothing to ffv1", "--crf 3 means nothing to ffv1"]


def test_every_software_encoder_is_in_this_ffmpeg() -> None:
    assert set(SOFTWARE) <= find().encoders


@pytest.mark.parametrize("codec", ["nvenc", "vaapi"])
def test_hardware_that_is_not_there_is_an_error_before_the_first_frame(tmp_path: Path, codec: str) -> None:
    if Path("/dev/nvidia0").exists() or Path("/dev/dri").exists():
        pytest.skip("this machine has a GPU")
    source = pattern(tmp_path / "in.mkv", size="256x192", seconds=0.2)
    ran = afitrt("interpolate", source, tmp_path / "out.mkv", "--model", "blend", "--codec", codec)
    assert ran.code == 5, ran.err
    said = " ".join(ran.err.split())
    assert "expected: an encoder that works on this machine, such as x265, x264, svt-av1, ffv1, prores" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mkv"]


def test_vaapi_pictures_are_uploaded_after_the_conversion(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AFITRT_VAAPI_DEVICE", "/dev/dri/renderD129")
    info = facts(640, 480, "yuv420p10le", depth=10)
    command = Writer(tmp_path / "o.mkv", info, info.rate, resolved("vaapi", info))._command
    assert command[command.index("-vaapi_device") + 1] == "/dev/dri/renderD129"
    filters = command[command.index("-vf") + 1]
    assert filters.endswith("hwupload") and "format=p010le" in filters
    assert "-pix_fmt" not in command[command.index("-i") :]


@pytest.mark.parametrize(("pix_fmt", "planar"), [("p010le", "yuv420p10le"), ("nv12", "yuv420p")])
def test_interleaved_chroma_holds_the_same_codes_as_planar(tmp_path: Path, pix_fmt: str, planar: str) -> None:
    info = facts(64, 48, planar, depth=10 if "10" in planar else 8)
    noise(1)[0].tofile(tmp_path / "in.rgb")
    made = []
    for target in (pix_fmt, planar):
        filters = ",".join([*from_rgb(info, written_colour(info, target), target), f"format={planar}"])
        shape = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-video_size", "64x48")
        ffmpeg(*shape, "-i", tmp_path / "in.rgb", "-vf", filters, "-f", "rawvideo", tmp_path / "out.yuv")
        made.append((tmp_path / "out.yuv").read_bytes())
    assert made[0] == made[1]


@pytest.mark.parametrize("codec", SOFTWARE)
def test_the_room_that_a_job_takes_is_not_guessed_too_small(tmp_path: Path, codec: str) -> None:
    info = facts(320, 240, "yuv420p")
    encode = resolved(codec, info, preset=QUICK.get(codec))
    if encode.crf is None:  # The rest of the bound depends on the film.
        path = encoded(tmp_path / "o.mkv", codec, moving(10, 320, 240))
        assert space_needed(replace(info, path=path), encode, 10) >= path.stat().st_size
    finer = replace(encode, crf=None if encode.crf is None else encode.crf - 6)
    less = space_needed(replace(info, piped=True), encode, 10)
    assert space_needed(replace(info, piped=True), finer, 10) == pytest.approx(less * (1 if encode.crf is None else 2))
    assert space_needed(replace(info, piped=True), encode, 20) == pytest.approx(2 * less, rel=0.01)


# --encoder-args.


def test_the_text_is_pairs_of_option_and_value() -> None:
    assert parse_arguments("-tune animation -g 120") == (("tune", "animation"), ("g", "120"))
    assert parse_arguments("-x265-params 'aq-mode=3:psy-rd=1'") == (("x265-params", "aq-mode=3:psy-rd=1"),)
    assert parse_arguments("-qmin -1 -g:v 5") == (("qmin", "-1"), ("g", "5"))
    for text in ("", "animation", "-tune", "-tune animation -g", "-g 1 2", "--", "-tune 'x"):
        with pytest.raises(UsageError, match="--encoder-args"):
            parse_arguments(text)


@pytest.mark.parametrize(
    ("codec", "text", "words"),
    [
        ("libx265", "-crf 3", ("-crf is set by --crf",)),
        ("libx265", "-c:v libx264", ("-c is set by --codec",)),
        ("libx265", "-preset slow", ("--preset",)),
        ("libx265", "-pix_fmt yuv420p", ("--pix-fmt",)),
        ("libx265", "-vf hflip", ("-vf is set by",)),
        ("libx265", "-x265-params open-gop=1", ("open-gop in -x265-params is set by afitrt",)),
        ("libx265", "-x265-params aq-mode=3:master-display=G(1,1)", ("master-display", "colour")),
        ("libx265", "-x265-params frame-threads=8", ("frame-threads",)),
        ("libx264", "-threads 2", ("-threads is set by",)),
        ("libx264", "-x264opts threads=2", ("threads in -x264opts",)),
        ("libsvtav1", "-svtav1-params color-primaries=1", ("color-primaries",)),
        ("ffv1", "-g 10", ("-g is set by afitrt",)),
        ("hevc_nvenc", "-rc cbr", ("-rc is set by",)),
        ("libx265", "-nonsense 1", ("x265 has no -nonsense", "-tune")),
        ("libx264", "-svtav1-params lp=1", ("x264 has no -svtav1-params",)),
        ("libx265", "-g 1 -g 2", ("twice",)),
    ],
)
def test_what_afitrt_sets_itself_and_what_is_not_there_is_refused_by_name(
    codec: str, text: str, words: tuple[str, ...]
) -> None:
    with pytest.raises(UsageError) as refused:
        check_arguments(codec, parse_arguments(text))
    assert all(word in str(refused.value) for word in words), str(refused.value)


def test_the_rest_reaches_the_encoder(tmp_path: Path) -> None:
    source = pattern(tmp_path / "in.mkv", seconds=1)
    for codec, text in (("x265", "-g 10 -x265-params scenecut=0:aq-mode=3"), ("x264", "-tune animation -g 10")):
        out = tmp_path / f"{codec}.mkv"
        common = ("interpolate", source, out, "--model", "blend", "--codec", codec, "--preset", "ultrafast")
        ran = afitrt(*common, "--encoder-args", text)
        assert ran.code == 0, ran.err
        assert [place for place, packet in enumerate(packets(out)[0]) if packet.is_keyframe] == list(range(0, 50, 10))
    ran = afitrt("interpolate", source, tmp_path / "x.mkv", "--model", "blend", "--encoder-args", "-tune nonsense")
    assert ran.code == 5 and "other --encoder-args" in " ".join(ran.err.split()) and not (tmp_path / "x.mkv").exists()
    ran = afitrt("interpolate", source, f"{tmp_path}/out/", "--model", "blend", "--encoder-args", "-g 1")
    assert ran.code == 2 and "--encoder-args" in ran.err


# Equal bytes, closed groups.


@contextmanager
def cores(wanted: set[int]) -> Iterator[None]:
    """This process and its new children on these cores only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, wanted)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def moving(count: int, width: int, height: int) -> list[np.ndarray]:
    still = noise(1, height, width + count)[0] // 8 + 100
    return [np.ascontiguousarray(still[:, k : k + width]) for k in range(count)]


def encoded(path: Path, codec: str, frames: list[np.ndarray], extra: tuple[tuple[str, str], ...] = ()) -> Path:
    height, width, _ = frames[0].shape
    info = facts(width, height, "yuv420p")
    with Writer(path, info, Fraction(25), resolved(codec, info, preset=QUICK.get(codec), extra=extra)) as writer:
        for frame in frames:
            writer.write(frame)
    return path


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux ties a process to cores")
@pytest.mark.parametrize("codec", SOFTWARE)
def test_the_bytes_do_not_depend_on_the_number_of_cores(tmp_path: Path, codec: str) -> None:
    both = sorted(os.sched_getaffinity(0))[:2]
    if len(both) < 2:
        pytest.skip("one core")
    frames = moving(30, 320, 240)
    hashes = set()
    for number, wanted in enumerate(({both[0]}, set(both), set(both))):
        with cores(wanted):
            hashes.add(payload(encoded(tmp_path / f"{number}.mkv", codec, frames), 0))
    assert len(hashes) == 1


@pytest.mark.parametrize("codec", SOFTWARE)
def test_every_group_of_pictures_decodes_on_its_own(tmp_path: Path, codec: str) -> None:
    extra = () if codec in ("ffv1", "prores_ks") else (("g", "8"),)
    path = encoded(tmp_path / "o.mkv", codec, moving(24, 128, 96), extra)

    def decoded(first: int, last: int) -> list[np.ndarray]:
        with av.open(str(path)) as container:
            context = container.streams.video[0].codec_context
            context.thread_type = "NONE"
            all_packets = [packet for packet in container.demux(video=0) if packet.size]
            frames = [frame for packet in all_packets[first:last] for frame in context.decode(packet)]
            return [frame.to_ndarray() for frame in [*frames, *context.decode(None)]]

    keys = [place for place, packet in enumerate(packets(path)[0]) if packet.is_keyframe]
    assert keys[:3] == ([0, 1, 2] if not extra else [0, 8, 16])
    whole = decoded(0, 24)
    for first, last in ((keys[1], keys[2]), (keys[2], 24)):
        alone = decoded(first, last)
        assert len(alone) == last - first
        assert all(np.array_equal(a, b) for a, b in zip(alone, whole[first:last], strict=True))


def test_a_trial_names_the_arguments_it_failed_on() -> None:
    info = facts(64, 48, "yuv420p")
    encode = resolved("libx264", info, extra=(("tune", "nonsense"),))
    with pytest.raises(MissingToolError, match="tune") as refused:
        try_encoder(info, info.rate, encode)
    assert "--encoder-args" in refused.value.hint
