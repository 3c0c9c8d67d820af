"""Where ONNX Runtime works: the CPU, or a GPU through the CUDA provider of the package onnxruntime-gpu."""

from __future__ import annotations

from dataclasses import dataclass

import onnxruntime as ort

from afitrt.errors import MissingToolError

_CUDA = "CUDAExecutionProvider"
INSTALL = "pip uninstall onnxruntime, then pip install 'afitrt[onnx-gpu]'; without --device it runs on the CPU"


@dataclass(frozen=True)
class Place:
    """kind, ordinal: of a device as OrtValue names it. provider: ONNX Runtime's. options: the provider's."""

    kind: str = "cpu"
    ordinal: int = 0
    provider: str = "CPUExecutionProvider"
    options: tuple[tuple[str, str], ...] = ()

    @property
    def providers(self) -> list[tuple[str, dict[str, str]]]:
        """What an InferenceSession takes."""
        return [(self.provider, dict(self.options))]


def cuda(ordinal: int) -> Place:
    """A GPU, by its number. Raises MissingToolError where this ONNX Runtime was built without CUDA."""
    available = ort.get_available_providers()
    if _CUDA not in available:
        listed = ", ".join(each.removesuffix("ExecutionProvider") for each in available)
        raise MissingToolError(
            f"--device {ordinal} with --runtime onnx, and ONNX Runtime {ort.__version__} has no CUDA ({listed})",
            "the package onnxruntime-gpu in the place of onnxruntime",
            INSTALL,
        )
    # FP32 means FP32: TF32 has the mantissa of half.
    options = (("device_id", str(ordinal)), ("use_tf32", "0"), ("arena_extend_strategy", "kSameAsRequested"))
    return Place("cuda", ordinal, _CUDA, options)
