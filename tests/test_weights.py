"""Weight sets on disk: listed, loaded by name, and refused by name when their bytes have changed."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from afitrt import weights
from afitrt.errors import ArtefactError, UsageError
from afitrt.weights.fetching import GMFSS_UNION
from afitrt.weights.sets import Network, scratch_folder, write_set

RANDOM = np.random.default_rng(7)
TENSORS = {
    "feature": {"a.weight": RANDOM.random((4, 3), np.float32), "a.bias": RANDOM.random(4, np.float32)},
    "flow": {"b": RANDOM.random((2, 2, 2), np.float32)},
}


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("AFITRT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def tiny(home):
    """A set of two small networks."""
    content = [(network, Network(tensors, f"{network}.pkl", "0" * 64)) for network, tensors in TENSORS.items()]
    with scratch_folder() as scratch:
        return write_set("tiny", "a test", content, scratch, lambda: False)


def test_manifest(tiny, home):
    (found,) = weights.available()
    assert (found.name, found.source, found.problem) == ("tiny", "a test", "")
    feature = found.networks["feature"]
    path = found.folder / feature.file
    assert feature.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (feature.tensors, feature.parameters, feature.bytes) == (2, 16, path.stat().st_size)
    assert (feature.source, feature.source_sha256) == ("feature.pkl", "0" * 64)
    assert json.loads((found.folder / "manifest.json").read_text())["name"] == "tiny"
    assert load_file(path).keys() == TENSORS["feature"].keys()


@pytest.mark.parametrize("network", TENSORS)
def test_load_gives_the_arrays_back(tiny, network):
    found = weights.load("tiny", network)
    assert found.keys() == TENSORS[network].keys()
    assert all(found[name].dtype == np.float32 for name in found)
    assert all(np.array_equal(found[name], TENSORS[network][name]) for name in found)


def test_others_may_read_the_files(tiny):
    modes = {each.stat().st_mode & 0o444 for each in tiny.iterdir()}
    assert modes == {(tiny / "manifest.json").stat().st_mode & 0o444}


def test_load_refuses_damage_by_name(tiny, home):
    path = home / "weights" / "tiny" / "flow.safetensors"
    weights.load("tiny", "flow")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(ArtefactError, match=r"weights tiny: flow\.safetensors is damaged"):
        weights.load("tiny", "flow")
    weights.load("tiny", "feature")


def test_load_hashes_a_file_once(tiny, monkeypatch):
    hashed = []
    real = weights.sets.artefacts.sha256
    monkeypatch.setattr(weights.sets.artefacts, "sha256", lambda path: hashed.append(path.name) or real(path))
    weights.sets._file_sha256.cache_clear()
    for _ in range(3):
        weights.load("tiny", "flow")
    assert hashed == ["flow.safetensors"]


def test_verify_names_everything(tiny, home):
    folder = home / "weights" / "tiny"
    (folder / "flow.safetensors").unlink()
    (folder / "feature.safetensors").write_bytes(b"x")
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(ArtefactError) as caught:
        weights.verify("tiny")
    for name in ("flow.safetensors", "feature.safetensors", "notes.txt"):
        assert name in caught.value.found


def test_digest(tiny):
    both = weights.digest("tiny", ["feature", "flow"])
    assert both == weights.digest("tiny", ["flow", "feature", "flow"])
    assert len({both, weights.digest("tiny", ["flow"]), weights.digest("tiny", ["feature"])}) == 3
    with pytest.raises(ArtefactError, match="have no network grid"):
        weights.digest("tiny", ["flow", "grid"])


def test_missing_sets_and_networks(home, tiny):
    with pytest.raises(ArtefactError, match="no weights gmfss-union") as caught:
        weights.load("gmfss-union", "flow")
    assert caught.value.hint == "afitrt weights fetch" and "tiny" in caught.value.expected
    with pytest.raises(ArtefactError, match="no weights mine") as caught:
        weights.verify("mine")
    assert caught.value.hint == "afitrt weights import PATH --name mine"
    with pytest.raises(ArtefactError, match="weights tiny have no network metric") as caught:
        weights.load("tiny", "metric")
    assert "feature, flow" in caught.value.expected


@pytest.mark.parametrize("name", ["", ".", "..", "../tiny", "a/b", "/etc", "x" * 65, "a b", "a\0"])
def test_impossible_names(home, name):
    with pytest.raises(UsageError, match="weights named"):
        weights.load(name, "flow")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"schema": 2}',
        '{"schema": 1, "source": "x", "networks": {"flow": {}}}',
        '{"schema": 1, "source": "x", "networks": []}',
        "[" * 100_000,
        '{"schema": 1, "source": "x", "networks": {"flow": {"file": "../x", "sha256": "", "bytes": 1, "tensors": 1,'
        ' "parameters": 1, "source": "", "source_sha256": ""}}}',
    ],
)
def test_broken_manifests_are_listed_and_refused(tiny, home, text):
    (home / "weights" / "tiny" / "manifest.json").write_text(text)
    (found,) = weights.available()
    assert found.name == "tiny" and "manifest.json cannot be read" in found.problem
    with pytest.raises(ArtefactError, match=r"weights tiny: manifest\.json cannot be read"):
        weights.load("tiny", "flow")


def test_no_sets_yet(home):
    assert weights.available() == []


@pytest.mark.weights
def test_published_set(weights_home, monkeypatch):
    monkeypatch.setenv("AFITRT_HOME", str(weights_home))
    weights.verify("gmfss-union")
    found = weights.read_set("gmfss-union")
    assert {network: (facts.tensors, facts.parameters) for network, facts in found.networks.items()} == {
        "feature": (18, 813510),
        "flow": (124, 4716720),
        "metric": (14, 120070),
        "grid": (133, 7844078),
        "ifnet": (120, 5306256),
    }
    for network, facts in GMFSS_UNION.networks.items():
        arrays = weights.load("gmfss-union", network)
        assert len(arrays) == facts.tensors
        assert all(np.isfinite(array).all() for array in arrays.values())
