"""The CUDA room on a fake driver: errors, ordering, planned memory, and kernels end to end."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from itertools import pairwise
from pathlib import Path
from unittest import mock

import fake_cuda
import host_kernels
import numpy as np
import pytest
from fake_cuda import FakeCuda, Gpu, Misuse
from hypothesis import given, settings
from hypothesis import strategies as st
from test_kernels import pair, reference

from afitrt.errors import (
    AfitrtError,
    ArtefactError,
    MissingToolError,
    RenderError,
    ResourceError,
    RetryError,
    UsageError,
)
from afitrt.frames import Geometry, from_planar, to_planar
from afitrt.runtimes import cuda, kernels
from afitrt.runtimes.cuda import driver as border
from afitrt.runtimes.kernels import Conversion, Launch, RgbLayout, Splat

MIB = 1 << 20


@pytest.fixture
def fake():
    """A fake driver with one card; at the end nothing may be left behind."""
    with fake_cuda.installed(FakeCuda(Gpu())) as driver:
        yield driver
        driver.check_clean()


@pytest.fixture
def device(fake):
    with cuda.Device() as opened:
        yield opened


@pytest.fixture
def cubins(monkeypatch):
    """Programs that the fake driver loads, without NVRTC; the targets they were asked for."""
    asked = []

    def cubin(program, target):
        asked.append((program, target))
        return b"\x7fELF" + " ".join(host_kernels.kernel_names(program)).encode()

    monkeypatch.setattr(kernels, "cubin", cubin)
    return asked


@pytest.fixture(params=["fake", pytest.param("gpu", marks=pytest.mark.gpu)])
def machine(request):
    """A device on the fake driver, and one on the real driver where there is one."""
    if request.param == "fake":
        request.getfixturevalue("cubins")
        yield request.getfixturevalue("device")
        return
    try:
        opened = cuda.Device()
    except MissingToolError as error:
        if os.environ.get("AFITRT_REQUIRE_GPU") == "1":
            raise
        pytest.skip(error.found)
    with opened:
        yield opened


def pinned(device, array):
    memory = cuda.PinnedMemory(device, array.nbytes)
    memory.array[:] = array.reshape(-1).view(np.uint8)
    return memory


# --- opening --------------------------------------------------------------------------------------------------


def test_importing_the_room_needs_no_pycuda():
    code = "import sys, afitrt.runtimes.cuda; assert not [m for m in sys.modules if m.startswith('pycuda')]"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_only_the_border_names_pycudas_module():
    package = Path(cuda.__file__).parents[2]
    importers = [path.name for path in package.rglob("*.py") if "import pycuda" in path.read_text()]
    assert importers == ["driver.py"]


def test_a_device_tells_what_it_is(device):
    assert device.info == cuda.DeviceInfo(0, "Fake RTX", "sm_89", 64 * MIB)
    assert device.free_memory() == 64 * MIB
    assert cuda.devices() == [device.info]
    assert cuda.driver_version() == "13.0"


def test_without_pycuda_the_message_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pycuda", None)
    monkeypatch.setitem(sys.modules, "pycuda.driver", None)
    with pytest.raises(MissingToolError, match="pycuda") as caught:
        cuda.Device()
    assert "afitrt[gpu]" in caught.value.hint


def test_pycuda_without_a_driver_is_told_apart(monkeypatch):
    class Finder:
        @staticmethod
        def find_spec(name, path=None, target=None):
            if name == "pycuda":
                raise ImportError("libcuda.so.1: cannot open shared object file: No such file or directory")

    monkeypatch.delitem(sys.modules, "pycuda", raising=False)
    monkeypatch.delitem(sys.modules, "pycuda.driver", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Finder, *sys.meta_path])
    with pytest.raises(MissingToolError, match=r"libcuda\.so\.1") as caught:
        cuda.devices()
    assert "driver" in caught.value.hint


@pytest.mark.parametrize("words", ["no CUDA-capable device is detected", "system has unsupported display driver"])
def test_without_a_gpu_the_drivers_words_are_told(fake, words):
    fake.fail("cuInit", words)
    with pytest.raises(MissingToolError, match=words):
        cuda.Device()


def test_a_driver_that_shows_no_gpu_is_no_gpu():
    with fake_cuda.installed(FakeCuda()), pytest.raises(MissingToolError, match="no CUDA-capable device"):
        cuda.devices()


def test_an_ordinal_that_does_not_exist_is_refused_with_those_that_do():
    with fake_cuda.installed(FakeCuda(Gpu("One"), Gpu("Two"))), pytest.raises(UsageError, match="GPU 2") as caught:
        cuda.Device(2)
    assert "0 (One), 1 (Two)" in caught.value.expected


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("out of memory", ResourceError),
        ("all CUDA-capable devices are busy or unavailable", RetryError),
        ("unknown error", RetryError),
        ("uncorrectable ECC error encountered", RetryError),
        ("the launch timed out and was terminated", RetryError),
        ("an illegal memory access was encountered", RenderError),
    ],
)
def test_each_failure_has_its_kind_and_keeps_the_drivers_words(fake, words, kind):
    fake.fail("cuDevicePrimaryCtxRetain", words)
    with pytest.raises(kind, match=words) as caught:
        cuda.Device()
    assert type(caught.value) is kind
    assert "Fake RTX" in caught.value.found
    assert caught.value.expected
    assert caught.value.hint


def test_a_gpu_lost_in_mid_run_may_be_tried_again(fake):
    with (
        pytest.raises(RetryError, match="cuStreamSynchronize failed: unknown error"),
        cuda.Device() as device,
        cuda.Stream(device) as stream,
    ):
        fake.lost = "unknown error"
        stream.synchronize()
    fake.lost = None


def test_a_failure_while_closing_is_told_unless_another_came_first(fake, device):
    fake.fail("cuStreamSynchronize", "unknown error")
    with pytest.raises(RetryError, match="waiting for GPU 0"), cuda.Stream(device):
        pass
    with pytest.raises(ZeroDivisionError), cuda.Stream(device):
        fake.fail("cuStreamSynchronize", "unknown error")
        raise ZeroDivisionError


def test_what_pycuda_only_writes_when_it_cleans_up_stops_nothing(fake, capsys):
    with cuda.Device() as device, cuda.DeviceMemory(device, 64), cuda.PinnedMemory(device, 64):
        for function in ("cuMemFree", "cuMemFreeHost", "cuDevicePrimaryCtxRelease"):
            fake.fail(function, "unknown error")
    assert capsys.readouterr().err.count("a clean-up operation failed") == 3


def test_a_device_that_was_left_open_is_closed_before_the_process_ends(fake):
    device = cuda.Device()
    with mock.patch("atexit.unregister") as unregister:
        device.close()
    unregister.assert_called_once_with(device._close_late)
    with mock.patch("atexit.register") as register:
        left = cuda.Device()
    (closing,) = register.call_args.args
    closing()
    left.close()
    assert not fake.contexts


def test_a_second_thread_must_enter_the_device(device):
    outcomes = []

    def work():
        try:
            cuda.Stream(device)
        except AfitrtError as error:
            outcomes.append(error.found)
        with device.entered(), cuda.Stream(device) as stream:
            outcomes.append(stream.handle > 0)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert "invalid device context" in outcomes[0]
    assert outcomes[1:] == [True]


# --- memory ---------------------------------------------------------------------------------------------------


def test_memory_is_counted_and_given_back(fake, device):
    with cuda.DeviceMemory(device, MIB) as memory, cuda.PinnedMemory(device, 1000) as host:
        assert memory.address % 512 == 0
        assert host.array.nbytes == 1000
        assert device.free_memory() == 63 * MIB
        assert device.counters == cuda.Counters(MIB, 1000, 2)
        memory.close()
    assert device.counters == cuda.Counters(0, 0, 2)
    assert fake.used() == 0


def test_too_little_memory_tells_what_is_free(device):
    with cuda.DeviceMemory(device, 50 * MIB), pytest.raises(ResourceError, match="cuMemAlloc failed") as caught:
        cuda.DeviceMemory(device, 20 * MIB)
    assert "21 MB on GPU 0 (Fake RTX), where 15 of 67 MB are free" in caught.value.found
    assert device.counters.device_bytes == 0


def test_streams_work_in_order(machine):
    device = machine
    array = np.arange(256, dtype=np.uint8)
    with (
        pinned(device, array) as source,
        cuda.PinnedMemory(device, 256) as target,
        cuda.DeviceMemory(device, 512) as memory,
        cuda.Stream(device) as stream,
    ):
        stream.upload(source.array, memory.address)
        stream.copy(memory.address, memory.address + 256, 256)
        stream.fill(memory.address + 300, 7, 10)
        stream.download(memory.address + 256, target.array)
        stream.synchronize()
        array[44:54] = 7
        np.testing.assert_array_equal(target.array, array)


def test_a_download_needs_a_wait(device):
    with (
        cuda.PinnedMemory(device, 64) as target,
        cuda.DeviceMemory(device, 64) as memory,
        cuda.Stream(device) as stream,
    ):
        stream.fill(memory.address, 3, 64)
        stream.download(memory.address, target.array)
        assert (target.array != 3).all()
        stream.synchronize()
        assert (target.array == 3).all()


@pytest.mark.parametrize("waits", [True, False])
def test_a_stream_sees_anothers_work_only_after_waiting_for_it(device, waits):
    with (
        pinned(device, np.full(64, 9, np.uint8)) as source,
        cuda.PinnedMemory(device, 64) as target,
        cuda.DeviceMemory(device, 64) as memory,
        cuda.Stream(device) as uploads,
        cuda.Stream(device) as downloads,
    ):
        uploads.upload(source.array, memory.address)
        uploaded = uploads.record(cuda.Event(device))
        if waits:
            downloads.wait(uploaded)
        downloads.download(memory.address, target.array)
        done = downloads.record(cuda.Event(device))
        done.synchronize()
        assert (target.array == 9).all() == waits


def test_the_fake_driver_catches_what_a_gpu_would_not(fake, device):
    with cuda.DeviceMemory(device, 64) as memory, cuda.Stream(device) as stream:
        with pytest.raises(Misuse, match="pinned"):
            stream.upload(np.zeros(64, np.uint8), memory.address)
        with pytest.raises(Misuse, match="not in live"):
            stream.fill(memory.address + 1, 0, 64)
        stream.fill(memory.address, 0, 64)
        with pytest.raises(Misuse, match="under way"):
            memory._allocation.free()
        with pytest.raises(Misuse, match="left behind"):
            fake.check_clean()
        stream.synchronize()
    with pytest.raises(Misuse, match="not in live"):
        fake.bytes_at(memory.address, 1)


# --- planned memory -------------------------------------------------------------------------------------------


@pytest.fixture
def stream(device):
    with cuda.Stream(device) as opened:
        yield opened


def test_an_arena_hands_out_what_was_planned_and_nothing_else(device, stream):
    plan = {1000: 2, 5000: 1}
    with cuda.Arena(device, plan) as arena:
        assert arena.capacity == cuda.planned_bytes(plan) == 2 * 1024 + 5120
        small, other, large = arena.take(900, stream), arena.take(1000, stream), arena.take(1000, stream)
        assert (small.nbytes, other.nbytes, large.nbytes) == (1024, 1024, 5120)
        assert (arena.used, arena.peak) == (arena.capacity, arena.capacity)
        with pytest.raises(ResourceError, match="no free block of 1 bytes"):
            arena.take(1, stream)
        arena.give(other, stream)
        with pytest.raises(AfitrtError, match="twice"):
            arena.give(other, stream)
        with pytest.raises(ResourceError, match="2000"):
            arena.take(2000, stream)
        assert arena.take(1, stream) is other
        assert arena.peak == arena.capacity


def test_an_arena_hands_out_the_lowest_of_its_free_blocks(device, stream):
    with cuda.Arena(device, {64: 3}) as arena:
        blocks = [arena.take(64, stream) for _ in range(3)]
        assert blocks == sorted(blocks, key=lambda block: block.address)
        for block in (blocks[0], blocks[2], blocks[1]):
            arena.give(block, stream)
        assert [arena.take(64, stream) for _ in range(3)] == blocks


def test_an_arena_too_large_for_the_card_is_refused(fake, device):
    with pytest.raises(ResourceError, match="out of memory"):
        cuda.Arena(device, {MIB: 65})
    assert fake.used() == 0


@settings(max_examples=30)
@given(
    plan=st.dictionaries(st.integers(1, 5000), st.integers(1, 4), min_size=1, max_size=4),
    steps=st.lists(st.tuples(st.booleans(), st.integers(0, 5000)), max_size=60),
)
def test_blocks_in_use_never_overlap(plan, steps):
    with fake_cuda.installed(FakeCuda(Gpu())) as fake:
        with cuda.Device() as device, cuda.Arena(device, plan) as arena, cuda.Stream(device) as stream:
            held = []
            calls = fake.calls["cuMemAlloc"]
            for takes, number in steps:
                if takes:
                    try:
                        held.append(arena.take(number, stream))
                    except ResourceError:
                        fitting = sum(count for nbytes, count in plan.items() if -(-nbytes // 512) * 512 >= number)
                        assert len(held) >= fitting
                        continue
                    assert held[-1].nbytes >= number
                elif held:
                    arena.give(held.pop(number % len(held)), stream)
                ends = sorted((block.address, block.address + block.nbytes) for block in held)
                assert all(a[1] <= b[0] for a, b in pairwise(ends))
                assert arena.used == sum(block.nbytes for block in held)
            assert fake.calls["cuMemAlloc"] == calls
        fake.check_clean()


def test_a_block_taken_by_another_stream_waits_for_the_work_of_the_last(machine):
    device = machine
    with (
        cuda.Arena(device, {64: 1}) as arena,
        cuda.PinnedMemory(device, 64) as first,
        cuda.PinnedMemory(device, 64) as second,
        cuda.Stream(device) as stream,
        cuda.Stream(device) as other,
    ):
        block = arena.take(64, stream)
        stream.fill(block.address, 1, 64)
        stream.download(block.address, first.array)
        arena.give(block, stream)
        again = arena.take(64, other)
        assert again is block
        other.fill(again.address, 2, 64)
        other.download(again.address, second.array)
        other.synchronize()
        stream.synchronize()
        assert (first.array == 1).all()
        assert (second.array == 2).all()


def test_a_pinned_buffer_is_touched_again_only_after_its_copy(device, stream):
    with cuda.PinnedPool(device, 100, 2) as pool, cuda.DeviceMemory(device, 400) as memory:
        assert pool.free == 2
        with cuda.PinnedMemory(device, 400) as target:
            for number in range(4):
                buffer = pool.take()
                buffer.array[:] = number
                stream.upload(buffer.array, memory.address + 100 * number)
                stream.record(buffer.done)
                pool.give(buffer)
            stream.download(memory.address, target.array)
            stream.synchronize()
            np.testing.assert_array_equal(target.array, np.repeat(np.arange(4), 100))
        held = [pool.take(), pool.take()]
        assert held[0].view((5, 5), np.float32).shape == (5, 5)
        with pytest.raises(ResourceError, match="pinned"):
            pool.take()
        assert device.counters.pinned_bytes == 1024


# --- graphs ---------------------------------------------------------------------------------------------------


@pytest.fixture
def copying(device, stream):
    """Four bytes of device memory, and what queues a fill of the first and a copy of it to the third."""
    with cuda.DeviceMemory(device, 4) as memory, cuda.PinnedMemory(device, 4) as target:

        def queue(byte):
            stream.fill(memory.address, byte, 1)
            stream.copy(memory.address, memory.address + 2, 1)

        def now():
            stream.download(memory.address, target.array)
            stream.synchronize()
            return target.array.tolist()

        stream.fill(memory.address, 0, 4)
        yield queue, now
        stream.synchronize()


def test_a_graph_is_taken_down_and_runs_at_every_launch_only(fake, device, stream, copying):
    queue, now = copying
    with cuda.Graph(device, stream, lambda: queue(7)) as graph:
        assert now() == [0, 0, 0, 0]
        for byte in (7, 7):
            graph.launch(stream)
            assert now() == [byte, 0, byte, 0]
            queue(1)
            assert now() == [1, 0, 1, 0]
        assert (device.counters.graphs, device.counters.captures) == (1, 1)
        assert fake.calls["cuGraphLaunch"] == 2
    assert (device.counters.graphs, device.counters.captures) == (0, 1)
    graph.close()
    assert fake.calls["cuGraphExecDestroy"] == fake.calls["cuGraphDestroy"] == 1


def test_a_graph_works_on_the_addresses_it_was_given(fake, device, stream):
    memory = cuda.DeviceMemory(device, 4)
    with cuda.Graph(device, stream, lambda: stream.fill(memory.address, 1, 4)) as graph:
        memory.close()
        graph.launch(stream)
        with pytest.raises(Misuse, match="not in live"):
            stream.synchronize()


@pytest.mark.parametrize("forbidden", ["allocate", "wait for another stream", "synchronize"])
def test_what_cannot_be_part_of_a_graph_is_refused_and_the_stream_works_on(device, stream, copying, forbidden):
    queue, now = copying
    with cuda.Stream(device) as other:
        mark = other.record(cuda.Event(device))

        def spoil():
            queue(9)
            if forbidden == "allocate":
                cuda.DeviceMemory(device, 64)
            elif forbidden == "synchronize":
                stream.synchronize()
            else:
                stream.wait(mark)

        with pytest.raises(RenderError, match=r"when stream is capturing|uncaptured work in another stream"):
            cuda.Graph(device, stream, spoil)
        queue(3)
        assert now() == [3, 0, 3, 0]
    assert device.counters.graphs == 0


@pytest.mark.parametrize(
    ("function", "status", "kind", "words"),
    [
        ("cuStreamBeginCapture_v2", 900, RenderError, "capturing a graph on GPU 0 .* when stream is capturing"),
        ("cuStreamEndCapture", 901, RenderError, "previous error during capture"),
        ("cuGraphInstantiateWithFlags", 2, ResourceError, "making a graph on GPU 0 .*out of memory"),
        ("cuGraphInstantiateWithFlags", 12345, RenderError, "cuGraphInstantiateWithFlags failed: error 12345"),
    ],
)
def test_a_graph_that_cannot_be_made_has_the_drivers_words(fake, device, stream, function, status, kind, words):
    fake.statuses[function] = status
    with pytest.raises(kind, match=words), cuda.DeviceMemory(device, 4) as memory:
        cuda.Graph(device, stream, lambda: stream.fill(memory.address, 1, 4))
    for each in fake.streams:
        each.capture = None
    assert not fake.graphs and not fake.library.graphs


def test_a_graph_that_cannot_start_says_so(fake, device, stream, copying):
    queue, _ = copying
    with cuda.Graph(device, stream, lambda: queue(7)) as graph:
        fake.statuses["cuGraphLaunch"] = 999
        with pytest.raises(RetryError, match=r"starting a graph on GPU 0 .*cuGraphLaunch failed: unknown error"):
            graph.launch(stream)


def test_an_interruption_inside_leaves_no_capture_behind(device, stream, copying):
    queue, now = copying

    def interrupted():
        queue(7)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cuda.Graph(device, stream, interrupted)
    queue(2)
    assert now() == [2, 0, 2, 0]


def test_the_drivers_library_is_the_one_that_pycuda_loads():
    try:
        library = border.library()
    except MissingToolError as error:
        assert "libcuda" in error.found or "nvcuda" in error.found
        assert error.hint
    else:
        assert library.cuGraphLaunch


def test_events_tell_the_time_of_the_device(fake, device, stream, copying):
    queue, now = copying
    now()
    began, ended = cuda.Event(device, timing=True), cuda.Event(device, timing=True)
    stream.record(began)
    queue(1)
    stream.record(ended)
    assert not ended.done()
    now()
    assert ended.done()
    assert ended.milliseconds_since(began) == 2 * fake.milliseconds["plain"]
    with pytest.raises(RenderError, match="timing on GPU 0"):
        ended.milliseconds_since(stream.record(cuda.Event(device)))


# --- kernels --------------------------------------------------------------------------------------------------


def test_programs_are_compiled_for_the_card_at_hand(fake, device, cubins):
    program = cuda.Program(device, "splat")
    assert cubins == [("splat", "sm_89")]
    assert program.function("splat_link") is program.function("splat_link")
    assert fake.calls["cuModuleGetFunction"] == 1
    with pytest.raises(RenderError, match=r"splat_leap: .*named symbol not found"):
        program.function("splat_leap")


def test_a_cubin_that_the_driver_refuses_asks_for_a_newer_driver(device, monkeypatch):
    monkeypatch.setattr(kernels, "cubin", lambda *_: b"nothing")
    with pytest.raises(ArtefactError, match="kernel image is invalid") as caught:
        cuda.Program(device, "splat")
    assert "driver" in caught.value.hint


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_pictures_travel_there_and_back_on_three_streams(machine, dtype):
    device = machine
    geometry, random = Geometry(32, 16), np.random.default_rng(0)
    frames = [random.integers(0, np.iinfo(dtype).max, (13, 29, 3), dtype, endpoint=True) for _ in range(5)]
    conversion = Conversion(RgbLayout(frames[0].itemsize * 8), 29, 13, geometry)
    tensor_bytes = 3 * 32 * 16 * 4
    results = []
    with (
        cuda.Arena(device, {conversion.nbytes: 4, tensor_bytes: 2}) as arena,
        cuda.PinnedPool(device, conversion.nbytes, 3) as up,
        cuda.PinnedPool(device, conversion.nbytes, len(frames)) as down,
        cuda.Stream(device) as uploads,
        cuda.Stream(device) as compute,
        cuda.Stream(device) as downloads,
    ):
        program, ready = cuda.Program(device, "picture"), cuda.Event(device)
        allocations = device.counters.allocations
        for frame in frames:
            buffer, source = up.take(), arena.take(conversion.nbytes, uploads)
            buffer.view(frame.shape, dtype)[:] = frame
            uploads.upload(buffer.array, source.address)
            uploads.record(buffer.done)
            up.give(buffer)
            compute.wait(buffer.done)
            tensor, target = arena.take(tensor_bytes, compute), arena.take(conversion.nbytes, compute)
            compute.launch(program, conversion.unpack(source.address, tensor.address))
            compute.launch(program, conversion.pack(tensor.address, target.address))
            compute.record(ready)
            arena.give(source, compute)
            arena.give(tensor, compute)
            downloads.wait(ready)
            buffer = down.take()
            downloads.download(target.address, buffer.array)
            downloads.record(buffer.done)
            arena.give(target, downloads)
            results.append(buffer)
        assert device.counters.allocations == allocations
        for frame, buffer in zip(frames, results, strict=True):
            buffer.done.synchronize()
            np.testing.assert_array_equal(buffer.view(frame.shape, dtype), frame)
            wanted = from_planar(to_planar(frame, geometry), 29, 13, dtype)
            np.testing.assert_array_equal(buffer.view(frame.shape, dtype), wanted)


def test_the_splat_stage_runs_on_arena_memory_twice_alike(machine):
    tensors = pair(8, 12)
    stage = Splat(12, 8, "fp32")
    outputs = {"x_a": (3, 8, 12), "x_b": (3, 8, 12), "x1": (128, 8, 12), "x2": (256, 4, 6), "x3": (384, 2, 3)}
    sizes = {name: array.nbytes for name, array in tensors.items()}
    sizes |= {name: 4 * int(np.prod(shape)) for name, shape in outputs.items()}
    sizes |= {"heads": stage.heads_bytes, "landings": stage.landings_bytes}
    plan: dict[int, int] = {}
    for nbytes in sizes.values():
        plan[nbytes] = plan.get(nbytes, 0) + 1
    wanted = reference(tensors)
    with (
        cuda.Arena(machine, plan) as arena,
        cuda.PinnedPool(machine, max(sizes.values()), 1) as pool,
        cuda.Stream(machine) as stream,
    ):
        program = cuda.Program(machine, "splat")
        first: dict[str, bytes] = {}
        at = {name: arena.take(nbytes, stream).address for name, nbytes in sizes.items()}
        for name, array in tensors.items():
            buffer = pool.take()
            buffer.view(array.shape, array.dtype)[:] = array
            stream.upload(buffer.array[: array.nbytes], at[name])
            stream.record(buffer.done)
            pool.give(buffer)
        for _ in range(2):
            stream.fill(at["heads"], 0xFF, stage.heads_bytes)
            for launch in stage.launches(at):
                stream.launch(program, launch)
            for name, shape in outputs.items():
                buffer = pool.take()
                stream.download(at[name], buffer.array[: sizes[name]])
                stream.record(buffer.done).synchronize()
                got = buffer.view(shape, np.float32)
                np.testing.assert_allclose(got, wanted[name], 5e-5, 2e-5, err_msg=name)
                assert first.setdefault(name, got.tobytes()) == got.tobytes()
                pool.give(buffer)


def test_arguments_that_point_nowhere_are_caught(device, cubins, stream):
    program = cuda.Program(device, "picture")
    conversion = Conversion(RgbLayout(), 4, 4, Geometry(4, 4))
    with pytest.raises(Misuse, match="not in live"):
        stream.launch(program, conversion.unpack(4096, 8192))


def test_launches_are_values():
    conversion = Conversion(RgbLayout(), 4, 4, Geometry(4, 4))
    launch = conversion.unpack(1, 2)
    assert isinstance(launch, Launch)
    assert launch.argument["picture"] == 1
