"""A computer with a GPU and TensorRT on it that is neither: fake driver, fake library, kernels run on the host."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from unittest import mock

import fake_cuda
import fake_tensorrt
import host_kernels
from fake_cuda import FakeCuda, Gpu
from fake_tensorrt import FakeTensorRT

from afitrt.runtimes import kernels


@dataclass
class Machine:
    """What the computer is made of."""

    cuda: FakeCuda
    trt: FakeTensorRT


@contextmanager
def booted(gpu: Gpu, library: str = "tensorrt", capabilities: tuple[str, ...] = ()) -> Iterator[Machine]:
    """The computer, inside the with statement; raises Misuse at its end where something was left on the GPU.

    library: the name that TensorRT's module has there. capabilities: as the flavour for RTX lists them.
    """

    def cubin(program: str, target: str) -> bytes:
        return b"\x7fELF" + " ".join(host_kernels.kernel_names(program)).encode()

    cuda = FakeCuda(gpu)
    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(kernels, "cubin", cubin))
        stack.enter_context(fake_cuda.installed(cuda))
        trt = stack.enter_context(fake_tensorrt.installed(FakeTensorRT(cuda, capabilities), library))
        yield Machine(cuda, trt)
        cuda.check_clean()
