"""The tracks of a source beside its video, and which of them a container can hold."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from afitrt.errors import InputError, OutputError, UsageError
from afitrt.video.encoders import MATROSKA, MOV, MP4, PNG, Y4M
from afitrt.video.ffmpeg import readable_path
from afitrt.video.numbered import DEFAULT_NAME, numbered
from afitrt.video.pipes import STDIO

CONTAINERS = MappingProxyType({".mkv": MATROSKA, ".mp4": MP4, ".m4v": MP4, ".mov": MOV})

# What Matroska has no mapping for, and what holds the same: the text of the subtitles, the samples of the sound.
INTO_MATROSKA = MappingProxyType(
    {
        "mov_text": "subrip",
        **dict.fromkeys(("pcm_bluray", "pcm_dvd", "s302m"), "pcm_s24le"),
        **{"pcm_s8": "pcm_u8", "pcm_f32be": "pcm_f32le", "pcm_f64be": "pcm_f64le"},
    }
)
NOT_IN_MATROSKA = frozenset({"eia_608", "ttml", "xsub"})
_ISO_AUDIO = frozenset({"aac", "alac", "ac3", "eac3", "mp2", "mp3", "amr_nb", "amr_wb"})
HELD = MappingProxyType(
    {
        MP4: _ISO_AUDIO | {"flac", "opus", "dts", "mov_text", "dvd_subtitle"},
        MOV: _ISO_AUDIO | {"mov_text", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_f32le"},
    }
)


KINDS = ("video", "audio", "subtitle", "attachment", "cover", "chapters", "data")
DROPPABLE = ("audio", "subtitle", "attachment", "cover", "data")
DISCARD_ALL = 48  # AVDISCARD_ALL, which ffmpeg's MP4 reader puts on the track of chapter names alone.


@dataclass(frozen=True)
class Track:
    """One stream of the source. kind: one of KINDS; "chapters" is the text track in which MP4 keeps their names.

    dispositions: ffmpeg's flags joined by "+", "0" for none. codec: its plain name, "unknown" where ffmpeg has none
    and where sound is too damaged to tell its sample rate, without which no container takes it.
    convert: the encoder that makes it fit the container, "" for a plain copy.
    """

    index: int
    kind: str
    codec: str
    dispositions: str = "0"
    language: str = ""
    tags: frozenset[str] = frozenset()
    convert: str = ""

    @property
    def flags(self) -> int:
        """The dispositions as FFmpeg's libraries count them."""
        import av

        return sum(int(av.stream.Disposition[each]) for each in self.dispositions.split("+") if each != "0")

    def __str__(self) -> str:
        """As messages name it: "track 3 (subtitle ass, eng)"."""
        return f"track {self.index} ({self.kind} {self.codec}{', ' + self.language if self.language else ''})"


def container_of(out: Path) -> str:
    """ffmpeg's name of the container that a file name stands for: PNG for a pattern, Y4M for `-`.

    Raises OutputError for one that is not offered.
    """
    if out == STDIO:
        return Y4M
    if numbered(out):
        if out.suffix.lower() != ".png":
            raise OutputError(f"pictures named {out.name}", "PNG files", f"name them {DEFAULT_NAME}")
        return PNG
    container = CONTAINERS.get(out.suffix.lower())
    if container is None:
        raise OutputError(
            f"the output {out.name} ends in {out.suffix or 'nothing'}",
            f"one of {', '.join(CONTAINERS)}",
            f"name it {out.stem or 'out'}.mkv",
        )
    return container


def default_output(source: Path, label: str) -> Path:
    """Where the result goes when no name is given: beside the source, in.60fps.mkv for in.mp4 and "60fps".

    Of pictures it is beside their folder, with its name.
    """
    if numbered(source) or os.path.isdir(source):
        folder = source.parent.absolute() if numbered(source) else source.absolute()
        return folder.parent / f"{folder.name or 'pictures'}.{label}.mkv"
    return source.with_name(f"{source.stem}.{label}.mkv")


def list_tracks(source: Path) -> list[Track]:
    """All streams of a file, in their order."""
    import av

    try:
        with av.open(readable_path(source), metadata_errors="replace") as container:
            return [_track(each) for each in container.streams]
    except av.FFmpegError as error:
        raise InputError(
            f"{source} cannot be read ({error.strerror})", "the file probed before", "try again"
        ) from error


