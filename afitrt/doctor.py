"""Looks at this machine: what afitrt would use, what is missing, what to type."""

from __future__ import annotations

import importlib.metadata
import os
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psutil

from afitrt import artefacts, video, weights
from afitrt.errors import AfitrtError
from afitrt.runtimes import cuda, kernels, ncnn
from afitrt.runtimes.choosing import present_gpu
from afitrt.runtimes.tensorrt import FLAVOURS, KERNEL_STAGES, installed
from afitrt.video.encoders import REPEATABLE_X265, params_for


@dataclass(frozen=True)
class Finding:
    """One thing looked for. hint: what to type, empty where nothing need be done."""

    name: str
    ok: bool
    found: str
    hint: str = ""


def examine() -> list[Finding]:
    """All findings, in the order a job would need them."""
    checks = (_machine, _ffmpeg, _encoders, _runtime, _tensorrt, _pycuda, _gpu, _nvenc, _vaapi, _weights, _engines)
    return [finding for check in checks for finding in _guarded(check)]


def _guarded(check: Callable[[], list[Finding]]) -> list[Finding]:
    try:
        return check()
    except AfitrtError as error:
        name = check.__name__.strip("_")
        return [Finding("GPU" if check is _gpu else name, False, error.found, error.hint)]


def _machine() -> list[Finding]:
    memory = psutil.virtual_memory()
    found = f"{os.cpu_count()} cores, {memory.total / 1e9:.0f} GB of memory, {memory.available / 1e9:.0f} GB free"
    return [Finding("machine", True, found)]


def _ffmpeg() -> list[Finding]:
    """The one that is used, then the others: for what each of them is used, and why."""
    used, there = video.find(), video.installed()
    order = sorted(there, key=lambda place: there[place] != used)
    return [
        Finding("ffmpeg" if there[place] == used else "another ffmpeg", True, _described_ffmpeg(place, used, there))
        for place in order
    ]


def _described_ffmpeg(place: str, used: video.Ffmpeg, there: dict[str, video.Ffmpeg]) -> str:
    tool, set_by_hand = there[place], video.SETTING in there
    if tool == used:
        newest = used.age == max(each.age for each in there.values())
        why = "none here is newer" if newest else "it has the zscale filter"
        reason = f"{video.SETTING} names it" if set_by_hand else why
        purpose = f"reads and encodes; {reason}"
    elif only := [] if set_by_hand else [name for name in video.ENCODERS if video.find_for(name) == tool]:
        purpose = f"encodes {', '.join(map(video.friendly_name, only))}, which the other one does not have"
    else:
        reason = f"{video.SETTING} names another" if set_by_hand else "older" if tool.zscale else "no zscale filter"
        purpose = f"not used; {reason}"
    where = "" if place == video.SETTING else f", {place}"
    return f"{tool.version} ({tool.path}{where}): {purpose}"


def _encoders() -> list[Finding]:
    present = video.present_encoders()
    absent = "install an ffmpeg built with it, or choose another --codec"
    return [
        Finding(f"encoder {name}", True, _described_encoder(name))
        if name in present
        else Finding(f"encoder {name}", False, "not in this ffmpeg", absent)
        for name, encoder in video.ENCODERS.items()
        if not encoder.hardware
    ]


def _described_encoder(name: str) -> str:
    if not params_for(video.find_for(name), name):
        return "present"
    repeatable = ".".join(map(str, REPEATABLE_X265))
    return f"present, older than {repeatable}: works on one frame at a time, for equal bytes"


def _runtime() -> list[Finding]:
    import onnxruntime

    cuda_too = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    where = "on the CPU, and with --device on a GPU" if cuda_too else "on the CPU"
    return [Finding("ONNX Runtime", True, f"{onnxruntime.__version__}, {where}"), _ncnn()]


def _ncnn() -> Finding:
    if found := ncnn.version():
        return Finding("ncnn", True, f"{found}, for convolutions on the CPU")
    return Finding("ncnn", False, "not installed; the CPU is slower without it", "pip install ncnn")


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
    found = [Finding(f"GPU {each.ordinal}", True, _described(each)) for each in cuda.devices()]
    return [*_driver(), *found]


def _described(gpu: cuda.DeviceInfo) -> str:
    number = gpu.target.removeprefix("sm_")
    return f"{gpu.name}, compute capability {number[:-1]}.{number[-1]} ({gpu.target}), {gpu.memory / 1e9:.1f} GB"


def _driver() -> list[Finding]:
    serves = cuda.driver_version()
    try:
        compiler = kernels.nvrtc_version()
    except AfitrtError as error:
        return [Finding("driver", False, f"for CUDA {serves}; {error.found}", error.hint)]
    ok = int(serves.split(".")[0]) >= int(compiler.split(".")[0])
    found = (
        f"for CUDA {serves}" if ok else f"for CUDA {serves}, older than NVRTC {compiler}, which compiles our kernels"
    )
    hint = "" if ok else "update the NVIDIA driver, or pip install nvidia-cuda-nvrtc-cu12 alone for a driver of CUDA 12"
    return [Finding("driver", ok, found, hint)]


def _nvenc() -> list[Finding]:
    present = _hardware(upload=False)
    if not present:
        return [Finding("NVENC", False, "not in this ffmpeg", "for encoding on the GPU: an ffmpeg built with NVENC")]
    gpu = present_gpu()
    if gpu.target is None:
        return [Finding("NVENC", False, f"{', '.join(present)} in this ffmpeg, and no GPU answers")]
    return [Finding("NVENC", True, f"{', '.join(present)}, for --codec")]


def _vaapi() -> list[Finding]:
    present, device = _hardware(upload=True), video.vaapi_device()
    if not present:
        return [Finding("VAAPI", False, "not in this ffmpeg", "for encoding on the GPU: an ffmpeg built with VAAPI")]
    if not device.exists():
        return [Finding("VAAPI", False, f"{', '.join(present)} in this ffmpeg, and {device} is not there")]
    return [Finding("VAAPI", True, f"{', '.join(present)}, for --codec, on {device}")]


def _hardware(*, upload: bool) -> list[str]:
    there = video.present_encoders()
    return [
        video.friendly_name(name)
        for name, encoder in video.ENCODERS.items()
        if encoder.hardware and encoder.upload == upload and name in there
    ]


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
    return findings if target is None else [*findings, _fitting(facts, target)]


def _fitting(facts: list[dict[str, Any]], target: str) -> Finding:
    """Engines beside the GPU and the libraries that are here."""
    versions = {flavour.name: flavour.version() for flavour in installed()}
    kept = [each for each in facts if each["runtime"] in FLAVOURS and each["stage"] not in KERNEL_STAGES]
    ours = [each for each in kept if each["target"] == target]
    fit = [each for each in ours if versions.get(each["runtime"]) == each["runtime_version"]]
    found = f"{len(fit)} fit this machine"
    if others := len(kept) - len(ours):
        found += f", {others} are for other GPUs"
    if old := len(ours) - len(fit):
        found += f", {old} are of other versions"
    hint = "" if fit else "afitrt build-engine"
    return Finding(f"engines for {target}", bool(fit), found, "afitrt engines prune" if old else hint)
