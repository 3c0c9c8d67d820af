"""Which runtime to take, and which GPU architectures to build for, where the user named none."""

from __future__ import annotations

from dataclasses import dataclass

from afitrt.errors import AfitrtError, UsageError
from afitrt.runtimes import cuda
from afitrt.runtimes.tensorrt import FLAVOURS, check_target, installed


@dataclass(frozen=True)
class Gpu:
    """The GPU of this machine, or why there is none to use. target: its architecture, such as "sm_89".

    memory: bytes in all.
    """

    target: str | None
    name: str
    problem: str = ""
    memory: int = 0


def present_gpu(ordinal: int = 0) -> Gpu:
    """What the driver says, through pycuda."""
    try:
        found = cuda.devices()
    except AfitrtError as error:
        return Gpu(None, "", error.found)
    if ordinal >= len(found):
        return Gpu(None, "", f"there is no GPU {ordinal}")
    return Gpu(found[ordinal].target, found[ordinal].name, memory=found[ordinal].memory)


def for_running(ordinal: int = 0) -> str:
    """The best runtime that runs here: TensorRT where a GPU answers that it serves, else onnx."""
    if not installed():
        return "onnx"
    target = present_gpu(ordinal).target
    if target is None:
        return "onnx"
    number = int(target.removeprefix("sm_"))
    return next((flavour.name for flavour in installed() if number >= flavour.least), "onnx")


def for_building(ordinal: int = 0) -> str:
    """The best runtime that can be built for here; TensorRT for RTX builds without a GPU."""
    running = for_running(ordinal)
    if running != "onnx":
        return running
    return next((flavour.name for flavour in installed() if flavour.portable), "onnx")


def targets(runtime: str, wanted: str | None, ordinal: int = 0) -> tuple[str, ...]:
    """Architectures that a TensorRT runtime is to build for; wanted: "sm_86,sm_89", "current", or None for the best.

    Raises UsageError for one that the runtime does not know, MissingToolError where it is not installed.
    """
    flavour, gpu = FLAVOURS[runtime], present_gpu(ordinal)
    names = [name.strip() for name in wanted.split(",")] if wanted else []
    if not names:
        names = [gpu.target] if gpu.target else [*flavour.portable] or ["current"]
    if "current" in names and gpu.target is None:
        raise UsageError(
            f"--target current, and no GPU is here ({gpu.problem})",
            "a GPU that pycuda finds",
            f"--target {','.join(flavour.portable) or 'current on the machine with the GPU'}",
        )
    chosen = tuple(dict.fromkeys(str(gpu.target) if name == "current" else name for name in names))
    for target in chosen:
        check_target(flavour, target, gpu.target)
    return chosen
