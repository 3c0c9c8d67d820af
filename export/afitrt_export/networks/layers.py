"""Pieces shared by the sub-networks: warping by a flow field, resizing, the two-convolution block.

Everything here takes its height and width as arguments, read once off a network's input. Sizes read off
feature maps carry stride arithmetic such as (h - 1) // 2 + 1 into a symbolic export, which cannot always be
proven equal to h / 2.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Size = tuple[int, int]


def sample(image: Tensor, flow: Tensor, size: Size, padding: str = "zeros") -> Tensor:
    """Backward warp: reads `image` bilinearly at position + flow.

    image [n, c, h, w]; flow [n, 2, h, w] in pixels, x before y; size = (h, w). `padding` is what lies outside:
    "zeros" or "border". Returns [n, c, h, w]. The outermost samples stand on pixel centres (align_corners).
    """
    height, width = size
    x = torch.arange(width, dtype=flow.dtype, device=flow.device) + flow[:, 0]
    y = torch.arange(height, dtype=flow.dtype, device=flow.device)[:, None] + flow[:, 1]
    grid = torch.stack((x * 2 / (width - 1) - 1, y * 2 / (height - 1) - 1), dim=3)
    return F.grid_sample(image, grid, mode="bilinear", padding_mode=padding, align_corners=True)


def resize(image: Tensor, size: Size) -> Tensor:
    """Bilinear, half-pixel centres, no antialiasing, to `size` = (h, w).

    Shrinking by an even factor reads only the middle 2x2 of each cell: by 2 it is the 2x2 mean.
    """
    return F.interpolate(image, size=size, mode="bilinear", align_corners=False)


def conv_pair(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """PReLU, 3x3 convolution with `stride`, PReLU, 3x3 convolution; one slope per PReLU.

    Parameter names 0.weight, 1.weight, 1.bias, 2.weight, 3.weight, 3.bias.
    """
    return nn.Sequential(
        nn.PReLU(),
        nn.Conv2d(inputs, outputs, 3, stride, 1),
        nn.PReLU(),
        nn.Conv2d(outputs, outputs, 3, 1, 1),
    )
