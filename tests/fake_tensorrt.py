"""A TensorRT that needs no GPU: an engine is its ONNX graph, run by ONNX Runtime on the fake driver's memory.

Half nodes are rounded as precision.emulated rounds them.

As late as a GPU may be: execution is queued on the fake driver's stream. What TensorRT would answer with silent
corruption raises Misuse: tensors without an address, scratch memory that is missing, too small or not aligned.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from types import ModuleType, SimpleNamespace
from typing import Any

import fake_cuda
import numpy as np
import onnx
import onnxruntime

from afitrt.build.precision import emulated

VERSION = "99.1"
SCRATCH = 4096
WEIGHTS = 8192
TYPES = {onnx.TensorProto.FLOAT: np.float32, onnx.TensorProto.FLOAT16: np.float16}
FORBIDDEN = ("ScatterND",)


class Severity(IntEnum):
    """As TensorRT's."""

    INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)


class FakeTensorRT:
    """The library's state: `calls` counts, `failures` names kinds of calls whose next one fails.

    at: what happens before the call of a kind that has this number, from 1. uncapturable: execution allocates, as
    that of some engines does, which no stream takes that is captured.
    """

    def __init__(self, cuda: fake_cuda.FakeCuda | None = None, capabilities: tuple[str, ...] = ()) -> None:
        self.cuda = cuda
        self.calls: dict[str, int] = {}
        self.failures: set[str] = set()
        self.at: dict[tuple[str, int], Callable[[], object]] = {}
        self.measured: list[bytes] = []
        self.uncapturable = False
        self.module = _module(self, capabilities)

    def called(self, what: str) -> bool:
        """Counts a call; whether it is to fail."""
        self.calls[what] = self.calls.get(what, 0) + 1
        self.at.pop((what, self.calls[what]), lambda: None)()
        if what in self.failures:
            self.failures.discard(what)
            return True
        return False

    def stream(self, handle: int) -> Any:
        """The fake driver's stream with this handle."""
        assert self.cuda is not None
        found = [stream for stream in self.cuda.streams if stream.handle == handle]
        if not found:
            raise fake_cuda.Misuse(f"stream {handle} does not exist")
        return found[0]


@contextmanager
def installed(fake: FakeTensorRT, name: str = "tensorrt") -> Iterator[FakeTensorRT]:
    """Lets the module be imported under a name inside the with statement."""
    before = sys.modules.get(name)
    sys.modules[name] = fake.module
    try:
        yield fake
    finally:
        if before is None:
            del sys.modules[name]
        else:
            sys.modules[name] = before


def _module(fake: FakeTensorRT, capabilities: tuple[str, ...]) -> ModuleType:
    module = ModuleType("tensorrt")
    module.__spec__ = SimpleNamespace(name="tensorrt")  # type: ignore[assignment]
    names: dict[str, Any] = {
        "__version__": VERSION,
        "BuilderFlag": IntEnum("BuilderFlag", ["TF32", "FP16", *(["REQUIRE_USER_ALLOCATION"] if capabilities else [])]),
        "NetworkDefinitionCreationFlag": IntEnum("NetworkDefinitionCreationFlag", ["STRONGLY_TYPED"], start=1),
        "ExecutionContextAllocationStrategy": IntEnum("Strategy", ["STATIC", "USER_MANAGED"], start=0),
        "TensorIOMode": IntEnum("TensorIOMode", ["NONE", "INPUT", "OUTPUT"], start=0),
        "IProgressMonitor": type("IProgressMonitor", (), {}),
        "nptype": lambda kind: TYPES[kind],
        **_logging(),
        **_building(fake, capabilities),
        **_running(fake, capabilities),
    }
    if capabilities:
        names["ComputeCapability"] = IntEnum("ComputeCapability", ["NONE", "CURRENT", *capabilities], start=0)
    for name, value in names.items():
        setattr(module, name, value)
    return module


def _logging() -> dict[str, Any]:
    class ILogger:
        def log(self, severity: Severity, message: str) -> None:
            raise NotImplementedError

    class Logger(ILogger):
        ERROR = Severity.ERROR

        def __init__(self, severity: Severity = Severity.ERROR) -> None:
            pass

        def log(self, severity: Severity, message: str) -> None:
            pass

    return {"ILogger": ILogger, "Logger": Logger}


