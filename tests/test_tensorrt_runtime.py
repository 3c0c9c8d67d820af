"""The TensorRT runtime on a fake driver and a fake TensorRT: tensors, streams, memory and failures, without a GPU."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import fake_machine
import numpy as np
import pytest
from command import afitrt
from drawn import clip
from fake_cuda import FakeCuda, Gpu
from fake_tensorrt import FakeTensorRT
from test_build import random_weights
from video_helpers import drawn

from afitrt import artefacts, estimate, models, weights
from afitrt.errors import AfitrtError, ArtefactError, RenderError, ResourceError, RetryError, UsageError
from afitrt.frames import Geometry
from afitrt.models.gmfss import GMFSS
from afitrt.models.staged import OverlappingStaged, Staged
from afitrt.options import ModelOptions, ScheduleOptions
from afitrt.render import Decoded, render
from afitrt.runtimes import choosing
from afitrt.runtimes.onnx import OnnxRuntime
from afitrt.runtimes.tensorrt import engines, memory, replay
from afitrt.runtimes.tensorrt.memory import Live
from afitrt.runtimes.tensorrt.runtime import PINNED, TensorRtRuntime
from afitrt.schedule import End, Frame
from afitrt.video import probe

pytestmark = pytest.mark.slow

WIDTH, HEIGHT = 60, 50
HALF = Fraction(1, 2)
LIVE = Live(6, 4)
LIVE_OF_ONE, LIVE_OF_TWO = memory.FEWER[1], memory.FEWER[2]
TOLERANCE = {"fp32": 1e-4, "fp16": 1e-2}
"""Root mean square of the difference from ONNX Runtime at the same precision, pictures in 0..1.

Random weights make a network that enlarges a single rounding in half; published ones do not.
"""


class Machine(fake_machine.Machine):
    """A computer with a fake GPU and a fake TensorRT on it, whose pictures are WIDTH x HEIGHT."""

    def __init__(self, cuda: FakeCuda, trt: FakeTensorRT) -> None:
        super().__init__(cuda, trt)
        self.said: list[str] = []

    def options(self, precision: str = "fp32") -> ModelOptions:
        return ModelOptions(weights="mine", scale=1.0, precision=precision, runtime="tensorrt")

    def runtime(self, precision: str = "fp32", live: Live = LIVE) -> TensorRtRuntime:
        return TensorRtRuntime(self.options(precision), WIDTH, HEIGHT, live, self.said.append)

    def network(self, dtype: type, precision: str = "fp32", live: Live = LIVE) -> OverlappingStaged:
        return OverlappingStaged(GMFSS, self.runtime(precision, live), WIDTH, HEIGHT, 1.0, dtype)


@pytest.fixture(scope="module")
def values() -> dict[str, Any]:
    return random_weights(0)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Engines are built once for all tests of this file."""
    return tmp_path_factory.mktemp("engines")


@pytest.fixture
def machine(
    request: pytest.FixtureRequest, shelf: Path, values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Machine]:
    def load(name: str, network: str) -> dict[str, Any]:
        return {key.partition(".")[2]: array for key, array in values.items() if key.startswith(f"{network}.")}

    monkeypatch.setenv("AFITRT_HOME", str(shelf))
    monkeypatch.setattr(weights, "load", load)
    monkeypatch.setattr(weights, "digest", lambda name, networks: "random")
    monkeypatch.setattr(models, "_ensure_weights", lambda *_: None)
    with fake_machine.booted(getattr(request, "param", Gpu(memory=1 << 30))) as booted:
        yield Machine(booted.cuda, booted.trt)


@pytest.fixture(scope="module")
def frames() -> list[Any]:
    return list(clip(WIDTH, HEIGHT, 6, (1, 2, 3)))


def middle(network: Staged, pair: list[Any], *times: Fraction) -> list[Any]:
    pictures = [network.upload(frame) for frame in pair]
    made = network.between(*pictures, times or (HALF,))
    found = [network.download(picture) for picture in made]
    for picture in (*pictures, *made):
        network.release(picture)
    return found


