"""Our sub-networks equal the published ones on the published weights; tolerances as measured, with some room."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pytest
from conftest import skip_unless_required

pytestmark = [pytest.mark.export, pytest.mark.weights, pytest.mark.slow]

SIZES = [(128, 256), (256, 128)]
"""Height and width of the whole picture; legal at scale 0.5 too."""
KINDS = ["drawn", "filmed"]
CLASSES = {"feature": "FeatureNet", "flow": "GMFlow", "metric": "MetricNet", "ifnet": "IFNet", "grid": "GridNet"}


@pytest.fixture(scope="session")
def oracle(torch: ModuleType) -> ModuleType:
    return importlib.import_module("oracle")


@pytest.fixture(scope="session")
def published(oracle: ModuleType) -> Callable[[float], Any]:
    """The published network at a flow scale; one instance a scale."""
    made: dict[float, Any] = {}

    def at(scale: float) -> Any:
        try:
            return made.setdefault(scale, made.get(scale) or oracle.Published(scale))
        except oracle.OracleError as error:
            skip_unless_required("AFITRT_REQUIRE_WEIGHTS", str(error))

    return at


@pytest.fixture(scope="session")
def ours(published: Callable[[float], Any]) -> dict[str, Any]:
    """Our sub-networks with the published weights, loaded strictly."""
    nets = {}
    for name, title in CLASSES.items():
        folder = "gmflow" if name == "flow" else name
        module = importlib.import_module(f"afitrt_export.networks.{folder}")
        nets[name] = getattr(module, title)().eval()
        nets[name].load_state_dict(published(1.0).state_dict(name), strict=True)
    return nets


@dataclass(frozen=True)
class Pair:
    """Two pictures, and what the published network makes of them."""

    images: tuple[Any, Any]
    halves: tuple[Any, Any]
    reused: tuple[Any, ...]

    @property
    def flows(self) -> tuple[Any, Any]:
        return self.reused[:2]


@pytest.fixture(scope="session")
def pair(
    oracle: ModuleType, published: Callable[[float], Any], request: pytest.FixtureRequest
) -> Callable[[str, tuple[int, int]], Pair]:
    """A pair of pictures by kind and size, matched by the published network; made once."""
    made: dict[tuple[str, tuple[int, int]], Pair] = {}

    def get(kind: str, size: tuple[int, int]) -> Pair:
        if (kind, size) not in made:
            clip = (request.getfixturevalue("bigbuckbunny"),) if kind == "filmed" else ()
            images = getattr(oracle, kind)(*clip, *size)
            halves = tuple(half(image) for image in images)
            made[kind, size] = Pair(images, halves, published(1.0).reuse(*images))
        return made[kind, size]

    return get


@pytest.fixture(params=[(kind, size) for kind in KINDS for size in SIZES], ids=lambda each: f"{each[0]}-{each[1][0]}")
def given(pair: Callable[[str, tuple[int, int]], Pair], request: pytest.FixtureRequest) -> Pair:
    """Every kind of pictures at every size."""
    return pair(*request.param)


def half(image: Any, scale: float = 0.5) -> Any:
    return importlib.import_module("torch").nn.functional.interpolate(image, scale_factor=scale, mode="bilinear")


def at_time(torch: ModuleType, t: float) -> Any:
    return torch.full((1, 1, 1, 1), t)


def farthest(torch: ModuleType, left: Any, right: Any) -> float:
    """The largest absolute difference between two tensors, or two sequences of tensors, of equal shapes."""
    if isinstance(left, torch.Tensor):
        left, right = [left], [right]
    assert [each.shape for each in left] == [each.shape for each in right]
    return max((a - b).abs().max().item() for a, b in zip(left, right, strict=True))


def psnr(left: Any, right: Any) -> float:
    return -10 * math.log10(((left.double() - right.double()) ** 2).mean().item() + 1e-20)


def test_feature_equals_published(torch, ours, published, given) -> None:
    image = given.images[0]
    with torch.inference_mode():
        assert farthest(torch, ours["feature"](image), published(1.0).feature(image)) < 1e-5


def test_flow_equals_published(torch, ours, given) -> None:
    with torch.inference_mode():
        assert farthest(torch, ours["flow"](*given.halves), given.flows) < 2e-3


def test_metric_equals_published(torch, ours, given) -> None:
    """Occlusion is a hard threshold: rounding may flip a pixel, which its neighbours feel five convolutions far."""
    with torch.inference_mode():
        found = ours["metric"](*given.halves, *given.flows)
    for z, expected in zip(found, given.reused[2:4], strict=True):
        assert z.abs().max() <= 10
        assert ((z - expected).abs() > 2e-4).float().mean() < 11 * 11 / expected.numel()


def test_ifnet_equals_published(torch, ours, published, given) -> None:
    halves, t = given.halves, at_time(torch, 0.3)
    with torch.inference_mode():
        assert farthest(torch, ours["ifnet"](*halves, t), published(1.0).ifnet(*halves, t)) < 2e-5


def test_grid_equals_published(torch, ours, published, given) -> None:
    pictures = torch.cat((*given.halves, given.halves[0]), 1)
    levels = [torch.cat(level, 1) for level in zip(*given.reused[4:], strict=True)]
    with torch.inference_mode():
        found, expected = (net(pictures, *levels) for net in (ours["grid"], published(1.0).grid))
    assert farthest(torch, found, expected) < 1e-5
    ring = torch.ones_like(found, dtype=torch.bool)
    ring[:, :, 1:-1, 1:-1] = False
    assert farthest(torch, found[ring], expected[ring]) < 1e-5


@pytest.mark.parametrize("t", [0.5, 0.2])
@pytest.mark.parametrize("kind", KINDS)
def test_splat_equals_float64(torch, oracle, pair, kind, t) -> None:
    """All four outputs, with holes, overlaps, flows that leave the picture and flows that are not finite."""
    splat = importlib.import_module("afitrt_export.networks.splat").Splat()
    given = pair(kind, SIZES[0])
    flow, z, features = given.reused[0] * 3, given.reused[2], given.reused[4]
    flow = flow.clone()
    flow[0, 0, 3, 5], flow[0, 1, 7, 9], flow[0, :, 11, 2] = math.nan, math.inf, -1e30
    values = (given.halves[0], *features)
    with torch.inference_mode():
        found = splat(*values, flow, z, at_time(torch, t))
    flow, z = flow.double() * t, z.double() * t
    for value, moved, shrink in zip(values, found, (1, 1, 0.5, 0.25), strict=True):
        level = (flow, z) if shrink == 1 else (half(flow, shrink) * shrink, half(z, shrink))
        expected = oracle.softsplat(value.double(), *level, "soft")
        assert (moved == 0).any() and farthest(torch, moved.double(), expected) < 1e-4


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_whole_picture_equals_published(torch, ours, published, given, scale) -> None:
    expected = published(scale).picture(*given.images, 0.4)
    with torch.inference_mode():
        found = whole_picture(torch, ours, given.images, 0.4, scale)
    assert psnr(found, expected) > 70


def whole_picture(torch: ModuleType, nets: dict[str, Any], images: tuple[Any, Any], t: float, scale: float) -> Any:
    """Our networks joined as the stages join them: encode, match, splat, fuse."""
    splat = importlib.import_module("afitrt_export.networks.splat").Splat()
    halves = [half(image) for image in images]
    pyramids = [nets["feature"](image) for image in images]
    flows = nets["flow"](*(each if scale == 1 else half(each, scale) for each in halves))
    if scale != 1:
        flows = [half(flow, 1 / scale) / scale for flow in flows]
    metrics = nets["metric"](*halves, *flows)
    sides = zip(halves, pyramids, flows, metrics, (t, 1 - t), strict=True)
    moved = [splat(own, *features, flow, z, at_time(torch, way)) for own, features, flow, z, way in sides]
    (x_a, x_b), *levels = zip(*moved, strict=True)
    x = torch.cat((x_a, nets["ifnet"](*halves, at_time(torch, t)), x_b), 1)
    return nets["grid"](x, *(torch.cat(level, 1) for level in levels)).clamp(0, 1)


def test_tail_fold_is_exact_for_any_weights(torch) -> None:
    """Checked in float64, where nothing hides behind rounding; the smallest picture is all ring."""
    tail = importlib.import_module("afitrt_export.networks.grid").Tail().double().eval()
    for height, width in ((2, 2), (2, 5), (7, 4)):
        x = torch.randn(1, 64, height, width, dtype=torch.float64)
        with torch.inference_mode():
            wide = torch.nn.functional.pixel_shuffle(tail.upsample(tail.conv_before_upsample(x)), 2)
            assert farthest(torch, tail(x), tail.conv_last(wide)) < 1e-12


def test_unread_parameters_are_the_documented_ones(torch, ours, pair) -> None:
    """A gradient reaches every parameter of the pictures' networks except the two slopes for negative pixels."""
    given = pair("drawn", SIZES[0])
    pictures = torch.cat((*given.halves, given.halves[0]), 1)
    levels = [torch.cat(level, 1).clone() for level in zip(*given.reused[4:], strict=True)]
    calls = {"feature": given.images[:1], "grid": (pictures, *levels)}
    unread = []
    for name, arguments in calls.items():
        outputs = ours[name](*(each.clone() for each in arguments))
        total = sum(each.sum() for each in (outputs if isinstance(outputs, tuple) else (outputs,)))
        parameters = dict(ours[name].named_parameters())
        slopes = torch.autograd.grad(total, list(parameters.values()), allow_unused=True)
        unread += [key for key, slope in zip(parameters, slopes, strict=True) if slope is None]
    assert unread == ["block1.0.weight", "residual_model_head0.0.weight"]
