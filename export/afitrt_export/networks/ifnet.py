"""IFNet: a first guess of the picture in between, straight from the two half pictures."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import Size, resize, sample

FACTORS = (8, 4, 2, 1)
WIDTHS = (192, 128, 96, 64)
USED = 20
"""Outputs of a block's last convolution that are read: 2x2 pixels of two flows and a mask; the rest is unused."""


def factors(scale: float) -> tuple[float, ...]:
    """How many times smaller than the picture each block sees it; ints where whole, which no graph has to cast."""
    return tuple(int(factor / scale) if factor >= scale else factor / scale for factor in FACTORS)


def shrunk(size: Size, factor: float) -> Size:
    """(h, w) divided by `factor`, a power of two from 0.5 on; whole numbers throughout, symbolic ones too."""
    height, width = size
    if factor < 1:
        return height * int(1 / factor), width * int(1 / factor)
    return height // int(factor), width // int(factor)


def shrink(image: Tensor, factor: float, size: Size) -> Tensor:
    """`image` of `size` = (h, w) resized to 1 / factor of it."""
    return image if factor == 1 else resize(image, shrunk(size, factor))


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, 1, 1)
        self.beta = nn.Parameter(torch.ones(1, width, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        # conv(x) * beta as one convolution: beta goes into its weights, where a graph can fold it.
        beta = self.beta.flatten()
        scaled = F.conv2d(x, self.conv.weight * beta[:, None, None, None], self.conv.bias * beta, padding=1)
        return F.leaky_relu(scaled + x, 0.2)


def _half_conv(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, 2, 1), nn.LeakyReLU(0.2))


class Block(nn.Module):
    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.conv0 = nn.Sequential(_half_conv(inputs, width // 2), _half_conv(width // 2, width))
        self.convblock = nn.Sequential(*(_Residual(width) for _ in range(8)))
        self.lastconv = nn.Sequential(nn.ConvTranspose2d(width, 24, 4, 2, 1))

    def forward(self, x: Tensor) -> Tensor:
        """[1, inputs, h, w] to [1, 5, h, w]: two flows and a mask."""
        x = self.convblock(self.conv0(x))
        last = self.lastconv[0]
        x = F.conv_transpose2d(x, last.weight[:, :USED], last.bias[:USED], stride=2, padding=1)
        return F.pixel_shuffle(x, 2)


class IFNet(nn.Module):
    """Coarse to fine flows from time t to both pictures, and the blend of the two pictures read by them.

    forward(image0, image1, t): pictures [1, 3, h, w], RGB 0..1, h and w multiples of 32 / scale; t [1, 1, 1, 1]
    in 0..1. Returns the merged picture [1, 3, h, w], 0..1.
    scale: 0.25, 0.5, 1 or 2, how finely motion is sought; at 1 the blocks see 1/8, 1/4, 1/2, all of the size.
    GMFSS gives it half pictures and scale 1 at every flow scale; alone it takes whole pictures.
    State dict: rife.pkl, 120 tensors; outputs 20..23 of every `lastconv` are read by nothing.
    Source: RIFE 4.6 (arXiv 2011.06294, hzwer/Practical-RIFE), as in GMFSS union.
    """

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.factors = factors(scale)
        self.block0 = Block(7, WIDTHS[0])
        self.block1 = Block(12, WIDTHS[1])
        self.block2 = Block(12, WIDTHS[2])
        self.block3 = Block(12, WIDTHS[3])

    def forward(self, half0: Tensor, half1: Tensor, t: Tensor) -> Tensor:
        size = (half0.shape[2], half0.shape[3])
        flow, mask = self._refine(0, (half0, half1), t, None, size)
        for level in range(1, len(FACTORS)):
            read0, read1 = _read(half0, half1, flow, size)
            more, more_mask = self._refine(level, (read0, read1, mask), t, flow, size)
            flow, mask = flow + more, mask + more_mask
        read0, read1 = _read(half0, half1, flow, size)
        share = torch.sigmoid(mask)
        return read0 * share + read1 * (1 - share)

    def _refine(
        self, level: int, pictures: tuple[Tensor, ...], t: Tensor, flow: Tensor | None, size: Size
    ) -> tuple[Tensor, Tensor]:
        """Flows [1, 4, h, w] in pixels and mask [1, 1, h, w] that block `level` adds, seen at 1 / its scale."""
        factor = self.factors[level]
        inputs = [shrink(picture, factor, size) for picture in pictures]
        inputs.insert(2, t.expand(1, 1, *shrunk(size, factor)))
        if flow is not None:
            inputs.append(shrink(flow, factor, size) / factor)
        found = getattr(self, f"block{level}")(torch.cat(inputs, 1))
        found = found if factor == 1 else resize(found, size)
        return found[:, :4] * factor, found[:, 4:]


def _read(half0: Tensor, half1: Tensor, flow: Tensor, size: Size) -> tuple[Tensor, Tensor]:
    return sample(half0, flow[:, :2], size, "border"), sample(half1, flow[:, 2:], size, "border")
