"""Reads and writes video files: exact probing, pictures through ffmpeg pipes, every other track copied.

    info = probe_source(path)                       facts, and the exact time of every frame
    with open_reader(info) as frames: ...           pictures as arrays
    encode, notes = choose_encoding(info, EncodeOptions(), container_of(out), present_encoders())
    with Writer(part, info, rate, encode) as w:     pictures into one video stream
        w.write(frame)
    mux([part], info, out, Stamps.regular(n, rate)) the stream and all other tracks into the output

PyAV and ffmpeg-python are imported by the functions that use them, not by this package.
"""

from __future__ import annotations

from afitrt.video.arguments import parse_arguments
from afitrt.video.choosing import choose_encoding
from afitrt.video.demux import check_edits
from afitrt.video.encoders import ENCODERS, PNG, Y4M, encoder_name, friendly_name
from afitrt.video.encryption import check_encrypted
from afitrt.video.ffmpeg import readable_path
from afitrt.video.ffmpeg_discovery import BUNDLED, ON_PATH, SETTING, Ffmpeg, find, find_for, installed, present_encoders
from afitrt.video.matroska_facts import untold
from afitrt.video.mux import mux
from afitrt.video.numbered import DEFAULT_NAME, numbered
from afitrt.video.pictures import PictureReader
from afitrt.video.pipes import STDIO
from afitrt.video.planes import carried_yuv, decoded_yuv
from afitrt.video.pngs import PngWriter
from afitrt.video.probe import probe
from afitrt.video.read import Reader
from afitrt.video.seek import Entry, Index, entry, index_packets
from afitrt.video.sources import open_reader, probe_source
from afitrt.video.space import shortage, space_needed
from afitrt.video.stamping import Stamps
from afitrt.video.stream_selection import rivals
from afitrt.video.timeline import Normalised, normalise
from afitrt.video.tracks import Track, choose_tracks, container_of, default_output, list_tracks, parse_drop
from afitrt.video.trial import try_tracks
from afitrt.video.write import Writer, count_packets, doubtful, picture_type, try_encoder, vaapi_device

__all__ = [
    "BUNDLED",
    "DEFAULT_NAME",
    "ENCODERS",
    "ON_PATH",
    "PNG",
    "SETTING",
    "STDIO",
    "Y4M",
    "Entry",
    "Ffmpeg",
    "Index",
    "Normalised",
    "PictureReader",
    "PngWriter",
    "Reader",
    "Stamps",
    "Track",
    "Writer",
    "carried_yuv",
    "check_edits",
    "check_encrypted",
    "choose_encoding",
    "choose_tracks",
    "container_of",
    "count_packets",
    "decoded_yuv",
    "default_output",
    "doubtful",
    "encoder_name",
    "entry",
    "find",
    "find_for",
    "friendly_name",
    "index_packets",
    "installed",
    "list_tracks",
    "mux",
    "normalise",
    "numbered",
    "open_reader",
    "parse_arguments",
    "parse_drop",
    "picture_type",
    "present_encoders",
    "probe",
    "probe_source",
    "readable_path",
    "rivals",
    "shortage",
    "space_needed",
    "try_encoder",
    "try_tracks",
    "untold",
    "vaapi_device",
]
