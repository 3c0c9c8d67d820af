"""The border to pycuda: the only file that imports it. Every error leaves as one of ours, with the driver's words."""

from __future__ import annotations

import ctypes
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from afitrt.errors import (
    AfitrtError,
    ArtefactError,
    MissingToolError,
    RenderError,
    ResourceError,
    RetryError,
)

# (words of the driver, what it means, what would have been right, what to do)
_CAUSES: tuple[tuple[tuple[str, ...], type[AfitrtError], str, str], ...] = (
    (
        ("out of memory",),
        ResourceError,
        "enough free GPU memory",
        "close other programs on the GPU, or choose a smaller size or --scale 0.5",
    ),
    (
        ("no CUDA-capable device", "stub library", "libcuda", "nvcuda"),
        MissingToolError,
        "an NVIDIA GPU and its driver",
        "install the NVIDIA driver, see afitrt doctor; --runtime onnx needs none",
    ),
    (
        ("driver version is insufficient", "display driver", "forward compatibility"),
        MissingToolError,
        "a driver as new as the CUDA libraries that are installed here",
        "update the NVIDIA driver, see afitrt doctor; --runtime onnx needs none",
    ),
    (
        ("unknown error", "busy or unavailable", "uncorrectable ECC", "timed out", "hardware stack error"),
        RetryError,
        "a GPU that answers until the job is done",
        "run the same command again, once nvidia-smi shows the GPU",
    ),
    (
        ("no kernel image", "kernel image is invalid", "unsupported toolchain"),
        ArtefactError,
        "a driver that runs the kernels that this NVRTC compiles",
        "update the NVIDIA driver, or pip install nvidia-cuda-nvrtc-cu12 alone for a driver of CUDA 12",
    ),
)


def _translation(doing: str, error: Exception) -> AfitrtError:
    words = str(error)
    for signs, kind, expected, hint in _CAUSES:
        if any(sign in words for sign in signs):
            return kind(f"{doing}: {words}", expected, hint)
    return RenderError(f"{doing}: {words}", "a CUDA call that succeeds", "report this, with what afitrt doctor prints")


def _driver() -> Any:
    try:
        import pycuda.driver
    except ImportError as error:
        if "libcuda" in str(error) or "nvcuda" in str(error):
            raise _translation("loading the NVIDIA driver", error) from error
        raise MissingToolError(
            f"pycuda cannot be imported ({error})",
            "pycuda, built against the headers of a CUDA toolkit",
            "pip install 'afitrt[gpu]', see docs/how-to/gpu.md",
        ) from error
    return pycuda.driver


@contextmanager
def calling(doing: str) -> Iterator[Any]:
    """Yields the module pycuda.driver; its errors inside are translated. doing: what is tried, for the message."""
    driver = _driver()
    try:
        yield driver
    except driver.Error as error:
        raise _translation(doing, error) from error


_HANDLE, _OUT = ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p)
_ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "cuCtxPopCurrent_v2": (_OUT,),
    "cuStreamBeginCapture_v2": (_HANDLE, ctypes.c_int),
    "cuStreamEndCapture": (_HANDLE, _OUT),
    "cuGraphInstantiateWithFlags": (_OUT, _HANDLE, ctypes.c_ulonglong),
    "cuGraphLaunch": (_HANDLE, _HANDLE),
    "cuGraphExecDestroy": (_HANDLE,),
    "cuGraphDestroy": (_HANDLE,),
    "cuGetErrorString": (ctypes.c_int, ctypes.POINTER(ctypes.c_char_p)),
}
"""What is called without pycuda, by cuda.h of CUDA 13; none of it has changed since CUDA 11.4."""


def library() -> Any:
    """The driver's own library, which pycuda has loaded. Raises MissingToolError."""
    try:
        return ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
    except OSError as error:
        raise _translation("loading the NVIDIA driver", error) from error


def call(pycuda: Any, name: str, *arguments: Any) -> None:
    """Calls a function that pycuda does not have; a failure is raised as pycuda raises its own."""
    if status := _function(name)(*arguments):
        words = ctypes.c_char_p()
        _function("cuGetErrorString")(status, ctypes.byref(words))
        raise pycuda.LogicError(f"{name} failed: {(words.value or b'error %d' % status).decode()}")


def _function(name: str) -> Any:
    function = getattr(library(), name)
    function.argtypes, function.restype = _ARGUMENTS[name], ctypes.c_int
    return function


@dataclass(frozen=True)
class DeviceInfo:
    """Facts of a GPU. target: its architecture, such as "sm_89". memory: bytes in all."""

    ordinal: int
    name: str
    target: str
    memory: int


def driver_version() -> str:
    """The CUDA version that the driver serves, such as "13.0". Raises MissingToolError without pycuda or driver."""
    with calling("asking the driver for its version") as driver:
        driver.init()
        version = driver.get_driver_version()
    return f"{version // 1000}.{version % 1000 // 10}"


def devices() -> list[DeviceInfo]:
    """The GPUs that the driver shows, at least one. Raises MissingToolError where there is none."""
    with calling("listing the GPUs") as driver:
        driver.init()
        found = [_info(driver, ordinal) for ordinal in range(driver.Device.count())]
    if not found:
        raise _translation("listing the GPUs", LookupError("no CUDA-capable device is detected"))
    return found


def _info(driver: Any, ordinal: int) -> DeviceInfo:
    device = driver.Device(ordinal)
    major, minor = device.compute_capability()
    return DeviceInfo(ordinal, device.name(), f"sm_{major}{minor}", device.total_memory())


class Closing(ABC):
    """Usable in a with statement that closes it; closing twice does no harm."""

    @abstractmethod
    def close(self) -> None:
        """Gives back what is held."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except AfitrtError:
            # After a failure inside, closing often fails too, and the first tells more.
            if error is None:
                raise