def _track(stream: Any) -> Track:
    import av

    flags = av.stream.Disposition(stream.disposition)
    kind = "cover" if flags & av.stream.Disposition.attached_pic else str(stream.type)
    if kind == "data" and getattr(stream, "discard", None) == DISCARD_ALL:
        kind = "chapters"
    context = getattr(stream, "codec_context", None)
    codec = context.codec if context is not None and (kind != "audio" or context.sample_rate > 0) else None
    return Track(
        index=stream.index,
        kind=kind if kind in KINDS else "data",
        codec=str(codec.canonical_name) if codec is not None else "unknown",
        dispositions="+".join(str(flag.name) for flag in flags) or "0",
        language=stream.metadata.get("language", ""),
        tags=frozenset(stream.metadata),
    )


def parse_drop(text: str) -> tuple[str, ...]:
    """The kinds and numbers of tracks to leave out, of "2,subtitle". Raises UsageError."""
    parts = tuple(part.strip().lower() for part in text.split(","))
    for part in parts:
        if part not in DROPPABLE and not part.isdecimal():
            expected = f"numbers of tracks, or {', '.join(DROPPABLE)}"
            raise UsageError(f"--drop-tracks {part}", expected, "--drop-tracks 3,4 or --drop-tracks attachment")
    return parts


def _check_drop(tracks: Sequence[Track], drop: Collection[str], video: int) -> None:
    numbers = {str(track.index): track for track in tracks}
    for part in drop:
        if part.isdecimal() and (part not in numbers or int(part) == video):
            found = "the video" if part in numbers else "no track of the source"
            others = ", ".join(str(each) for each in tracks if each.index != video) or "none"
            raise UsageError(f"--drop-tracks {part} is {found}", f"one of: {others}", "leave it out")


def choose_tracks(
    tracks: Sequence[Track], container: str, drop: Collection[str] = (), video: int = 0
) -> tuple[list[Track], list[str]]:
    """The tracks that go into the container, in order, and a plain line for each that is converted or left out.

    drop: numbers and kinds to leave out, as `parse_drop` gives them. video: number of the one that is made anew, which
    is flagged as default where others are copied beside it. Raises UsageError for a number that is none, and
    OutputError, listing them, when MP4 or MOV cannot hold an audio, subtitle or attached track.
    """
    _check_drop(tracks, drop, video)
    kept: list[Track] = []
    notes: list[str] = []
    impossible: list[Track] = []
    for track in tracks:
        if track.kind == "chapters":
            continue  # They are copied as chapters.
        if track.index != video and {str(track.index), track.kind} & set(drop):
            notes.append(f"{track} is left out, as --drop-tracks says")
        elif track.kind == "data" or (track.kind in ("audio", "subtitle") and track.codec == "unknown"):
            notes.append(f"{track} is left out: it cannot be copied into another file")
        elif container == MATROSKA and track.codec in NOT_IN_MATROSKA:
            notes.append(f"{track} is left out: Matroska cannot hold it")
        elif container == MATROSKA and track.codec in INTO_MATROSKA:
            kept.append(replace(track, convert=INTO_MATROSKA[track.codec]))
            notes.append(f"{track} is stored as {INTO_MATROSKA[track.codec]}: Matroska cannot hold {track.codec}")
        elif container != MATROSKA and not _held(track, container):
            impossible.append(track)
        else:
            kept.append(track)
    if impossible:
        raise OutputError(
            f"{container} cannot hold {', '.join(map(str, impossible))}",
            "a container that can",
            f"name the output .mkv, or --drop-tracks {','.join(str(each.index) for each in impossible)}",
        )
    return _flagged(kept, video), notes


def _flagged(kept: list[Track], video: int) -> list[Track]:
    """The same, with the default flag on the video that is made anew and on no other video; a single one keeps its own.

    Else players would show, and `select` would take, the other one.
    """
    if sum(track.kind == "video" for track in kept) < 2:
        return kept
    return [
        replace(each, dispositions=_default(each, each.index == video)) if each.kind == "video" else each
        for each in kept
    ]


def _default(track: Track, wanted: bool) -> str:
    others = [flag for flag in track.dispositions.split("+") if flag not in ("default", "0")]
    return "+".join((["default"] if wanted else []) + others) or "0"


def _held(track: Track, container: str) -> bool:
    if track.kind in ("audio", "subtitle"):
        return track.codec in HELD[container]
    return track.kind != "attachment"
