"""Weights that a user brings: recognised by names and shapes, whatever the file is called."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest
import torch_files as files
from safetensors.numpy import save

from afitrt import weights
from afitrt.errors import ArtefactError, InputError, UsageError
from afitrt.weights import importing
from afitrt.weights.importing import architectures, import_weights, recognise


def random_weights(network, seed=0):
    random = np.random.default_rng(seed)
    return {name: random.random(shape, np.float32) for name, shape in architectures()[network].items()}


def prefixed(tensors):
    return {f"module.{name}": array for name, array in tensors.items()}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("AFITRT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def assert_loads(name, network, tensors):
    found = weights.load(name, network)
    assert found.keys() == tensors.keys()
    assert all(np.array_equal(found[each], tensors[each]) for each in tensors)


def test_the_table_holds_the_published_networks():
    counted = {
        network: (len(shapes), sum(int(np.prod(shape)) for shape in shapes.values()))
        for network, shapes in architectures().items()
    }
    assert counted["feature"] == (18, 813510)
    assert counted["flow"] == (124, 4716720)
    assert counted["metric"] == (14, 120070)
    assert counted["grid"] == (133, 7844078)
    assert counted["ifnet"] == (120, 5306256)


@pytest.mark.parametrize("prefix", [lambda x: x, prefixed])
@pytest.mark.parametrize("network", architectures())
def test_every_network_is_recognised(network, prefix):
    found, tensors = recognise(prefix(random_weights(network)))
    assert found == network
    assert tensors.keys() == architectures()[network].keys()


@pytest.mark.weights
def test_published_weights_are_recognised(weights_home, monkeypatch):
    monkeypatch.setenv("AFITRT_HOME", str(weights_home))
    for network in ("feature", "flow", "metric", "grid", "ifnet"):
        assert recognise(weights.load("gmfss-union", network))[0] == network


@pytest.mark.parametrize("suffix", [".pkl", ".pth", ".pt", ".PKL", ".safetensors"])
def test_single_files(tmp_path, suffix):
    tensors = random_weights("metric")
    path = tmp_path / f"whatever{suffix}"
    path.write_bytes(save(tensors) if suffix == ".safetensors" else files.saved(prefixed(tensors)))
    report = import_weights([path], "mine")
    assert report.folder == tmp_path / "home" / "weights" / "mine"
    assert {network: each.file for network, each in report.networks.items()} == {"metric": path.name}
    assert report.unknown == ()
    assert_loads("mine", "metric", tensors)
    weights.verify("mine")


def fill(folder):
    """A folder as the seed's: two networks, prefix and none, one of them deeper, and what is neither."""
    metric, feature = random_weights("metric"), random_weights("feature")
    (folder / "rife").mkdir(parents=True)
    (folder / "metric.pkl").write_bytes(files.saved(metric))
    (folder / "rife" / "flownet.pkl").write_bytes(files.saved(prefixed(feature)))
    (folder / "other.pkl").write_bytes(files.saved({"head.weight": np.zeros(3, np.float32)}))
    (folder / "torn.pkl").write_bytes(files.saved(metric)[:1000])
    (folder / "half.safetensors").write_bytes(save({"w": np.zeros(3, np.float16)}))
    (folder / "readme.md").write_text("not weights")
    return metric, feature


def check_filled(report, metric, feature, name):
    assert {network: each.file for network, each in report.networks.items()} == {
        "metric": "metric.pkl",
        "feature": "rife/flownet.pkl",
    }
    reasons = dict(report.unknown)
    assert reasons.keys() == {"other.pkl", "torn.pkl", "half.safetensors"}
    assert "no known network" in reasons["other.pkl"]
    assert "not a whole zip" in reasons["torn.pkl"]
    assert "holds w as float16" in reasons["half.safetensors"]
    assert_loads(name, "metric", metric)
    assert_loads(name, "feature", feature)


def test_folder(tmp_path):
    metric, feature = fill(tmp_path / "seed")
    check_filled(import_weights([tmp_path / "seed"], "from-folder"), metric, feature, "from-folder")
    with pytest.raises(ArtefactError, match="weights from-folder have no network grid"):
        weights.load("from-folder", "grid")


def test_zip(tmp_path):
    metric, feature = fill(tmp_path / "seed")
    path = tmp_path / "seed.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for each in sorted((tmp_path / "seed").rglob("*")):
            archive.write(each, each.relative_to(tmp_path / "seed"))
    check_filled(import_weights([path], "from-zip"), metric, feature, "from-zip")


