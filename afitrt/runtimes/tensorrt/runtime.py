"""TensorRT on a GPU, either flavour: tensors stay on the device from the decoder's picture to the encoder's.

Three streams: pictures come up, stages run, finished pictures go down. Streams wait for each other by events, the
host only for a picture that is to be handed out. Device memory is planned once, after the last stage is loaded.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from afitrt import artefacts
from afitrt.errors import AfitrtError, ResourceError
from afitrt.frames import Geometry, Pixels, from_planar, to_planar
from afitrt.options import ModelOptions
from afitrt.runtimes import cuda
from afitrt.runtimes.kernels import Conversion, RgbLayout
from afitrt.runtimes.protocol import DeviceUse
from afitrt.runtimes.tensorrt import memory
from afitrt.runtimes.tensorrt.engine import Engine
from afitrt.runtimes.tensorrt.engines import KERNEL_STAGES, ensure_engine
from afitrt.runtimes.tensorrt.flavours import FLAVOURS, check_target
from afitrt.runtimes.tensorrt.replay import Replay
from afitrt.runtimes.tensorrt.work import DeviceTensor, EngineWork, SplatWork, Work
from afitrt.yuv import Yuv420

PINNED, SPARE = 6, 2
"""Pinned buffers, each of a padded picture, and how many of them are kept for the way up."""


class TensorRtStage:
    """See Stage. Results lie in planned memory until they are released."""

    def __init__(self, name: str, runtime: TensorRtRuntime, work: Work) -> None:
        self._name, self._runtime, self.work = name, runtime, work
        self.inputs = tuple(slot.name for slot in work.inputs)

    def __call__(self, **tensors: DeviceTensor) -> dict[str, DeviceTensor]:
        """See Stage. Raises RenderError that names the stage, RetryError where the GPU is lost."""
        for slot in self.work.inputs:
            given = tensors[slot.name]
            if given.shape != slot.shape or np.dtype(given.dtype) != np.dtype(slot.dtype):
                raise AfitrtError(
                    f"stage {self._name} was given {slot.name} as {np.dtype(given.dtype)} {list(given.shape)}",
                    f"{np.dtype(slot.dtype)} {list(slot.shape)}",
                    "report this",
                )
        return self._runtime.run(self._name, self.work, tensors)


class TensorRtRuntime:
    """See Runtime. width, height: of the pictures as decoded. live: pictures alive at once. yuv: what pictures come
    and go as, where they are no RGB: then they travel at half its bytes.

    Raises MissingToolError without the library, pycuda or a GPU, UsageError for a GPU that the library does not
    serve, ResourceError where the GPU's memory cannot hold the plan.
    """

    def __init__(
        self,
        options: ModelOptions,
        width: int,
        height: int,
        live: memory.Live,
        say: Callable[[str], None],
        yuv: Yuv420 | None = None,
    ) -> None:
        self._options, self._live, self._say, self._yuv = options, live, say, yuv
        self._width, self._height = width, height
        self._flavour = FLAVOURS[options.runtime]
        self._flavour.load()
        self._stages: dict[str, TensorRtStage] = {}
        self._replays: dict[str, Replay] = {}
        self._arena: cuda.Arena | None = None
        self._scratch: list[cuda.Block] = []
        self._device = cuda.Device(options.gpu)
        try:
            check_target(self._flavour, self._device.info.target, self._device.info.target)
            self._free = self._device.free_memory()
            self._up, self._compute, self._down = (cuda.Stream(self._device) for _ in range(3))
            self._computed = cuda.Event(self._device)
            self._pictures = cuda.Program(self._device, "picture")
        except BaseException:
            self._device.close()
            raise

    def stage(self, name: str, geometry: Geometry) -> TensorRtStage:
        """See Runtime. All stages are asked for before the first tensor is. Raises ArtefactError."""
        options, target = self._options, self._device.info.target
        said: set[str] = set()

        def advance(stage: str, share: float) -> None:
            if share < 1 and stage not in said:
                said.add(stage)
                self._say(f"building {stage} of {options.model} for {geometry}, {target}")

        path = ensure_engine(
            options.runtime, options.model, name, geometry, options.weights, options.precision, target, advance
        )
        self._geometry = geometry
        work: Work
        if name in KERNEL_STAGES:
            work = SplatWork(self._device, path, geometry, options.precision)
        else:
            told = artefacts.read_sidecar(path)["about"].get("weight_bytes")
            work = EngineWork(Engine(self._flavour, name, path), told or 0)
        self._stages[name] = TensorRtStage(name, self, work)
        self._replays[name] = Replay(self._device, name, partial(work.capturable, self._compute), self._say)
        return self._stages[name]

    def reserve(self) -> memory.DevicePlan:
        """Takes all device and pinned memory that the loaded stages need; the plan by which it did.

        It happens by itself before the first tensor. Raises ResourceError that names what would fit.
        """
        works = [stage.work for stage in self._stages.values()]
        scratch = max((work.scratch for work in works), default=0)
        weights = sum(work.weights for work in works)
        packed = self._conversion(np.dtype(np.uint16), self._yuv).nbytes
        staging = (packed, packed, packed)
        options = self._options
        plan = memory.plan(options.model, self._geometry, options.precision, self._live, weights, scratch, staging)
        try:
            arena = cuda.Arena(self._device, plan.blocks)
        except ResourceError as error:
            scratches = {name: stage.work.scratch for name, stage in self._stages.items()}
            raise memory.too_large(plan, self._free, self._geometry, self._live, scratches) from error
        self._arena = arena
        self._pool = cuda.PinnedPool(self._device, plan.picture, PINNED)
        if scratch:
            self._scratch.append(arena.take(scratch, self._compute))
        for work in works:
            if isinstance(work, EngineWork):
                work.engine.prepare(self._scratch[0].address, scratch)
            elif isinstance(work, SplatWork):
                for name, nbytes in work.lists_bytes.items():
                    self._scratch.append(arena.take(nbytes, self._compute))
                    work.lists[name] = self._scratch[-1].address
        # Weights and what TensorRT runs in are its own allocations; the driver alone can tell them.
        self._others = max(0, self._free - self._device.free_memory() - arena.capacity)
        self._planned = plan.total
        return plan

    def device_use(self) -> DeviceUse:
        """See Runtime."""
        peak = self._memory().peak + self._others + sum(replay.nbytes for replay in self._replays.values())
        launching = {name: replay.found for name, replay in self._replays.items()}
        return DeviceUse(str(self._device), self._planned, peak, launching)

    def run(self, name: str, work: Work, tensors: dict[str, DeviceTensor]) -> dict[str, DeviceTensor]:
        """Queues a stage on the compute stream; its results, which are the caller's."""
        arena = self._memory()
        made = {
            slot.name: DeviceTensor(arena.take(slot.nbytes, self._compute), slot.shape, slot.dtype)
            for slot in work.outputs
        }
        known = {slot.name: tensors[slot.name] for slot in work.inputs} | made
        addresses = {each: tensor.block.address for each, tensor in known.items()}
        queue = partial(work.enqueue, addresses, self._compute)
        try:
            self._replays[name].run(tuple(addresses.values()), queue, self._compute)
        except AfitrtError as error:
            for tensor in made.values():
                with suppress(AfitrtError):
                    self.release(tensor)
            if name not in error.found:
                error.found = f"stage {name}: {error.found}"
            raise
        return made

    def to_device(self, array: npt.NDArray[np.float32]) -> DeviceTensor:
        """See Runtime. The array may be changed as soon as this returns."""
        tensor = DeviceTensor(self._memory().take(array.nbytes, self._compute), array.shape, array.dtype)
        self._send(array, tensor.block, self._compute)
        return tensor

    def upload(self, frame: Pixels, geometry: Geometry, yuv: Yuv420 | None = None) -> DeviceTensor:
        """See Runtime. Integers travel as they are decoded; the device pads and converts them.

        It does so between stages: a tensor's place may still be read by what is computed, a copy's is free long before.
        """
        if frame.dtype == np.float32:
            return self.to_device(to_planar(frame, geometry))
        arena, conversion = self._memory(), self._conversion(frame.dtype, yuv)
        packed = arena.take(conversion.nbytes, self._up)
        shape = (1, 3, geometry.height, geometry.width)
        tensor = DeviceTensor(arena.take(12 * geometry.height * geometry.width, self._compute), shape, np.float32)
        self._send(frame, packed, self._up)
        self._compute.launch(self._pictures, conversion.unpack(packed.address, tensor.block.address))
        arena.give(packed, self._compute)
        return tensor

    def _send(self, array: npt.NDArray[Any], block: cuda.Block, stream: cuda.Stream) -> None:
        """Copies an array to a block, and lets what is computed from now on wait for that."""
        buffer = self._pool.take()
        view = buffer.view(array.shape, array.dtype)
        np.copyto(view, array)
        stream.upload(view, block.address)
        stream.record(buffer.done)
        if stream is not self._compute:
            self._compute.wait(buffer.done)
        self._pool.give(buffer)

    def to_host(self, tensor: DeviceTensor) -> npt.NDArray[np.float32]:
        """See Runtime. Waits for what makes the tensor."""
        return self._receive(tensor.block.address, tensor.shape, tensor.dtype)().astype(np.float32)

    def download(
        self, tensor: DeviceTensor, width: int, height: int, dtype: npt.DTypeLike, yuv: Yuv420 | None = None
    ) -> Pixels:
        """See Runtime. The device crops and rounds; only finished pictures of whole numbers come down."""
        return self._begun(tensor, (width, height), dtype, yuv)()

    def begin_download(
        self, tensor: DeviceTensor, width: int, height: int, dtype: npt.DTypeLike, yuv: Yuv420 | None = None
    ) -> Callable[[], Pixels]:
        """See OverlappingRuntime. Waits at once where buffers run short."""
        begun = self._begun(tensor, (width, height), dtype, yuv)
        if self._pool.free > SPARE:
            return begun
        pixels = begun()
        return lambda: pixels

    def _begun(
        self, tensor: DeviceTensor, size: tuple[int, int], dtype: npt.DTypeLike, yuv: Yuv420 | None
    ) -> Callable[[], Pixels]:
        if np.dtype(dtype) == np.float32:
            received = self._receive(tensor.block.address, tensor.shape, tensor.dtype)
            return lambda: from_planar(received(), *size, dtype)
        arena, conversion = self._memory(), self._conversion(np.dtype(dtype), yuv)
        packed = arena.take(conversion.nbytes, self._compute)
        self._compute.launch(self._pictures, conversion.pack(tensor.block.address, packed.address))
        shape = yuv.shape if yuv else (size[1], size[0], 3)
        pixels = self._receive(packed.address, shape, yuv.layout.dtype if yuv else dtype)
        arena.give(packed, self._down)
        return pixels

    def _receive(self, address: int, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Callable[[], npt.NDArray[Any]]:
        """Queues a copy to the host, after what is computed so far; the result waits for it, once."""
        buffer = self._pool.take()
        view = buffer.view(shape, dtype)
        self._down.wait(self._compute.record(self._computed))
        self._down.download(address, view)
        self._down.record(buffer.done)

        def received() -> npt.NDArray[Any]:
            buffer.done.synchronize()
            copy = view.copy()
            self._pool.give(buffer)
            return copy

        return received

    def release(self, tensor: DeviceTensor) -> None:
        """See Runtime. Work that was queued before still reads it."""
        self._memory().give(tensor.block, self._compute)

    def close(self) -> None:
        """See Runtime."""
        for stream in (self._up, self._compute, self._down):
            with suppress(AfitrtError):
                stream.close()
        for replay in self._replays.values():
            replay.close()
        for stage in self._stages.values():
            if isinstance(stage.work, EngineWork):
                stage.work.engine.close()
        self._stages.clear()
        held = [self._device] if self._arena is None else [self._pool, self._arena, self._device]
        self._arena = None
        for each in held:
            # A GPU that is lost takes its memory along; what was said of it before tells more.
            with suppress(AfitrtError):
                each.close()

    def _memory(self) -> cuda.Arena:
        if self._arena is None:
            self.reserve()
        assert self._arena is not None
        return self._arena

    def _conversion(self, dtype: np.dtype[Any], yuv: Yuv420 | None) -> Conversion:
        layout = yuv.layout if yuv else RgbLayout(8 if dtype == np.uint8 else 16)
        return Conversion(layout, self._width, self._height, self._geometry)
