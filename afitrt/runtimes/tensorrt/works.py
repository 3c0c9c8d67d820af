"""What the stages of the TensorRT runtime do on the device: engines, and kernels of ours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from afitrt.runtimes import cuda


@dataclass(frozen=True)
class DeviceTensor:
    """A tensor in planned device memory, contiguous."""

    block: cuda.Block
    shape: tuple[int, ...]
    dtype: npt.DTypeLike

    @property
    def nbytes(self) -> int:
        """Bytes that it fills."""
        return int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize
