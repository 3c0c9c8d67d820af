"""Artefacts: found by what made them, refused by the field that differs, never half written."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest

from afitrt import artefacts
from afitrt.errors import ArtefactError, OutputError, RetryError

IDENTITY = artefacts.Identity(
    runtime="onnx",
    runtime_version="1.2",
    model="gmfss",
    stage="fuse",
    weights="aa",
    graph="bb",
    export_version=1,
    width=448,
    height=256,
    scale=1.0,
    precision="fp32",
    target="cpu",
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AFITRT_HOME", str(tmp_path))
    return tmp_path


def make(content: bytes = b"engine") -> Path:
    return artefacts.make(IDENTITY, ".onnx", lambda path: path.write_bytes(content) and None)


def test_made_once_found_again_and_readable_by_name() -> None:
    assert artefacts.find(IDENTITY, ".onnx") is None
    path = make()
    assert artefacts.find(IDENTITY, ".onnx") == path
    assert path.name.startswith("gmfss-fuse-448x256-s1-fp32-cpu-")


@pytest.mark.parametrize("field", [f.name for f in fields(artefacts.Identity)])
def test_every_field_makes_another_artefact_and_is_named_when_it_differs(field: str) -> None:
    path = make()
    other = replace(IDENTITY, **{field: 7 if isinstance(getattr(IDENTITY, field), int | float) else "other"})
    assert artefacts.find(other, ".onnx") is None
    with pytest.raises(ArtefactError, match=f"was made for {field} "):
        artefacts.check(path, other)


@pytest.mark.parametrize("damage", [b"enginf", b"engin", b""])
def test_damaged_bytes_are_refused(damage: bytes) -> None:
    path = make()
    path.write_bytes(damage)
    with pytest.raises(ArtefactError, match="is damaged"):
        artefacts.find(IDENTITY, ".onnx")


def test_a_missing_or_foreign_sidecar_is_refused() -> None:
    path = make()
    sidecar = artefacts.sidecar_path(path)
    facts = json.loads(sidecar.read_text())
    sidecar.write_text(json.dumps({**facts, "schema": 0}))
    with pytest.raises(ArtefactError, match="another afitrt"):
        artefacts.find(IDENTITY, ".onnx")
    sidecar.unlink()
    with pytest.raises(ArtefactError, match="no readable sidecar"):
        artefacts.find(IDENTITY, ".onnx")


def test_a_failed_write_leaves_nothing(home: Path) -> None:
    def fail(path: Path) -> None:
        path.write_bytes(b"half")
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        artefacts.make(IDENTITY, ".onnx", fail)
    assert [path for path in home.rglob("*") if path.is_file()] == []


def test_an_unwritable_folder_is_an_error_of_three_parts(home: Path) -> None:
    (home / "engines").write_text("a file where the folder should be")
    with pytest.raises(OutputError, match="cannot write in") as caught:
        make()
    assert caught.value.expected and caught.value.hint


def test_of_two_that_publish_at_once_the_first_stays_whole() -> None:
    def slow(path: Path) -> None:
        assert make(b"first") == artefacts.file_path(IDENTITY, ".onnx")
        path.write_bytes(b"second")

    path = artefacts.make(IDENTITY, ".onnx", slow)
    assert path.read_bytes() == b"first"
    assert artefacts.find(IDENTITY, ".onnx") == path


def test_a_damaged_artefact_is_replaced_by_the_next_that_is_made() -> None:
    make().write_bytes(b"damaged")
    path = make(b"whole")
    assert path.read_bytes() == b"whole" and artefacts.find(IDENTITY, ".onnx") == path


def test_what_a_killed_process_left_goes_when_the_next_artefact_is_made(home: Path) -> None:
    shelf = home / "engines" / "onnx"
    code = "import os; print(os.getpid())"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    mine, theirs, foreign = (
        shelf / f".making-{host}-{pid}-ab"
        for host, pid in ((artefacts._host(), ended.stdout.strip()), (artefacts._host(), os.getpid()), ("other", 1))
    )
    for folder in (mine, theirs, foreign):
        folder.mkdir(parents=True)
    assert artefacts.leftovers() == [mine]
    make()
    assert not mine.exists() and theirs.exists() and foreign.exists()
    assert [path.name for path in artefacts.stored()] == [artefacts.file_path(IDENTITY, ".onnx").name + ".json"]


def test_a_full_disk_is_a_reason_to_try_again(home: Path) -> None:
    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(RetryError, match="is full"):
        artefacts.make(IDENTITY, ".onnx", full)
    assert [path for path in home.rglob("*") if path.is_file()] == []


def test_facts_about_an_artefact_lie_in_its_sidecar() -> None:
    path = artefacts.make(IDENTITY, ".onnx", lambda path: path.write_bytes(b"x") and None, {"seconds": 2.5})
    assert artefacts.read_sidecar(path)["about"] == {"seconds": 2.5}
    assert artefacts.check_folder(path.parent) == path


def test_a_file_is_written_aside_under_its_suffix(tmp_path: Path) -> None:
    with artefacts.written_aside(tmp_path / "new" / "out.mkv") as hidden:
        hidden.write_text("x")
        assert hidden.suffix == ".mkv" and hidden.name.startswith(".afitrt-")
    assert (tmp_path / "new" / "out.mkv").read_text() == "x"
    (tmp_path / "file").touch()
    for hint in ("name another folder", artefacts.HOME_HINT):
        with (
            pytest.raises(OutputError, match="cannot write in") as caught,
            artefacts.written_aside(tmp_path / "file" / "out.mkv", hint),
        ):
            pass
        assert caught.value.hint == hint


def test_a_full_disk_met_while_writing_is_a_passing_condition(tmp_path: Path) -> None:
    with pytest.raises(RetryError, match="is full"), artefacts.writing_in(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device")
