"""Softmax splatting: every pixel of a picture moves along its flow and lands on the four pixels around.

The ONNX form of this code adds with ScatterND(reduction="add"), row by row on [pixels, channels]. ONNX Runtime on
the CPU must run it in a session with one thread: with more, its additions race.
"""

import torch
from torch import Tensor, nn

from .layers import Size, resize

EPSILON = 1e-7
GROUP = 32
"""Channels of the largest level that are scattered at once: four times as many values are alive meanwhile."""


class Splat(nn.Module):
    """One picture and its three feature levels, moved to time t along the flow towards the other picture.

    forward(half, f1, f2, f3, flow, z, t): half [1, 3, h, w]; f1 [1, 64, h, w], f2 [1, 128, h/2, w/2], f3
    [1, 192, h/4, w/4]; flow [1, 2, h, w] to the other picture, in pixels of the half picture, x before y; z
    [1, 1, h, w] in -10..10; t [1, 1, 1, 1], the share of the way that is gone: t for the first picture with flow01
    and z0, 1 - t for the second with flow10 and z1. h, w multiples of 4.
    Returns the four in the same shapes; 0 where nothing lands. Pixels with a flow that is not finite are left
    out, and so is what lands outside.

    Both sides make the stage: x_a, x_b are the first results, x1, x2, x3 the others of both sides one after the
    other along the channels. No parameters.
    Source: softmax splatting (arXiv 2003.05534) with importance t * z, as in GMFSS union.
    """

    def forward(
        self, half: Tensor, f1: Tensor, f2: Tensor, f3: Tensor, flow: Tensor, z: Tensor, t: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        size = (half.shape[2], half.shape[3])
        size2, size3 = ((size[0] // cell, size[1] // cell) for cell in (2, 4))
        flow, z = flow * t, z * t
        parts = [f1[:, start : start + GROUP] for start in range(0, 64, GROUP)]
        moved, *parts = splat([half, *parts], flow, z, size)
        moved2 = splat([f2], resize(flow, size2) * 0.5, resize(z, size2), size2)[0]
        moved3 = splat([f3], resize(flow, size3) * 0.25, resize(z, size3), size3)[0]
        return moved, torch.cat(parts, 1), moved2, moved3


def splat(values: list[Tensor], flow: Tensor, z: Tensor, size: Size) -> list[Tensor]:
    """Each of `values` [1, c, h, w] moved by `flow` [1, 2, h, w], averaged with weights exp(z), z [1, 1, h, w].

    Returns tensors of the same shapes: sum(value * weight) / (sum(weight) + 1e-7) over what lands on a pixel.
    """
    target, share = _landing(flow, z, size)
    total = _add_up(share[:, :, None], target, size) + EPSILON
    return [_add_up(_rows(value) * share[:, :, None], target, size) / total for value in values]


def _rows(value: Tensor) -> Tensor:
    channels = value.shape[1]
    # A reshape, since ONNX Runtime moves a transpose past an unsqueeze and on to the four times larger product.
    return value.reshape(channels, -1).T.reshape(-1, 1, channels)


def _landing(flow: Tensor, z: Tensor, size: Size) -> tuple[Tensor, Tensor]:
    """Where each of h*w pixels lands and with which weight: int64 and float [h*w, 4]; weight 0 if nowhere."""
    height, width = size
    x = torch.arange(width, dtype=flow.dtype, device=flow.device) + flow[0, 0]
    y = torch.arange(height, dtype=flow.dtype, device=flow.device)[:, None] + flow[0, 1]
    column, x_share = _neighbours(x.reshape(1, -1), width)
    row, y_share = _neighbours(y.reshape(1, -1), height)
    x_share = x_share * z.exp().reshape(1, -1)
    target = row[:, None] * width + column
    share = y_share[:, None] * x_share
    return target.reshape(4, -1).T, share.reshape(4, -1).T


def _neighbours(place: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """The two whole positions around `place` [1, n] and their shares [2, n]; 0 and 0 if outside or not finite."""
    whole = place.floor() + torch.arange(2, dtype=place.dtype, device=place.device)[:, None]
    inside = (whole >= 0) & (whole <= size - 1)
    zero = torch.zeros((), dtype=place.dtype, device=place.device)
    return torch.where(inside, whole, zero).long(), torch.where(inside, 1 - (place - whole).abs(), zero)


def _add_up(shares: Tensor, target: Tensor, size: Size) -> Tensor:
    """Rows [h*w, 4, c] added up at `target` [h*w, 4]: [1, c, h, w]."""
    height, width = size
    # Zeros made from data: as a constant they would be written into every graph of a fixed size.
    total = (target[0, 0] * 0).to(shares.dtype).expand(height * width, shares.shape[2])
    if torch.compiler.is_exporting():
        # What index_put becomes by itself copies the rows twice.
        parts = (total, target[:, :, None], shares)
        attributes = {"reduction": "add"}
        total = torch.onnx.ops.symbolic(
            "::ScatterND", parts, attributes, dtype=total.dtype, shape=total.shape, version=20
        )
    else:
        total = total.index_put((target,), shares, accumulate=True)
    return total.T.reshape(1, -1, height, width)
