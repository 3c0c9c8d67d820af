"""Reads the state dicts that torch.save writes, without torch and without unpickling anything.

Such a file is a zip: `<folder>/data.pkl` is a pickle of an OrderedDict of names and tensor descriptions,
`<folder>/data/<key>` the raw little-endian numbers of one storage each. The pickle's instructions are carried
out by a stack machine of our own that knows the few a state dict needs and calls nothing: three names are
understood, any other is refused, and so are impossible sizes. (Format: torch/serialization.py in
pytorch/pytorch; instructions: Lib/pickletools.py in python/cpython.)
"""

from __future__ import annotations

import io
import pickletools
import struct
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from afitrt.errors import ArtefactError

Tensors = dict[str, npt.NDArray[np.float32]]

ORDERED_DICT = "collections OrderedDict"
REBUILD_TENSOR = "torch._utils _rebuild_tensor_v2"
FLOAT_STORAGE = "torch FloatStorage"
KNOWN = (ORDERED_DICT, REBUILD_TENSOR, FLOAT_STORAGE)
ZIP_ERRORS = (
    zipfile.BadZipFile,
    EOFError,
    KeyError,
    NotImplementedError,
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
    struct.error,
)


def read_pickle(data: bytes, name: str) -> Tensors:
    """float32 arrays by name out of the bytes of a torch .pkl or .pth; `name` is what errors call the file.

    Every array is a contiguous copy. Raises ArtefactError for anything that is not a whole state dict of FP32
    tensors.
    """
    try:
        members = _members(data)
        indices = [each for each in members if each.endswith("/data.pkl")]
        if len(indices) != 1:
            raise _Refused(f"{len(indices)} indices data.pkl")
        folder = indices[0].removesuffix("data.pkl")
        if members.get(folder + "byteorder", b"little") != b"little":
            raise _Refused("numbers that are not little-endian")
        value = _Machine(members, folder + "data/").run(members[indices[0]])
        return _state_dict(value, 2 * len(data))
    except _Refused as error:
        raise ArtefactError(
            f"{name} is no readable state dict: {error}",
            "a zip that torch.save made of a dict of FP32 tensors (torch 1.6 or later)",
            "take the file anew from where it was published",
        ) from error


class _Refused(Exception):
    """Why a file is not read; becomes an ArtefactError with the file's name."""


def _members(data: bytes) -> dict[str, bytes]:
    """Contents of an uncompressed zip by name."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            # torch never compresses or repeats: refusing it keeps memory below the file's own size.
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
                raise _Refused("compressed members")
            if len({entry.filename for entry in entries}) != len(entries):
                raise _Refused("members of the same name")
            if sum(entry.file_size for entry in entries) > len(data):
                raise _Refused("members larger than the file")
            return {entry.filename: archive.read(entry) for entry in entries}
    except ZIP_ERRORS as error:
        raise _Refused(f"not a whole zip ({error})") from error


def _state_dict(value: object, most_bytes: int) -> Tensors:
    """Copies, since tensors that share a storage are views of it; so many bytes at most."""
    if not isinstance(value, dict) or not value:
        raise _Refused("it holds no dict of tensors")
    for key, tensor in value.items():
        if not isinstance(tensor, np.ndarray):
            raise _Refused(f"{key:.80} is not a tensor")
    if sum(tensor.nbytes for tensor in value.values()) > most_bytes:
        raise _Refused("tensors larger than the file")
    return {key: np.array(tensor, np.float32, order="C") for key, tensor in value.items()}


@dataclass(frozen=True)
class _Name:
    """A global that the pickle mentions: "module name"."""

    text: str


@dataclass(frozen=True)
class _Mark:
    """The pickle machine's mark on its stack."""


@dataclass(frozen=True)
class _Storage:
    """Numbers without a form, float32 [count], read-only."""

    numbers: npt.NDArray[np.float32]


