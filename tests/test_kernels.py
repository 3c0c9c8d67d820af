"""The arithmetic of the CUDA kernels, run on the CPU, against references in float64."""

from __future__ import annotations

from dataclasses import replace

import host_kernels
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afitrt.errors import InputError, UsageError
from afitrt.frames import Geometry, from_planar, to_planar
from afitrt.runtimes.kernels import Conversion, RgbLayout, Splat
from afitrt.runtimes.kernels import picture as picture_launches
from afitrt.runtimes.kernels import splat as splat_launches
from afitrt.yuv import Yuv420, YuvLayout

CHANNELS = {"half": 3, "f1": 64, "f2": 128, "f3": 192}
LEVEL = {"half": 0, "f1": 0, "f2": 1, "f3": 2}
DTYPES = {"fp16": np.float16, "fp32": np.float32}


# --- splat ----------------------------------------------------------------------------------------------------


def pair(height, width, seed=0, reach=8.0, precision="fp32"):
    """Random tensors of the match and encode stages, as the splat stage takes them."""
    random = np.random.default_rng(seed)
    tensors = {"t": np.float32(random.uniform(0, 1)).reshape(1)}
    for side in (0, 1):
        for name, channels in CHANNELS.items():
            shape = (channels, height >> LEVEL[name], width >> LEVEL[name])
            dtype = np.float32 if name == "half" else DTYPES[precision]
            tensors[f"{name}_{side}"] = random.normal(0, 3, shape).astype(dtype)
    for flow, z in (("flow01", "z0"), ("flow10", "z1")):
        tensors[flow] = random.normal(0, reach, (2, height, width)).astype(np.float32)
        tensors[z] = random.uniform(-10, 10, (1, height, width)).astype(np.float32)
    return tensors


