"""CUDA sources to cubins by NVRTC, on any machine, with or without a GPU.

NVRTC comes with a PyPI wheel or with a CUDA toolkit, and is called through ctypes.
A cubin is an artefact, found again by its sources, options, compiler version and target.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import hashlib
import importlib.metadata
import re
from functools import cache
from importlib.resources import files
from pathlib import Path

from afitrt import artefacts
from afitrt.artefacts import Identity
from afitrt.errors import AfitrtError, MissingToolError, UsageError

# For drivers of CUDA 13 and of CUDA 12; where both are installed, the first is taken.
PACKAGES = ("nvidia-cuda-nvrtc", "nvidia-cuda-nvrtc-cu12")
PROGRAMS = ("splat", "picture")
TARGETS = ("sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120")
HEADER = "common.cuh"
# No contraction to fused multiply-add, so that every architecture and the CPU tests round alike.
OPTIONS = ("--std=c++17", "--fmad=false")


def source(name: str) -> str:
    """Text of a file among the kernels."""
    return (files("afitrt.runtimes.kernels") / name).read_text(encoding="utf-8")


def identity(program: str, target: str) -> Identity:
    """What decides the bytes of a program's cubin; `graph` is the hash of sources and options."""
    text = "\0".join((source(f"{program}.cu"), source(HEADER), *OPTIONS))
    return Identity(
        runtime="cuda",
        runtime_version=f"nvrtc {nvrtc_version()}",
        model="kernels",
        stage=program,
        weights="",
        graph=hashlib.sha256(text.encode()).hexdigest(),
        export_version=0,
        width=0,
        height=0,
        scale=1.0,
        precision="mixed",
        target=target,
    )


def cubin(program: str, target: str) -> bytes:
    """The compiled program, from the artefacts or compiled now.

    Raises UsageError for a target that this NVRTC does not know, MissingToolError without NVRTC.
    """
    wanted = identity(program, target)
    path = artefacts.find(wanted, ".cubin")
    if path is None:
        image = _compile(program, target)
        path = artefacts.make(wanted, ".cubin", lambda aside: _write(aside, image))
    return path.read_bytes()


def _write(path: Path, image: bytes) -> None:
    path.write_bytes(image)


def nvrtc_version() -> str:
    """Version of NVRTC, such as "13.5". Raises MissingToolError without NVRTC."""
    major, minor = ctypes.c_int(), ctypes.c_int()
    _check(_nvrtc().nvrtcVersion(ctypes.byref(major), ctypes.byref(minor)))
    return f"{major.value}.{minor.value}"


def supported() -> tuple[str, ...]:
    """Targets that this NVRTC compiles for. Raises MissingToolError without NVRTC."""
    count = ctypes.c_int()
    _check(_nvrtc().nvrtcGetNumSupportedArchs(ctypes.byref(count)))
    numbers = (ctypes.c_int * count.value)()
    _check(_nvrtc().nvrtcGetSupportedArchs(numbers))
    return tuple(f"sm_{number}" for number in numbers)


def _compile(program: str, target: str) -> bytes:
    if target not in supported():
        raise UsageError(
            f"GPU target {target}",
            f"one of {', '.join(supported())}, which NVRTC {nvrtc_version()} knows",
            "name another target, or install another nvidia-cuda-nvrtc",
        )
    nvrtc, handle = _nvrtc(), ctypes.c_void_p()
    headers, names = (ctypes.c_char_p * 1)(source(HEADER).encode()), (ctypes.c_char_p * 1)(HEADER.encode())
    text = source(f"{program}.cu").encode()
    created = nvrtc.nvrtcCreateProgram(ctypes.byref(handle), text, f"{program}.cu".encode(), 1, headers, names)
    _check(created)
    try:
        options = [option.encode() for option in (*OPTIONS, f"--gpu-architecture={target}")]
        array = (ctypes.c_char_p * len(options))(*options)
        if nvrtc.nvrtcCompileProgram(handle, len(options), array):
            raise AfitrtError(
                f"{program}.cu does not compile for {target}: {_text(handle, 'ProgramLog')}",
                "kernels that every supported NVRTC compiles",
                "report this with the line above",
            )
        return _output(handle, "CUBIN")
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(handle))


def _output(handle: ctypes.c_void_p, what: str) -> bytes:
    size = ctypes.c_size_t()
    _check(getattr(_nvrtc(), f"nvrtcGet{what}Size")(handle, ctypes.byref(size)))
    data = ctypes.create_string_buffer(size.value)
    _check(getattr(_nvrtc(), f"nvrtcGet{what}")(handle, data))
    return data.raw


def _text(handle: ctypes.c_void_p, what: str) -> str:
    return " ".join(_output(handle, what).rstrip(b"\0").decode(errors="replace").split())


def _check(status: int) -> None:
    if status:
        reason = _nvrtc().nvrtcGetErrorString(status).decode()
        raise AfitrtError(f"NVRTC failed: {reason}", "a working NVRTC", "reinstall nvidia-cuda-nvrtc")


@cache
def _nvrtc() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(_library())
    except OSError as error:
        raise MissingToolError(
            f"NVRTC, which compiles CUDA kernels, cannot be loaded ({error})",
            "the package nvidia-cuda-nvrtc, or a CUDA toolkit",
            "pip install 'afitrt[gpu]'",
        ) from error
    library.nvrtcGetErrorString.restype = ctypes.c_char_p
    return library


def _library() -> str:
    for package in PACKAGES:
        try:
            shipped = importlib.metadata.files(package) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        for file in shipped:
            # Beside it lie the builtins and, in some wheels, a static or an alternative build.
            if re.fullmatch(r"libnvrtc\.so\.\d+|nvrtc64_\d+_0\.dll", file.name):
                return str(file.locate())
    return ctypes.util.find_library("nvrtc") or "libnvrtc.so"
