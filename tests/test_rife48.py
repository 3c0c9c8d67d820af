"""RIFE 4.8 against the published network's results on random weights, and its symbolic export."""

from __future__ import annotations

import importlib.util
import logging
import os
import warnings

import numpy as np
import pytest
import rife48_recipe as recipe

if importlib.util.find_spec("torch") is None and os.environ.get("AFITRT_REQUIRE_EXPORT") != "1":
    pytest.skip("torch is not installed", allow_module_level=True)

import torch
from afitrt_export.networks.rife48 import Encode, Fuse, Rife48

pytestmark = pytest.mark.export
torch.set_num_threads(2)

SHAPES, CASES, TOLERANCE = recipe.SHAPES, recipe.CASES, recipe.TOLERANCE


def random_weights():
    return {name: torch.from_numpy(array) for name, array in recipe.weights().items()}


def network(scale):
    net = Rife48(scale).eval()
    net.load_state_dict(random_weights())
    return net


def pictures(width, height):
    return tuple(torch.from_numpy(image) for image in recipe.pictures(width, height))


def moment(t):
    return torch.full((1, 1, 1, 1), float(t))


def test_the_recipe_still_gives_the_same_numbers():
    state = random_weights()
    assert state["block0.conv0.0.0.weight"][0, 0, 0].tolist() == pytest.approx([0.0717030, 0.0224594, 0.0588600])
    assert pictures(96, 64)[0][0, 0, 0, :3].tolist() == pytest.approx([0.3108952, 0.6914331, 0.2111660])


@pytest.mark.parametrize(("width", "height", "t", "scale"), CASES)
def test_equals_the_published_network(width, height, t, scale):
    with torch.no_grad():
        ours = network(scale)(*pictures(width, height), moment(t)).numpy()
    theirs = recipe.golden(width, height)
    assert ours.shape == theirs.shape == (1, 3, height, width)
    assert np.abs(ours - theirs).max() <= TOLERANCE


def test_the_golden_pictures_depend_on_both_pictures_the_time_and_the_weights():
    """Else parity would prove little."""
    width, height, t, scale = CASES[0]
    first, second = pictures(width, height)
    net = network(scale)
    with torch.no_grad():
        ours = net(first, second, moment(t))
        others = [net(second, first, moment(t)), net(first, second, moment(t / 2))]
        for name in ("encode.0.weight", "block0.convblock.7.beta", "block3.lastconv.0.bias"):
            state = random_weights()
            state[name] = state[name] * 1.5
            changed = Rife48(scale).eval()
            changed.load_state_dict(state)
            others.append(changed(first, second, moment(t)))
    assert min(float((other - ours).abs().max()) for other in others) > 100 * TOLERANCE


def test_names_and_shapes_are_the_published_ones():
    assert {name: tuple(value.shape) for name, value in Rife48().state_dict().items()} == SHAPES
    assert len(SHAPES) == 124


def test_loading_is_strict():
    state = random_weights()
    missing = {name: value for name, value in state.items() if name != "encode.1.bias"}
    with pytest.raises(RuntimeError, match=r"Missing key.*encode\.1\.bias"):
        Rife48().load_state_dict(missing)
    with pytest.raises(RuntimeError, match="Unexpected key"):
        Rife48().load_state_dict(state | {"encode.2.weight": state["encode.1.bias"]})
    with pytest.raises(RuntimeError, match="size mismatch"):
        Rife48().load_state_dict(state | {"encode.1.bias": torch.zeros(5)})


def test_stages_keep_the_names_and_cover_all_parameters():
    net = Rife48()
    encode, fuse = set(Encode(net).state_dict()), set(Fuse(net).state_dict())
    assert encode | fuse == set(SHAPES)
    assert not encode & fuse


def exported(module, inputs, multiple, folder):
    """The module as an ONNX file for every size of whole multiples; returns path and initialisers' names."""
    down, across = (torch.export.Dim(name, min=1, max=256) for name in ("down", "across"))
    shapes = tuple({2: multiple * down, 3: multiple * across} if each.shape[2] > 1 else {} for each in inputs)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            torch.export.export(module, tuple(inputs), dynamic_shapes=shapes, strict=False),
            opset_version=20,
            dynamo=True,
            optimize=False,
            verbose=False,
        )
    path = folder / f"{type(module).__name__}.onnx"
    program.save(path)
    return path, {tensor.name for tensor in program.model_proto.graph.initializer}


def run(path, *inputs):
    ort = pytest.importorskip("onnxruntime")
    options = ort.SessionOptions()
    options.intra_op_num_threads = 2
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feeds = {each.name: value for each, value in zip(session.get_inputs(), inputs, strict=True)}
    return session.run(None, feeds)[0]


@pytest.mark.slow
@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_one_export_serves_all_sizes(tmp_path, scale):
    net, multiple = network(scale), int(32 / scale)
    encode, fuse = Encode(net).eval(), Fuse(net).eval()
    first, second = pictures(4 * multiple, 3 * multiple)
    with torch.no_grad():
        planes = encode(first), encode(second)
    encode_path, encode_names = exported(encode, [first], 2, tmp_path)
    fuse_path, fuse_names = exported(fuse, [*planes, moment(0.5)], multiple, tmp_path)
    assert set(encode.state_dict()) <= encode_names
    assert set(fuse.state_dict()) <= fuse_names
    for width, height in ((2 * multiple, 5 * multiple), (7 * multiple, multiple)):
        earlier, later = pictures(width, height)
        with torch.no_grad():
            torch_picture = net(earlier, later, moment(0.3)).numpy()
        onnx_planes = [run(encode_path, each.numpy()) for each in (earlier, later)]
        picture = run(fuse_path, *onnx_planes, moment(0.3).numpy())
        assert picture.shape == (1, 3, height, width)
        assert np.abs(picture - torch_picture).max() <= TOLERANCE
