"""Everything beside the pictures: every track arrives with its bytes, order, words and time."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from fractions import Fraction
from importlib import import_module
from itertools import chain, repeat
from pathlib import Path

import av
import numpy as np
import pytest
from command import afitrt
from matrix_files import pictures
from video_helpers import X264, children, ffmpeg, packets, pattern, payload

from afitrt.errors import OutputError, RenderError, UsageError
from afitrt.frames import VideoInfo
from afitrt.options import EncodeOptions
from afitrt.video import (
    Reader,
    Stamps,
    Track,
    Writer,
    choose_encoding,
    choose_tracks,
    container_of,
    default_output,
    find,
    list_tracks,
    mux,
    parse_drop,
    probe,
)
from afitrt.video.stamping import StampedVideo

pytestmark = pytest.mark.slow

QUICK = EncodeOptions(codec="libx265", preset="ultrafast")


def doubled(
    source: Path,
    out: Path,
    span: tuple[int, int] | None = None,
    wanted: EncodeOptions = QUICK,
    drop: tuple[str, ...] = (),
) -> list[str]:
    """Every frame twice at twice the rate, through all rooms; what mux says."""
    info = probe(source)
    encode, _ = choose_encoding(info, wanted, container_of(out), find().encoders)
    part = out.with_name(f"part-{out.stem}.mkv")
    with Reader(info, span) as reader, Writer(part, info, info.rate * 2, encode) as writer:
        for frame in reader:
            writer.write(frame)
            writer.write(frame)
    seconds = (info.seconds(span[0]), info.seconds(span[1])) if span else None
    return mux([part], info, out, Stamps.regular(writer.frames, info.rate * 2), seconds, drop)


def times(path: Path, index: int) -> list[Fraction]:
    return sorted(packet.pts * packet.time_base for packet in packets(path)[index] if packet.pts is not None)


def first_difference(path: Path, video: int, audio: int) -> Fraction:
    """Pictures that an edit list hides do not count; the priming packet of AAC does, as Matroska has no such flag."""
    shown = [packet.pts * packet.time_base for packet in packets(path)[video] if not packet.is_discard]
    return min(shown) - times(path, audio)[0]


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sounds around the video, two subtitles, a font, a cover, chapters, languages, flags and tags."""
    folder = tmp_path_factory.mktemp("full")
    (folder / "words.srt").write_text(
        "1\n00:00:00,200 --> 00:00:00,600\nhello\n\n2\n00:00:01,000 --> 00:00:01,500\nyou\n"
    )
    (folder / "font.ttf").write_bytes(bytes(range(256)) * 20)
    ffmpeg("-f", "lavfi", "-i", "color=red:s=32x32", "-frames:v", 1, folder / "cover.png")
    chapters = "".join(
        f"[CHAPTER]\nTIMEBASE=1/1000\nSTART={start}\nEND={start + 1000}\ntitle=part {start}\n" for start in (0, 1000)
    )
    (folder / "meta.txt").write_text(f";FFMETADATA1\ntitle=The film\nartist=Nobody\n{chapters}")
    clip = pattern(folder / "clip.mkv", "-c:v", "libx264", "-bf", 2, seconds=2)
    ffmpeg(
        *("-f", "lavfi", "-i", "sine=f=300:d=2", "-i", clip, "-f", "lavfi", "-i", "sine=f=600:d=2"),
        *("-i", folder / "words.srt", "-i", folder / "meta.txt"),
        *("-map", 0, "-map", 1, "-map", 2, "-map", 3, "-map", 3, "-map_metadata", 4, "-map_chapters", 4),
        *("-c:v", "copy", "-c:a:0", "flac", "-c:a:1", "aac", "-c:s:0", "srt", "-c:s:1", "ass"),
        *("-metadata:s:a:0", "language=jpn", "-metadata:s:a:1", "language=eng", "-metadata:s:v:0", "title=Pictures"),
        *(
            "-metadata:s:v:0",
            "NUMBER_OF_FRAMES=50",
            "-metadata:s:s:0",
            "language=ger",
            "-metadata:s:s:0",
            "title=Deutsch",
        ),
        *("-disposition:a:0", 0, "-disposition:a:1", "default+comment", "-disposition:s:1", "forced"),
        *("-attach", folder / "font.ttf", "-metadata:s:t:0", "mimetype=font/ttf", "-metadata:s:t:0", "filename=f.ttf"),
        *("-attach", folder / "cover.png", "-metadata:s:t:1", "mimetype=image/png"),
        *("-metadata:s:t:1", "filename=cover.png", folder / "full.mkv"),
    )
    return folder / "full.mkv"


