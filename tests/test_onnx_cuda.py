"""ONNX Runtime's CUDA provider behind the runtime room: who chooses it, and what is said where it cannot work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx as onnx_files
import onnxruntime
import pytest
from command import afitrt
from onnx import TensorProto
from video_helpers import pattern

from afitrt import models
from afitrt.errors import AfitrtError, ArtefactError, MissingToolError, ResourceError, UsageError
from afitrt.frames import Geometry
from afitrt.options import ModelOptions
from afitrt.runtimes import onnx
from afitrt.runtimes.onnx import sessions

CUDA = "CUDAExecutionProvider"


def ignore(_: str) -> None:
    """Nobody listens."""


@pytest.fixture
def no_cuda() -> None:
    if CUDA in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")


@pytest.fixture
def built_with_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, "CPUExecutionProvider"])


def test_the_cpu_is_the_default_and_a_device_is_asked_for() -> None:
    assert ModelOptions().on_cpu and not ModelOptions(device=0).on_cpu
    assert not ModelOptions(runtime="tensorrt-rtx").on_cpu and ModelOptions(runtime="tensorrt-rtx").gpu == 0
    on_gpu = models.memory(ModelOptions(device=0), 1920, 1080)
    assert on_gpu.stages < models.memory(ModelOptions(), 1920, 1080).stages and on_gpu.picture == 0


def test_without_the_provider_the_message_says_what_to_install(no_cuda: None) -> None:
    with pytest.raises(MissingToolError, match=r"--device 2 with --runtime onnx.*has no CUDA \(.*CPU") as caught:
        onnx.cuda(2)
    assert "onnxruntime-gpu" in caught.value.expected and "afitrt[onnx-gpu]" in caught.value.hint


@pytest.mark.weights
@pytest.mark.usefixtures("weights_home")
def test_the_command_line_says_it_too_and_leaves_nothing(no_cuda: None, tmp_path: Path) -> None:
    source = pattern(tmp_path / "in.mkv", seconds=0.2)
    ran = afitrt("interpolate", source, "--runtime", "onnx", "--device", "0")
    assert ran.code == 5 and "expected:" in ran.err and "afitrt[onnx-gpu]" in ran.err, ran.err
    assert [path.name for path in tmp_path.iterdir()] == ["in.mkv"]


def test_the_provider_is_told_which_gpu_and_that_fp32_is_fp32(built_with_cuda: None) -> None:
    place = onnx.cuda(3)
    ((provider, options),) = place.providers
    assert (provider, options["device_id"], options["use_tf32"]) == (CUDA, "3", "0")
    assert (place.kind, place.ordinal) == ("cuda", 3)


@pytest.mark.parametrize(
    ("words", "kind", "told"),
    [
        ("CUDA failure 101: invalid device ordinal ; GPU=3", UsageError, "--device 3"),
        ("BFCArena: Failed to allocate memory for requested buffer of size 4096", ResourceError, "GPU 3"),
        ("CUDA failure 2: out of memory ; GPU=3", ResourceError, "GPU 3"),
        ("CUDA failure 100: no CUDA-capable device is detected", MissingToolError, "cannot be loaded"),
        ("Failed to load library libcudnn.so.9: cannot open shared object file", MissingToolError, "libcudnn.so.9"),
        ("[ONNXRuntimeError] : 7 : INVALID_PROTOBUF", ArtefactError, "INVALID_PROTOBUF"),
    ],
)
def test_each_refusal_has_its_kind_and_keeps_the_words(
    built_with_cuda: None, monkeypatch: pytest.MonkeyPatch, words: str, kind: type[AfitrtError], told: str
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError(f"{words}\nfurther lines")

    monkeypatch.setattr(onnxruntime, "InferenceSession", refuse)
    with pytest.raises(kind, match=told) as caught:
        sessions.load(Path("fuse.onnx"), "fuse", ModelOptions(device=3), onnx.cuda(3))
    assert caught.value.hint and "further" not in caught.value.found


def test_a_provider_that_steps_aside_in_silence_is_noticed(
    built_with_cuda: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Session:
        def __init__(self, *_: Any, **__: Any) -> None: ...

        def get_providers(self) -> list[str]:
            return ["CPUExecutionProvider"]

    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    with pytest.raises(MissingToolError, match="CUDA provider cannot be loaded") as caught:
        sessions.load(Path("fuse.onnx"), "fuse", ModelOptions(device=0), onnx.cuda(0))
    assert "cuDNN" in caught.value.expected


def test_a_tensor_is_released_once() -> None:
    runtime = onnx.BoundRuntime(ModelOptions(device=0), onnx.Place(), ignore)
    tensor = runtime.to_device(np.zeros((1, 3, 2, 2), np.float32))
    assert runtime.held == 48
    runtime.release(tensor)
    assert runtime.held == 0
    with pytest.raises(AfitrtError, match="released twice"):
        runtime.release(tensor)


@pytest.mark.weights
@pytest.mark.usefixtures("weights_home")
def test_a_gpu_computes_in_half_what_a_cpu_emulates() -> None:
    geometry = Geometry(64, 64)
    casts, values = {}, {}
    for device in (None, 0):
        path = sessions.prepare(ModelOptions(precision="fp16", device=device), "encode", geometry, ignore)
        model = onnx_files.load(path)
        casts[device] = sum(node.op_type == "Cast" for node in model.graph.node)
        values[device] = {each.name: each.type.tensor_type.elem_type for each in model.graph.output}
    assert values[None] == values[0] and TensorProto.FLOAT16 in values[0].values()
    assert casts[None] > 3 * casts[0], "emulating rounds after every half node"
    assert sessions.prepare(ModelOptions(device=0), "encode", geometry, ignore) == sessions.prepare(
        ModelOptions(), "encode", geometry, ignore
    )
