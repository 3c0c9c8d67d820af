"""A strongly typed ONNX graph to a TensorRT engine, with progress, a log, and errors that name the node."""

from __future__ import annotations

import re
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import onnx

from afitrt.errors import AfitrtError, ArtefactError, MissingToolError
from afitrt.runtimes.tensorrt.flavours import Flavour
from afitrt.system import stop_signals

LOG_LINES = 100_000
_ACTIVATION = re.compile(r"Total Activation Memory: (\d+) bytes")
_WEIGHTS = re.compile(r"Total Weights Memory: (\d+) bytes")

Advance = Callable[[float], None]
"""Told how much of a build is done, 0..1, from the building thread."""


@dataclass
class BuilderLog:
    """What a builder said; the oldest lines go first when there are very many."""

    lines: deque[str] = field(default_factory=lambda: deque(maxlen=LOG_LINES))
    errors: list[str] = field(default_factory=list)

    def add(self, severity: str, message: str) -> None:
        """Keeps one message; severity is the library's word for it."""
        self.lines.append(f"{severity}: {message}")
        if severity.endswith("ERROR"):
            self.errors.append(message)

    def number(self, pattern: re.Pattern[str]) -> int | None:
        """The last number that the pattern finds, None where it was never said."""
        for line in reversed(self.lines):
            if found := pattern.search(line):
                return int(found[1])
        return None


@dataclass(frozen=True)
class Built:
    """A finished engine. activations, weights: bytes on the device, as the builder told them; None if it did not."""

    data: bytes
    seconds: float
    activations: int | None
    weights: int | None


class BuildFailed(ArtefactError):
    """The library refused the graph or could not build it; `log` is all that it said."""

    def __init__(self, found: str, expected: str, hint: str, log: BuilderLog) -> None:
        super().__init__(found, expected, hint)
        self.log = log


def build(
    flavour: Flavour, model: onnx.ModelProto, target: str, cache: bytes | None, advance: Advance
) -> tuple[Built, bytes | None]:
    """The engine of a model for one architecture, and the timing cache that has grown by it (None without one).

    The work runs in a thread of its own. A signal that would stop the caller (Ctrl-C, SIGTERM) or an exception of
    advance ends it after its present step, and is then raised. Raises BuildFailed naming the node, MissingToolError.
    """
    building = _Building(flavour, model, target, cache, advance)
    thread = threading.Thread(target=building.run, name="afitrt-builder")
    with _signals_held(building.cancel):
        thread.start()
        while thread.is_alive():
            # Returns to Python now and then, for a signal may have woken another thread only.
            thread.join(0.1)
    if building.failure is not None:
        raise building.failure
    assert building.built is not None
    return building.built, building.cache


@contextmanager
def _signals_held(cancel: Callable[[], None]) -> Iterator[None]:
    """Calls `cancel` on a signal inside; what its own handler does happens at the end.

    An exception may leave neither a callback of the library nor a join: before Python 3.13 an interrupted join takes
    its thread for dead, and the process would end under the library's feet, with an abort.
    """
    arrived: list[int] = []

    def hold(number: int, _frame: FrameType | None) -> None:
        arrived.append(number)
        cancel()

    before = {}
    if threading.current_thread() is threading.main_thread():
        known = {number: signal.getsignal(number) for number in stop_signals()}
        before = {number: handler for number, handler in known.items() if callable(handler)}
    try:
        for number in before:
            signal.signal(number, hold)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if arrived:
            signal.raise_signal(arrived[0])