def _starting(fake: FakeTensorRT) -> Callable[[Any], None]:
    """Called by constructors: like pybind11, TypeError is all that is said of one that gave a null pointer."""

    def start(logger: Any) -> None:
        if fake.called("start"):
            logger.log(Severity.ERROR, "CUDA initialization failure with error: 35")
            raise TypeError("pybind11::init(): factory function returned nullptr")

    return start


def _building(fake: FakeTensorRT, capabilities: tuple[str, ...]) -> dict[str, Any]:
    start = _starting(fake)

    class TimingCache:
        def __init__(self, data: bytes) -> None:
            self.entries = set(filter(None, bytes(data).split(b",")))

        def combine(self, other: Any, ignore_mismatch: bool) -> bool:
            self.entries |= other.entries
            return True

        def serialize(self) -> bytes:
            return b",".join(sorted(self.entries))

    class Config:
        progress_monitor: Any = None

        def __init__(self) -> None:
            self.flags = {fake.module.BuilderFlag.TF32}
            self._cache: Any = None

        def clear_flag(self, flag: Any) -> None:
            self.flags.discard(flag)

        def set_flag(self, flag: Any) -> None:
            self.flags.add(flag)

        def create_timing_cache(self, data: bytes) -> TimingCache:
            return TimingCache(data)

        def set_timing_cache(self, cache: Any, ignore_mismatch: bool) -> None:
            self._cache = cache

        def get_timing_cache(self) -> Any:
            return self._cache

        num_compute_capabilities = 0

        def set_compute_capability(self, capability: Any, index: int) -> bool:
            return index < self.num_compute_capabilities

    class Builder:
        def __init__(self, logger: Any) -> None:
            self._logger = logger
            start(logger)

        def create_network(self, flags: int) -> Any:
            return SimpleNamespace(flags=flags, graph=None)

        def create_builder_config(self) -> Config:
            return Config()

        def build_serialized_network(self, network: Any, config: Config) -> bytes | None:
            assert fake.module.BuilderFlag.TF32 not in config.flags
            assert not capabilities or fake.module.BuilderFlag.REQUIRE_USER_ALLOCATION in config.flags
            monitor = config.progress_monitor
            monitor.phase_start("Building engine", None, 2)
            for step in range(2):
                if not monitor.step_complete("Building engine", step):
                    return None
            monitor.phase_finish("Building engine")
            if fake.called("build"):
                name = network.graph.graph.node[0].name
                self._logger.log(Severity.ERROR, f"no kernel for {{ForeignNode[{name}]}}")
                return None
            self._logger.log(Severity.VERBOSE, f"Total Activation Memory: {SCRATCH} bytes")
            self._logger.log(Severity.VERBOSE, f"Total Weights Memory: {WEIGHTS} bytes")
            if (cache := config.get_timing_cache()) is not None:
                fake.measured.append(cache.serialize())
                cache.entries.add(b"layer%d" % fake.calls["build"])
            return bytes(network.graph.SerializeToString())

    class OnnxParser:
        def __init__(self, network: Any, logger: Any) -> None:
            self._network, self._errors = network, []

        def parse(self, data: bytes) -> bool:
            self._network.graph = model = onnx.load_model_from_string(data)
            for node in model.graph.node:
                if node.op_type in FORBIDDEN:
                    self._errors.append(node)
            return not self._errors

        @property
        def num_errors(self) -> int:
            return len(self._errors)

        def get_error(self, index: int) -> Any:
            node = self._errors[index]
            return SimpleNamespace(
                node_name=lambda: node.name, node_operator=lambda: node.op_type, desc=lambda: "not supported"
            )

    return {"Builder": Builder, "OnnxParser": OnnxParser}


