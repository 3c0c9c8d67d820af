"""Files of every kind through the real command line; two other readers compare what went in with what came out.

The table of docs/reference/files.md is made of these cases: `python tests/test_matrix.py` writes it again.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from command import afitrt
from matrix_facts import facts
from matrix_files import FFV1, PRORES, VP9, X264, X265, Clip, attach, make

TABLE = Path(__file__).parent.parent / "docs" / "reference" / "files.md"
BEGIN, END = "<!-- made by tests/test_matrix.py -->", "<!-- end -->"
PRESETS = {"x264": ("--preset", "ultrafast"), "x265": ("--preset", "ultrafast"), "svt-av1": ("--preset", "12")}
LIMITED, FULL = "range=tv", "range=pc"
BT601 = "color_primaries=smpte170m:color_trc=smpte170m:colorspace=smpte170m"
BT709 = "color_primaries=bt709:color_trc=bt709:colorspace=bt709"
BT2020 = "color_primaries=bt2020:color_trc=bt2020-10:colorspace=bt2020nc"
PQ = "color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc"
HLG = "color_primaries=bt2020:color_trc=arib-std-b67:colorspace=bt2020nc"
SHAPES = {(2, 2): "4:2:0", (2, 1): "4:2:2", (1, 1): "4:4:4", "RGB": "RGB"}


@dataclass(frozen=True)
class Case:
    """A file, what is done with it, and what must differ afterwards; everything else must be the same.

    group and row: the line of the table. converted: facts by name with what they become. code, words: of a refusal.
    """

    group: str
    row: str
    clip: Clip
    out: str = "out.mkv"
    codec: str = "x264"
    arguments: tuple[str, ...] = ()
    converted: dict[str, Any] = field(default_factory=dict)
    code: int = 0
    words: tuple[str, ...] = ()

    @property
    def outcome(self) -> str:
        """As the table says it."""
        if self.code:
            return "refused"
        what = [f"{name} becomes {_plain(value)}" for name, value in self.converted.items()]
        return f"converted: {', '.join(what)}" if what else "kept"


def _plain(value: Any) -> str:
    return SHAPES.get(value, str(value)) if isinstance(value, tuple | str) else str(value)


def deep(pix_fmt: str, tags: str = "", **more: Any) -> Clip:
    return Clip(pix_fmt=pix_fmt, encode=FFV1, tags=tags, **more)


CASES = [
    # Time.
    *(
        Case("Time", f"{rate} frames a second", Clip(rate=rate))
        for rate in ("24000/1001", "24", "30000/1001", "50", "60000/1001")
    ),
    Case("Time", "a varying rate, `--times`", Clip(varies=True)),
    Case("Time", "a varying rate in MP4, `--times`", Clip("in.mp4", varies=True), "out.mp4"),
    Case("Time", "a varying rate, `--fps`", Clip(varies=True), arguments=("--fps", "50"), converted={"rate": "50"}),
    # Depth and subsampling.
    Case("Depth and chroma", "8 bit 4:2:0 with x264", Clip()),
    Case("Depth and chroma", "8 bit 4:2:0 with x265", Clip(), codec="x265", converted={"depth": 10}),
    Case("Depth and chroma", "8 bit 4:2:0 with SVT-AV1", Clip(), codec="svt-av1", converted={"depth": 10}),
    Case("Depth and chroma", "10 bit 4:2:0 with x265", deep("yuv420p10le"), codec="x265"),
    Case("Depth and chroma", "10 bit 4:2:0 with x264", deep("yuv420p10le")),
    Case("Depth and chroma", "10 bit 4:2:0 with SVT-AV1", deep("yuv420p10le"), codec="svt-av1"),
    Case("Depth and chroma", "12 bit 4:2:0 with x265", deep("yuv420p12le"), codec="x265"),
    Case("Depth and chroma", "12 bit 4:2:0 with FFV1", deep("yuv420p12le"), codec="ffv1"),
    Case("Depth and chroma", "12 bit 4:2:0 with x264", deep("yuv420p12le"), converted={"depth": 10}),
    Case("Depth and chroma", "8 bit 4:2:2 with x264", Clip(pix_fmt="yuv422p")),
    Case("Depth and chroma", "10 bit 4:2:2 with x265", deep("yuv422p10le"), codec="x265"),
    Case("Depth and chroma", "10 bit 4:2:2 with ProRes", deep("yuv422p10le"), "out.mov", codec="prores"),
    Case("Depth and chroma", "12 bit 4:2:2 with x265", deep("yuv422p12le"), codec="x265"),
    Case("Depth and chroma", "10 bit 4:2:2 with SVT-AV1", deep("yuv422p10le"), codec="svt-av1",
         converted={"chroma": (2, 2)}),
    Case("Depth and chroma", "8 bit 4:4:4 with x264", Clip(pix_fmt="yuv444p")),
    Case("Depth and chroma", "10 bit 4:4:4 with x265", deep("yuv444p10le"), codec="x265"),
    Case("Depth and chroma", "12 bit 4:4:4 with FFV1", deep("yuv444p12le"), codec="ffv1"),
    Case("Depth and chroma", "RGB with FFV1", deep("bgr0"), codec="ffv1"),
    Case("Depth and chroma", "RGB with x265", deep("bgr0"), codec="x265",
         converted={"depth": 10, "chroma": (2, 2), "matrix": "BT.601", "range": "Limited"}),
    Case("Depth and chroma", "an alpha channel that hides something",
         deep("yuva420p", filters="colorchannelmixer=aa=0.5,format=yuva420p"), code=3, words=("alpha channel",)),
    Case("Depth and chroma", "an alpha channel that is opaque, with FFV1", deep("yuva420p"), codec="ffv1",
         converted={"depth": 10}),
    Case("Depth and chroma", "an odd size with x264", deep("yuv420p", filters="scale=63:47,setsar=1"),
         converted={"chroma": (1, 1)}),
    # Colour.
    *(
        Case("Colour", f"{name}, {words} range", Clip(tags=f"{tags}:{range_}", options=options))
        for name, tags in (("BT.601", BT601), ("BT.709", BT709))
        for words, range_, options in (("limited", LIMITED, ()), ("full", FULL, ("-color_range", "pc")))
    ),
    Case("Colour", "BT.2020 with x265", deep("yuv420p10le", f"{BT2020}:{LIMITED}"), codec="x265"),
    Case("Colour", "BT.2020, full range with x265",
         deep("yuv420p10le", f"{BT2020}:{FULL}", options=("-color_range", "pc")), codec="x265"),
    Case("Colour", "BT.709, full range with ProRes",
         deep("yuv422p10le", f"{BT709}:{FULL}", options=("-color_range", "pc")), codec="prores",
         converted={"range": "Limited"}),
    Case("Colour", "BT.2020 with SVT-AV1 in MP4", deep("yuv420p10le", f"{BT2020}:{LIMITED}"), "out.mp4",
         codec="svt-av1"),
    Case("Colour", "BT.709 with ProRes", deep("yuv422p10le", f"{BT709}:{LIMITED}"), "out.mov", codec="prores"),
    Case("Colour", "nothing said", Clip(size="128x96")),
    *(
        Case("Colour", f"chroma {location} with x265",
             deep("yuv420p10le", f"{BT709}:{LIMITED}:chroma_location={location}"), codec="x265")
        for location in ("left", "center", "topleft")
    ),
    Case("Colour", "HLG with x265", deep("yuv420p10le", f"{HLG}:{LIMITED}"), codec="x265"),
    Case("Colour", "HLG with SVT-AV1 in MP4", deep("yuv420p10le", f"{HLG}:{LIMITED}"), "out.mp4", codec="svt-av1"),
    *(
        Case("Colour", f"HDR10 with {codec} in {out[4:].upper()}",
             Clip(pix_fmt="yuv420p10le", encode=X265, tags=f"{PQ}:{LIMITED}", hdr10=True), out, codec)
        for codec, out in (("x265", "out.mkv"), ("x265", "out.mp4"), ("svt-av1", "out.mkv"), ("ffv1", "out.mkv"))
    ),
    Case("Colour", "HDR10 from MP4",
         Clip("in.mp4", pix_fmt="yuv420p10le", encode=X265, tags=f"{PQ}:{LIMITED}", hdr10=True), codec="x265"),
    Case("Colour", "the matrix ICtCp", deep("yuv420p10le", "colorspace=ictcp"), code=3, words=("ictcp",)),
    # Shape.
    Case("Shape", "anamorphic pictures (32:27)", Clip(filters="setsar=32/27")),
    Case("Shape", "anamorphic pictures with FFV1 (4:3)", deep("yuv420p10le", filters="setsar=4/3"), codec="ffv1"),
    Case("Shape", "anamorphic pictures with ProRes in MOV (4:3)",
         Clip("in.mov", pix_fmt="yuv422p10le", encode=PRORES, filters="setsar=4/3"), "out.mov", codec="prores"),
    Case("Shape", "anamorphic pictures in MP4 (4:3)", Clip("in.mp4", filters="setsar=4/3"), "out.mp4"),
    *(Case("Shape", f"turned by {turn} degrees", Clip("in.mp4", turned=turn), "out.mp4") for turn in (90, 180, 270)),
    Case("Shape", "turned by 90 degrees, from MOV into Matroska", Clip("in.mov", turned=90)),
    # Tracks.
    *(
        Case("Tracks", f"{len(codecs)} sound{'s' * (len(codecs) > 1)} ({', '.join(codecs)})", Clip(audio=codecs))
        for codecs in (("flac",), ("aac", "flac"), ("aac", "ac3", "libopus"), ("aac", "libvorbis", "eac3", "pcm_s24le"))
    ),
    Case("Tracks", "2 sounds (aac, ac3) in MP4", Clip("in.mp4", audio=("aac", "ac3")), "out.mp4"),
    Case("Tracks", "sound (pcm_s16le) in MOV", Clip("in.mov", audio=("pcm_s16le",)), "out.mov"),
    Case("Tracks", "subtitles as text (subrip, ass)", Clip(subtitles=("srt", "ass"))),
    Case("Tracks", "styled subtitles with a font", Clip(subtitles=("ass",), font=True)),
    Case("Tracks", "subtitles as pictures (Blu-ray, DVD)", Clip(subtitles=("copy", "dvdsub"))),
    Case("Tracks", "chapters, title, cover, font", Clip(chapters=True, cover=True, font=True)),
    Case("Tracks", "chapters and cover in MP4", Clip("in.mp4", audio=("aac",), chapters=True, cover=True), "out.mp4"),
    Case("Tracks", "chapters and cover from MP4 into Matroska",
         Clip("in.mp4", audio=("aac",), chapters=True, cover=True)),
    Case("Tracks", "subtitles (mov_text) in MP4", Clip("in.mp4", subtitles=("mov_text",)), "out.mp4"),
    Case("Tracks", "subtitles (mov_text) from MP4 into Matroska", Clip("in.mp4", subtitles=("mov_text",)),
         converted={"subtitle": "subrip"}),
    Case("Tracks", "everything at once", Clip(audio=("aac", "flac", "ac3", "libopus"), subtitles=("srt", "ass", "copy"),
         font=True, chapters=True, cover=True)),
    Case("Tracks", "styled subtitles into MP4", Clip(subtitles=("ass",)), "out.mp4", code=4,
         words=("track 1 (subtitle ass, eng)", "--drop-tracks 1")),
    Case("Tracks", "a font into MP4", Clip(font=True), "out.mp4", code=4, words=("attachment", "--drop-tracks 1")),
    Case("Tracks", "FFV1 into MP4", Clip(), "out.mp4", "ffv1", code=4, words=("cannot hold ffv1",)),
    Case("Tracks", "sound (QuickTime's ADPCM) into Matroska", Clip("in.mov", audio=("adpcm_ima_qt",)), code=4,
         words=("track 1 (audio adpcm_ima_qt, jpn)", "--drop-tracks 1")),
    Case("Tracks", "sound (pcm_f32be) from MOV into Matroska", Clip("in.mov", audio=("pcm_f32be",)),
         converted={"audio": "pcm_f32le"}),
    Case("Tracks", "sound (ADPCM, mu-law) from AVI", Clip("in.avi", audio=("adpcm_ms", "pcm_mulaw"))),
    # Containers.
    Case("Containers", "WebM in (VP9, Opus, WebVTT)",
         Clip("in.webm", encode=VP9, audio=("libopus",), subtitles=("webvtt",))),
    Case("Containers", "MPEG-TS in (AC-3, DVB subtitles)", Clip("in.ts", audio=("ac3",), subtitles=("dvbsub",))),
    Case("Containers", "MPEG-TS in (AAC)", Clip("in.ts", audio=("aac",)), converted={"AAC": "without ADTS headers"}),
    Case("Containers", "MOV in (ProRes, PCM) and out", Clip("in.mov", pix_fmt="yuv422p10le", encode=PRORES,
         audio=("pcm_s16le",)), "out.mov", codec="prores"),
    Case("Containers", "MP4 in and MOV out", Clip("in.mp4", audio=("aac",)), "out.mov"),
    Case("Containers", "MOV in and MP4 out", Clip("in.mov", encode=X264, audio=("aac",)), "out.mp4"),
    Case("Containers", "AVI out", Clip(), "out.avi", code=4, words=("one of .mkv, .mp4",)),
]  # fmt: skip


@pytest.mark.slow  # All of them together.
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.row)
def test_a_file_comes_back_with_its_facts(case: Case, tmp_path: Path) -> None:
    source = attach(case.clip, make(case.clip, tmp_path), tmp_path)
    out = tmp_path / case.out
    given = ("--model", "blend", "--codec", case.codec, *PRESETS.get(case.codec, ()), *case.arguments)
    ran = afitrt("interpolate", source, out, *given)
    assert ran.code == case.code, ran.err
    said = " ".join(ran.err.split())
    if case.code:
        assert all(word in said for word in (*case.words, "expected:", "try:")) and not out.exists()
        return
    before, after = facts(source), facts(out)
    _check_times(case, before["times"], after["times"])
    assert before["turned"] == (case.clip.turned or 0)
    wanted = _expected(case, before, after)
    assert {name: after[name] for name in wanted} == wanted
    _check_told(case, before, said)


def _check_times(case: Case, before: list[float], after: list[float]) -> None:
    tick = 0.0011 if case.out.endswith(".mkv") or case.clip.name.endswith((".mkv", ".webm")) else 1e-4
    if "rate" in case.converted:
        steps = [1 / float(case.converted["rate"])] * len(after)
        assert after == pytest.approx([after[0] + sum(steps[:k]) for k in range(len(after))], abs=tick)
        return
    assert len(after) == 2 * len(before)
    begin = after[0] - before[0]
    assert after[::2] == pytest.approx([each + begin for each in before], abs=2 * tick)


def _expected(case: Case, before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """What the other readers must say of the output."""
    wanted = {name: value for name, value in before.items() if name not in ("times", "codec", "tracks")}
    wanted |= {name: value for name, value in case.converted.items() if name in wanted}
    # What nobody said is now said: range and place of chroma, as converted. MOV has no word for ProRes's only range.
    if case.codec == "prores" and case.out.endswith(".mov"):
        wanted["range"] = ""
    wanted |= {name: wanted[name] or after[name] for name in ("range", "position")}
    wanted["tracks"] = [_moved(case, each) for each in before["tracks"]]
    wanted["tracks"].sort(key=lambda track: track[0] in ("attachment", "cover") and case.out.endswith(".mkv"))
    if case.converted.keys() & {"AAC", "subtitle", "audio"}:
        wanted["tracks"] = [(*track[:1], *track[1:-1]) for track in wanted["tracks"]]
        after["tracks"] = [track[:-1] for track in after["tracks"]]
    return wanted


def _moved(case: Case, track: tuple[Any, ...]) -> tuple[Any, ...]:
    codec = case.converted.get(track[0])
    return (track[0], codec, *track[2:]) if codec else track


def _check_told(case: Case, before: dict[str, Any], said: str) -> None:
    """Nothing is lost in silence: a conversion of tracks, or to less than there was, has its line."""
    for kind in case.converted.keys() & {"subtitle", "audio"}:
        assert f"stored as {case.converted[kind]}" in said
    if case.converted.get("depth", before["depth"]) < before["depth"]:
        assert f"{before['depth']} bits become {case.converted['depth']}" in said
    if "chroma" in case.converted:
        assert any(word in said for word in ("becomes 4:2:0", "written as 4:4:4", "RGB becomes"))
    if "range" in case.converted:
        assert "full range becomes limited" in said or "RGB becomes" in said


def table() -> str:
    """The cases as lines of Markdown."""
    lines = [BEGIN]
    for group in dict.fromkeys(case.group for case in CASES):
        lines += ["", f"## {group}", "", "| source | outcome |", "|---|---|"]
        lines += [f"| {case.row} | {case.outcome} |" for case in CASES if case.group == group]
    return "\n".join([*lines, "", END])


def test_the_table_in_the_docs_is_that_of_these_cases() -> None:
    assert len(CASES) >= 60 and len({case.row for case in CASES}) == len(CASES)
    assert table() in TABLE.read_text(), "run python tests/test_matrix.py"


if __name__ == "__main__":
    text = TABLE.read_text()
    TABLE.write_text(text[: text.index(BEGIN)] + table() + text[text.index(END) + len(END) :])
    sys.exit(0)