# --- the same pictures as on the CPU ----------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_pictures_are_those_of_onnx(machine: Machine, frames: list[Any], precision: str) -> None:
    network = machine.network(np.float32, precision)
    (found,) = middle(network, frames[:2])
    network.close()
    options = ModelOptions(weights="mine", precision=precision, threads=2)
    exact = Staged(GMFSS, OnnxRuntime(options, lambda _: None), WIDTH, HEIGHT, 1.0, np.float32)
    (expected,) = middle(exact, frames[:2])
    assert np.ptp(expected) > 0.05, "random weights make a picture that tells something"
    assert np.sqrt(np.mean((found - expected) ** 2)) < TOLERANCE[precision]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_whole_numbers_travel_packed_and_come_back_as_they_were(
    machine: Machine, frames: list[Any], dtype: type
) -> None:
    network = machine.network(dtype)
    given = [frame.astype(dtype) * (257 if dtype == np.uint16 else 1) for frame in frames[:2]]
    picture = network.upload(given[0])
    given[0][:] = 0
    back = network.download(picture)
    (found,) = middle(network, given)
    network.close()
    assert back.dtype == dtype and found.shape == (HEIGHT, WIDTH, 3)
    np.testing.assert_array_equal(back, frames[0].astype(dtype) * (257 if dtype == np.uint16 else 1))


@pytest.mark.slow
def test_two_runs_and_two_orders_of_times_give_the_same_bits(machine: Machine, frames: list[Any]) -> None:
    network = machine.network(np.float32)
    third = Fraction(1, 3)
    together = middle(network, frames[:2], third, HALF)
    again = [middle(network, frames[:2], t)[0] for t in (third, HALF)]
    network.close()
    np.testing.assert_array_equal(together, again)


# --- memory and streams -----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_after_the_first_pair_nothing_is_allocated_and_everything_is_given_back(
    machine: Machine, frames: list[Any]
) -> None:
    network = machine.network(np.uint8)
    runtime: Any = network._runtime
    middle(network, frames[:2])
    arena, device = runtime._arena, runtime._device
    before = (arena.used, device.counters.allocations, runtime._pool.free)
    for left, right in pairwise(frames):
        middle(network, [left, right], Fraction(1, 4), HALF)
    assert (arena.used, device.counters.allocations, runtime._pool.free) == before
    assert machine.cuda.calls["cuStreamSynchronize"] == 0, "the device is never waited for as a whole"
    network.close()
    assert machine.cuda.used() == 0


@pytest.mark.slow
def test_stages_become_graphs_that_make_the_same_bits(
    machine: Machine, frames: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "TRIALS", 1)
    network = machine.network(np.uint8)
    runtime: Any = network._runtime
    runtime.reserve()
    counters, machine.cuda.graph_bytes = runtime._device.counters, 4096
    planned = counters.allocations
    pairs = (frames[:2], frames[2:4])
    made = [[middle(network, pair)[0] for pair in pairs] for _ in range(4)]
    use = network.device_use()
    assert {stage: each.way for stage, each in use.launching.items()} == dict.fromkeys(GMFSS.stages, "graph")
    assert len([said for said in machine.said if "as a CUDA graph" in said]) == len(GMFSS.stages)
    assert (counters.allocations, counters.graphs) == (planned, counters.captures)
    assert use.peak == runtime._others + runtime._arena.peak + 4096 * counters.graphs
    executed, captures = machine.trt.calls["execute"], counters.captures
    made.append([middle(network, pair)[0] for pair in pairs])
    assert machine.trt.calls["execute"] == executed and counters.captures == captures
    for again in made[1:]:
        np.testing.assert_array_equal(again, made[0])
    network.close()


