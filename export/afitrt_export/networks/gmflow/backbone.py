"""Convolutional encoder of GMFlow: one picture in, features at a quarter and an eighth of its size.

Architecture: Xu et al., "GMFlow: Learning Optical Flow via Global Matching", CVPR 2022; the shared last
convolution is the trident idea of Li et al., "Scale-Aware Trident Networks", ICCV 2019.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)


def _normalise_channels(x: Tensor) -> Tensor:
    """Instance normalisation without affine terms, per picture and channel over all pixels."""
    return F.instance_norm(x, eps=1e-5)


class _Residual(nn.Module):
    """Two 3x3 convolutions and a skip; a 1x1 convolution on the skip where stride or width changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        reshapes = stride != 1 or inputs != outputs
        self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride)) if reshapes else None

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(_normalise_channels(self.conv1(x)))
        y = F.relu(_normalise_channels(self.conv2(y)))
        skip = x if self.downsample is None else _normalise_channels(self.downsample(x))
        return F.relu(skip + y)


class _SharedConv(nn.Module):
    """One 3x3 kernel, run at stride 1 and at stride 2."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, channels, 3, 3))
        nn.init.kaiming_uniform_(self.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return F.conv2d(x, self.weight, padding=1), F.conv2d(x, self.weight, stride=2, padding=1)


class Encoder(nn.Module):
    """image [1, 3, H, W], RGB 0..1 -> features [1, 128, H/4, W/4] and [1, 128, H/8, W/8]."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.layer1 = nn.Sequential(_Residual(64, 64, 1), _Residual(64, 64, 1))
        self.layer2 = nn.Sequential(_Residual(64, 96, 2), _Residual(96, 96, 1))
        self.layer3 = nn.Sequential(_Residual(96, 128, 1), _Residual(128, 128, 1))
        self.conv2 = nn.Conv2d(128, 128, 1)
        self.trident_conv = _SharedConv(128)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        mean = image.new_tensor(_IMAGENET_MEAN).view(1, 3, 1, 1)
        std = image.new_tensor(_IMAGENET_STD).view(1, 3, 1, 1)
        x = F.relu(_normalise_channels(self.conv1((image - mean) / std)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.trident_conv(self.conv2(x))