def _running(fake: FakeTensorRT, capabilities: tuple[str, ...]) -> dict[str, Any]:
    start = _starting(fake)

    class Context:
        def __init__(self, engine: Any) -> None:
            self._engine = engine
            self._addresses: dict[str, int] = {}
            self._scratch: tuple[int, int] | None = None

        if capabilities:

            def is_stream_capturable(self, handle: int) -> bool:
                assert fake.stream(handle).capture is None
                return not fake.uncapturable

        def set_device_memory(self, address: int, size: int) -> None:
            self._scratch = (address, size)

        def set_tensor_address(self, name: str, address: int) -> bool:
            self._addresses[name] = address
            return name in self._engine.names

        def execute_async_v3(self, handle: int) -> bool:
            assert fake.cuda is not None
            if fake.called("execute"):
                return False
            if fake.uncapturable and (words := fake.cuda.spoilt()):
                self._engine.logger.log(Severity.ERROR, f"IExecutionContext::enqueueV3: Cuda Runtime ({words})")
                return False
            if missing := set(self._engine.names) - self._addresses.keys():
                raise fake_cuda.Misuse(f"no address for {missing}")
            if self._scratch is None or self._scratch[1] < SCRATCH or self._scratch[0] % 256:
                raise fake_cuda.Misuse(f"scratch memory {self._scratch}")
            addresses, engine, cuda = dict(self._addresses), self._engine, fake.cuda
            cuda.bytes_at(self._scratch[0], SCRATCH)

            def run() -> None:
                given = {name: engine.array(cuda, addresses, name).copy() for name in engine.inputs}
                cuda.bytes_at(self._scratch[0], SCRATCH)[:] = fake_cuda.FRESH  # type: ignore[index]
                for name, value in zip(engine.outputs, engine.session.run(engine.outputs, given), strict=True):
                    engine.array(cuda, addresses, name)[:] = value

            fake.stream(handle).enqueue(run)
            return True

    class Engine:
        device_memory_size_v2 = SCRATCH

        def __init__(self, data: bytes, logger: Any) -> None:
            self.logger = logger
            model = onnx.load_model_from_string(data)
            if fake.cuda is not None:
                # Memory of the library's own, given back with the engine.
                weakref.finalize(self, fake.cuda.library_memory(WEIGHTS))
            self.values = {value.name: value for value in (*model.graph.input, *model.graph.output)}
            self.names = list(self.values)
            self.inputs = [value.name for value in model.graph.input]
            self.outputs = [value.name for value in model.graph.output]
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads, options.log_severity_level = 2, 3
            rounded = emulated(model).SerializeToString()
            self.session = onnxruntime.InferenceSession(rounded, options, ["CPUExecutionProvider"])

        @property
        def num_io_tensors(self) -> int:
            return len(self.names)

        def get_tensor_name(self, index: int) -> str:
            return self.names[index]

        def get_tensor_mode(self, name: str) -> Any:
            modes = fake.module.TensorIOMode
            return modes.INPUT if name in self.inputs else modes.OUTPUT

        def get_tensor_shape(self, name: str) -> tuple[int, ...]:
            return tuple(dim.dim_value for dim in self.values[name].type.tensor_type.shape.dim)

        def get_tensor_dtype(self, name: str) -> int:
            return int(self.values[name].type.tensor_type.elem_type)

        def array(self, cuda: fake_cuda.FakeCuda, addresses: dict[str, int], name: str) -> np.ndarray:
            shape, kind = self.get_tensor_shape(name), np.dtype(TYPES[self.get_tensor_dtype(name)])
            nbytes = int(np.prod(shape)) * kind.itemsize
            return cuda.bytes_at(addresses[name], nbytes).view(kind).reshape(shape)

        def create_execution_context(self, strategy: Any) -> Context | None:
            assert strategy == fake.module.ExecutionContextAllocationStrategy.USER_MANAGED
            return None if fake.called("context") else Context(self)

    class Runtime:
        def __init__(self, logger: Any) -> None:
            self._logger = logger
            start(logger)

        def deserialize_cuda_engine(self, data: bytes) -> Engine | None:
            if fake.called("deserialize"):
                self._logger.log(Severity.ERROR, "the engine plan was made by another version")
                return None
            return Engine(data, self._logger)

    return {"Runtime": Runtime}