def test_all_tracks_arrive_in_order_with_words_and_flags(full: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mkv"
    assert doubled(full, out) == []
    before, after = list_tracks(full), list_tracks(out)
    assert [(t.kind, t.dispositions, t.language) for t in after] == [
        (t.kind, t.dispositions, t.language) for t in before
    ]
    assert [t.codec for t in after] == ["flac", "hevc", *(t.codec for t in before[2:])]
    for track in before:
        if track.kind in ("audio", "subtitle", "cover"):
            assert payload(out, track.index) == payload(full, track.index), track
    with av.open(str(full)) as old, av.open(str(out)) as new:
        assert new.chapters() == old.chapters() != []
        assert (new.metadata["title"], new.metadata["ARTIST"]) == ("The film", "Nobody")
        assert new.streams[1].metadata["title"] == "Pictures"
        assert "NUMBER_OF_FRAMES" not in new.streams[1].metadata
        assert new.streams[3].metadata["title"] == "Deutsch"
        fonts = [s for s in new.streams if s.type == "attachment"]
        assert [(f.metadata["filename"], f.mimetype) for f in fonts] == [("f.ttf", "font/ttf")]
        assert bytes(fonts[0].data) == bytes(range(256)) * 20
    assert [t for i in (0, 2, 3) for t in times(out, i)] == [t for i in (0, 2, 3) for t in times(full, i)]
    assert len(packets(out)[1]) == 100
    assert probe(out).rate == 50
    assert list(tmp_path.glob(".*")) == []


def test_a_span_cuts_the_other_tracks_at_packets(full: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mkv"
    doubled(full, out, span=(20, 40))
    assert times(out, 1)[0] == 0
    assert len(packets(out)[1]) == 40
    for index in (0, 2):
        kept = [t for t in times(full, index) if Fraction(4, 5) <= t < Fraction(8, 5)]
        assert abs(len(packets(out)[index]) - len(kept)) <= 1
        assert abs(times(out, index)[0] - (kept[0] - Fraction(4, 5))) <= Fraction(2, 1000)
    assert times(out, 3) == [Fraction(1, 5)]
    with av.open(str(out)) as new:
        spans = [(c["start"] * c["time_base"], c["end"] * c["time_base"]) for c in new.chapters()]
        assert spans == [(0, Fraction(1, 5)), (Fraction(1, 5), Fraction(4, 5))]
        assert [s.type for s in new.streams] == [s.type for s in av.open(str(full)).streams]


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "mov"])
@pytest.mark.parametrize("source", ["mkv", "mp4", "ts"])
@pytest.mark.parametrize("late", [0.7, -0.5])
def test_video_and_sound_keep_their_distance(tmp_path: Path, source: str, suffix: str, late: float) -> None:
    clip = pattern(tmp_path / f"clip.{source}", *X264, rate="24000/1001")
    shifted = tmp_path / f"in.{source}"
    inputs = ("-itsoffset", late, "-i", clip, "-f", "lavfi", "-i", "sine=d=2")
    ffmpeg(*inputs, "-map", 0, "-map", 1, "-c:v", "copy", "-c:a", "aac", shifted)
    out = tmp_path / f"out.{suffix}"
    assert doubled(shifted, out) == []
    before, after = first_difference(shifted, 0, 1), first_difference(out, 0, 1)
    assert abs(before - after) <= Fraction(2, 1000)
    assert payload(out, 1) == payload(shifted, 1) or source == "ts"


@pytest.mark.parametrize("suffix", ["mp4", "mov"])
@pytest.mark.parametrize("rate", ["24000/1001", "25", "30000/1001"])
def test_mp4_times_are_exact_although_made_from_matroska(tmp_path: Path, suffix: str, rate: str) -> None:
    clip = pattern(tmp_path / "in.mp4", rate=rate, seconds=2)
    out = tmp_path / f"out.{suffix}"
    doubled(clip, out)
    assert times(out, 0) == [k / (2 * Fraction(rate)) for k in range(len(packets(out)[0]))]
    info = probe(out)
    assert (info.rate, info.constant) == (2 * Fraction(rate), True)
    with av.open(str(out)) as container:
        assert container.streams.video[0].codec_context.codec_tag == "hvc1"


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_rotation_mirroring_and_aspect_are_kept(tmp_path: Path, suffix: str) -> None:
    clip = pattern(tmp_path / "in.mp4", "-vf", "setsar=4/3", *X264)
    turned = tmp_path / "turned.mp4"
    ffmpeg("-display_rotation", 90, "-display_hflip", "-i", clip, "-c", "copy", turned)
    doubled(turned, tmp_path / f"out.{suffix}")
    info = probe(tmp_path / f"out.{suffix}")
    assert (info.rotation, info.mirrored, info.sample_aspect) == (90, True, Fraction(4, 3))
    assert (info.width, info.height) == (64, 48)


