"""GMFlow against the published network, and each of its rewrites against the textbook form of the same thing."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import pytest
from conftest import skip_unless_required

pytestmark = pytest.mark.export

FARTHEST = 2e-3
"""Pixels between our flow and the published one. Either is about 1e-3 from the same network in float64."""
BLOCKS = (16, 24, 8, 8)


@pytest.fixture(scope="module")
def tokens(torch: ModuleType) -> ModuleType:
    torch.manual_seed(0)
    return importlib.import_module("afitrt_export.networks.gmflow.tokens")


@pytest.fixture(scope="module")
def flow(tokens: ModuleType) -> ModuleType:
    return importlib.import_module("afitrt_export.networks.gmflow.flow")


@pytest.fixture(scope="module")
def gmflow(torch: ModuleType) -> ModuleType:
    return importlib.import_module("afitrt_export.networks.gmflow")


@pytest.fixture(scope="module")
def oracle(torch: ModuleType) -> ModuleType:
    return importlib.import_module("oracle")


@pytest.fixture(scope="module")
def published(oracle: ModuleType) -> Any:
    try:
        return oracle.Published()
    except oracle.OracleError as error:
        skip_unless_required("AFITRT_REQUIRE_WEIGHTS", str(error))


@pytest.fixture(scope="module")
def ours(gmflow: ModuleType, published: Any) -> Any:
    net = gmflow.GMFlow().eval()
    net.load_state_dict(published.state_dict("flow"), strict=True)
    return net


def in_windows(grid: Any, wy: int, wx: int) -> Any:
    """[b, c, h, w] -> [b, h*w, c], window by window."""
    b, c, h, w = grid.shape
    return grid.view(b, c, h // wy, wy, w // wx, wx).permute(0, 2, 4, 3, 5, 1).reshape(b, h * w, c)


def unfolded(torch: ModuleType, grid: Any, radius: int) -> Any:
    """[b, c, h, w] -> [b, h*w, k, c]: the k pixels around each, zeros outside, row by row."""
    b, c, h, w = grid.shape
    around = torch.nn.functional.unfold(grid, 2 * radius + 1, padding=radius)
    return around.view(b, c, -1, h * w).permute(0, 3, 2, 1)


def in_rows(torch: ModuleType, tokens: ModuleType, values: Any, blocks: Any) -> Any:
    return tokens.reorder(values, blocks, tokens.Order(*BLOCKS[:2], *BLOCKS[:2]))


# against the published network -----------------------------------------------------------------------------------


@pytest.mark.weights
@pytest.mark.parametrize(
    ("height", "width", "shift"), [(32, 32, (3, 1)), (64, 96, (4, 2)), (96, 160, (30, 8)), (128, 224, (6, 2))]
)
def test_drawn_pictures(torch, oracle, published, ours, height, width, shift) -> None:
    compare(torch, published, ours, oracle.drawn(height, width, shift))


@pytest.mark.weights
def test_filmed_pictures(torch, oracle, published, ours, bigbuckbunny) -> None:
    compare(torch, published, ours, oracle.filmed(bigbuckbunny, 128, 192))


def compare(torch: ModuleType, published: Any, ours: Any, pair: tuple[Any, Any]) -> None:
    """Both directions equal two published calls; the order of the pictures only names the outputs."""
    with torch.inference_mode():
        found, expected = ours(*pair), (published.flow(*pair), published.flow(*pair[::-1]))
        back = ours(*pair[::-1])
    for ours_now, theirs in zip(found, expected, strict=True):
        assert ours_now.shape == theirs.shape and theirs.abs().max() > 0.5
        assert (ours_now - theirs).abs().max() < FARTHEST
    assert torch.equal(found[0], back[1]) and torch.equal(found[1], back[0])


# the rewrites ----------------------------------------------------------------------------------------------------


def test_each_parameter_belongs_to_one_part(gmflow) -> None:
    net = gmflow.GMFlow()
    parts = [dict(part(net).state_dict()) for part in (gmflow.Backbone, gmflow.Flow)]
    assert [len(part) for part in parts] == [20, 104]
    assert parts[0].keys() | parts[1].keys() == net.state_dict().keys()
    assert not list(net.buffers())


@pytest.mark.parametrize(("wy", "wx"), [(4, 5), (3, 2), (12, 20), (1, 1)])
def test_orders_are_windows_of_a_rolled_grid(torch, tokens, wy, wx) -> None:
    grid = torch.randn(2, 3, 12, 20)
    rows, plain = tokens.Order(12, 20, 12, 20), tokens.Order(12, 20, wy, wx)
    rolled = tokens.Order(12, 20, wy, wx, rolled=True)
    values = grid.flatten(2).transpose(1, 2)
    moved = torch.roll(grid, (-(wy // 2), -(wx // 2)), (2, 3))
    assert torch.equal(tokens.reorder(values, rows, plain), in_windows(grid, wy, wx))
    assert torch.equal(tokens.reorder(values, rows, rolled), in_windows(moved, wy, wx))
    assert torch.equal(tokens.reorder(in_windows(grid, wy, wx), plain, rolled), in_windows(moved, wy, wx))
    assert torch.equal(tokens.reorder(in_windows(moved, wy, wx), rolled, rows), values)


def test_positions_are_those_of_the_pixels(torch, tokens) -> None:
    y, x = torch.meshgrid(torch.arange(6.0), torch.arange(8.0), indexing="ij")
    found = tokens.Order(6, 8, 3, 4, rolled=True).positions()
    expected = torch.roll(torch.stack((x, y))[None], (-1, -2), (2, 3))
    assert torch.equal(found, in_windows(expected, 3, 4)[0])


@pytest.mark.parametrize(("wy", "wx"), [(4, 5), (3, 2)])
def test_windows_keep_apart_what_only_the_roll_brought_together(torch, tokens, wy, wx) -> None:
    order = tokens.Order(12, 20, wy, wx, rolled=True)
    query, key, value = torch.randn(3, 2 * 240 // (wy * wx), wy * wx, 8)
    places = order.positions().view(-1, wy * wx, 2)
    distance = (places[:, :, None] - places[:, None]).abs()
    parted = (distance >= torch.tensor([wx, wy])).any(-1).repeat(2, 1, 1)
    expected = (query @ key.mT - 100.0 * parted).softmax(-1) @ value
    assert parted.any() and not parted.all()
    assert torch.allclose(tokens.attend(query, key, value, tokens.apart(order)), expected, atol=1e-5)


@pytest.mark.parametrize("radius", [1, 4])
def test_neighbours_are_the_pixels_around_or_zeros(torch, tokens, radius) -> None:
    grid, blocks = torch.randn(2, 5, *BLOCKS[:2]), tokens.Order(*BLOCKS)
    found = tokens.neighbours(in_windows(grid, 8, 8), blocks, radius).view(2, 2, 3, -1, 5)
    padded = torch.nn.functional.pad(grid, (radius,) * 4)
    for row in range(2):
        for column in range(3):
            y, x, size = 8 * row, 8 * column, 8 + 2 * radius
            expected = padded[:, :, y : y + size, x : x + size].flatten(2).mT
            assert torch.equal(found[:, row, column], expected)


def test_local_match_is_a_masked_softmax_over_81_shifts(torch, tokens, flow) -> None:
    own, other = 3 * torch.randn(2, 2, 128, *BLOCKS[:2])
    blocks = tokens.Order(*BLOCKS)
    found = flow.match_nearby(in_windows(own, 8, 8), in_windows(other, 8, 8), blocks)
    inside = unfolded(torch, torch.ones_like(other[:, :1]), 4)[..., 0]
    scores = (own.flatten(2).mT[:, :, None] * unfolded(torch, other, 4)).sum(-1) / 128**0.5
    weights = torch.where(inside == 1, scores, -1e9).softmax(-1)
    steps = torch.arange(-4.0, 5)
    offsets = torch.stack((steps.repeat(9), steps.repeat_interleave(9)), -1)
    assert torch.allclose(in_rows(torch, tokens, found, blocks), weights @ offsets, atol=1e-5)


def test_flow_spreads_among_nine_pixels_zeros_included(torch, tokens, flow) -> None:
    attention, blocks = flow.FlowAttention(), tokens.Order(*BLOCKS)
    features, motion = torch.randn(2, 128, *BLOCKS[:2]), torch.randn(2, 2, *BLOCKS[:2])
    with torch.inference_mode():
        found = attention.nearby(in_windows(features, 8, 8), in_windows(motion, 8, 8), blocks)
        rows = features.flatten(2).mT
        keys = attention.k_proj(rows).mT.reshape(features.shape)
        scores = (attention.q_proj(rows)[:, :, None] * unfolded(torch, keys, 1)).sum(-1) / 128**0.5
        expected = (scores.softmax(-1)[..., None] * unfolded(torch, motion, 1)).sum(2)
    assert torch.allclose(in_rows(torch, tokens, found, blocks), expected, atol=1e-5)


def test_upsampling_mixes_the_nine_pixels_around(torch, flow) -> None:
    motion, logits = torch.randn(2, 2, 4, 6), torch.randn(2, 144, 4, 6)
    found = flow.upsample(motion, logits, (4, 6))
    weights, around = logits.view(2, 9, 16, 4, 6).softmax(1), unfolded(torch, 4 * motion, 1).view(2, 4, 6, 9, 2)
    for y, x in ((0, 0), (5, 9), (15, 23), (7, 0)):
        part = weights[:, :, 4 * (y % 4) + x % 4, y // 4, x // 4]
        expected = (part[..., None] * around[:, y // 4, x // 4]).sum(1)
        assert torch.allclose(found[:, :, y, x], expected, atol=1e-5)
