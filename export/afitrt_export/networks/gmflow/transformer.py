"""Transformer of GMFlow: two pictures' features look at themselves and at each other, window by window."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .tokens import Bias, Order, apart, attend, reorder

CHANNELS = 128
SCALE = 1 / math.sqrt(CHANNELS)


class _Attention(nn.Module):
    """source + normalised message from target; with `mlp`, the message first meets the source in a small MLP."""

    def __init__(self, mlp: bool) -> None:
        super().__init__()
        self.q_proj = nn.Linear(CHANNELS, CHANNELS, bias=False)
        self.k_proj = nn.Linear(CHANNELS, CHANNELS, bias=False)
        self.v_proj = nn.Linear(CHANNELS, CHANNELS, bias=False)
        self.merge = nn.Linear(CHANNELS, CHANNELS, bias=False)
        self.norm1 = nn.LayerNorm(CHANNELS)
        if mlp:
            hidden = nn.Linear(2 * CHANNELS, 8 * CHANNELS, bias=False)
            self.mlp = nn.Sequential(hidden, nn.GELU(), nn.Linear(8 * CHANNELS, CHANNELS, bias=False))
            self.norm2 = nn.LayerNorm(CHANNELS)
        self._has_mlp = mlp

    def forward(self, source: Tensor, target: Tensor, bias: Bias | None) -> Tensor:
        # (Wq s)(Wk t) = (Wk^T Wq s) t and Wm sum(p Wv t) = sum(p Wm Wv t): two products of weights, made when
        # weights are bound, for two projections of every token.
        query = F.linear(source, self.k_proj.weight.T @ self.q_proj.weight * SCALE)
        value = F.linear(target, self.merge.weight @ self.v_proj.weight)
        message = self.norm1(attend(query, target, value, bias))
        if self._has_mlp:
            message = self.norm2(self.mlp(torch.cat((source, message), dim=2)))
        return source + message


class _Block(nn.Module):
    """Self attention, then attention to the partner as it was before this block."""

    def __init__(self) -> None:
        super().__init__()
        self.self_attn = _Attention(mlp=False)
        self.cross_attn_ffn = _Attention(mlp=True)

    def forward(self, tokens: Tensor, bias: Bias | None) -> Tensor:
        source = self.self_attn(tokens, tokens, bias)
        return self.cross_attn_ffn(source, swapped(tokens), bias)


class Transformer(nn.Module):
    """Six blocks over features in splits x splits windows; every second block rolls them by half a window."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([_Block() for _ in range(6)])

    def forward(self, features: Tensor, size: tuple[int, int], splits: int) -> tuple[Tensor, Order]:
        """features [2k, 128, h, w], partners k apart -> tokens [2k, h*w, 128] and the order they come in.

        h and w are multiples of `splits`.
        """
        height, width = size
        wy, wx = height // splits, width // splits
        plain, rolled = Order(height, width, wy, wx), Order(height, width, wy, wx, rolled=True)
        roll, unroll, bias = rolled.taken_from(plain), plain.taken_from(rolled), apart(rolled)
        tokens = reorder(features.flatten(2).transpose(1, 2), Order(height, width, height, width), plain)
        tokens = tokens.view(-1, wy * wx, CHANNELS) + _window_positions(wy, wx)
        for number, block in enumerate(self.layers):
            if number % 2:
                tokens = block(_moved(tokens, roll), bias)
            else:
                tokens = block(_moved(tokens, unroll) if number else tokens, None)
        return tokens.view(features.shape[0], -1, CHANNELS), rolled


def _moved(windows: Tensor, places: Tensor) -> Tensor:
    """Tokens [b * windows, l, 128] taken from other places of their picture."""
    return windows.view(-1, places.shape[0], CHANNELS).index_select(1, places).view(windows.shape)


def swapped(pictures: Tensor) -> Tensor:
    """The second half of a batch before the first."""
    half = pictures.shape[0] // 2
    return torch.cat((pictures[half:], pictures[:half]))


def _window_positions(wy: int, wx: int) -> Tensor:
    """Position code of a window's pixels, [wy*wx, 128]: 64 channels of the row, 64 of the column."""
    y, x = _waves(wy)[:, None].expand(-1, wx, -1), _waves(wx)[None].expand(wy, -1, -1)
    return torch.cat((y, x), dim=2).flatten(0, 1)


def _waves(length: int) -> Tensor:
    """Interleaved sines and cosines of places 1..length taken as one turn, wavelengths 1 to 10000: [length, 64]."""
    turn = torch.arange(1, length + 1) / (length + 1e-6) * (2 * math.pi)
    slowness = 10000 ** (torch.arange(CHANNELS // 4) / (CHANNELS // 4))
    phase = turn[:, None] / slowness
    return torch.stack((phase.sin(), phase.cos()), dim=2).flatten(1)