class _Machine:
    """A stack and a memo; `run` carries out one pickle."""

    def __init__(self, members: Mapping[str, bytes], storages: str) -> None:
        self._members, self._storages = members, storages
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self, pickle: bytes) -> object:
        try:
            for instruction, argument, _ in pickletools.genops(pickle):
                step = _STEPS.get(instruction.name)
                if step is None:
                    raise _Refused(f"instruction {instruction.name} is not one of a state dict's")
                step(self, argument)
            (result,) = self._stack
        except (ValueError, IndexError, KeyError, OverflowError, struct.error) as error:
            raise _Refused(f"a broken index ({type(error).__name__})") from error
        return result

    def _pop(self, kind: type) -> Any:
        if not isinstance(value := self._stack.pop(), kind):
            raise _Refused(f"{type(value).__name__} where {kind.__name__} belongs")
        return value

    def _pop_to_mark(self) -> list[Any]:
        above: list[Any] = []
        while not isinstance(value := self._stack.pop(), _Mark):
            above.append(value)
        return above[::-1]

    def push(self, value: Any) -> None:
        self._stack.append(value)

    def push_name(self, text: str) -> None:
        if text.startswith("torch") and text.endswith("Storage") and text != FLOAT_STORAGE:
            raise _Refused(f"numbers of type {text.rpartition(' ')[2].removesuffix('Storage')}, not FP32")
        if text not in KNOWN:
            raise _Refused(f"it asks for {text.replace(' ', '.'):.80}, which no state dict needs")
        self.push(_Name(text))

    def push_stacked_name(self, _: None) -> None:
        name, module = self._pop(str), self._pop(str)
        self.push_name(f"{module} {name}")

    def push_storage(self, _: None) -> None:
        """The raw numbers that a persistent id ("storage", type, key, device, count) stands for."""
        match self._pop(tuple):
            case ("storage", _Name(text=text), str(key), str(), int(count)) if text == FLOAT_STORAGE:
                raw = self._members.get(self._storages + key)
                if raw is None:
                    raise _Refused(f"storage {key:.80} is missing")
                if len(raw) != 4 * count:
                    raise _Refused(f"storage {key:.80} holds {len(raw)} bytes, not {4 * count}")
                self.push(_Storage(np.frombuffer(raw, "<f4")))
            case _:
                raise _Refused("a storage of unknown form")

    def store(self, index: int) -> None:
        self._memo[index] = self._stack[-1]

    def memoize(self, _: None) -> None:
        self.store(len(self._memo))

    def recall(self, index: int) -> None:
        self.push(self._memo[index])

    def marked_tuple(self, _: None) -> None:
        self.push(tuple(self._pop_to_mark()))

    def short_tuple(self, length: int) -> None:
        self.push(tuple([self._stack.pop() for _ in range(length)][::-1]))

    def set_item(self, _: None) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._set(key, value)

    def set_items(self, _: None) -> None:
        pairs = self._pop_to_mark()
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            self._set(key, value)

    def _set(self, key: object, value: object) -> None:
        if not isinstance(key, str):
            raise _Refused(f"a key that is {type(key).__name__}, not text")
        if not self._stack or not isinstance(self._stack[-1], dict):
            raise _Refused("an item outside a dict")
        self._stack[-1][key] = value

    def reduce(self, _: None) -> None:
        arguments, called = self._pop(tuple), self._pop(_Name)
        if called.text == ORDERED_DICT and not arguments:
            self.push({})
        elif called.text == REBUILD_TENSOR and len(arguments) >= 4:
            self.push(_tensor(*arguments[:4]))
        else:
            raise _Refused(f"a call of {called.text.replace(' ', '.')} with {len(arguments)} arguments")

    def drop_attributes(self, _: None) -> None:
        """torch hangs the versions of its modules on the dict; nobody here reads them."""
        self._stack.pop()
        if not isinstance(self._stack[-1], dict):
            raise _Refused("attributes outside a dict")

    def nothing(self, _: object) -> None:
        pass


def _tensor(storage: object, offset: Any, shape: object, strides: object) -> npt.NDArray[np.float32]:
    """View of the part of a storage that a tensor describes (offset and strides in numbers, not bytes)."""
    if not isinstance(storage, _Storage):
        raise _Refused("a tensor without a storage")
    if not (isinstance(shape, tuple) and isinstance(strides, tuple) and len(shape) == len(strides) <= 8):
        raise _Refused("a tensor of unknown form")
    if any(isinstance(each, bool) or not isinstance(each, int) or each < 0 for each in (offset, *shape, *strides)):
        raise _Refused("a tensor of impossible size")
    count = prod(shape)
    if not count:
        return np.empty(shape, np.float32)
    last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    # A stride of 0 could blow a few bytes up to any size.
    if count > storage.numbers.size or last >= storage.numbers.size:
        raise _Refused("a tensor larger than its storage")
    part = storage.numbers[offset:]
    return np.lib.stride_tricks.as_strided(part, shape, [4 * stride for stride in strides])


_STEPS: Mapping[str, Callable[[_Machine, Any], None]] = {
    "PROTO": _Machine.nothing,
    "FRAME": _Machine.nothing,
    "STOP": _Machine.nothing,
    "GLOBAL": _Machine.push_name,
    "STACK_GLOBAL": _Machine.push_stacked_name,
    "BINPERSID": _Machine.push_storage,
    "MARK": lambda machine, _: machine.push(_Mark()),
    "NONE": lambda machine, _: machine.push(None),
    "NEWTRUE": lambda machine, _: machine.push(True),
    "NEWFALSE": lambda machine, _: machine.push(False),
    **dict.fromkeys(("BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE", "SHORT_BINUNICODE"), _Machine.push),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "TUPLE1": lambda machine, _: machine.short_tuple(1),
    "TUPLE2": lambda machine, _: machine.short_tuple(2),
    "TUPLE3": lambda machine, _: machine.short_tuple(3),
    "TUPLE": _Machine.marked_tuple,
    "BINPUT": _Machine.store,
    "LONG_BINPUT": _Machine.store,
    "MEMOIZE": _Machine.memoize,
    "BINGET": _Machine.recall,
    "LONG_BINGET": _Machine.recall,
    "SETITEM": _Machine.set_item,
    "SETITEMS": _Machine.set_items,
    "REDUCE": _Machine.reduce,
    "BUILD": _Machine.drop_attributes,
}
