"""Reads and writes video files: exact probing, pictures through ffmpeg pipes, every other track copied.

    info = probe(path)                              facts, and the exact time of every frame
    with Reader(info) as frames: ...                pictures as arrays
    encode, notes = choose_encoding(info, EncodeOptions(), container_of(out), find().encoders)
    with Writer(part, info, rate, encode) as w:     pictures into one video stream
        w.write(frame)
    mux(part, info, out, rate)                      the stream and all other tracks into the output

PyAV and ffmpeg-python are imported by the functions that use them, not by this package.
"""

from __future__ import annotations

from afitrt.video.encoders import choose_encoding, encoder_name
from afitrt.video.ffmpeg import Ffmpeg, find
from afitrt.video.mux import aside, mux
from afitrt.video.probe import probe
from afitrt.video.read import Reader
from afitrt.video.timeline import Normalised, normalise
from afitrt.video.tracks import Track, choose_tracks, container_of, default_output, list_tracks
from afitrt.video.write import Writer, count_packets, picture_type, try_encoder

__all__ = [
    "Ffmpeg",
    "Normalised",
    "Reader",
    "Track",
    "Writer",
    "aside",
    "choose_encoding",
    "choose_tracks",
    "container_of",
    "count_packets",
    "default_output",
    "encoder_name",
    "find",
    "list_tracks",
    "mux",
    "normalise",
    "picture_type",
    "probe",
    "try_encoder",
]
