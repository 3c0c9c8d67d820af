"""One contract over every runtime: what afitrt.testing asks of an interpolator, and what only runtimes can break.

Same frames, same pictures as ONNX Runtime in float32 within a tolerance, memory as before, errors alike. Where no GPU
is, TensorRT runs on a fake driver; on a real one the classes of the second half run, else they are skipped, and fail
under AFITRT_REQUIRE_GPU=1.
"""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from fractions import Fraction
from pathlib import Path
from typing import Any
from unittest import mock

import fake_machine
import numpy as np
import onnxruntime
import pytest
from conftest import skip_unless_required
from fake_cuda import Gpu

from afitrt import artefacts, models
from afitrt.errors import ArtefactError, RenderError
from afitrt.frames import Pixels
from afitrt.options import AUTO_SCALE, ModelOptions
from afitrt.runtimes import choosing, onnx
from afitrt.runtimes.onnx import shared
from afitrt.runtimes.tensorrt import FLAVOURS
from afitrt.testing import InterpolatorContract

HALF = Fraction(1, 2)
TOLERANCE = {
    "blend": 0.0,
    "onnx": 0.0,
    "onnx with ncnn": 3e-5,
    "onnx bound": 1e-6,
    "onnx cuda fp32": 1e-4,
    "onnx cuda fp16": 1.8e-3,
    "tensorrt fp32": 1e-4,
    "tensorrt fp16": 1.8e-3,
}
"""Root mean square of the difference from ONNX Runtime in float32 on the CPU, pictures in 0..1; 1.8e-3 is 55 dB."""
SLACK = 64 << 10
"""Bytes of Python's own that come and go."""