def test_a_stage_that_cannot_be_captured_runs_on_and_one_whose_graph_fails_is_named(
    machine: Machine, frames: list[Any]
) -> None:
    network = machine.network(np.uint8)
    (expected,) = middle(network, frames[:2])
    machine.trt.uncapturable = True
    for _ in range(3):
        np.testing.assert_array_equal(middle(network, frames[:2])[0], expected)
    launching = network.device_use().launching
    assert launching["match"].way == "plain" and "stage match failed on the GPU" in launching["match"].refused
    assert launching["splat"].way == "undecided" and launching["splat"].refused == ""
    assert len([said for said in machine.said if said.startswith("stage match runs without CUDA graphs")]) == 1
    pictures = [network.upload(frame) for frame in frames[:2]]
    machine.cuda.statuses["cuGraphLaunch"] = 719
    with pytest.raises(RenderError, match="stage splat: starting a graph on GPU 0"):
        network.between(*pictures, [HALF])
    for picture in pictures:
        network.release(picture)
    network.close()


@pytest.mark.slow
@pytest.mark.parametrize("n_forward", [1, 2])
def test_a_schedule_fits_the_memory_planned_for_it(machine: Machine, frames: list[Any], n_forward: int) -> None:
    schedule = ScheduleOptions(n_forward=n_forward)
    live = Live(*estimate.live_on_device(schedule))
    network = machine.network(np.uint8, live=live)
    runtime: Any = network._runtime
    plan = runtime.reserve()
    outputs = list(render(decoded(frames), schedule, network))
    assert len(outputs) == 2 * len(frames)
    assert 0.7 * plan.total <= runtime._arena.peak <= runtime._arena.capacity
    network.close()


def decoded(frames: list[Any]) -> list[Decoded | End]:
    timed = [Decoded(Frame(Fraction(k, 24), cut=k == 0), frame) for k, frame in enumerate(frames)]
    return [*timed, End(Fraction(len(frames), 24))]


@pytest.mark.slow
def test_the_next_pictures_are_under_way_while_finished_ones_come_down(machine: Machine, frames: list[Any]) -> None:
    schedule = ScheduleOptions(n_forward=1)
    network = machine.network(np.uint8, live=Live(*estimate.live_on_device(schedule)))
    late, queued = [], []
    for rendered in render(decoded(frames), schedule, network):
        late.append(rendered.pixels.copy())
        queued.append(sum(network.clock.calls.values()))
    waited = machine.cuda.calls["cuEventSynchronize"]
    network.close()
    plain = Staged(GMFSS, machine.runtime(live=Live(8, 8)), WIDTH, HEIGHT, 1.0, np.uint8)
    prompt, asked = [], []
    for rendered in render(decoded(frames), schedule, plain):
        prompt.append(rendered.pixels.copy())
        asked.append(sum(plain.clock.calls.values()))
    plain.close()
    np.testing.assert_array_equal(late, prompt)
    assert queued[0] > asked[0] and queued[-1] == asked[-1] and waited > 0


@pytest.mark.parametrize("count", [2, 9])
def test_more_downloads_than_buffers_still_come_down(machine: Machine, frames: list[Any], count: int) -> None:
    network = machine.network(np.uint8, live=Live(2 + count, 2))
    runtime: Any = network._runtime
    pair = [network.upload(frame) for frame in frames[:2]]
    made = network.between(*pair, [Fraction(k, count + 1) for k in range(1, count + 1)])
    begun = [network.begin_download(picture) for picture in made]
    expected = [network.download(picture) for picture in made]
    for picture in (*pair, *made):
        network.release(picture)
    np.testing.assert_array_equal([each() for each in begun], expected)
    assert runtime._pool.free == PINNED
    network.close()


def test_the_host_waits_for_downloads_only(machine: Machine, frames: list[Any]) -> None:
    network = machine.network(np.uint8)
    pictures = [network.upload(frame) for frame in frames[:2]]
    waits = machine.cuda.calls["cuEventSynchronize"]
    made = network.between(*pictures, [HALF])
    taken = machine.cuda.calls["cuEventSynchronize"] - waits
    network.download(made[0])
    network.close()
    assert taken == 1, "for the pinned buffer that carries t, not for any picture"


