"""NVRTC: every kernel compiles for every target on a machine without a GPU, and is kept and found again."""

from __future__ import annotations

import importlib.metadata
import os
from dataclasses import replace

import host_kernels
import pytest

from afitrt import artefacts
from afitrt.errors import AfitrtError, ArtefactError, MissingToolError, UsageError
from afitrt.runtimes.kernels import PROGRAMS, TARGETS, cubin, nvrtc_version
from afitrt.runtimes.kernels import compile as compiling


@pytest.fixture
def nvrtc(monkeypatch, tmp_path):
    """NVRTC, with artefacts in a folder of the test's own."""
    monkeypatch.setenv("AFITRT_HOME", str(tmp_path))
    try:
        nvrtc_version()
    except MissingToolError as error:
        if os.environ.get("AFITRT_REQUIRE_EXPORT") == "1":
            raise
        pytest.skip(error.found)


@pytest.mark.slow
def test_every_program_compiles_for_every_target(nvrtc):
    for target in TARGETS:
        for program in PROGRAMS:
            image = cubin(program, target)
            assert image.startswith(b"\x7fELF")
            assert all(name.encode() in image for name in host_kernels.kernel_names(program))


def test_a_cubin_is_compiled_once_and_found_again(nvrtc, monkeypatch):
    image = cubin("splat", "sm_86")
    monkeypatch.setattr(compiling, "_compile", lambda *_: pytest.fail("compiled again"))
    assert cubin("splat", "sm_86") == image


def test_identity_follows_source_options_compiler_and_target(nvrtc, monkeypatch):
    first = compiling.identity("splat", "sm_86")
    assert compiling.identity("splat", "sm_89") == replace(first, target="sm_89")
    monkeypatch.setattr(compiling, "OPTIONS", ("--std=c++20",))
    optioned = compiling.identity("splat", "sm_86")
    monkeypatch.setattr(compiling, "source", lambda name: name)
    sourced = compiling.identity("splat", "sm_86")
    monkeypatch.setattr(compiling, "nvrtc_version", lambda: "99.0")
    renewed = compiling.identity("splat", "sm_86")
    assert len({first.graph, optioned.graph, sourced.graph}) == 3
    assert renewed == replace(sourced, runtime_version="nvrtc 99.0")


def test_a_damaged_cubin_is_refused(nvrtc):
    cubin("splat", "sm_86")
    path = artefacts.find(compiling.identity("splat", "sm_86"), ".cubin")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ArtefactError, match="damaged"):
        cubin("splat", "sm_86")


def test_an_unknown_target_is_refused_with_those_that_exist(nvrtc):
    with pytest.raises(UsageError, match="sm_35") as caught:
        cubin("splat", "sm_35")
    assert "sm_89" in caught.value.expected


def test_a_source_that_does_not_compile_shows_the_compilers_words(nvrtc, monkeypatch):
    monkeypatch.setattr(compiling, "source", lambda name: "no such type;" if name.endswith(".cu") else "")
    with pytest.raises(AfitrtError, match=r"splat.cu does not compile for sm_86: .*identifier"):
        cubin("splat", "sm_86")


@pytest.mark.parametrize("installed", [True, False])
def test_without_nvrtc_the_message_says_how_to_get_it(monkeypatch, tmp_path, installed):
    def shipped(_):
        if not installed:
            raise importlib.metadata.PackageNotFoundError
        return []

    monkeypatch.setattr(importlib.metadata, "files", shipped)
    monkeypatch.setattr(compiling.ctypes.util, "find_library", lambda _: str(tmp_path / "none.so"))
    compiling._nvrtc.cache_clear()
    try:
        with pytest.raises(MissingToolError, match="NVRTC") as caught:
            nvrtc_version()
    finally:
        compiling._nvrtc.cache_clear()
    assert "pip install" in caught.value.hint
