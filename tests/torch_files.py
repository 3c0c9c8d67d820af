"""Writes the files that torch.save would write, without torch, so that tests can bend every part of them."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

ORDERED_DICT = b"ccollections\nOrderedDict\n)R"
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"


def number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def numbers(values: Iterable[int]) -> bytes:
    return b"(" + b"".join(number(each) for each in values) + b"t"


def storage(key: str, count: int, kind: str = "FloatStorage") -> bytes:
    """A reference to `count` raw numbers in the archive."""
    return b"(" + text("storage") + f"ctorch\n{kind}\n".encode() + text(key) + text("cpu") + number(count) + b"tQ"


def tensor(
    key: str, count: int, offset: int, shape: Iterable[int], strides: Iterable[int], kind: str = "FloatStorage"
) -> bytes:
    """A tensor over a storage; offset and strides count numbers, not bytes."""
    form = storage(key, count, kind) + number(offset) + numbers(shape) + numbers(strides)
    return REBUILD + b"(" + form + b"\x89" + ORDERED_DICT + b"tR"


def pickled(values: Mapping[str, bytes], after: bytes = b"") -> bytes:
    """A protocol 2 pickle of an OrderedDict; values are pickled already."""
    pairs = b"".join(text(name) + value for name, value in values.items())
    return b"\x80\x02" + ORDERED_DICT + b"(" + pairs + b"u" + after + b"."


def archive(index: bytes, storages: Mapping[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """The zip around an index and its raw storages."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        file.writestr("net/data.pkl", index)
        for key, raw in storages.items():
            file.writestr(f"net/data/{key}", raw)
        file.writestr("net/version", "3\n")
    return buffer.getvalue()


def saved(tensors: Mapping[str, npt.NDArray[np.float32]]) -> bytes:
    """A whole file of contiguous float32 tensors, each with a storage of its own."""
    values, storages = {}, {}
    for key, (name, array) in enumerate(tensors.items()):
        strides = [each // 4 for each in np.ascontiguousarray(array).strides[: array.ndim]]
        values[name] = tensor(str(key), array.size, 0, array.shape, strides)
        storages[str(key)] = array.astype("<f4").tobytes()
    return archive(pickled(values), storages)
