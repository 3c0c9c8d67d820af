"""CUDA graphs of a stage: what is captured, when, how many, and how the faster way is found, on the fake driver."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import cycle
from types import SimpleNamespace
from typing import Any

import fake_cuda
import numpy as np
import pytest
from fake_cuda import FakeCuda, Gpu

from afitrt import build, estimate
from afitrt.errors import RenderError, RetryError
from afitrt.frames import Geometry
from afitrt.models.gmfss import GMFSS
from afitrt.models.staged import OverlappingStaged
from afitrt.options import ScheduleOptions
from afitrt.render import Decoded, render
from afitrt.runtimes import cuda
from afitrt.runtimes.tensorrt import memory
from afitrt.runtimes.tensorrt.engine import Engine
from afitrt.runtimes.tensorrt.memory import Live
from afitrt.runtimes.tensorrt.replay import GRAPHS, TRIALS, TRIED, Replay
from afitrt.schedule import End, Frame


class Bench:
    """A stage that copies one byte and fills it anew: its sets of addresses are pairs of places in 256 bytes."""

    def __init__(self, fake: FakeCuda, device: cuda.Device, stream: cuda.Stream, start: int) -> None:
        self.fake, self.device, self.stream, self._start = fake, device, stream, start
        self.said: list[str] = []
        self.queued = 0
        self.capturable = True
        self.replay = Replay(device, "match", lambda: self.capturable, self.said.append)

    def run(self, source: int, to: int, waits: bool = True) -> None:
        """One call; waits: the GPU has done it when it returns."""
        addresses = self._start + source, self._start + to

        def queue() -> None:
            self.queued += 1
            self.stream.copy(addresses[0], addresses[1], 1)

        self.replay.run(addresses, queue, self.stream)
        if waits:
            self.stream.synchronize()

    def launched(self) -> int:
        """Launches of graphs so far."""
        return self.fake.calls["cuGraphLaunch"]


@pytest.fixture
def bench() -> Iterator[Bench]:
    with fake_cuda.installed(FakeCuda(Gpu())) as fake:
        with cuda.Device() as device, cuda.DeviceMemory(device, 256) as taken, cuda.Stream(device) as stream:
            made = Bench(fake, device, stream, taken.address)
            yield made
            stream.synchronize()
            made.replay.close()
        fake.check_clean()


def test_the_first_time_runs_as_it_is_the_second_is_captured_and_later_ones_are_replayed(bench: Bench) -> None:
    bench.run(0, 1)
    assert (bench.device.counters.captures, bench.launched(), bench.queued) == (0, 0, 1)
    bench.run(0, 1)
    assert (bench.device.counters.captures, bench.launched(), bench.queued) == (1, 1, 2)
    bench.run(0, 1)
    assert (bench.device.counters.captures, bench.launched(), bench.queued) == (1, 2, 2)


@pytest.mark.parametrize(("plain", "graph", "chosen"), [(1.0, 0.5, "graph"), (0.5, 1.0, "plain"), (1.0, 1.0, "plain")])
def test_the_faster_way_is_kept_and_told_once(bench: Bench, plain: float, graph: float, chosen: str) -> None:
    bench.fake.milliseconds = {"plain": plain, "graph": graph}
    assert bench.replay.found.way == "undecided" and bench.replay.found.plain is None
    for _ in range(3 + 2 * TRIALS):
        bench.run(0, 1)
    found = bench.replay.found
    assert (found.way, found.plain, found.graph, found.refused) == (chosen, plain, graph, "")
    assert bench.said == [f"stage match: {plain:.3f} ms call by call, {graph:.3f} ms as a CUDA graph"]
    before = bench.launched(), bench.queued
    for _ in range(7):
        bench.run(0, 1)
    assert (bench.launched(), bench.queued) == (
        (before[0] + 7, before[1]) if chosen == "graph" else (before[0], before[1] + 7)
    )
    assert len(bench.said) == 1
    assert len(bench.fake.graphs) == (chosen == "graph")


def test_nobody_waits_for_a_timing(bench: Bench) -> None:
    for _ in range(50):
        bench.run(0, 1, waits=False)
    assert bench.replay.found.way == "undecided"
    assert not bench.fake.calls["cuStreamSynchronize"] and not bench.fake.calls["cuEventSynchronize"]


def decide(bench: Bench, source: int = 0, to: int = 1) -> None:
    for _ in range(3 + 2 * TRIALS):
        bench.run(source, to)
    assert bench.replay.found.way == "graph"


def test_graphs_are_bounded_and_none_is_made_again(bench: Bench) -> None:
    for number in range(3 * TRIED):
        for _ in range(2):
            bench.run(number, 255)
    assert bench.device.counters.graphs == TRIED, "while it is not known whether they pay"
    decide(bench, 0, 255)
    counters = bench.device.counters
    allocations = counters.allocations
    for _ in range(GRAPHS):
        for number in range(2 * GRAPHS):
            bench.run(number, 254)
    assert (counters.graphs, counters.captures, counters.allocations) == (GRAPHS, GRAPHS, allocations)
    launched, queued = bench.launched(), bench.queued
    for number in range(2 * GRAPHS):
        bench.run(number, 254)
    assert counters.captures == GRAPHS
    assert 0 < bench.launched() - launched < GRAPHS < bench.queued - queued, "the others run as they are"


def test_the_last_places_are_for_what_comes_most_often(bench: Bench) -> None:
    decide(bench)
    for number in range(2 * GRAPHS):
        for _ in range(2):
            bench.run(number, 254)
    assert bench.device.counters.graphs < GRAPHS // 2
    for _ in range(GRAPHS // 4 + 1):
        bench.run(200, 254)
    launched = bench.launched()
    bench.run(200, 254)
    assert bench.launched() == launched + 1


@pytest.mark.parametrize("function", ["cuStreamBeginCapture_v2", "cuStreamEndCapture", "cuGraphInstantiateWithFlags"])
def test_a_refused_capture_switches_graphs_off_and_the_work_is_done(bench: Bench, function: str) -> None:
    bench.run(0, 1)
    bench.fake.statuses[function] = 900
    if function == "cuStreamEndCapture":
        # As the driver ends a capture that something has spoilt.
        bench.fake.statuses.clear()
        spoil: Callable[[], Any] = bench.fake.spoilt
    else:
        spoil = lambda: None  # noqa: E731
    addresses = bench._start, bench._start + 1
    done = []

    def queue() -> None:
        if not done:
            spoil()
        done.append(1)
        bench.stream.copy(*addresses, 1)

    bench.replay.run(addresses, queue, bench.stream)
    bench.stream.synchronize()
    found = bench.replay.found
    assert found.way == "plain" and ("capturing" in found.refused or "during capture" in found.refused)
    assert len(bench.said) == 1 and bench.said[0].startswith("stage match runs without CUDA graphs: ")
    bench.run(0, 1)
    bench.run(0, 1)
    assert len(bench.said) == 1 and not bench.launched() and not bench.fake.graphs


def test_a_library_that_refuses_is_not_captured(bench: Bench) -> None:
    bench.capturable = False
    for _ in range(4):
        bench.run(0, 1)
    assert bench.replay.found.way == "plain" and "its library says" in bench.said[0] and len(bench.said) == 1
    assert bench.queued == 4 and not bench.fake.calls["cuStreamBeginCapture_v2"]


def test_a_library_is_asked_where_it_can_tell() -> None:
    engine: Any = Engine.__new__(Engine)
    engine._context = SimpleNamespace()
    assert engine.capturable(5)
    engine._context = SimpleNamespace(is_stream_capturable=lambda handle: handle == 5)
    assert engine.capturable(5) and not engine.capturable(6)


@pytest.mark.parametrize("failures", [1, 2])
def test_what_a_failed_capture_leaves_behind_is_told_once(bench: Bench, failures: int) -> None:
    bench.run(0, 1)
    bench.fake.statuses["cuStreamBeginCapture_v2"] = 900
    left = [RenderError("stage match failed on the GPU", "it runs", "report it")] * failures

    def queue() -> None:
        if left:
            raise left.pop()
        bench.queued += 1

    addresses = bench._start, bench._start + 1
    if failures == 1:
        bench.replay.run(addresses, queue, bench.stream)
        assert bench.queued == 2
    else:
        with pytest.raises(RenderError, match="stage match failed"):
            bench.replay.run(addresses, queue, bench.stream)


def test_a_failure_in_a_replay_is_told(bench: Bench) -> None:
    decide(bench)
    bench.fake.statuses["cuGraphLaunch"] = 1
    with pytest.raises(RenderError, match=r"starting a graph on GPU 0 .*invalid argument"):
        bench.run(0, 1)


def test_a_gpu_that_is_lost_is_a_reason_to_try_again(bench: Bench) -> None:
    decide(bench)
    bench.fake.lost = "unknown error"
    with pytest.raises(RetryError, match="unknown error"):
        bench.run(0, 1)
    bench.replay.close()
    assert bench.device.counters.graphs == 0
    bench.fake.lost = None
    bench.fake.graphs.clear()


def test_memory_of_graphs_is_counted(bench: Bench) -> None:
    bench.fake.graph_bytes = 1000
    bench.run(0, 1)
    bench.run(0, 1)
    assert bench.replay.nbytes == 1000
    bench.replay.close()
    assert bench.replay.nbytes == 0


# --- addresses that come again ----------------------------------------------------------------------------------


class Addresses:
    """A runtime that hands out memory and computes nothing; `sets`: addresses of every call, by stage."""

    def __init__(self, device: cuda.Device, live: Live) -> None:
        self._geometry = Geometry(64, 64)
        packed = (3 * 64 * 64,) * 3
        self._arena = cuda.Arena(device, memory.plan("gmfss", self._geometry, "fp16", live, 0, 4096, packed).blocks)
        self._up, self._compute, self._down = self._streams = [cuda.Stream(device) for _ in range(3)]
        self.sets: dict[str, list[tuple[int, ...]]] = {}

    def stage(self, name: str, geometry: Geometry) -> Any:
        description = build.STAGES["gmfss"][name]

        def run(**given: cuda.Block) -> dict[str, cuda.Block]:
            made = {
                each.name: self._arena.take(memory.nbytes(each, geometry, "fp16"), self._compute)
                for each in description.outputs
            }
            used = (*(given[each.name] for each in description.inputs), *made.values())
            self.sets.setdefault(name, []).append(tuple(block.address for block in used))
            return made

        run.inputs = tuple(each.name for each in description.inputs)  # type: ignore[attr-defined]
        return run

    def upload(self, *_: object) -> cuda.Block:
        packed = self._arena.take(3 * 64 * 64, self._up)
        image = self._arena.take(12 * 64 * 64, self._up)
        self._arena.give(packed, self._up)
        return image

    def to_device(self, _: object) -> cuda.Block:
        return self._arena.take(4, self._compute)

    def begin_download(self, *_: object) -> Callable[[], Any]:
        packed = self._arena.take(3 * 64 * 64, self._compute)
        self._arena.give(packed, self._down)
        return lambda: np.zeros((1, 1, 3), np.uint8)

    def release(self, block: cuda.Block) -> None:
        self._arena.give(block, self._compute)

    def close(self) -> None:
        for each in (*self._streams, self._arena):
            each.close()


@pytest.mark.parametrize(
    "rate", [ScheduleOptions(2, None, 2), ScheduleOptions(None, Fraction(60), 2)], ids=["2", "2.5"]
)
def test_a_schedule_with_cuts_meets_the_same_addresses_again(rate: ScheduleOptions) -> None:
    lengths = [length for length, _ in zip(cycle((24, 61, 5, 90, 37, 1, 48)), range(12), strict=False)]
    cuts = {sum(lengths[:k]) for k in range(len(lengths))}
    frame = np.zeros((1, 1, 3), np.uint8)
    decoded = [Decoded(Frame(Fraction(k, 24), cut=k in cuts), frame) for k in range(sum(lengths))]
    with fake_cuda.installed(FakeCuda(Gpu())) as fake:
        with cuda.Device() as device:
            runtime: Any = Addresses(device, Live(*estimate.live_on_device(rate)))
            network = OverlappingStaged(GMFSS, runtime, 64, 64, 1.0, np.uint8)
            assert sum(1 for _ in render([*decoded, End(Fraction(len(decoded), 24))], rate, network)) > len(decoded)
            network.close()
        fake.check_clean()
    for stage, sets in runtime.sets.items():
        kept = [each for each, _ in Counter(sets).most_common(GRAPHS)]
        covered = sum(each in kept for each in sets)
        assert covered > 0.9 * len(sets), f"{stage}: {covered} of {len(sets)}"
