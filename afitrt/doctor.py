"""Looks at this machine: what afitrt would use, what is missing, what to type."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from afitrt import artefacts, video, weights
from afitrt.errors import AfitrtError

ENCODERS = ("libx265", "libx264", "libsvtav1", "ffv1", "prores_ks")
GPU_HINT = "for a GPU: an NVIDIA driver, then TensorRT; afitrt runs on the CPU without them"


@dataclass(frozen=True)
class Finding:
    """One thing looked for. hint: what to type, empty where nothing need be done."""

    name: str
    ok: bool
    found: str
    hint: str = ""


def examine() -> list[Finding]:
    """All findings, in the order a job would need them."""
    checks = (_machine, _ffmpeg, _encoders, _runtime, _gpu, _weights, _engines)
    return [finding for check in checks for finding in _guarded(check)]


def _guarded(check: Callable[[], list[Finding]]) -> list[Finding]:
    try:
        return check()
    except AfitrtError as error:
        return [Finding(check.__name__.strip("_"), False, error.found, error.hint)]


def _machine() -> list[Finding]:
    memory = psutil.virtual_memory()
    found = f"{os.cpu_count()} cores, {memory.total / 1e9:.0f} GB of memory, {memory.available / 1e9:.0f} GB free"
    return [Finding("machine", True, found)]


def _ffmpeg() -> list[Finding]:
    tool = video.find()
    return [Finding("ffmpeg", True, f"{tool.version} ({tool.path})")]


def _encoders() -> list[Finding]:
    present = video.find().encoders
    return [
        Finding(
            f"encoder {name}",
            name in present,
            "present" if name in present else "not in this ffmpeg",
            "" if name in present else "install an ffmpeg built with it, or choose another --codec",
        )
        for name in ENCODERS
    ]


def _runtime() -> list[Finding]:
    return [Finding("ONNX Runtime", True, importlib.metadata.version("onnxruntime"))]


def _gpu() -> list[Finding]:
    present = [name for name in ("tensorrt", "tensorrt_rtx") if importlib.util.find_spec(name)]
    return [Finding("TensorRT", bool(present), ", ".join(present) or "not installed", "" if present else GPU_HINT)]


def _weights() -> list[Finding]:
    sets = weights.available()
    if not sets:
        return [Finding("weights", False, f"none in {artefacts.weights_home()}", "afitrt weights fetch")]
    return [
        Finding(
            f"weights {each.name}",
            not each.problem,
            each.problem or ", ".join(each.networks),
            f"delete {each.folder} and make the set anew" if each.problem else "",
        )
        for each in sets
    ]


def _engines() -> list[Finding]:
    found = sorted(artefacts.engines_home().glob("*/*.json"))
    hint = "" if found else "afitrt build-engine --size WxH (interpolate makes them on the way too)"
    return [Finding("stages", bool(found), f"{len(found)} in {artefacts.engines_home()}", hint)]