@pytest.fixture(scope="module")
def home(weights_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published weights, and a shelf for what is made of them here."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "weights").symlink_to(weights_home / "weights", target_is_directory=True)
    return folder


@pytest.fixture(scope="module")
def expected() -> dict[str, Pixels]:
    """What ONNX Runtime on the CPU makes of the contract's first pair, by model and size; filled as it is needed."""
    return {}


def without_ncnn() -> AbstractContextManager[Any]:
    """What is made inside is ONNX Runtime's alone."""
    return mock.patch.object(shared, "version", lambda: None)


class Conformance(InterpolatorContract):
    """machine: whatever must be there while an interpolator lives. alike: its row of TOLERANCE."""

    model = "gmfss"
    width, height = 61, 50
    alike: str

    def machine(self) -> AbstractContextManager[Any]:
        return nullcontext()

    def held(self, interpolator: Any) -> int:
        """Bytes of tensors; on the CPU of everything that Python and numpy hold."""
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    def failing(self, monkeypatch: pytest.MonkeyPatch, interpolator: Any) -> None:
        """The next run of a stage fails."""
        stage = interpolator._stages["fuse"]

        def fail(given: object) -> None:
            raise RuntimeError("no kernel image")

        monkeypatch.setattr(stage._runners[-1], "run", fail)

    @pytest.fixture(autouse=True)
    def placed(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        monkeypatch.setenv("AFITRT_HOME", str(home))
        with self.machine():
            yield

    def pair(self, interpolator: Any) -> Pixels:
        pictures = [interpolator.upload(frame) for frame in self.frames(2)]
        pictures += interpolator.between(*pictures, [HALF])
        found = interpolator.download(pictures[2]).copy()
        for picture in pictures:
            interpolator.release(picture)
        return found

    def test_pictures_are_those_of_onnx(self, expected: dict[str, Pixels]) -> None:
        with self.made() as interpolator:
            found = self.pair(interpolator)
        scale = self.options.get("scale", AUTO_SCALE)
        wanted = f"{self.model} {self.width}x{self.height} {scale}"
        if wanted not in expected:
            options = ModelOptions(model=self.model, threads=2, scale=scale)
            with without_ncnn():
                reference = models.make(options, self.width, self.height, np.float32, lambda _: None)
                expected[wanted] = self.pair(reference)
                reference.close()
        assert np.ptp(found) > 0.3
        assert float(np.sqrt(np.mean((found - expected[wanted]) ** 2))) <= TOLERANCE[self.alike]

    def test_memory_is_as_before_after_pairs_and_after_failures(self, monkeypatch: pytest.MonkeyPatch) -> None:
        tracemalloc.start()
        try:
            with self.made(np.uint8) as interpolator:
                for _ in range(2):
                    self.pair(interpolator)
                before = self.held(interpolator)
                for _ in range(3):
                    self.pair(interpolator)
                assert abs(self.held(interpolator) - before) <= SLACK
                if self.model == "blend":
                    return
                with monkeypatch.context() as patch:
                    self.failing(patch, interpolator)
                    pictures = [interpolator.upload(frame) for frame in self.frames(2)]
                    with pytest.raises(RenderError, match="stage fuse"):
                        interpolator.between(*pictures, [HALF])
                for picture in pictures:
                    interpolator.release(picture)
                del pictures
                assert abs(self.held(interpolator) - before) <= SLACK
                self.pair(interpolator)
        finally:
            tracemalloc.stop()

    def test_a_damaged_stage_is_found_before_it_is_loaded(self) -> None:
        with self.made() as interpolator:
            self.pair(interpolator)
        made = [each.with_suffix("") for each in artefacts.stored() if each.name.startswith(f"{self.model}-fuse")]
        whole = {path: path.read_bytes() for path in made}
        for path, data in whole.items():
            path.write_bytes(data[:-1])
        try:
            with pytest.raises(ArtefactError, match="is damaged"), self.made():
                pass
        finally:
            for path, data in whole.items():
                path.write_bytes(data)


# --- without a GPU ----------------------------------------------------------------------------------------------


class TestBlend(Conformance):
    model, alike = "blend", "blend"
    test_a_damaged_stage_is_found_before_it_is_loaded = None  # type: ignore[assignment]  # It has no stages.


@pytest.mark.weights
class TestOnnx(Conformance):
    alike = "onnx with ncnn"


@pytest.mark.weights
class TestOnnxAlone(Conformance):
    """Where ncnn is not installed."""

    alike = "onnx"

    def machine(self) -> AbstractContextManager[Any]:
        return without_ncnn()


@pytest.mark.weights
class TestOnnxBound(Conformance):
    """What ONNX Runtime's CUDA provider runs through, on the CPU provider."""

    options = {"threads": 2, "device": 0}  # noqa: RUF012
    alike = "onnx bound"

    @contextmanager
    def machine(self) -> Iterator[None]:
        with mock.patch.object(onnx, "cuda", lambda ordinal: onnx.Place()):
            yield

    def held(self, interpolator: Any) -> int:
        return int(interpolator._runtime.held)

    def failing(self, monkeypatch: pytest.MonkeyPatch, interpolator: Any) -> None:
        class Session:
            def io_binding(self) -> None:
                raise RuntimeError("no kernel image")

        monkeypatch.setattr(interpolator._stages["fuse"], "_session", Session())


class OnTensorRt(Conformance):
    def held(self, interpolator: Any) -> int:
        runtime = interpolator._runtime
        return int(runtime._arena.used) - 4096 * runtime._pool.free

    def failing(self, monkeypatch: pytest.MonkeyPatch, interpolator: Any) -> None:
        engine = interpolator._stages["fuse"].work.engine
        monkeypatch.setattr(engine, "_context", mock.Mock(execute_async_v3=lambda stream: False))


@pytest.mark.weights
class TestTensorRtFp32OnTheFake(OnTensorRt):
    options = {"runtime": "tensorrt", "precision": "fp32"}  # noqa: RUF012
    alike = "tensorrt fp32"

    def machine(self) -> AbstractContextManager[Any]:
        return fake_machine.booted(Gpu(memory=1 << 30))


@pytest.mark.weights
class TestTensorRtRtxFp16OnTheFake(OnTensorRt):
    # At scale 2 a picture this small differs by more than the contract's two codes in half precision.
    options = {"runtime": "tensorrt-rtx", "precision": "fp16", "scale": 1.0}  # noqa: RUF012
    alike = "tensorrt fp16"

    def machine(self) -> AbstractContextManager[Any]:
        return fake_machine.booted(Gpu(memory=1 << 30), "tensorrt_rtx", ("SM86", "SM89", "SM120"))


# --- on a GPU ---------------------------------------------------------------------------------------------------


class OnGpu(Conformance):
    """Its bits may differ from run to run by what the library's kernels leave open."""

    width, height = 448, 256
    exact = False

    @pytest.fixture(autouse=True)
    def gpu(self) -> None:
        if problem := self.missing():
            skip_unless_required("AFITRT_REQUIRE_GPU", problem)

    def missing(self) -> str:
        """Why it cannot run here; empty where it can."""
        flavour = FLAVOURS[str(self.options["runtime"])]
        if flavour.module_name is None:
            return f"{flavour.name} is not installed"
        return choosing.present_gpu().problem


@pytest.mark.weights
@pytest.mark.gpu
class TestOnnxCudaOnAGpu(OnGpu):
    options = {"device": 0}  # noqa: RUF012
    alike = "onnx cuda fp32"

    def missing(self) -> str:
        cuda = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
        return "" if cuda else "ONNX Runtime has no CUDA provider"

    held, failing = TestOnnxBound.held, TestOnnxBound.failing


@pytest.mark.weights
@pytest.mark.gpu
class TestOnnxCudaFp16OnAGpu(TestOnnxCudaOnAGpu):
    options = {"device": 0, "precision": "fp16"}  # noqa: RUF012
    alike = "onnx cuda fp16"


@pytest.mark.weights
@pytest.mark.gpu
class TestTensorRtOnAGpu(OnGpu, OnTensorRt):
    options = {"runtime": "tensorrt", "precision": "fp16"}  # noqa: RUF012
    alike = "tensorrt fp16"


@pytest.mark.weights
@pytest.mark.gpu
class TestTensorRtRtxOnAGpu(OnGpu, OnTensorRt):
    options = {"runtime": "tensorrt-rtx", "precision": "fp16"}  # noqa: RUF012
    alike = "tensorrt fp16"


@pytest.mark.weights
@pytest.mark.gpu
class TestTensorRtRtxFp32OnAGpu(OnGpu, OnTensorRt):
    options = {"runtime": "tensorrt-rtx", "precision": "fp32"}  # noqa: RUF012
    alike = "tensorrt fp32"
