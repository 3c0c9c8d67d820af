"""Matching of GMFlow: two pictures' features in, optical flow both ways out."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from ..layers import Size
from .tokens import Order, attend, neighbours, within
from .transformer import CHANNELS, SCALE, swapped

_REACH = 4


class FlowAttention(nn.Module):
    """Flow spread among pixels that look alike: weights from features, values from flow."""

    def __init__(self) -> None:
        super().__init__()
        self.q_proj = nn.Linear(CHANNELS, CHANNELS)
        self.k_proj = nn.Linear(CHANNELS, CHANNELS)

    def everywhere(self, features: Tensor, flow: Tensor) -> Tensor:
        """features [b, n, 128], flow [b, n, 2] -> flow. Keys come from the queries: so it was trained."""
        query = self.q_proj(features)
        return attend(query * SCALE, self.k_proj(query), flow)

    def nearby(self, features: Tensor, flow: Tensor, blocks: Order) -> Tensor:
        """The same among 3x3 pixels, all in the order `blocks`; zeros around the picture take part."""
        keys = neighbours(self.k_proj(features), blocks, 1)
        query = (self.q_proj(features) * SCALE).view(keys.shape[0], -1, CHANNELS)
        spread = attend(query, keys, neighbours(flow, blocks, 1), within(blocks, 1, outside=True))
        return spread.view(flow.shape)


def match_everywhere(tokens: Tensor, order: Order) -> Tensor:
    """tokens [2, n, 128] -> expected displacement of each to its partner's pixels, [2, n, 2]."""
    positions = order.positions()
    return attend(tokens * SCALE, swapped(tokens), positions) - positions


def match_nearby(features: Tensor, partners: Tensor, blocks: Order) -> Tensor:
    """features, partners [b, n, 128] -> expected displacement within 4 pixels, [b, n, 2], all in `blocks`."""
    keys = neighbours(partners, blocks, _REACH)
    query = (features * SCALE).view(keys.shape[0], -1, CHANNELS)
    places = rows_of((blocks.wy + 2 * _REACH, blocks.wx + 2 * _REACH)).positions() - _REACH
    expected = attend(query, keys, places, within(blocks, _REACH, outside=False))
    return (expected - rows_of((blocks.wy, blocks.wx)).positions()).view(features.shape[0], -1, 2)


def upsample(flow: Tensor, logits: Tensor, size: Size) -> Tensor:
    """flow [b, 2, h, w] -> [b, 2, 4h, 4w]: each new pixel a convex sum of the 3x3 around its old one, times 4.

    logits [b, 144, h, w]: 9 neighbours, row by row, by 16 new pixels, row by row.
    """
    height, width = size
    weights = logits.view(-1, 1, 9, 16, height, width).softmax(dim=2)
    padded = F.pad(flow * 4, (1, 1, 1, 1))
    total = sum(
        weights[:, :, 3 * y + x] * padded[:, :, None, y : y + height, x : x + width] for y in range(3) for x in range(3)
    )
    return F.pixel_shuffle(total.flatten(1, 2), 4)


def rows_of(size: Size) -> Order:
    """Plain row order."""
    return Order(*size, *size)


def pictures(tokens: Tensor, size: Size) -> Tensor:
    """tokens [b, h*w, c] in row order -> [b, c, h, w]."""
    return tokens.transpose(1, 2).reshape(tokens.shape[0], -1, *size)