def splat(tensors, deterministic=True, precision="fp32", stride=1):
    """The kernels' answer: x_a, x_b, x1, x2, x3."""
    height, width = tensors["z0"].shape[1:]
    stage = Splat(width, height, precision, deterministic)
    dtype = DTYPES[precision]
    outputs = {
        "x_a": np.full((3, height, width), np.nan, np.float32),
        "x_b": np.full((3, height, width), np.nan, np.float32),
        "x1": np.full((128, height, width), np.nan, dtype),
        "x2": np.full((256, height // 2, width // 2), np.nan, dtype),
        "x3": np.full((384, height // 4, width // 4), np.nan, dtype),
    }
    work = {
        "heads": np.full(stage.heads_bytes, 0xFF, np.uint8),
        "landings": np.full(stage.landings_bytes, 0xCC, np.uint8),
    }
    arrays = {name: np.ascontiguousarray(a) for name, a in (tensors | outputs | work).items()}
    for step in stage.launches({name: array.ctypes.data for name, array in arrays.items()}):
        host_kernels.run(step, stride)
    return {name: arrays[name] for name in outputs}


def resized(plane, level):
    """Mean of the middle 2x2 of each square, float32 like the published network."""
    if level == 0:
        return plane
    square, first = 1 << level, (1 << level) // 2 - 1
    half = np.float32(0.5)
    middle = [half * plane[..., first + j :: square, first + i :: square] for j in (0, 1) for i in (0, 1)]
    return half * (middle[0] + middle[1]) + half * (middle[2] + middle[3])


def splat_side(values, flow, z, factor, level):
    """Softmax splatting of one tensor, summed in float64."""
    flow = resized(np.float32(factor) * flow, level) * np.float32(0.5**level)
    z = resized(np.float32(factor) * z[0], level).astype(np.float64)
    height, width = z.shape
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    x, y = columns + flow[0], rows + flow[1]
    with np.errstate(over="ignore", invalid="ignore"):
        known = np.isfinite(x) & np.isfinite(y) & np.isfinite(np.exp(z.astype(np.float32)))
    x, y, z = (np.where(known, a, 0).astype(np.float64) for a in (x, y, z))
    total, sums = np.zeros(height * width), np.zeros((len(values), height * width))
    for down in (0, 1):
        for right in (0, 1):
            x0, y0 = np.floor(x), np.floor(y)
            share = np.abs(1 - right - (x - x0)) * np.abs(1 - down - (y - y0)) * np.exp(z)
            to_x, to_y = x0 + right, y0 + down
            inside = known & (to_x >= 0) & (to_x < width) & (to_y >= 0) & (to_y < height)
            index = (to_y * width + to_x)[inside].astype(np.int64)
            np.add.at(total, index, share[inside])
            for c, channel in enumerate(values.astype(np.float64)):
                np.add.at(sums[c], index, (channel * share)[inside])
    return (sums / (total + 1e-7)).reshape(values.shape)


def reference(tensors):
    """The splat stage in numpy."""
    t = tensors["t"][0]
    sides = (("flow01", "z0", t), ("flow10", "z1", np.float32(1) - t))
    splatted = {
        f"{name}_{side}": splat_side(tensors[f"{name}_{side}"], tensors[flow], tensors[z], factor, LEVEL[name])
        for name in CHANNELS
        for side, (flow, z, factor) in enumerate(sides)
    }
    joined = {f"x{k}": np.concatenate([splatted[f"f{k}_{side}"] for side in (0, 1)]) for k in (1, 2, 3)}
    return {"x_a": splatted["half_0"], "x_b": splatted["half_1"]} | joined


def assert_close(got, wanted, relative=2e-5, absolute=2e-5):
    for name, value in wanted.items():
        np.testing.assert_allclose(got[name], value, relative, absolute, err_msg=name)


def test_argument_structures_have_the_size_that_the_sources_give_them():
    assert splat_launches.ARGUMENT.itemsize == host_kernels.library().sizeof_Splat()
    assert picture_launches.ARGUMENT.itemsize == host_kernels.library().sizeof_Picture()


@pytest.mark.parametrize("deterministic", [True, False])
@pytest.mark.parametrize("reach", [0.3, 8, 200])
def test_splat_equals_the_reference(deterministic, reach):
    tensors = pair(16, 24, reach=reach)
    assert_close(splat(tensors, deterministic), reference(tensors), 5e-5)


@settings(max_examples=15)
@given(
    height=st.integers(1, 5),
    width=st.integers(1, 5),
    seed=st.integers(0, 1 << 30),
    reach=st.floats(0, 30),
    t=st.floats(0, 1, width=32),
)
def test_splat_equals_the_reference_at_any_size_and_time(height, width, seed, reach, t):
    tensors = pair(4 * height, 4 * width, seed, reach) | {"t": np.full(1, t, np.float32)}
    assert_close(splat(tensors), reference(tensors), 5e-5)


def test_splat_of_half_features_rounds_only_at_the_end():
    tensors = pair(16, 24, precision="fp16")
    got, wanted = splat(tensors, precision="fp16"), reference(tensors)
    np.testing.assert_allclose(got["x_a"], wanted["x_a"], 2e-5, 2e-5)
    for name in ("x1", "x2", "x3"):
        assert got[name].dtype == np.float16
        np.testing.assert_allclose(got[name].astype(np.float64), wanted[name], 6e-4, 1e-5)


@pytest.mark.parametrize("stride", [2, 255, 256, 7919])
@pytest.mark.parametrize("precision", ["fp16", "fp32"])
def test_deterministic_splat_gives_the_same_bits_in_any_order_of_threads(stride, precision):
    tensors = pair(16, 24, 3, 5, precision)
    once, again = splat(tensors, True, precision), splat(tensors, True, precision, stride)
    for name in once:
        assert once[name].tobytes() == again[name].tobytes()


def test_float_sums_depend_on_the_order_of_threads():
    tensors = pair(16, 24, 3, 5)
    once, again = splat(tensors, False), splat(tensors, False, stride=7919)
    assert any(once[name].tobytes() != again[name].tobytes() for name in once)
    assert_close(again, reference(tensors), 5e-5)


def test_still_pictures_stay_where_they_are():
    tensors = pair(8, 12)
    for name in ("flow01", "flow10", "z0", "z1"):
        tensors[name] = np.zeros_like(tensors[name])
    got = splat(tensors)
    np.testing.assert_allclose(got["x_a"], tensors["half_0"], 3e-7)
    np.testing.assert_allclose(got["x2"], np.concatenate([tensors["f2_0"], tensors["f2_1"]]), 3e-7)


def test_pixels_where_nothing_lands_are_black():
    tensors = pair(8, 12)
    tensors["t"][:] = 0.5
    for name in ("flow01", "flow10"):
        tensors[name] = np.zeros_like(tensors[name])
        tensors[name][0] = 8.0
    got = splat(tensors)
    for name, columns in (("x_a", 4), ("x_b", 4), ("x1", 4), ("x2", 2), ("x3", 1)):
        assert not got[name][..., :columns].any()
        assert got[name][..., columns:].all()


@pytest.mark.parametrize("distance", [-1.0, -0.75, 0.75, 1.0, 11.25, -12.0])
def test_shares_beyond_each_border_are_dropped(distance):
    for axis in (0, 1):
        tensors = pair(8, 12)
        tensors["t"][:] = 1
        tensors["flow01"] = np.zeros_like(tensors["flow01"])
        tensors["flow01"][axis] = distance
        assert_close(splat(tensors), reference(tensors), 5e-5)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 3e38, -3e38, 2147483648.0])
def test_sources_without_a_landing_are_skipped(bad):
    tensors = pair(8, 12)
    tensors["flow01"][0, 2:5, 3:6] = bad
    tensors["flow10"][1, ::3, ::2] = bad
    tensors["z1"][0, 0, :4] = np.nan
    got = splat(tensors)
    assert all(np.isfinite(array).all() for array in got.values())
    assert_close(got, reference(tensors), 5e-5)


def onto_one_pixel(height, width):
    tensors = pair(height, width)
    tensors["t"][:] = 1
    rows, columns = np.mgrid[:height, :width]
    tensors["flow01"] = np.stack([5 - columns, 4 - rows]).astype(np.float32)
    return tensors


@pytest.mark.parametrize("z", [-10.0, 0.0, 10.0])
def test_a_whole_picture_may_land_on_one_pixel(z):
    tensors = onto_one_pixel(64, 96)
    tensors["z0"][:] = z
    tensors["half_0"] = np.abs(tensors["half_0"])
    tensors["f1_0"] = np.sign(tensors["f1_0"]) * np.float32(60000)
    tensors["f1_0"][0] = 60000
    got = splat(tensors)
    mean = tensors["half_0"].mean((1, 2), np.float64)
    whole = 64 * 96 * np.exp(z)
    np.testing.assert_allclose(got["x_a"][:, 4, 5], mean * whole / (whole + 1e-7), 2e-6)
    assert got["x1"][0, 4, 5] == pytest.approx(60000, rel=2e-6)
    assert np.count_nonzero(got["x_a"]) == 3


def test_many_weak_sources_beside_a_strong_one_are_not_lost():
    tensors = onto_one_pixel(16, 24)
    tensors["z0"][:] = -6
    tensors["z0"][0, 10, 10] = 10
    tensors["half_0"][:] = 1
    tensors["half_0"][:, 10, 10] = 0
    weak = (16 * 24 - 1) * np.exp(-6.0)
    # The bound that splat.cu proves: 384 terms have 9 digits.
    np.testing.assert_allclose(splat(tensors)["x_a"][:, 4, 5], weak / (weak + np.exp(10.0)), 1e-6, 2.0**-28)


def test_a_faint_share_is_damped_by_the_constant_in_the_denominator():
    tensors = pair(8, 12)
    tensors["t"][:] = 1
    tensors["flow01"][:] = 100
    tensors["flow01"][:, 2, 3] = 2**-11
    tensors["z0"][:] = -10
    share = np.float64(2.0**-22) * np.exp(-10.0)
    wanted = tensors["half_0"][:, 2, 3] * share / (share + 1e-7)
    np.testing.assert_allclose(splat(tensors)["x_a"][:, 3, 4], wanted, 1e-5)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_never_hidden(bad):
    tensors = pair(8, 12)
    tensors["flow01"][:] = 0
    tensors["f1_0"][20, 3, 3] = bad
    got = splat(tensors)
    assert np.isnan(got["x1"][20, 3, 3])
    assert np.isfinite(got["x1"][:16]).all()
    assert np.isfinite(got["x_a"]).all()


def test_splat_refuses_sizes_without_whole_levels():
    with pytest.raises(UsageError, match="30x16"):
        Splat(30, 16)


@pytest.mark.export
def test_splat_equals_torch():
    torch = pytest.importorskip("torch")
    tensors = pair(32, 40, 5, 6)
    at = {name: torch.from_numpy(array) for name, array in tensors.items()}

    def scattered(values, flow, z):
        channels, height, width = values.shape
        rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        x, y = columns + flow[0], rows + flow[1]
        x0, y0 = x.floor(), y.floor()
        stacked = torch.cat([values, torch.ones_like(z)]).double() * z.double().exp()
        sums = torch.zeros(channels + 1, height * width, dtype=torch.double)
        for j, i in ((0, 0), (0, 1), (1, 0), (1, 1)):
            share = (1 - (x - x0 - i).abs()) * (1 - (y - y0 - j).abs())
            to_x, to_y = x0 + i, y0 + j
            inside = (to_x >= 0) & (to_x < width) & (to_y >= 0) & (to_y < height)
            index = (to_y * width + to_x)[inside].long()
            sums.index_add_(1, index, (stacked * share)[:, inside])
        return (sums[:-1] / (sums[-1:] + 1e-7)).reshape(values.shape)

    def scaled(plane, factor):
        return torch.nn.functional.interpolate(plane[None], scale_factor=factor, mode="bilinear")[0]

    got = splat(tensors)
    for side, (flow, z, factor) in enumerate((("flow01", "z0", at["t"]), ("flow10", "z1", 1 - at["t"]))):
        moved, metric = factor * at[flow], factor * at[z]
        for name, output, scale in (("f1", "x1", 1), ("f2", "x2", 0.5), ("f3", "x3", 0.25)):
            level = (moved, metric) if scale == 1 else (scaled(moved, scale) * scale, scaled(metric, scale))
            wanted = scattered(at[f"{name}_{side}"], *level).numpy()
            channels = CHANNELS[name]
            half = got[output][side * channels : (side + 1) * channels]
            np.testing.assert_allclose(half, wanted, 1e-4, 1e-4, err_msg=name)
        picture = scattered(at[f"half_{side}"], moved, metric).numpy()
        np.testing.assert_allclose(got[("x_a", "x_b")[side]], picture, 1e-4, 1e-4)


# --- pictures -------------------------------------------------------------------------------------------------

SIZE, PADDED = (13, 9), Geometry(16, 12)


def unpacked(picture, layout, precision="fp32"):
    tensor = np.full((3, PADDED.height, PADDED.width), np.nan, DTYPES[precision])
    conversion = Conversion(layout, *SIZE, PADDED, precision)
    assert conversion.nbytes == picture.nbytes
    host_kernels.run(conversion.unpack(picture.ctypes.data, tensor.ctypes.data))
    return tensor


def packed(tensor, layout, picture, precision="fp32"):
    conversion = Conversion(layout, *SIZE, PADDED, precision)
    host_kernels.run(conversion.pack(tensor.ctypes.data, picture.ctypes.data))
    return picture


@pytest.mark.parametrize(("dtype", "depth"), [(np.uint8, 8), (np.uint16, 16)])
def test_rgb_unpacks_and_packs_to_the_very_bits_of_the_host_path(dtype, depth):
    random = np.random.default_rng(1)
    frame = random.integers(0, 1 << depth, (SIZE[1], SIZE[0], 3), dtype)
    tensor = unpacked(frame, RgbLayout(depth))
    np.testing.assert_array_equal(tensor, to_planar(frame, PADDED)[0])
    np.testing.assert_array_equal(packed(tensor, RgbLayout(depth), np.zeros_like(frame)), frame)
    wild = random.normal(0.5, 0.6, tensor.shape).astype(np.float32)
    wanted = from_planar(wild[None], *SIZE, dtype)
    np.testing.assert_array_equal(packed(wild, RgbLayout(depth), np.zeros_like(frame)), wanted)


def test_half_tensors_keep_eight_bits():
    frame = np.random.default_rng(2).integers(0, 256, (SIZE[1], SIZE[0], 3), np.uint8)
    tensor = unpacked(frame, RgbLayout(8), "fp16")
    np.testing.assert_array_equal(tensor, to_planar(frame, PADDED)[0].astype(np.float16))
    np.testing.assert_array_equal(packed(tensor, RgbLayout(8), np.zeros_like(frame), "fp16"), frame)


def planes_of(codes):
    """Y, U, V views of one planar 4:2:0 picture."""
    width, height = SIZE
    across, down = (width + 1) // 2, (height + 1) // 2
    luma, rest = codes[: width * height], codes[width * height :]
    return luma.reshape(height, width), *rest.reshape(2, down, across)


def yuv_reference(codes, layout):
    """[3, height, width] in float64, by the text of the recommendations."""
    luma, *chroma = (plane.astype(np.float64) for plane in planes_of(codes))
    unit, peak = 2.0 ** (layout.depth - 8), 2.0**layout.depth - 1
    black, luma_range, chroma_range = (0, peak, peak) if layout.range == "pc" else (16 * unit, 219 * unit, 224 * unit)
    right, below = {"left": (0, 0.5), "center": (0.5, 0.5), "topleft": (0, 0)}[layout.chroma_location]
    full = []
    for plane in chroma:
        down, across = plane.shape
        columns, rows = (np.arange(SIZE[0]) - right) / 2, (np.arange(SIZE[1]) - below) / 2
        wide = np.stack([np.interp(columns, np.arange(across), row) for row in plane])
        tall = np.stack([np.interp(rows, np.arange(down), column) for column in wide.T], 1)
        full.append((tall - 128 * unit) / chroma_range)
    kr, kb = {"bt709": (0.2126, 0.0722), "smpte170m": (0.299, 0.114), "bt2020nc": (0.2627, 0.0593)}[layout.matrix]
    y, (u, v) = (luma - black) / luma_range, full
    red, blue = y + (2 - 2 * kr) * v, y + (2 - 2 * kb) * u
    return np.clip(np.stack([red, (y - kr * red - kb * blue) / (1 - kr - kb), blue]), 0, 1)


LAYOUTS = [
    YuvLayout(),
    YuvLayout(8, "bt709", "pc", "center"),
    YuvLayout(10, "bt709", "tv", "left"),
    YuvLayout(10, "bt2020nc", "tv", "topleft"),
    YuvLayout(10, "smpte170m", "pc", "left"),
]


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_yuv_unpacks_to_the_reference(layout):
    dtype = np.uint8 if layout.depth == 8 else np.uint16
    count = layout.nbytes(*SIZE) // np.dtype(dtype).itemsize
    codes = np.random.default_rng(4).integers(0, 1 << layout.depth, count, dtype)
    got, wanted = unpacked(codes, layout), yuv_reference(codes, layout)
    width, height = SIZE
    np.testing.assert_allclose(got[:, :height, :width], wanted, atol=2e-6)
    np.testing.assert_array_equal(got[:, :height, width:], np.repeat(got[:, :height, width - 1 : width], 3, 2))
    np.testing.assert_array_equal(got[:, height:], np.repeat(got[:, height - 1 : height], 3, 1))
    np.testing.assert_allclose(unpacked(codes, layout, "fp16"), got, atol=5e-4)


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("precision", ["fp16", "fp32"])
def test_yuv_survives_unpacking_and_packing_where_chroma_is_even(layout, precision):
    dtype = np.uint8 if layout.depth == 8 else np.uint16
    count, unit = layout.nbytes(*SIZE) // np.dtype(dtype).itemsize, 1 << (layout.depth - 8)
    codes = np.empty(count, dtype)
    luma, u, v = planes_of(codes)
    luma[:] = np.random.default_rng(5).integers(90 * unit, 150 * unit, luma.shape)
    u[:], v[:] = 120 * unit, 135 * unit
    tensor = unpacked(codes, layout, precision)
    again = packed(tensor, layout, np.zeros_like(codes), precision)
    allowed = 0 if precision == "fp32" or layout.depth == 8 else 1
    assert np.abs(again.astype(int) - codes.astype(int)).max() <= allowed


@pytest.mark.parametrize(
    ("layout", "colour", "codes"),
    [
        (YuvLayout(8, "bt709"), (1, 0, 0), (63, 102, 240)),
        (YuvLayout(8, "bt709"), (0, 1, 0), (173, 42, 26)),
        (YuvLayout(8, "bt709"), (0, 0, 1), (32, 240, 118)),
        (YuvLayout(8, "smpte170m"), (1, 0, 0), (81, 90, 240)),
        (YuvLayout(8, "bt470bg"), (0, 1, 0), (145, 54, 34)),
        (YuvLayout(8, "smpte170m"), (0, 0, 1), (41, 240, 110)),
        (YuvLayout(10, "bt2020nc"), (1, 0, 0), (294, 387, 960)),
        (YuvLayout(8, "bt709"), (2, 3, 4), (235, 128, 128)),
        (YuvLayout(8, "bt709", "pc"), (-1, 0, 0), (0, 128, 128)),
        (YuvLayout(8, "smpte170m", "pc"), (1, 0, 0), (76, 85, 255)),
        (YuvLayout(10, "bt709"), (1, 1, 1), (940, 512, 512)),
    ],
    ids=str,
)
def test_pure_colours_have_the_codes_of_the_standards(layout, colour, codes):
    tensor = np.empty((3, PADDED.height, PADDED.width), np.float32)
    tensor[:] = np.array(colour, np.float32)[:, None, None]
    dtype = np.uint8 if layout.depth == 8 else np.uint16
    picture = np.zeros(layout.nbytes(*SIZE) // np.dtype(dtype).itemsize, dtype)
    for plane, code in zip(planes_of(packed(tensor, layout, picture)), codes, strict=True):
        assert (plane == code).all()


@pytest.mark.parametrize(
    ("location", "across", "down"),
    [
        ("left", {-1: 0.25, 0: 0.5, 1: 0.25}, {0: 0.5, 1: 0.5}),
        ("center", {0: 0.5, 1: 0.5}, {0: 0.5, 1: 0.5}),
        ("topleft", {-1: 0.25, 0: 0.5, 1: 0.25}, {-1: 0.25, 0: 0.5, 1: 0.25}),
    ],
)
def test_chroma_is_averaged_around_its_place(location, across, down):
    layout = YuvLayout(10, "bt709", "pc", location)
    tensor = np.random.default_rng(6).uniform(0, 1, (3, PADDED.height, PADDED.width)).astype(np.float32)
    picture = np.zeros(layout.nbytes(*SIZE) // 2, np.uint16)
    _, u, v = planes_of(packed(tensor, layout, picture))
    width, height = SIZE
    red, green, blue = tensor[:, :height, :width].astype(np.float64)
    luma = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    for plane, difference in ((u, (blue - luma) / 1.8556), (v, (red - luma) / 1.5748)):
        for row, column in np.ndindex(plane.shape):
            wanted = sum(
                a * b * difference[np.clip(2 * row + j, 0, height - 1), np.clip(2 * column + i, 0, width - 1)]
                for j, b in down.items()
                for i, a in across.items()
            )
            assert abs(plane[row, column] - (wanted * 1023 + 512)) < 0.501


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("size", [SIZE, (14, 10), (1, 1)], ids=str)
def test_the_host_converts_as_the_kernels_do(layout, size):
    random, yuv, padded = np.random.default_rng(7), Yuv420(*size, layout), Geometry(16, 12)
    codes = random.integers(0, 1 << layout.depth, yuv.shape, layout.dtype)
    tensor = np.empty((3, padded.height, padded.width), np.float32)
    conversion = Conversion(layout, *size, padded)
    host_kernels.run(conversion.unpack(codes.ctypes.data, tensor.ctypes.data))
    np.testing.assert_allclose(yuv.to_planar(codes, padded)[0], tensor, atol=2e-6)
    wild = random.normal(0.5, 0.6, tensor.shape).astype(np.float32)
    packed_codes = np.zeros_like(codes)
    host_kernels.run(conversion.pack(wild.ctypes.data, packed_codes.ctypes.data))
    difference = np.abs(yuv.from_planar(wild[None]).astype(int) - packed_codes.astype(int))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01  # halves that floats round one way or the other


def test_layouts_refuse_what_is_unknown():
    with pytest.raises(InputError, match="ictcp"):
        YuvLayout(10, "ictcp")
    with pytest.raises(InputError, match="depth 17"):
        YuvLayout(17)
    with pytest.raises(InputError, match="bottom"):
        replace(YuvLayout(), chroma_location="bottom")