def test_several_paths_make_one_set(tmp_path):
    for network in ("metric", "feature"):
        (tmp_path / f"{network}.pkl").write_bytes(files.saved(random_weights(network)))
    report = import_weights([tmp_path / "metric.pkl", tmp_path / "feature.pkl"], "both")
    assert report.networks.keys() == {"metric", "feature"}
    assert weights.read_set("both").source == "metric.pkl, feature.pkl"


def test_surplus_tensors_are_left_out_and_named(tmp_path):
    tensors = random_weights("metric")
    path = tmp_path / "metric.pkl"
    path.write_bytes(files.saved(prefixed({**tensors, "teacher.weight": np.zeros(2, np.float32)})))
    report = import_weights([path], "mine")
    assert report.networks["metric"].left_out == ("teacher.weight",)
    assert_loads("mine", "metric", tensors)


def test_nearest_network_is_named():
    tensors = random_weights("grid")
    tensors["residual_model_head0.1.weight"] = np.zeros((64, 12, 3, 3), np.float32)
    with pytest.raises(ArtefactError, match=r"nearest is grid, but 1 of its 133 .*residual_model_head0\.1\.weight"):
        recognise(tensors)


def test_two_files_for_one_network(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        (tmp_path / f"{name}.pkl").write_bytes(files.saved(random_weights("metric", seed)))
    report = import_weights([tmp_path / "a.pkl", tmp_path / "b.pkl"], "same")
    assert report.networks["metric"].file == "a.pkl"
    with pytest.raises(UsageError, match=r"two files for metric: a\.pkl and c\.pkl"):
        import_weights([tmp_path / "a.pkl", tmp_path / "c.pkl"], "different")
    assert [each.name for each in weights.available()] == ["same"]


def test_nothing_known(tmp_path, home):
    path = tmp_path / "other.pkl"
    path.write_bytes(files.saved({"head.weight": np.zeros(3, np.float32)}))
    with pytest.raises(ArtefactError, match=r"no known weights \(other\.pkl: no known network"):
        import_weights([path], "mine")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ArtefactError, match=r"no known weights \(no \.pkl"):
        import_weights([tmp_path / "empty"], "mine")
    assert not (home / "weights" / "mine").exists()


def test_taken_names(tmp_path):
    path = tmp_path / "metric.pkl"
    path.write_bytes(files.saved(random_weights("metric")))
    import_weights([path], "mine")
    with pytest.raises(UsageError, match="weights mine exist"):
        import_weights([path], "mine")
    with pytest.raises(UsageError, match="--name gmfss-union"):
        import_weights([path], "gmfss-union")
    with pytest.raises(UsageError, match="weights named"):
        import_weights([path], "../mine")


def test_a_name_taken_in_the_meantime(tmp_path, home, monkeypatch):
    path = tmp_path / "metric.pkl"
    path.write_bytes(files.saved(random_weights("metric")))
    import_weights([path], "mine")
    monkeypatch.setattr(importing, "_check_free", lambda _: None)
    before = (home / "weights" / "mine" / "manifest.json").read_bytes()
    with pytest.raises(UsageError, match="weights mine exist"):
        import_weights([path], "mine")
    assert (home / "weights" / "mine" / "manifest.json").read_bytes() == before


def test_paths_that_cannot_be_read(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"gone\.pkl"):
        import_weights([tmp_path / "gone.pkl"], "mine")
    with pytest.raises(InputError, match="gone is not there"):
        import_weights([tmp_path / "gone"], "mine")
    (tmp_path / "clip.mkv").write_bytes(b"x")
    with pytest.raises(InputError, match=r"clip\.mkv is no weights file"):
        import_weights([tmp_path / "clip.mkv"], "mine")
    (tmp_path / "bad.zip").write_bytes(b"PK\x03\x04 but no zip")
    with pytest.raises(InputError, match=r"bad\.zip is no whole zip"):
        import_weights([tmp_path / "bad.zip"], "mine")
    with pytest.raises(InputError, match=r"gone\.zip: No such file"):
        import_weights([tmp_path / "gone.zip"], "mine")
    with zipfile.ZipFile(tmp_path / "big.zip", "w") as archive:
        archive.writestr("big.pkl", bytes(2000))
    monkeypatch.setattr(importing, "MOST_BYTES", 1000)
    with pytest.raises(InputError, match=r"big\.pkl in .*big\.zip takes"):
        import_weights([tmp_path / "big.zip"], "mine")


@pytest.mark.parametrize("data", [b"", b"\x00" * 100, b"\xff" * 8 + b"{}", save({"w": np.zeros(3, np.float32)})[:-4]])
def test_broken_safetensors(tmp_path, data):
    (tmp_path / "x.safetensors").write_bytes(data)
    with pytest.raises(ArtefactError, match=r"x\.safetensors is no readable safetensors file"):
        import_weights([tmp_path / "x.safetensors"], "mine")
