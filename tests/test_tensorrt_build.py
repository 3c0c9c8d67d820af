"""Building engines: real ones by TensorRT for RTX, which needs no GPU, and the rest of the room on a fake TensorRT."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fake_tensorrt
import onnx
import pytest
from command import afitrt, heeding_signals, process
from conftest import skip_unless_required
from fake_tensorrt import FakeTensorRT
from onnx import TensorProto, helper
from video_helpers import pattern

from afitrt import artefacts
from afitrt.build import half_share, stage_graph, stage_model
from afitrt.build.cost import cost
from afitrt.errors import MissingToolError, OutputError, RetryError, UsageError
from afitrt.frames import Geometry
from afitrt.runtimes import choosing, tensorrt
from afitrt.runtimes.tensorrt import FLAVOURS, builder, check_target, engines, timing

RTX = FLAVOURS["tensorrt-rtx"]
TARGETS = ("sm_86", "sm_89", "sm_120")
STAGES = {"encode", "match", "splat", "fuse"}


@pytest.fixture(scope="module")
def rtx() -> None:
    """TensorRT for RTX."""
    if RTX.module_name is None:
        skip_unless_required("AFITRT_REQUIRE_TENSORRT_RTX", "tensorrt-rtx is not installed")


def home_with_weights(folder: Path, weights_home: Path) -> Path:
    (folder / "weights").symlink_to(weights_home / "weights", target_is_directory=True)
    return folder


@pytest.fixture
def home(tmp_path: Path, weights_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home with the published weights."""
    monkeypatch.setenv("AFITRT_HOME", str(tmp_path))
    return home_with_weights(tmp_path, weights_home)


SMALL = ("--size", "448x256", "--scale", "1.0")


@pytest.fixture(scope="module")
def built(rtx: None, weights_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Any]]:
    """A home in which all stages at 448x256 are built for three architectures, and what the command said."""
    folder = home_with_weights(tmp_path_factory.mktemp("built"), weights_home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AFITRT_HOME", str(folder))
        ran = afitrt("build-engine", *SMALL, "--target", ",".join(TARGETS), "--json", "--explain")
    assert ran.code == 0, ran.err
    yield folder, json.loads(ran.out)


def tiny(*nodes: onnx.NodeProto) -> onnx.ModelProto:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in "xy")
    graph = helper.make_graph(list(nodes) or [helper.make_node("Relu", ["x"], ["y"], "the/node")], "g", [x], [y])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


# --- real engines -----------------------------------------------------------------------------------------------


@pytest.mark.weights
def test_every_stage_is_built_for_every_target(built: tuple[Path, Any]) -> None:
    _, said = built
    assert (said["runtime"], said["precision"], tuple(said["targets"])) == ("tensorrt-rtx", "fp16", TARGETS)
    assert {(each["target"], each["stage"]) for each in said["engines"]} == {(t, s) for t in TARGETS for s in STAGES}
    for each in said["engines"]:
        assert (each["size"], each["model"], each["scale"]) == ("448x256", "gmfss", 1.0)
        assert Path(each["path"]).stat().st_size == each["bytes"] > 10_000
        if each["stage"] != "splat":
            assert each["half_weights"] >= 0.8
            assert each["activation_bytes"] > 1_000_000 and each["weight_bytes"] > 1_000_000


@pytest.mark.weights
def test_the_plan_tells_arithmetic_traffic_launches_and_memory(built: tuple[Path, Any]) -> None:
    _, said = built
    plan = said["plans"][0]
    stages = {each["stage"]: each for each in plan["stages"]}
    assert {name: each["per"] for name, each in stages.items()} == {
        "encode": "picture",
        "match": "pair",
        "splat": "time",
        "fuse": "time",
    }
    # By hand: 7.4 + 6.1 GFLOP of FeatureNet and backbone; 87 + 2.4 of GridNet, its tail folded, and IFNet.
    assert stages["encode"]["flop"] == pytest.approx(13.5e9, rel=0.05)
    assert stages["fuse"]["flop"] == pytest.approx(84e9, rel=0.1)
    assert stages["match"]["half_flop"] > 0.9 * stages["match"]["flop"]
    assert all(each["launches"] >= 3 and each["nbytes"] > 1e6 for each in stages.values())
    memory = plan["memory"]
    assert memory["total"] > memory["scratch"] + memory["weights"] > 0


