"""IFNet: a first guess of the picture in between, straight from the two half pictures."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import Size, resize, sample

SCALES = (8, 4, 2, 1)
WIDTHS = (192, 128, 96, 64)
USED = 20
"""Outputs of a block's last convolution that are read: 2x2 pixels of two flows and a mask; the rest is unused."""


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


class _Block(nn.Module):
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

    forward(half0, half1, t): half pictures [1, 3, h, w], RGB 0..1, h and w multiples of 32; t [1, 1, 1, 1] in
    0..1. Returns the merged picture [1, 3, h, w], 0..1. Its scales stay 8, 4, 2, 1 at every flow scale.
    State dict: rife.pkl, 120 tensors; outputs 20..23 of every `lastconv` are read by nothing.
    Source: RIFE 4.6 (arXiv 2011.06294, hzwer/Practical-RIFE), as in GMFSS union.
    """

    def __init__(self) -> None:
        super().__init__()
        self.block0 = _Block(7, WIDTHS[0])
        self.block1 = _Block(12, WIDTHS[1])
        self.block2 = _Block(12, WIDTHS[2])
        self.block3 = _Block(12, WIDTHS[3])

    def forward(self, half0: Tensor, half1: Tensor, t: Tensor) -> Tensor:
        size = (half0.shape[2], half0.shape[3])
        flow, mask = self._refine(0, (half0, half1), t, None, size)
        for level in range(1, len(SCALES)):
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
        scale = SCALES[level]
        small = (size[0] // scale, size[1] // scale)

        def shrink(image: Tensor) -> Tensor:
            return image if scale == 1 else resize(image, small)

        inputs = [shrink(picture) for picture in pictures]
        inputs.insert(2, t.expand(1, 1, *small))
        if flow is not None:
            inputs.append(shrink(flow) / scale)
        found = getattr(self, f"block{level}")(torch.cat(inputs, 1))
        found = found if scale == 1 else resize(found, size)
        return found[:, :4] * scale, found[:, 4:]


def _read(half0: Tensor, half1: Tensor, flow: Tensor, size: Size) -> tuple[Tensor, Tensor]:
    return sample(half0, flow[:, :2], size, "border"), sample(half1, flow[:, 2:], size, "border")
