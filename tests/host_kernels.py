"""The CUDA kernels as C++: compiled by g++ through a thin shim, run on host addresses, thread by thread."""

from __future__ import annotations

import ctypes
import math
import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest

from afitrt.runtimes.kernels import PROGRAMS, THREADS, Launch
from afitrt.runtimes.kernels.compile import source

SHIM = Path(__file__).with_name("cuda_shim.h")


def kernel_names(program: str) -> list[str]:
    """Entry points of a program, with the macro of picture.cu expanded."""
    text = source(f"{program}.cu")
    expansions = re.findall(r"^KERNELS\((\w+), [\w ]+, (\w+), \w+\)", text, re.MULTILINE)
    names = []
    for name in re.findall(r'extern "C" __global__ void ([\w#]+)\(', text):
        if "##" in name:
            names += [name.replace("##code##_##value", f"{code}_{value}") for code, value in expansions]
        else:
            names.append(name)
    return names


@cache
def library() -> ctypes.CDLL:
    """All programs in one shared library; skips the test where there is no g++."""
    if shutil.which("g++") is None:
        if os.environ.get("AFITRT_REQUIRE_EXPORT") == "1":
            pytest.fail("g++ is not installed")
        pytest.skip("g++ is not installed")
    folder = Path(mkdtemp(prefix="afitrt-kernels-"))
    try:
        return _built(folder)
    finally:
        shutil.rmtree(folder)


def _built(folder: Path) -> ctypes.CDLL:
    for name in (*(f"{program}.cu" for program in PROGRAMS), "common.cuh"):
        (folder / name).write_text(source(name))
    lines = [f'#include "{SHIM}"', *(f'#include "{program}.cu"' for program in PROGRAMS)]
    lines += [f"HOST_LAUNCH({name})" for program in PROGRAMS for name in kernel_names(program)]
    lines += [f'extern "C" unsigned sizeof_{name}() {{ return sizeof({name}); }}' for name in ("Splat", "Picture")]
    (folder / "all.cpp").write_text("\n".join(lines) + "\n")
    command = ["g++", "-std=c++17", "-O2", "-Wall", "-Wno-unknown-pragmas", "-Werror", "-mf16c"]
    command += ["-ffp-contract=off", "-shared", "-fPIC", "all.cpp", "-o", "all.so"]
    built = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return ctypes.CDLL(str(folder / "all.so"))


def run(launch: Launch, stride: int = 1) -> None:
    """Runs a launch whose addresses are the host's. stride: see the shim; it is made to reach every thread."""
    threads = math.prod(launch.grid) * THREADS
    while math.gcd(stride, threads) != 1:
        stride += 1
    grid = (ctypes.c_uint * 3)(*launch.grid)
    argument = np.array(launch.argument)
    kernel = getattr(library(), f"host_{launch.kernel}")
    kernel(ctypes.c_void_p(argument.ctypes.data), grid, ctypes.c_uint(THREADS), ctypes.c_uint64(stride))