def test_a_cover_from_mp4_becomes_an_attached_picture(tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "color=red:s=32x32", "-frames:v", 1, tmp_path / "cover.jpg")
    clip = pattern(tmp_path / "clip.mp4")
    covered = tmp_path / "in.mp4"
    ffmpeg(
        "-i",
        clip,
        "-i",
        tmp_path / "cover.jpg",
        "-map",
        0,
        "-map",
        1,
        "-c",
        "copy",
        "-disposition:1",
        "attached_pic",
        covered,
    )
    for suffix in ("mkv", "mp4"):
        out = tmp_path / f"out.{suffix}"
        assert doubled(covered, out) == []
        assert [track.kind for track in list_tracks(out)] == ["video", "cover"]
        assert payload(out, 1) == payload(covered, 1)


def test_mp4_subtitles_become_text_in_matroska_and_it_is_said(full: Path, tmp_path: Path) -> None:
    source = tmp_path / "in.mp4"
    ffmpeg("-i", full, "-map", "0:1", "-map", "0:2", "-map", "0:3", "-c", "copy", "-c:s", "mov_text", source)
    notes = doubled(source, tmp_path / "out.mkv")
    assert len(notes) == 1 and "mov_text" in notes[0] and "subrip" in notes[0]
    words = [bytes(packet).decode() for packet in packets(tmp_path / "out.mkv")[2]]
    assert words == ["hello", "you"]
    assert doubled(source, tmp_path / "out.mp4") == []


def test_mp4_refuses_what_it_cannot_hold_and_lists_it(full: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError) as refused:
        doubled(full, tmp_path / "out.mp4")
    for word in ("mp4", "track 3 (subtitle subrip, ger)", "track 4 (subtitle ass)", "attachment"):
        assert word in refused.value.found
    assert refused.value.hint == "name the output .mkv, or --drop-tracks 3,4,5"
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize("said", ["3,4,5", "subtitle,attachment"])
def test_what_it_cannot_hold_can_be_left_out_by_number_and_kind(full: Path, tmp_path: Path, said: str) -> None:
    drop = parse_drop(said)
    notes = doubled(full, tmp_path / "out.mp4", drop=drop)
    kinds = [track.kind for track in list_tracks(tmp_path / "out.mp4")]
    assert [kind for kind in kinds if kind != "chapters"] == ["audio", "video", "audio", "cover"]
    assert [note.partition(" is left out")[0] for note in notes] == [
        str(each) for each in list_tracks(full) if each.kind in ("subtitle", "attachment")
    ]


def test_a_track_to_leave_out_must_be_there_and_not_the_video() -> None:
    tracks = [Track(0, "video", "h264"), Track(1, "audio", "aac")]
    for number, words in (("0", "is the video"), ("7", "no track of the source")):
        with pytest.raises(UsageError, match=words) as refused:
            choose_tracks(tracks, "matroska", (number,))
        assert "track 1 (audio aac)" in refused.value.expected
    for text in ("video", "", "1,,2", "sounds", "-1"):
        with pytest.raises(UsageError, match="--drop-tracks"):
            parse_drop(text)


def test_the_choice_of_tracks() -> None:
    video, data = Track(0, "video", "h264"), Track(1, "data", "unknown")
    kept, notes = choose_tracks([video, data, Track(2, "audio", "pcm_bluray")], "matroska")
    assert [(t.index, t.convert) for t in kept] == [(0, ""), (2, "pcm_s24le")]
    assert len(notes) == 2 and "track 1 (data unknown)" in notes[0]
    with pytest.raises(OutputError, match="vorbis"):
        choose_tracks([video, Track(1, "audio", "vorbis")], "mov")


def test_output_names() -> None:
    assert default_output(Path("a/in.mp4"), "47.952fps") == Path("a/in.47.952fps.mkv")
    assert default_output(Path("in.part1.mkv"), "60fps") == Path("in.part1.60fps.mkv")
    assert [container_of(Path(name)) for name in ("a.mkv", "a.MP4", "a.m4v", "a.mov")] == [
        "matroska",
        "mp4",
        "mp4",
        "mov",
    ]
    for name in ("out.avi", "out", "out.webm"):
        with pytest.raises(OutputError, match="ends in"):
            container_of(Path(name))


def test_a_failed_mux_leaves_nothing_and_keeps_what_was_there(tmp_path: Path) -> None:
    clip = pattern(tmp_path / "in.mkv")
    out = tmp_path / "out.mkv"
    out.write_text("the old one")
    (tmp_path / "broken.mkv").write_text("no video")
    before = children()
    with pytest.raises((OutputError, RenderError)):
        mux([tmp_path / "broken.mkv"], probe(clip), out, Stamps.regular(25, Fraction(50)))
    assert out.read_text() == "the old one"
    assert list(tmp_path.glob(".*")) == []
    assert children() == before