@pytest.mark.parametrize("machine", [Gpu(memory=10 << 20)], indirect=True)
def test_too_little_memory_is_known_before_the_first_frame_and_names_what_fits(machine: Machine) -> None:
    runtime = machine.runtime(live=Live(45, 42))
    for stage in GMFSS.stages:
        runtime.stage(stage, Geometry(64, 64))
    with pytest.raises(ResourceError, match="with 45 live pictures needs") as caught:
        runtime.reserve()
    runtime.close()
    assert "--n-forward 2" in caught.value.hint


def plan_of(live: Live, scratch: int = 4 << 20, width: int = 128) -> memory.DevicePlan:
    return memory.plan("gmfss", Geometry(width, width), "fp16", live, 1 << 20, scratch)


@pytest.mark.parametrize(
    ("fits", "live", "scratches", "words"),
    [
        (plan_of(LIVE_OF_TWO).total, Live(26, 22), {"match": 4 << 20}, "--n-forward 2,"),
        (plan_of(LIVE_OF_ONE).total, LIVE_OF_TWO, {"match": 4 << 20}, "--n-forward 1,"),
        (plan_of(LIVE_OF_ONE, 1 << 20).total, LIVE_OF_ONE, {"match": 4 << 20, "fuse": 1 << 20}, "--scale 0.5"),
        (plan_of(LIVE_OF_ONE, 1 << 20).total - 1, LIVE_OF_ONE, {"match": 4 << 20}, "pictures of at most about 1"),
        (plan_of(LIVE_OF_ONE).total // 3, LIVE_OF_ONE, {"match": 4 << 20, "fuse": 4 << 20}, "pictures of at most"),
    ],
)
def test_the_remedy_is_the_first_that_fits(fits: int, live: Live, scratches: dict[str, int], words: str) -> None:
    error = memory.too_large(plan_of(live), fits, Geometry(128, 128), live, scratches)
    assert words in error.hint and f"{fits / 1e9:.2f} GB are free" in error.found


def test_fewer_passes_need_what_the_table_says() -> None:
    for n, live in memory.FEWER.items():
        for times in (2, 3):
            pictures, encoded = estimate.live_on_device(ScheduleOptions(times=times, n_forward=n))
            assert pictures <= live.pictures and encoded <= live.encoded


# --- failures ---------------------------------------------------------------------------------------------------


def test_a_stage_that_fails_is_named_and_nothing_leaks(machine: Machine, frames: list[Any]) -> None:
    network = machine.network(np.uint8)
    runtime: Any = network._runtime
    runtime.reserve()
    used = runtime._arena.used
    pictures = [network.upload(frame) for frame in frames[:2]]
    machine.trt.failures.add("execute")
    with pytest.raises(RenderError, match="stage encode failed on the GPU"):
        network.between(*pictures, [HALF])
    for picture in pictures:
        network.release(picture)
    assert runtime._arena.used == used
    network.close()


def test_a_lost_gpu_is_a_reason_to_try_again(machine: Machine, frames: list[Any]) -> None:
    network = machine.network(np.uint8)
    pictures = [network.upload(frame) for frame in frames[:2]]
    machine.cuda.lost = "unknown error"
    with pytest.raises(RetryError, match="unknown error"):
        network.download(pictures[0])
    machine.cuda.lost = None
    network.close()


@pytest.mark.parametrize(("what", "error"), [("deserialize", ArtefactError), ("context", ResourceError)])
def test_an_engine_that_cannot_be_used_says_why(machine: Machine, what: str, error: type[AfitrtError]) -> None:
    machine.trt.failures.add(what)
    with pytest.raises(error) as caught:
        models.make(machine.options(), WIDTH, HEIGHT, np.uint8, machine.said.append)
    assert caught.value.hint


def test_a_damaged_engine_is_found_before_it_is_loaded(machine: Machine) -> None:
    machine.network(np.uint8).close()
    path = next(artefacts.engines_home().rglob("gmfss-fuse-*-fp32-*.engine"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    loads = machine.trt.calls.get("deserialize", 0)
    runtime = machine.runtime()
    with pytest.raises(ArtefactError, match="is damaged"):
        runtime.stage("fuse", Geometry(64, 64))
    runtime.close()
    path.write_bytes(whole)
    assert machine.trt.calls.get("deserialize", 0) == loads


@pytest.mark.parametrize("machine", [Gpu(capability=(7, 0))], indirect=True)
def test_a_gpu_too_old_is_refused(machine: Machine) -> None:
    with pytest.raises(UsageError, match="sm_70"):
        machine.runtime()


def test_a_tensor_of_the_wrong_type_never_reaches_the_gpu(machine: Machine, frames: list[Any]) -> None:
    runtime = machine.runtime("fp16")
    stages = {name: runtime.stage(name, Geometry(64, 64)) for name in GMFSS.stages}
    image = runtime.upload(frames[0], Geometry(64, 64))
    features = stages["encode"](image=image)
    with pytest.raises(AfitrtError, match="half_0 as float16"):
        stages["match"](**{name: features["f1"] for name in stages["match"].inputs})
    runtime.close()


# --- the command line -------------------------------------------------------------------------------------------


def test_a_machine_with_a_gpu_chooses_tensorrt_and_builds_for_it(machine: Machine) -> None:
    assert choosing.for_running() == choosing.for_building() == "tensorrt"
    assert choosing.targets("tensorrt", None) == ("sm_89",)
    ran = afitrt("build-engine", "--weights", "mine", "--size", f"{WIDTH}x{HEIGHT}", "--json")
    assert ran.code == 0, ran.err
    built = json.loads(ran.out)
    assert (built["runtime"], built["precision"], built["targets"]) == ("tensorrt", "fp16", ["sm_89"])
    assert {entry["stage"] for entry in built["engines"]} == set(GMFSS.stages)


def built(size: str, *more: str) -> Any:
    return afitrt("build-engine", "--weights", "mine", "--size", size, "--scale", "1.0", "--precision", "fp32", *more)


def test_a_build_says_whether_its_plan_fits_the_gpu_that_is_here(machine: Machine) -> None:
    size = f"{WIDTH}x{HEIGHT}"
    ran = built(size, "--explain")
    assert ran.code == 0, ran.err
    line = r"64x64 needs 0\.0\d GB of GPU memory with --n-forward 2: fits GPU 0 \(Fake RTX\), which has 1\.07 GB"
    assert re.search(line, ran.err) and re.search(line, ran.out), ran.err
    (plan,) = json.loads(built(size, "--explain", "--json").out)["plans"]
    assert plan["memory"]["fits"] is True
    machine.cuda.gpus = (Gpu(memory=plan["memory"]["total"] - 1),)
    ran = built(size)
    assert ran.code == 0 and "--n-forward 1 it needs" in ran.err and "more than the" in ran.err
    (plan,) = json.loads(built(size, "--explain", "--json").out)["plans"]
    assert plan["memory"]["fits"] is False


@pytest.mark.parametrize("machine", [Gpu(memory=1 << 30)], indirect=True)
def test_a_size_over_the_cards_memory_is_refused_before_it_is_built(machine: Machine) -> None:
    before = machine.trt.calls.get("build", 0)
    ran = built("3840x2160")
    assert ran.code == 7 and machine.trt.calls.get("build", 0) == before
    assert re.search(r"GB on the GPU, and 1\.07 GB are all that GPU 0 \(Fake RTX\) has", ran.err), ran.err
    width, height = map(int, re.search(r"try: pictures of at most about (\d+)x(\d+)", ran.err).groups())  # type: ignore[union-attr]
    options = ModelOptions(weights="mine", runtime="tensorrt")
    assert "fits" in models.check_fits(options, 64 * (width // 64), 64 * (height // 64), [], 1 << 30, "it")
    with pytest.raises(ResourceError):
        models.check_fits(options, 2 * width, 2 * height, [], 1 << 30, "it")
    assert 480 < height < 2160


RUN = ("--weights", "mine", "--scale", "1.0", "--codec", "ffv1", "--precision", "fp32")
SHORT = ("--n-forward", "1")


@pytest.mark.slow
def test_a_video_from_file_to_file_on_the_gpu(machine: Machine, frames: list[Any], tmp_path: Path) -> None:
    source = drawn(tmp_path / "in.mkv", frames)
    ran = afitrt("interpolate", source, *RUN, *SHORT)
    assert ran.code == 0, ran.err
    assert "on GPU 0 (Fake RTX)" in ran.err and "GB on the GPU" in ran.err and "CPU" not in ran.err
    assert re.search(r" s, at most 0\.\d\d GB on the GPU\n", ran.out), ran.out
    assert probe(tmp_path / "in.50fps.mkv").frames == 2 * len(frames)
    assert machine.trt.calls["execute"] > 3 * len(frames)


@pytest.mark.slow
def test_memory_is_told_before_the_start_and_at_the_peak(machine: Machine, frames: list[Any], tmp_path: Path) -> None:
    source = drawn(tmp_path / "in.mkv", frames)
    ran = afitrt("interpolate", source, *RUN, *SHORT, "--json")
    assert ran.code == 0, ran.err
    told = {line["event"]: line for line in map(json.loads, ran.out.splitlines())}
    planned, peak = told["start"]["device_memory"], told["done"]["device_memory"]
    assert told["start"]["device"] == "GPU 0 (Fake RTX)"
    assert 0.9 * planned <= peak <= 1.1 * planned


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lost", "code", "words"),
    [(None, 8, r"stage \w+ failed on the GPU"), ("unknown error", 75, r"unknown error, after stage \w+")],
)
def test_a_failure_in_mid_run_names_stage_and_picture_and_keeps_what_is_finished(
    machine: Machine,
    frames: list[Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    lost: str | None,
    code: int,
    words: str,
) -> None:
    # Graphs are tried as timing has it, and a failure while one is captured only means that there is none.
    monkeypatch.setattr(replay, "TRIED", 0)
    source = drawn(tmp_path / "in.mkv", frames)
    before = machine.trt.calls.get("execute", 0)
    whole = afitrt("interpolate", source, tmp_path / "whole.mkv", *RUN, *SHORT)
    assert whole.code == 0
    executed = machine.trt.calls["execute"]
    machine.trt.at["execute", executed + (executed - before) * 3 // 4] = lambda: (
        setattr(machine.cuda, "lost", lost) if lost else machine.trt.failures.add("execute")
    )
    ran = afitrt("interpolate", source, tmp_path / "out.mkv", *RUN, *SHORT)
    machine.cuda.revive()
    assert ran.code == code and re.search(words, ran.err), ran.err
    found = re.search(r"\(picture (\d+), between source frames (\d+) and (\d+)\)", ran.err)
    assert found is not None, ran.err
    number, left, right = map(int, found.groups())
    assert 2 <= number <= 12 and 0 <= left < right <= 5
    partial = tmp_path / "out.partial.mkv"
    assert str(partial) in ran.err and not (tmp_path / "out.mkv").exists()
    assert 1 <= probe(partial).frames < number


# --- bad input, through the command line ------------------------------------------------------------------------


def refused(source: Path, code: int, *words: str, arguments: tuple[str, ...] = ()) -> str:
    """Exit code, three parts and these words; nothing is left beside the source."""
    ran = afitrt("interpolate", source, *RUN, *SHORT, *arguments)
    assert ran.code == code, ran.err
    for word in (*words, "expected:", "try:"):
        assert word in ran.err
    assert "Traceback" not in ran.err and [path.name for path in source.parent.iterdir()] == [source.name]
    return ran.err


@pytest.fixture
def source(tmp_path: Path, frames: list[Any]) -> Path:
    (tmp_path / "clip").mkdir()
    return drawn(tmp_path / "clip" / "in.mkv", frames[:3])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("target", "sm_86"),
        ("runtime_version", "98.0"),
        ("width", 1920),
        ("scale", 0.5),
        ("weights", "ab" * 32),
        ("graph", "cd" * 32),
        ("export_version", 0),
    ],
)
def test_an_engine_made_for_something_else_is_refused_by_the_field(
    machine: Machine, source: Path, field: str, value: object
) -> None:
    machine.network(np.uint8).close()
    sidecar = next(artefacts.engines_home().rglob("gmfss-fuse-*-fp32-*.engine.json"))
    text = sidecar.read_text()
    sidecar.write_text(json.dumps(json.loads(text) | {field: value}))
    try:
        refused(source, 6, f"was made for {field} {value}", f"expected: {field}")
    finally:
        sidecar.write_text(text)


def test_a_truncated_engine_is_refused(machine: Machine, source: Path) -> None:
    machine.network(np.uint8).close()
    path = next(artefacts.engines_home().rglob("gmfss-fuse-*-fp32-*.engine"))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    try:
        refused(source, 6, "is damaged: its bytes differ from its sidecar", str(path))
    finally:
        path.write_bytes(whole)


def test_no_driver_and_one_too_old_are_told_apart(machine: Machine, source: Path) -> None:
    given = ("--runtime", "tensorrt")
    machine.cuda.fail("cuInit", "no CUDA-capable device is detected")
    assert "install the NVIDIA driver" in refused(source, 5, "no CUDA-capable device", arguments=given)
    machine.cuda.fail("cuInit", "CUDA driver version is insufficient for CUDA runtime version")
    assert "update the NVIDIA driver" in refused(source, 5, "is insufficient", arguments=given)
    machine.trt.failures.add("start")
    refused(source, 5, "tensorrt 99.1 does not start: CUDA initialization failure with error: 35", arguments=given)


@pytest.mark.parametrize("machine", [Gpu(memory=6 << 20)], indirect=True)
def test_a_size_over_the_cards_memory_is_refused_before_the_first_frame(machine: Machine, source: Path) -> None:
    refused(source, 7, "GB on the GPU", "are free", arguments=("--n-forward", "3", "--runtime", "tensorrt"))


def test_the_smallest_size_is_padded_to_what_the_model_needs(machine: Machine) -> None:
    ran = afitrt("build-engine", "--weights", "mine", "--size", "1x1", "--precision", "fp32", "--json")
    assert ran.code == 0, ran.err
    assert {entry["size"] for entry in json.loads(ran.out)["engines"]} == {"64x64"}


@pytest.mark.parametrize(
    ("number", "code", "words"), [(errno.EROFS, 4, "cannot write in"), (errno.ENOSPC, 75, "is full")]
)
def test_an_engine_folder_that_takes_nothing_is_named(
    machine: Machine, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: int, words: str
) -> None:
    monkeypatch.setenv("AFITRT_HOME", str(tmp_path / "home"))

    def refuse(path: Path, data: bytes) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(engines, "_write", refuse)
    refused(source, code, words, "AFITRT_HOME" if number == errno.EROFS else "engines", arguments=("--model", "rife"))
    assert not list((tmp_path / "home").rglob("*.engine"))


# --- doctor -----------------------------------------------------------------------------------------------------


def checked() -> dict[str, dict[str, Any]]:
    return {check["name"]: check for check in json.loads(afitrt("doctor", "--json").out)["checks"]}


def test_doctor_tells_gpu_driver_libraries_and_whether_engines_fit(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.network(np.uint8).close()
    found = checked()
    assert found["GPU 0"]["found"] == "Fake RTX, compute capability 8.9 (sm_89), 1.1 GB"
    assert found["driver"]["ok"] and "for CUDA 13.0" in found["driver"]["found"]
    assert found["tensorrt"]["found"] == "99.1" and found["NVENC"]["ok"]
    assert found["engines for sm_89"]["ok"] and "fit this machine" in found["engines for sm_89"]["found"]
    machine.cuda.version = 12080
    assert not checked()["driver"]["ok"] and "nvidia-cuda-nvrtc-cu12" in checked()["driver"]["hint"]
    monkeypatch.setattr(machine.trt.module, "__version__", "100.0")
    old = checked()["engines for sm_89"]
    assert not old["ok"] and "are of other versions" in old["found"] and old["hint"] == "afitrt engines prune"
    machine.cuda.gpus = (Gpu(capability=(12, 0)),)
    other = checked()["engines for sm_120"]
    assert not other["ok"] and "are for other GPUs" in other["found"] and other["hint"] == "afitrt build-engine"