class _Building:
    def __init__(
        self,
        flavour: Flavour,
        model: onnx.ModelProto,
        target: str,
        cache: bytes | None,
        advance: Advance,
    ) -> None:
        self._flavour, self._model, self._target = flavour, model, target
        self._advance = advance
        self._trt = flavour.load()
        self.cache = cache
        self.log = BuilderLog()
        self._cancelled = False
        self.failure: BaseException | None = None
        self.built: Built | None = None

    def run(self) -> None:
        """Builds; leaves `built` or `failure`."""
        try:
            self._build()
        except BaseException as failure:
            # What stopped the build tells more than that it was stopped.
            self.failure = self.failure or failure

    def cancel(self) -> None:
        """Asks the library to stop after its present step."""
        self._cancelled = True

    def _build(self) -> None:
        began = time.monotonic()
        told = logger(self._trt, self.log)
        try:
            builder = self._trt.Builder(told)
        except TypeError as error:
            raise no_start(self._flavour, self.log) from error
        # Strong typing is all that TensorRT 11 and TensorRT-RTX know; older ones must be told.
        network = builder.create_network(1 << int(self._trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        parser = self._trt.OnnxParser(network, told)
        if not parser.parse(self._model.SerializeToString()):
            raise self._refused(parser)
        config = builder.create_builder_config()
        monitor = _monitor(self._trt, self)
        config.progress_monitor = monitor
        # FP32 means FP32: TF32 has the mantissa of half, and the table of precision keeps what must not have that.
        config.clear_flag(self._trt.BuilderFlag.TF32)
        # Nothing is allocated while it runs: memory is as planned, and a stream that runs it can be captured.
        if (planned := getattr(self._trt.BuilderFlag, "REQUIRE_USER_ALLOCATION", None)) is not None:
            config.set_flag(planned)
        self._aim(config)
        cache = self._timing_cache(config)
        data = builder.build_serialized_network(network, config)
        if data is None:
            raise self._failed("no engine could be built")
        activations, weights = self.log.number(_ACTIVATION), self.log.number(_WEIGHTS)
        self.built = Built(bytes(data), time.monotonic() - began, activations, weights)
        if cache is not None:
            self.cache = bytes(config.get_timing_cache().serialize())

    def advance(self, share: float) -> bool:
        """Passes progress on; False asks the library to stop. Never raises, for a library in C++ calls it."""
        if not self._cancelled:
            try:
                self._advance(share)
            except BaseException as failure:
                self.failure, self._cancelled = failure, True
        return not self._cancelled

    def _aim(self, config: Any) -> None:
        if not self._flavour.portable:
            return
        capability = self._trt.ComputeCapability
        config.num_compute_capabilities = 1
        # A GPU that the library does not list by name may still be the one that is here.
        wanted = getattr(capability, f"SM{self._target.removeprefix('sm_')}", capability.CURRENT)
        if not config.set_compute_capability(wanted, 0):
            raise self._failed(f"architecture {self._target} was refused")

    def _timing_cache(self, config: Any) -> Any:
        if not self._flavour.timing_cache:
            return None
        cache = config.create_timing_cache(self.cache or b"")
        config.set_timing_cache(cache, ignore_mismatch=False)
        return cache

    def _refused(self, parser: Any) -> AfitrtError:
        for index in range(parser.num_errors):
            error = parser.get_error(index)
            return self._failed(f"node {error.node_name()} ({error.node_operator()}) is refused: {error.desc()}")
        return self._failed("the graph cannot be read")

    def _failed(self, what: str) -> BuildFailed:
        said = self.log.errors[-1].splitlines()[0] if self.log.errors else ""
        if said and said not in what:
            what += f" ({said})"
        names = [node.name for node in self._model.graph.node if any(node.name in each for each in self.log.errors)]
        if names and names[-1] not in what:
            what += f"; it names node {names[-1]}"
        version = f"{self._flavour.name} {self._trt.__version__}"
        return BuildFailed(
            f"{version}, {self._target}: {what}",
            "a graph that this library builds",
            "another --runtime, a smaller --size, or report it with the builder's log",
            self.log,
        )


def no_start(flavour: Flavour, log: BuilderLog) -> MissingToolError:
    """The library found no driver, or one that is too old for it; log: where it said so."""
    said = log.errors[-1].splitlines()[0] if log.errors else "it does not say why"
    return MissingToolError(
        f"{flavour.name} {flavour.version()} does not start: {said}",
        "an NVIDIA driver as new as the CUDA that the library was made for",
        "update the NVIDIA driver, see afitrt doctor; --runtime onnx needs none",
    )


def logger(trt: Any, log: BuilderLog) -> Any:
    """A logger of the library that fills the log."""

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()

        def log(self, severity: Any, message: str) -> None:
            log.add(severity.name, message)

    return Logger()


def _monitor(trt: Any, building: _Building) -> Any:
    """Counts the steps of the outermost phase, and those of one phase inside it as parts of a step."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self._outer = ""
            self._steps, self._done = 1, 0

        def phase_start(self, name: str, parent: str | None, steps: int) -> None:
            if parent is None:
                self._outer, self._steps, self._done = name, max(1, steps), 0

        def step_complete(self, name: str, step: int) -> bool:
            if name == self._outer:
                self._done = step + 1
            return building.advance(min(1.0, self._done / self._steps))

        def phase_finish(self, name: str) -> None:
            if name == self._outer:
                building.advance(1.0)

    return Monitor()