@pytest.mark.weights
def test_a_real_clip_goes_through(bigbuckbunny: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mkv"
    info: VideoInfo = probe(bigbuckbunny)
    assert (info.frames, info.width, info.height, info.rate) == (132, 1280, 720, Fraction(25))
    quick = EncodeOptions(codec="libx264", preset="ultrafast")
    assert doubled(bigbuckbunny, out, span=(10, 20), wanted=quick) == []
    with Reader(info, (10, 20)) as old, Reader(probe(out)) as new:
        pairs = list(zip([frame for frame in old for _ in range(2)], new, strict=True))
    assert max(np.abs(a.astype(float) - b).mean() for a, b in pairs) < 2


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_a_file_whose_times_differ_is_not_published(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = pattern(tmp_path / "in.mkv")
    right = StampedVideo.packets

    def wrong(video: StampedVideo, stream: object) -> object:
        return right(StampedVideo(video.parts, moved(video.stamps)), stream)

    monkeypatch.setattr(StampedVideo, "packets", wrong)
    with pytest.raises(OutputError, match=r"shows picture 7 0\.0020\d+ s from its time"):
        mux([clip], probe(clip), tmp_path / f"out.{suffix}", Stamps.regular(25, Fraction(25)))
    assert not (tmp_path / f"out.{suffix}").exists()


def moved(stamps: Stamps) -> Stamps:
    """One picture two milliseconds late."""
    pts = stamps.pts.copy()
    pts[7] += round(Fraction(2, 1000) / stamps.time_base)
    return replace(stamps, pts=pts)


REGROUPED = {
    "pgs.m2ts": ("-i", "words.sup", "-c:s", "copy", "-mpegts_m2ts_mode", 1),
    "dvb.ts": ("-i", "words.sup", "-c:s", "dvbsub"),
    "mp2.ts": ("-f", "lavfi", "-i", "sine=d=1", "-c:a", "mp2", "-pes_payload_size", 8000),
    "truehd.m2ts": ("-f", "lavfi", "-i", "sine=d=1", "-c:a", "truehd", "-strict", -2, "-mpegts_m2ts_mode", 1),
    "ac3.mpg": ("-f", "lavfi", "-i", "sine=d=1", "-c:a", "ac3", "-f", "vob"),
    "mp2.mpg": ("-f", "lavfi", "-i", "sine=d=1:r=48000", "-c:a", "mp2", "-f", "vob"),
}


@pytest.mark.parametrize("name", REGROUPED)
def test_packets_that_a_container_groups_in_another_way_are_no_loss(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures(tmp_path / "words.sup")
    made = [tmp_path / "words.sup" if each == "words.sup" else each for each in REGROUPED[name]]
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=1", *made, "-c:v", "mpeg2video", "-g", 5, tmp_path / name)
    out = tmp_path / "out.mkv"
    assert not [each for each in doubled(tmp_path / name, out) if "could be copied" in each]
    assert payload(out, 1) == payload(tmp_path / name, 1)
    room = import_module("afitrt.video.mux")
    right, lost = room._mux, chain([False, True], repeat(False))

    def losing(target: object, packet: object, track: object) -> None:
        if track is None or not next(lost):
            right(target, packet, track)

    monkeypatch.setattr(room, "_mux", losing)
    told = doubled(tmp_path / name, out)
    assert re.fullmatch(r"track 1 \(\w+ \w+(, und)?\): \d+ of \d+ bytes could be copied", told[-1])


def test_sound_in_latm_is_refused_by_name_before_the_work(tmp_path: Path) -> None:
    picture = ("-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=1", "-f", "lavfi", "-i", "sine=d=1")
    ffmpeg(*picture, *X264, "-c:a", "aac", "-mpegts_flags", "latm", tmp_path / "in.ts")
    ran = afitrt("interpolate", tmp_path / "in.ts", tmp_path / "out.mkv", "--dry-run", "--model", "blend")
    assert ran.code == 4 and "track 1 (audio aac_latm" in ran.err and "--drop-tracks 1" in " ".join(ran.err.split())


def test_a_dry_run_tells_what_becomes_of_the_tracks(full: Path, tmp_path: Path) -> None:
    source = tmp_path / "in.mp4"
    ffmpeg("-i", full, "-map", "0:1", "-map", "0:3", "-c", "copy", "-c:s", "mov_text", source)
    told = afitrt("interpolate", source, "--dry-run", "--json", "--model", "blend")
    assert told.code == 0 and any("stored as subrip" in each for each in json.loads(told.out)["warnings"])
    refused = afitrt("interpolate", full, tmp_path / "out.mp4", "--dry-run", "--model", "blend")
    assert refused.code == 4 and "--drop-tracks 3,4,5" in " ".join(refused.err.split())
