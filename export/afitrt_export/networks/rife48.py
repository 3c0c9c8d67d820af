"""RIFE 4.8: pictures in between from intermediate flow, with four learned features beside every picture.

Stages of the room: Encode once per picture, Fuse once per pair and time. There is no match: every block
reads the time, so what the times of a pair share is the features of its two pictures.
"""

import torch
from torch import Tensor, nn

from .ifnet import Block, factors, shrink, shrunk
from .layers import Size, resize, sample

FEATURES = 4


class Rife48(nn.Module):
    """The whole network; Encode and Fuse cut it into stages and say what they pass on.

    forward(image0, image1, t): pictures [1, 3, H, W], RGB 0..1, H and W multiples of 32 / scale; t of shape
    [1, 1, 1, 1], 0..1. Returns the picture at t [1, 3, H, W], 0..1.
    scale: 0.25, 0.5, 1 or 2, how finely motion is sought; at 1 the blocks see 1/8, 1/4, 1/2, all of the size.
    State dict: rife48.pkl of AFI-ForwardDeduplicate, 124 tensors, whose names begin with `module.` there;
    outputs 20..23 of every `lastconv` are read by nothing. Unlike in IFNet, each block replaces the mask.
    Source: RIFE 4.8 (arXiv 2011.06294, hzwer/Practical-RIFE), as in AFI-ForwardDeduplicate; the scale as in
    its successor MultiPassDedup, whose network is the same.
    """

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.factors = factors(scale)
        self.encode = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.ConvTranspose2d(16, FEATURES, 4, 2, 1))
        first = 2 * (3 + FEATURES) + 1
        self.block0 = Block(first, 192)
        self.block1 = Block(first + 5, 128)
        self.block2 = Block(first + 5, 96)
        self.block3 = Block(first + 5, 64)

    def forward(self, image0: Tensor, image1: Tensor, t: Tensor) -> Tensor:
        encode, fuse = Encode(self), Fuse(self)
        return fuse(encode(image0), encode(image1), t)


class Encode(nn.Module):
    """Stage `encode`, once per picture and equal at every scale; keeps the parameter names of `net`.

    forward(image): [1, 3, H, W], RGB 0..1, H and W even. Returns planes [1, 7, H, W]: the picture, then its
    four features, unbounded.
    """

    def __init__(self, net: Rife48) -> None:
        super().__init__()
        self.encode = net.encode

    def forward(self, image: Tensor) -> Tensor:
        return torch.cat((image, self.encode(image)), 1)


class Fuse(nn.Module):
    """Stage `fuse`, once per pair and time; keeps the parameter names of `net`.

    forward(planes0, planes1, t): what Encode made of both pictures, H and W multiples of 32 / scale; t of
    shape [1, 1, 1, 1], 0..1. Returns the picture at t [1, 3, H, W], a blend of pixels of both: 0..1.
    """

    def __init__(self, net: Rife48) -> None:
        super().__init__()
        self.factors = net.factors
        self.block0, self.block1, self.block2, self.block3 = net.block0, net.block1, net.block2, net.block3

    def forward(self, planes0: Tensor, planes1: Tensor, t: Tensor) -> Tensor:
        size = (planes0.shape[2], planes0.shape[3])
        first, *later = self.factors
        flow, mask = _grown(self.block0(_seen((planes0, planes1), t, first, size)), first, size)
        for block, factor in zip((self.block1, self.block2, self.block3), later, strict=True):
            seen = _seen(_read(planes0, planes1, flow, size), t, factor, size)
            guess = shrink(mask, factor, size), shrink(flow, factor, size) / factor
            more, mask = _grown(block(torch.cat((seen, *guess), 1)), factor, size)
            flow = flow + more
        share = torch.sigmoid(mask)
        read0, read1 = _read(planes0[:, :3], planes1[:, :3], flow, size)
        return read0 * share + read1 * (1 - share)


def _seen(planes: tuple[Tensor, Tensor], t: Tensor, factor: float, size: Size) -> Tensor:
    """Both pictures, both features, the time, in the kernels' order: [1, 15, H / factor, W / factor]."""
    planes0, planes1 = (shrink(each, factor, size) for each in planes)
    time = t.expand(1, 1, *shrunk(size, factor))
    return torch.cat((planes0[:, :3], planes1[:, :3], planes0[:, 3:], planes1[:, 3:], time), 1)


def _read(planes0: Tensor, planes1: Tensor, flow: Tensor, size: Size) -> tuple[Tensor, Tensor]:
    """Both sides brought to time t."""
    return sample(planes0, flow[:, :2], size, "border"), sample(planes1, flow[:, 2:], size, "border")


def _grown(found: Tensor, factor: float, size: Size) -> tuple[Tensor, Tensor]:
    """A block's [1, 5, h, w] at `size` = (H, W): flows [1, 4, H, W] in its pixels, mask [1, 1, H, W]."""
    found = found if factor == 1 else resize(found, size)
    return found[:, :4] * factor, found[:, 4:]