@pytest.mark.weights
def test_engines_are_listed_verified_found_again_and_pruned(
    built: tuple[Path, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, said = built
    monkeypatch.setenv("AFITRT_HOME", str(home))
    listed = json.loads(afitrt("engines", "list", "--json").out)["engines"]
    by_path = {each["path"]: each for each in listed}
    for each in said["engines"]:
        assert by_path[each["path"]] == each
    assert afitrt("engines", "verify").code == 0
    stamps = {each["path"]: Path(each["path"]).stat().st_mtime_ns for each in said["engines"]}
    again = afitrt("build-engine", *SMALL, "--target", "sm_89", "--json")
    assert {path: Path(path).stat().st_mtime_ns for path in stamps} == stamps
    assert [each["sha256"] for each in json.loads(again.out)["engines"]] == [
        each["sha256"] for each in said["engines"] if each["target"] == "sm_89"
    ]
    path = Path(next(each["path"] for each in listed if each["stage"] == "fuse" and each["target"] == "sm_120"))
    path.write_bytes(path.read_bytes()[:-1])
    ran = afitrt("engines", "verify")
    assert ran.code == 6 and f"damaged: {path}" in ran.out
    refused = afitrt("build-engine", *SMALL, "--target", "sm_120")
    assert refused.code == 6 and "is damaged" in refused.err
    assert str(path.parent) in afitrt("engines", "prune", "--dry-run").out and path.exists()
    assert afitrt("engines", "prune").code == 0
    assert not path.parent.exists() and afitrt("engines", "verify").code == 0


@pytest.mark.weights
@pytest.mark.slow
def test_full_hd_is_built(rtx: None, home: Path) -> None:
    ran = afitrt("build-engine", "--scale", "1.0", "--target", "sm_89", "--json")
    assert ran.code == 0, ran.err
    engines_built = json.loads(ran.out)["engines"]
    assert {each["stage"] for each in engines_built} == STAGES
    assert {each["size"] for each in engines_built} == {"1920x1088"}


@pytest.mark.weights
def test_the_size_of_a_video_is_taken_from_it(rtx: None, home: Path) -> None:
    clip = pattern(home / "in.mkv", seconds=1, size="100x60")
    ran = afitrt("build-engine", "--for", clip, "--model", "rife", "--target", "sm_89", "--json")
    assert ran.code == 0, ran.err
    assert re.search(r"100x60 needs 0\.\d\d GB of GPU memory with --n-forward 2; no GPU is here", ran.err), ran.err
    assert [each["size"] for each in json.loads(ran.out)["engines"]] == ["128x64"]


@pytest.mark.weights
@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_other_scales_build(rtx: None, weights_home: Path, scale: float) -> None:
    model = stage_model("gmfss", "match", Geometry(256, 256, scale), "gmfss-union", "fp16")
    made, _ = builder.build(RTX, model, "sm_89", None, lambda share: None)
    assert len(made.data) > 1_000_000 and half_share(model) > 0.8


def test_a_refused_graph_names_its_node(rtx: None) -> None:
    with pytest.raises(builder.BuildFailed, match=r"node splat/ScatterND_\d+ \(ScatterND\) is refused") as caught:
        builder.build(RTX, stage_graph("gmfss", "splat", Geometry(64, 64)), "sm_89", None, lambda share: None)
    assert any("ScatterND" in line for line in caught.value.log.lines)


def test_targets_are_those_that_can_run_it(rtx: None) -> None:
    assert set(TARGETS) <= set(RTX.targets()) and "sm_75" not in RTX.targets()
    with pytest.raises(UsageError, match="--target sm_42") as caught:
        choosing.targets("tensorrt-rtx", "sm_89,sm_42")
    assert "sm_86" in caught.value.expected
    check_target(RTX, "sm_90", present="sm_90")


# --- interrupted and racing builds ------------------------------------------------------------------------------

BUILD = ("build-engine", "--size", "128x128", "--scale", "1.0", "--runtime", "tensorrt-rtx", "--target", "sm_89")


def unfinished(home: Path) -> list[Path]:
    return [path for path in (home / "engines").glob("*/*") if path.name.startswith(".")]


@pytest.mark.weights
@pytest.mark.parametrize(
    ("sent", "after"), [(signal.SIGTERM, 0.0), (signal.SIGTERM, 0.5), (signal.SIGTERM, 0.9), (signal.SIGKILL, 0.5)]
)
def test_a_stopped_build_leaves_nothing_that_counts(rtx: None, home: Path, sent: signal.Signals, after: float) -> None:
    running = process(*BUILD)
    assert running.stderr is not None
    for line in running.stderr:
        if line.startswith("encode for"):
            break
    time.sleep(after)
    running.send_signal(sent)
    _, said = running.communicate(timeout=60)
    assert running.returncode == (75 if sent == signal.SIGTERM else -signal.SIGKILL), said
    assert afitrt("engines", "verify").code == 0
    stages = {each["stage"] for each in json.loads(afitrt("engines", "list", "--json").out)["engines"]}
    assert stages <= {"encode"} and not unfinished(home)


@pytest.mark.weights
def test_two_builds_at_once_do_no_harm(rtx: None, home: Path) -> None:
    running = [process(*BUILD, "--json") for _ in range(2)]
    said = [each.communicate(timeout=120) for each in running]
    assert [each.returncode for each in running] == [0, 0], said
    assert afitrt("engines", "verify").code == 0
    first, second = (json.loads(out)["engines"] for out, _ in said)
    assert [each["path"] for each in first] == [each["path"] for each in second]
    assert not unfinished(home)


# --- on a fake TensorRT -----------------------------------------------------------------------------------------


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeTensorRT]:
    """The full flavour, faked; TensorRT for RTX is not there; an empty home."""
    monkeypatch.setenv("AFITRT_HOME", str(tmp_path))
    with fake_tensorrt.installed(FakeTensorRT()) as installed:
        yield installed


FULL = FLAVOURS["tensorrt"]


def identity() -> artefacts.Identity:
    return artefacts.Identity("tensorrt", "99.1", "gmfss", "fuse", "w", "g", 1, 64, 64, 1.0, "fp16", "sm_89")


def test_a_failed_build_keeps_the_log_and_names_the_node(fake: FakeTensorRT, tmp_path: Path) -> None:
    fake.failures.add("build")
    with pytest.raises(builder.BuildFailed, match="the/node") as caught:
        engines._built(FULL, identity(), tiny(), lambda share: None)
    log = next((tmp_path / "logs").iterdir())
    assert str(log) in caught.value.hint and "ForeignNode[the/node]" in log.read_text()
    assert artefacts.folders() == []


def test_what_a_build_measured_is_remembered_and_merged(fake: FakeTensorRT) -> None:
    file = timing.path(FULL, "sm_89")
    engines._built(FULL, identity(), tiny(), lambda share: None)
    assert timing.read(file) == b"layer1"
    timing.merge(FULL, file, b"other")
    assert timing.read(file) == b"layer1,other"
    builder.build(FULL, tiny(), "sm_89", timing.read(file), lambda share: None)
    assert fake.measured[-1] == b"layer1,other"
    file.write_bytes(file.read_bytes()[:-1])
    assert timing.read(file) is None, "a damaged cache is measured anew"


def test_progress_goes_from_nothing_to_all(fake: FakeTensorRT) -> None:
    shares: list[float] = []
    built, _ = builder.build(FULL, tiny(), "sm_89", None, shares.append)
    assert shares == [0.5, 1.0, 1.0]
    assert (built.activations, built.weights) == (fake_tensorrt.SCRATCH, 8192)


def test_signals_while_waiting_end_the_build_and_never_leave_its_thread(fake: FakeTensorRT) -> None:
    """Two of them: the second one must not cut the waiting short."""
    ended: list[bool] = []

    def slow(share: float) -> None:
        signal.raise_signal(signal.SIGINT)
        time.sleep(0.2)
        signal.raise_signal(signal.SIGINT)
        time.sleep(0.2)
        ended.append(True)

    with heeding_signals():
        with pytest.raises(KeyboardInterrupt):
            builder.build(FULL, tiny(), "sm_89", None, slow)
        assert ended and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert not [thread for thread in threading.enumerate() if thread.name == "afitrt-builder"]


def test_an_exception_of_who_listens_ends_the_build_and_is_raised(fake: FakeTensorRT) -> None:
    """The library calls from C++, which an exception of Python would end with an abort."""

    def closed(share: float) -> None:
        raise BrokenPipeError("nobody reads the progress")

    with pytest.raises(BrokenPipeError, match="nobody reads"):
        builder.build(FULL, tiny(), "sm_89", None, closed)
    assert fake.calls.get("build", 0) == 0


@pytest.mark.parametrize(
    ("number", "error", "words"),
    [(errno.ENOSPC, RetryError, "is full"), (errno.EROFS, OutputError, "cannot write in")],
)
def test_a_disk_that_takes_no_engine_says_so(
    fake: FakeTensorRT, monkeypatch: pytest.MonkeyPatch, number: int, error: type[Exception], words: str
) -> None:
    def refuse(path: Path, data: bytes) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(engines, "_write", refuse)
    with pytest.raises(error, match=words):
        engines._built(FULL, identity(), tiny(), lambda share: None)
    assert [path for path in artefacts.engines_home().rglob("*") if path.is_file()] == []


def test_full_tensorrt_builds_only_for_the_gpu_that_is_here(fake: FakeTensorRT) -> None:
    with pytest.raises(UsageError, match="no GPU is here"):
        choosing.targets("tensorrt", None)
    with pytest.raises(UsageError, match="--target sm_86"):
        check_target(FULL, "sm_86", present="sm_89")
    check_target(FULL, "sm_89", present="sm_89")


# --- choosing ---------------------------------------------------------------------------------------------------


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AFITRT_HOME", str(tmp_path))
    monkeypatch.setattr(tensorrt.flavours.importlib.util, "find_spec", lambda name: None)


def test_without_tensorrt_everything_is_for_onnx(nothing_installed: None) -> None:
    assert choosing.for_running() == choosing.for_building() == "onnx"
    with pytest.raises(MissingToolError, match="tensorrt-rtx is not installed") as caught:
        choosing.targets("tensorrt-rtx", None)
    assert "afitrt[tensorrt-rtx]" in caught.value.hint


def test_with_tensorrt_for_rtx_and_no_gpu_engines_are_for_others(rtx: None) -> None:
    if choosing.present_gpu().target is not None:
        pytest.skip("there is a GPU")
    assert choosing.for_running() == "onnx"
    assert choosing.for_building() == "tensorrt-rtx"
    assert choosing.targets("tensorrt-rtx", None) == TARGETS


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--size", "1920"), "--size 1920"),
        (("--size", "0x5"), "--size 0x5"),
        (("--runtime", "onnx", "--target", "sm_89"), "--target sm_89 with --runtime onnx"),
        (("--runtime", "tensorrt-rtx", "--target", "sm_1"), "--target sm_1"),
        (("--runtime", "tensorrt-rtx", "--target", "current"), "--target current"),
        (("--device", "-1"), "--device -1"),
        (("--precision", "int8"), "--precision int8"),
    ],
)
def test_mistakes_are_answered_in_three_parts(rtx: None, arguments: tuple[str, ...], words: str) -> None:
    ran = afitrt("build-engine", *arguments)
    assert ran.code == 2, ran.err
    assert words in ran.err and "expected:" in ran.err and "try:" in ran.err and ran.out == ""


# --- cost -------------------------------------------------------------------------------------------------------


def test_cost_counts_what_a_graph_does() -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["y"], "conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["y"], ["z"], "relu"),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])
    z = helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, 5, 8, 8])
    weight = helper.make_tensor("w", TensorProto.FLOAT, [5, 3, 3, 3], [0.0] * 135)
    graph = helper.make_graph(nodes, "g", [x], [z], [weight])
    counted = cost(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10))
    assert counted.flop == 2 * 5 * 64 * 27 and counted.half_flop == 0
    assert counted.nbytes == 4 * (192 + 135 + 320) and counted.launches == 1
