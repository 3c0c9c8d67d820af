"""What Matroska says and FFmpeg flattens comes back element by element, or is told by name before the work."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import av
import pytest
from command import afitrt
from hypothesis import given, settings
from hypothesis import strategies as st
from video_helpers import X264, ffmpeg, payload

from afitrt.video import matroska
from afitrt.video.matroska import CHAPTERS, INFO, TAGS, TRACKS, children, element, joined, number, text, within
from afitrt.video.matroska_facts import Facts
from afitrt.video.matroska_patch import ENTRY, NUMBER

FAST = ("--model", "blend", "--codec", "libx264", "--preset", "ultrafast")
NANO = 1_000_000_000
EDITION, ATOM, BEGINS, ENDS, HIDDEN, DISPLAY, NAME, LANGUAGE = 0x45B9, 0xB6, 0x91, 0x92, 0x98, 0x80, 0x85, 0x437D
SPHERE = element(0x7671, 1) + element(0x7672, bytes(20))


def atom(uid: int, begins: float, ends: float, *inner: bytes) -> bytes:
    times = element(BEGINS, int(begins * NANO)) + element(ENDS, int(ends * NANO))
    names = element(DISPLAY, element(NAME, f"part {uid}".encode()) + element(LANGUAGE, b"eng") + element(0x437D, b"en"))
    return element(ATOM, element(0x73C4, uid) + times + names + b"".join(inner))


def chapters() -> bytes:
    """An ordered edition with nested, hidden and twice named chapters, and a second one."""
    second_name = element(DISPLAY, element(NAME, "\u7b2c\u4e00\u7ae0".encode()) + element(LANGUAGE, b"jpn"))
    nested = atom(12, 0.2, 0.3, element(HIDDEN, 1))
    first = element(0x45BC, 7) + element(0x45DD, 1) + atom(11, 0, 0.4, second_name, nested) + atom(13, 0.5, 1)
    return element(EDITION, first) + element(EDITION, element(0x45BC, 8) + atom(21, 0, 1))


def tags() -> bytes:
    """Of the season, of the collection, of the film and of the second edition."""
    made = b""
    for target, name in ((element(0x68CA, 60), b"SEASON"), (element(0x68CA, 70), b"SAGA"), (b"", b"ARTIST"),
                         (element(0x63C9, 8), b"CUT")):  # fmt: skip
        simple = element(0x67C8, element(0x45A3, name) + element(0x4487, b"value of " + name))
        made += element(0x7373, element(0x63C0, target) + simple)
    return made


def entry(body: bytes) -> bytes:
    """The track with what only Matroska has words for: 360 degrees, zh-Hant, disabled."""
    more = {2: element(0x22B59D, b"zh-Hant"), 3: element(0xB9, 0) + element(0x22B59D, b"ja")}
    kept = [(ident, inner + element(0x7670, SPHERE) if ident == 0xE0 else inner) for ident, inner in children(body)]
    return joined(kept) + more.get(number(body, NUMBER), b"")


def plain(path: Path) -> Path:
    """Picture, two sounds and a font with a description."""
    (path.parent / "font.ttf").write_bytes(bytes(range(256)))
    sounds = ("-f", "lavfi", "-i", "sine=d=1", "-f", "lavfi", "-i", "sine=f=300:d=1", "-map", 0, "-map", 1, "-map", 2)
    words = ("-metadata:s:a:0", "language=chi", "-metadata:s:a:1", "language=jpn", "-metadata:s:a:1", "title=Two words")
    font = ("-attach", path.parent / "font.ttf", "-metadata:s:t:0", "mimetype=font/ttf", "-metadata:s:t:0")
    source = ("-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=1")
    ffmpeg(*source, *sounds, *X264, "-c:a", "aac", *words, *font, "title=the signs", path)
    return path


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = plain(tmp_path_factory.mktemp("rich") / "in.mkv")
    entries = children(matroska.read(path)[TRACKS])
    matroska.put(path, TRACKS, joined((ident, entry(body) if ident == ENTRY else body) for ident, body in entries))
    matroska.put(path, CHAPTERS, chapters())
    matroska.put(path, TAGS, tags())
    return path


def test_everything_comes_back_in_matroska(rich: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mkv"
    ran = afitrt("interpolate", rich, out, *FAST)
    assert ran.code == 0 and "no place" not in ran.err, ran.err
    before, after = matroska.read(rich), matroska.read(out)
    assert sorted(children(joined(children(after[CHAPTERS])))) == sorted(children(before[CHAPTERS]))
    assert set(children(before[TAGS])) <= set(children(after[TAGS]))
    tracks = within(after[TRACKS], ENTRY)
    assert [text(each, 0x22B59D) for each in tracks] == ["", "zh-Hant", "ja"]
    assert [number(each, 0xB9, default=1) for each in tracks] == [1, 1, 0]
    assert [text(each, 0x536E) for each in tracks] == ["", "", "Two words"]
    assert within(after[TRACKS], ENTRY, 0xE0, 0x7670) == [SPHERE]
    with av.open(str(out)) as container, av.open(str(rich)) as source:
        assert container.chapters() == source.chapters() != []
        assert container.streams[3].metadata["title"] == "the signs"
        assert container.streams[1].metadata["language"] == "chi"
    assert [payload(out, each) for each in (1, 2)] == [payload(rich, each) for each in (1, 2)]


def test_a_span_cuts_every_edition(rich: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mkv"
    ran = afitrt("interpolate", rich, out, *FAST, "--start", "0.24", "--end", "0.8")
    assert ran.code == 0, ran.err
    body = matroska.read(out)[CHAPTERS]
    atoms = within(body, EDITION, ATOM)
    found = [(number(each, 0x73C4), number(each, BEGINS) / NANO, number(each, ENDS) / NANO) for each in atoms]
    assert found == [(11, 0, 0.16), (13, 0.26, 0.56), (21, 0, 0.56)]
    assert [(number(each, BEGINS) / NANO, number(each, ENDS) / NANO) for each in within(body, EDITION, ATOM, ATOM)] == [
        (0, 0.06)
    ]


def test_what_mp4_has_no_place_for_is_told_by_name_before_the_work(rich: Path, tmp_path: Path) -> None:
    told = afitrt(
        "interpolate", rich, tmp_path / "out.mp4", *FAST, "--drop-tracks", "attachment", "--dry-run", "--json"
    )
    (line,) = [each for each in json.loads(told.out)["warnings"] if "no place" in each]
    for words in ("1 of 2 editions", "order of chapters", "nested", "hidden", "several languages", "level 60 and 70",
                  "zh-Hant of track 1", "track 2 is disabled", "projection of track 0"):  # fmt: skip
        assert words in line
    assert "ja of track" not in line


def test_links_and_fields_are_told_in_matroska_too(rich: Path, tmp_path: Path) -> None:
    source = tmp_path / "in.mkv"
    source.write_bytes(rich.read_bytes())
    made = matroska.read(source)
    matroska.put(source, INFO, joined(children(made[INFO])) + element(0x3EB923, bytes(range(16))))
    told = afitrt("interpolate", source, tmp_path / "out.mkv", *FAST, "--dry-run", "--json")
    (line,) = [each for each in json.loads(told.out)["warnings"] if "no place" in each]
    assert line.endswith(": links to other files")


def test_an_ordinary_file_has_no_warning_and_keeps_its_layout(tmp_path: Path) -> None:
    source = plain(tmp_path / "in.mkv")
    told = afitrt(
        "interpolate", source, tmp_path / "out.mp4", *FAST, "--drop-tracks", "attachment", "--dry-run", "--json"
    )
    assert not [each for each in json.loads(told.out)["warnings"] if "no place" in each]


@pytest.fixture(scope="module")
def whole(rich: Path) -> bytes:
    return rich.read_bytes()


@settings(max_examples=150)
@given(data=st.data())
def test_no_damage_raises(whole: bytes, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.mkv"
    damaged = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    places = st.one_of(st.integers(0, 2000), st.integers(max(0, len(whole) - 2000), len(whole) - 1))
    for place, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=30)):
        if place < len(damaged):
            damaged[place] = value
    path.write_bytes(damaged)
    read = matroska.read(path)
    entries = tuple(within(read.get(TRACKS, b""), ENTRY))
    found = Facts(entries, read.get(CHAPTERS, b""), read.get(TAGS, b""), False)
    assert all(isinstance(found.of_track(index).track, dict) for index in range(len(entries)))
    for begin, end in ((Fraction(0), None), (Fraction(1, 4), Fraction(1, 2))):
        moved = found.moved_chapters(begin, end)
        assert joined(children(moved)) == moved
    assert found.plain_tags in (True, False) and found.plain_chapters in (True, False)


@pytest.mark.parametrize("size", [1 << 20, (1 << 42) + 5, (1 << 56) - 2])
def test_a_size_that_points_beyond_the_end_ends_the_file(tmp_path: Path, size: int) -> None:
    path = tmp_path / "damaged.mkv"
    path.write_bytes(bytes.fromhex("1A45DFA3") + (size | 1 << 56).to_bytes(8, "big") + bytes(100))
    assert matroska.read(path) == {}
    ran = afitrt("interpolate", path, *FAST)
    assert ran.code == 3 and "expected:" in ran.err, ran.err


def test_what_has_no_room_moves_to_the_end(tmp_path: Path) -> None:
    path = plain(tmp_path / "in.mkv")
    for length in (10, 11, 12, 13, 60, 200, 5000, 30):
        body = element(EDITION, element(0x45BC, 7) + atom(1, 0, 1) + element(0xEC, bytes(length)) + element(0x4598, 1))
        body = body.replace(bytes([0xEC]), b"\x98", 1)
        matroska.put(path, CHAPTERS, body)
        assert joined(children(matroska.read(path)[CHAPTERS])) == joined(children(body))
        with av.open(str(path)) as container:
            assert len(container.chapters()) == 1
            assert sum(packet.size > 0 for packet in container.demux(video=0)) == 25
