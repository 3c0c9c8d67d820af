"""Looks at this machine: what afitrt would use, what is missing, what to type."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import psutil

from afitrt import artefacts, video, weights
from afitrt.errors import AfitrtError
from afitrt.runtimes import cuda
from afitrt.runtimes.choosing import present_gpu
from afitrt.runtimes.tensorrt import FLAVOURS

ENCODERS = ("libx265", "libx264", "libsvtav1", "ffv1", "prores_ks")
NVENC = ("hevc_nvenc", "h264_nvenc", "av1_nvenc")


@dataclass(frozen=True)
class Finding:
    """One thing looked for. hint: what to type, empty where nothing need be done."""

    name: str
    ok: bool
    found: str
    hint: str = ""


def examine() -> list[Finding]:
    """All findings, in the order a job would need them."""
    checks = (_machine, _ffmpeg, _encoders, _runtime, _tensorrt, _pycuda, _gpu, _nvenc, _weights, _engines)
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


def _tensorrt() -> list[Finding]:
    return [
        Finding(name, True, flavour.version())
        if flavour.module_name
        else Finding(name, False, "not installed; afitrt runs without it", flavour.install)
        for name, flavour in FLAVOURS.items()
    ]


def _pycuda() -> list[Finding]:
    try:
        return [Finding("pycuda", True, importlib.metadata.version("pycuda"))]
    except importlib.metadata.PackageNotFoundError:
        hint = "for a GPU: pip install 'afitrt[gpu]', built as docs/how-to/gpu.md says"
        return [Finding("pycuda", False, "not installed; afitrt runs on the CPU without it", hint)]


def _gpu() -> list[Finding]:
    if importlib.util.find_spec("pycuda") is None:
        return [Finding("GPU", False, "nothing to ask for one", "install pycuda")]
    driver = cuda.driver_version()
    return [
        Finding(
            f"GPU {each.ordinal}",
            True,
            f"{each.name}, {each.target}, {each.memory / 1e9:.1f} GB, driver for CUDA {driver}",
        )
        for each in cuda.devices()
    ]


def _nvenc() -> list[Finding]:
    present = [name for name in NVENC if name in video.find().encoders]
    hint = "" if present else "for encoding on the GPU: an ffmpeg built with NVENC"
    return [Finding("NVENC", bool(present), ", ".join(present) or "not in this ffmpeg", hint)]


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
    facts = []
    for sidecar in artefacts.stored():
        with suppress(AfitrtError):
            facts.append(artefacts.read_sidecar(sidecar.with_suffix("")))
    kept = Counter(f"{each['runtime']} for {each['target']}" for each in facts if each["width"])
    listed = ", ".join(f"{count} of {name}" for name, count in sorted(kept.items()))
    hint = "" if kept else "afitrt build-engine --size WxH (interpolate makes them on the way too)"
    findings = [Finding("stages", bool(kept), f"{listed or 'none'} in {artefacts.engines_home()}", hint)]
    target = present_gpu().target
    if target is not None:
        fit = [each for each in facts if each["target"] == target and each["runtime"] in FLAVOURS]
        findings.append(
            Finding(f"engines for {target}", bool(fit), str(len(fit)), "" if fit else "afitrt build-engine")
        )
    return findings
