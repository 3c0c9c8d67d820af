"""Where pixels stand: orders of tokens as index arithmetic on two axes, and attention between them.

Attention does not care in which order its tokens come. So windows, rolled windows and neighbourhoods are one row
gather each, by indices computed from the shape alone, and tokens stay in window order from layer to layer. Masks
are a table per axis: none grows with the square of the number of tokens once a size is fixed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

# Enough to silence a token in any softmax, and a half-precision number even when both axes add it.
_SILENT = -1e4

Bias = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Order:
    """Tokens of a height x width grid in windows of wy x wx pixels.

    Windows run row by row, and pixels inside a window too; one window as large as the grid is plain row order.
    With `rolled`, the grid has first moved up and left by half a window, what leaves it coming back on the other side.
    """

    height: int
    width: int
    wy: int
    wx: int
    rolled: bool = False

    @cached_property
    def rows(self) -> Tensor:
        """Pixel rows of each window, int64 [height // wy, wy]."""
        return self._rolled(torch.arange(self.height), self.wy // 2).view(-1, self.wy)

    @cached_property
    def columns(self) -> Tensor:
        """Pixel columns of each window, int64 [width // wx, wx]."""
        return self._rolled(torch.arange(self.width), self.wx // 2).view(-1, self.wx)

    def slots(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Token numbers of the pixels at rows [a, b] and columns [c, d]: int64 [a, c, b, d]."""
        slot_y, slot_x = _looked_up(self._slots_of_rows, rows), _looked_up(self._slots_of_columns, columns)
        return slot_y[:, None, :, None] + slot_x[None, :, None, :]

    def taken_from(self, other: Order) -> Tensor:
        """Where each token of this order stands in another one: int64 [height * width]."""
        return other.slots(self.rows, self.columns).flatten()

    def positions(self) -> Tensor:
        """Column and row of every token, float32 [height * width, 2]."""
        y, x = self.rows[:, None, :, None], self.columns[None, :, None, :]
        return torch.stack(torch.broadcast_tensors(x, y), dim=4).reshape(-1, 2).float()

    @cached_property
    def _slots_of_rows(self) -> Tensor:
        starts = torch.arange(self.height // self.wy)[:, None] * (self.width * self.wy)
        return self._rolled((starts + torch.arange(self.wy) * self.wx).flatten(), -(self.wy // 2))

    @cached_property
    def _slots_of_columns(self) -> Tensor:
        starts = torch.arange(self.width // self.wx)[:, None] * (self.wy * self.wx)
        return self._rolled((starts + torch.arange(self.wx)).flatten(), -(self.wx // 2))

    def _rolled(self, places: Tensor, shift: int) -> Tensor:
        return torch.cat((places[shift:], places[:shift])) if self.rolled else places


def reorder(tokens: Tensor, have: Order, want: Order) -> Tensor:
    """Tokens [b, n, c] brought from one order into another."""
    return tokens.index_select(1, want.taken_from(have))


def neighbours(tokens: Tensor, order: Order, radius: int) -> Tensor:
    """Each window with `radius` more pixels on all sides: [b * windows, (wy+2r) * (wx+2r), c].

    tokens [b, n, c] come in `order`, which is not rolled. Outside of the grid stand zeros.
    """
    rows, columns = _widened(order.rows, radius), _widened(order.columns, radius)
    outside = _outside(rows, order.height)[:, None, :, None] | _outside(columns, order.width)[None, :, None, :]
    slots = order.slots(rows.clamp(0, order.height - 1), columns.clamp(0, order.width - 1))
    slots = slots.masked_fill(outside, order.height * order.width).flatten()
    padded = torch.cat((tokens, torch.zeros_like(tokens[:, :1])), dim=1)
    return padded.index_select(1, slots).view(-1, rows.shape[1] * columns.shape[1], tokens.shape[2])


def apart(order: Order) -> Bias:
    """-100 between tokens of a rolled window that are not neighbours in the picture (Swin Transformer, 2021)."""
    y, x = _regions(order.height, order.wy), _regions(order.width, order.wx)
    return _bias(y[:, :, None] != y[:, None, :], x[:, :, None] != x[:, None, :], -100.0)


def within(order: Order, radius: int, outside: bool) -> Bias:
    """Silence beyond `radius` pixels for keys made by `neighbours`; `outside` lets the zeros around speak."""
    return _bias(
        _unreachable(order.rows, radius, order.height, outside),
        _unreachable(order.columns, radius, order.width, outside),
        _SILENT,
    )


def attend(query: Tensor, key: Tensor, value: Tensor, bias: Bias | None = None) -> Tensor:
    """softmax(query key^T + bias) value; [b, q, c], [b, k, c], [b or none, k, d] -> [b, q, d].

    The query comes scaled. With a bias, b counts pictures times windows, and q a window's pixels.
    """
    scores = query @ key.transpose(1, 2)
    if bias is not None:
        y, x = bias
        parts = (-1, y.shape[0], x.shape[1], y.shape[2], x.shape[3], key.shape[1])
        scores = (scores.view(parts) + y + x).view(-1, query.shape[1], key.shape[1])
    return scores.softmax(dim=2) @ value


def _bias(y: Tensor, x: Tensor, penalty: float) -> Bias:
    """Penalties where the axes' tables [down, wy, ky] and [across, wx, kx] are true, spread over ky * kx keys."""
    ky, kx = y.shape[2], x.shape[2]
    y = (y * penalty)[:, :, :, None].expand(-1, -1, -1, kx).flatten(2)
    x = (x * penalty)[:, :, None, :].expand(-1, -1, ky, -1).flatten(2)
    return y[:, None, :, None, :], x[None, :, None, :, :]


def _looked_up(table: Tensor, places: Tensor) -> Tensor:
    return table.index_select(0, places.flatten()).view(places.shape)


def _regions(length: int, window: int) -> Tensor:
    """Region of each place on a rolled axis: before the last window, its first part, what came round."""
    place = torch.arange(length)
    came_round = place >= length - window // 2
    return ((place >= length - window).int() + came_round.int()).view(-1, window)


def _widened(places: Tensor, radius: int) -> Tensor:
    reach = torch.arange(places.shape[1] + 2 * radius) - radius
    return places[:, :1] + reach


def _outside(places: Tensor, length: int) -> Tensor:
    return (places < 0) | (places >= length)


def _unreachable(places: Tensor, radius: int, length: int, outside: bool) -> Tensor:
    keys = _widened(places, radius)[:, None, :]
    far = (keys - places[:, :, None]).abs() > radius
    return far if outside else far | _outside(keys, length)
