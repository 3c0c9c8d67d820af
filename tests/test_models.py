"""The door for models: the contract over our own, and packages that are whole, broken, or fight for a name.

test_conformance.py holds blend and gmfss to the contract, on every runtime.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import onnx
import pytest
import rife48_recipe as recipe
import torch_files
from command import afitrt
from onnx import TensorProto, helper, numpy_helper
from video_helpers import facts, pattern

from afitrt import models, plugins, segments, weights
from afitrt.build import STAGES, half_share, stage_model
from afitrt.errors import MissingToolError, RenderError, UsageError
from afitrt.frames import Geometry
from afitrt.options import OUR_MODELS, ModelOptions
from afitrt.testing import InterpolatorContract

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples" / "afitrt-opticalflow"


@pytest.mark.weights
@pytest.mark.usefixtures("weights_home")
class TestRife(InterpolatorContract):
    model = "rife"


class TestRife48(InterpolatorContract):
    model = "rife48"
    options = {"threads": 2, "weights": "mine"}  # noqa: RUF012

    @pytest.fixture(autouse=True)
    def imported(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Random weights: the published ones have no package."""
        monkeypatch.setenv("AFITRT_HOME", str(tmp_path))
        (tmp_path / "rife48.pkl").write_bytes(torch_files.saved(recipe.weights()))
        weights.import_weights([tmp_path / "rife48.pkl"], "mine")

    # Random weights know no time.
    test_the_ends_of_time_are_the_pictures = None  # type: ignore[assignment]


def package(folder: Path, name: str, code: str, **entries: str) -> None:
    """An installed package: one module with some entry points, as pip would leave it in `folder`."""
    (folder / f"{name}.py").write_text(code)
    info = folder / f"{name}-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    lines = [f"{model} = {name}:{attribute}" for model, attribute in entries.items()]
    (info / "entry_points.txt").write_text("\n".join(["[afitrt.models]", *lines, ""]))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that Python imports from."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


PLAIN = """
from afitrt.models.blend import Blend, _memory
from afitrt.models import Manifest

class Failing(Blend):
    def between(self, left, right, times):
        raise ZeroDivisionError("no motion")

def manifest(name, make):
    return Manifest(name=name, about="a test", multiple=lambda scale: 1, memory=_memory, make=make, scales=(1.0, 0.5))

GOOD = manifest("good", Blend)
FAILING = manifest("failing", Failing)
MISNAMED = manifest("other", Blend)
NO_MANIFEST = object()
"""


def test_a_package_adds_models_and_a_broken_one_hurts_nobody_else(site: Path) -> None:
    package(site, "whole_package", PLAIN, good="GOOD", misnamed="MISNAMED", nothing="NO_MANIFEST")
    package(site, "broken_package", "import a_library_that_nobody_has", broken="MODEL")
    ran = afitrt("models", "--json")
    assert ran.code == 0, ran.err
    found = {each["name"]: each for each in json.loads(ran.out)["models"]}
    assert list(found)[: len(OUR_MODELS)] == list(OUR_MODELS)
    assert found["good"] == {
        "name": "good",
        "package": "whole_package 1.2",
        "about": "a test",
        "scales": [1.0, 0.5],
        "multiple": 1,
        "memory": 3 * 1920 * 1080 * 3 * 4,
        "runtimes": [],
        "problem": "",
    }
    assert "a_library_that_nobody_has" in found["broken"]["problem"]
    assert found["broken"]["package"] == "broken_package 1.2"
    assert "named other" in found["misnamed"]["problem"]
    assert "leads to object" in found["nothing"]["problem"]
    assert [each["problem"] for each in found.values() if each["name"] in (*OUR_MODELS, "good")] == [""] * 5
    text = afitrt("models").out
    assert "good (whole_package 1.2)\n  a test\n" in text and "broken: model broken of package broken_package" in text


def test_a_broken_package_is_named_when_its_model_is_asked_for(site: Path, tmp_path: Path) -> None:
    package(site, "broken_package", "import a_library_that_nobody_has", broken="MODEL")
    clip = pattern(tmp_path / "in.mkv", seconds=0.4)
    ran = afitrt("interpolate", clip, "--model", "broken")
    assert ran.code == MissingToolError.exit_code
    assert "broken_package 1.2" in ran.err and "a_library_that_nobody_has" in ran.err and "Traceback" not in ran.err
    assert afitrt("interpolate", clip, "--model", "blend", "--preset", "ultrafast").code == 0


def test_an_unknown_model_is_told_with_all_that_are_there(site: Path) -> None:
    package(site, "whole_package", PLAIN, good="GOOD")
    ran = afitrt("interpolate", "in.mkv", "--model", "gmfs")
    assert ran.code == UsageError.exit_code
    assert "--model gmfs" in ran.err and "gmfss, rife, rife48, blend, good" in ran.err


def test_two_packages_for_one_name_are_both_named(site: Path) -> None:
    package(site, "one_package", PLAIN, good="GOOD")
    package(site, "two_package", PLAIN, good="GOOD")
    with pytest.raises(MissingToolError, match=r"one_package 1.2 and two_package 1.2|two_package 1.2 and one_package"):
        models.find("good")


def test_ours_cannot_be_taken_over(site: Path) -> None:
    package(site, "thief", PLAIN, blend="GOOD")
    assert models.find("blend").about.startswith("weighted mean")
    assert [each.name for each in models.available()] == list(OUR_MODELS)


def test_what_a_package_did_not_foresee_becomes_an_error_of_ours(site: Path, tmp_path: Path) -> None:
    package(site, "whole_package", PLAIN, failing="FAILING")
    clip = pattern(tmp_path / "in.mkv", seconds=0.4)
    ran = afitrt("interpolate", clip, tmp_path / "out.mkv", "--model", "failing")
    assert ran.code == RenderError.exit_code
    assert "whole_package 1.2 failed in between: ZeroDivisionError: no motion" in ran.err
    assert sorted(each.name for each in tmp_path.iterdir()) == ["in.mkv", "site"]


def test_a_scale_that_a_model_does_not_do_is_refused(site: Path, tmp_path: Path) -> None:
    package(site, "whole_package", PLAIN, good="GOOD")
    clip = pattern(tmp_path / "in.mkv", seconds=0.4)
    ran = afitrt("interpolate", clip, "--model", "good", "--scale", "2.0")
    assert ran.code == UsageError.exit_code
    assert "--scale 2 with --model good" in ran.err and "1, 0.5" in ran.err


def test_help_reads_no_packages() -> None:
    script = (
        "import sys, importlib.metadata as metadata\n"
        "def refuse(**_): raise SystemExit(9)\n"
        "metadata.entry_points = refuse\n"
        "sys.argv = ['afitrt', 'interpolate', '--help']\nfrom afitrt.cli import main\nmain()\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ran.returncode == 0 and "--model" in ran.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example package, installed by pip into a folder of its own, without the network."""
    folder = tmp_path_factory.mktemp("target")
    source = tmp_path_factory.mktemp("source") / EXAMPLE.name
    source.mkdir()
    for each in ("pyproject.toml", "afitrt_opticalflow.py"):
        (source / each).write_bytes((EXAMPLE / each).read_bytes())
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "install", *options, "--target", str(folder), str(source)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return folder


def with_example(installed: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """A Python process that finds the installed package."""
    path = os.pathsep.join([str(installed), str(ROOT), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": path})


def test_the_example_is_short() -> None:
    assert len((EXAMPLE / "afitrt_opticalflow.py").read_text().splitlines()) <= 80


@pytest.mark.slow
def test_the_example_interpolates_from_file_to_file(installed: Path, tmp_path: Path) -> None:
    clip = pattern(tmp_path / "in.mkv", seconds=0.4)
    out = tmp_path / "out.mkv"
    words = ("-m", "afitrt", "interpolate", clip, out, "--model", "opticalflow", "--preset", "ultrafast")
    ran = with_example(installed, *words)
    assert ran.returncode == 0, ran.stderr
    assert f"{out}: 10 frames in, 20 pictures out at 50 fps" in ran.stdout
    listed = json.loads(with_example(installed, "-m", "afitrt", "models", "--json").stdout)["models"]
    (told,) = [each for each in listed if each["name"] == "opticalflow"]
    assert (told["package"], told["scales"], told["problem"]) == ("afitrt-opticalflow 0.1.0", [1.0], "")


@pytest.mark.slow
def test_the_example_passes_the_contract(installed: Path) -> None:
    ran = with_example(installed, "-m", "pytest", "-q", "-p", "no:cacheprovider", EXAMPLE / "tests")
    assert ran.returncode == 0 and "10 passed" in ran.stdout, ran.stdout


def test_the_example_follows_motion(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(installed))
    import drawn

    frames = drawn.clip(320, 160, 5, [1, 1])
    options = ModelOptions(model="opticalflow")
    model = models.make(options, 320, 160, np.float32, lambda _: None)
    pair = [model.upload(frame) for frame in (frames[0], frames[2])]
    (middle,) = model.between(*pair, [Fraction(1, 2)])
    error = np.abs(model.download(middle) - frames[1] / 255).mean()
    mean = np.abs((frames[0].astype(float) + frames[2]) / 510 - frames[1] / 255).mean()
    assert error < mean / 2, "blending does no worse"


def small_network(path: Path, opset: int = 20) -> None:
    """An ONNX file of any size: a + (b - a) * t, sharpened by a convolution; with names of its own."""
    kernel = np.zeros((3, 3, 3, 3), np.float32)
    for colour in range(3):
        kernel[colour, colour, 1, 1] = 0.5
    dims = [1, 3, "height", "width"]
    nodes = [
        helper.make_node("Sub", ["img1", "img0"], ["difference"]),
        helper.make_node("Mul", ["difference", "timestep"], ["image"]),
        helper.make_node("Add", ["img0", "image"], ["mean"]),
        helper.make_node("Conv", ["mean", "kernel"], ["filtered"], pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["filtered", "filtered"], ["output"]),
    ]
    given = [helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name in ("img0", "img1")]
    given.append(helper.make_tensor_value_info("timestep", TensorProto.FLOAT, [1, 1, 1, 1]))
    result = [helper.make_tensor_value_info("output", TensorProto.FLOAT, dims)]
    graph = helper.make_graph(nodes, "small", given, result, [numpy_helper.from_array(kernel, "kernel")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10), path)


STAGED = """
from fractions import Fraction
from pathlib import Path
from afitrt.models import GraphStage, Memory, StagedManifest, TensorSpec

IMAGE = TensorSpec("image", channels=3, divisor=1)
FUSE = GraphStage(
    "fuse",
    inputs=(IMAGE.of_side(0), IMAGE.of_side(1), TensorSpec("t", channels=1, divisor=0)),
    outputs=(IMAGE,),
    path=Path(__file__).parent / "small.onnx",
    names={"image_0": "img0", "image_1": "img1", "t": "timestep", "image": "output"},
    half=("Conv",),
)
MODEL = StagedManifest(
    name="small",
    about="an ONNX file",
    multiple=lambda scale: 32,
    memory=lambda size: Memory(stages=100 << 20, picture=12 * size.width * size.height),
    scales=(1.0,),
    of_time=("fuse",),
    graphs=(FUSE,),
)
"""


@pytest.fixture
def staged(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package of an ONNX file, and an empty home for what is made of it."""
    monkeypatch.setenv("AFITRT_HOME", str(tmp_path / "home"))
    package(site, "small_package", STAGED, small="MODEL")
    small_network(site / "small.onnx")
    yield site
    STAGES.pop("small", None)
    sys.modules.pop("small_package", None)


@pytest.mark.usefixtures("staged")
class TestSmall(InterpolatorContract):
    model = "small"


def test_an_onnx_file_runs_through_our_runtime_from_file_to_file(staged: Path, tmp_path: Path) -> None:
    clip = pattern(tmp_path / "in.mkv", seconds=0.4)
    words = ("interpolate", clip, tmp_path / "out.mkv", "--model", "small", "--preset", "ultrafast")
    ran = afitrt(*words)
    assert ran.code == 0 and "20 pictures out" in ran.out, ran.err
    assert "making stage fuse of small for 64x64" in ran.err
    assert "making stage" not in afitrt(*words, "--overwrite").err, "the stage is kept"
    small_network(staged / "small.onnx", 20)
    model = onnx.load(staged / "small.onnx")
    model.producer_name = "another"
    onnx.save(model, staged / "small.onnx")
    assert "making stage" in afitrt(*words, "--overwrite").err, "another file is another stage"


def test_an_onnx_file_becomes_engines_for_a_gpu(staged: Path) -> None:
    pytest.importorskip("tensorrt_rtx_bindings")
    words = ("build-engine", "--model", "small", "--size", "64x48", "--runtime", "tensorrt-rtx", "--target", "sm_89")
    ran = afitrt(*words, "--explain", "--json")
    assert ran.code == 0, ran.err
    (engine,) = json.loads(ran.out)["engines"]
    assert (engine["model"], engine["stage"], engine["size"]) == ("small", "fuse", "64x64")
    assert engine["half_weights"] == 1.0


def test_half_is_what_the_author_says(staged: Path) -> None:
    models.find("small")
    assert half_share(stage_model("small", "fuse", Geometry(64, 64), "none", "fp16")) == 1.0
    assert half_share(stage_model("small", "fuse", Geometry(64, 64), "none", "fp32")) == 0.0


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda path: path.unlink(), "cannot be read"),
        (lambda path: path.write_bytes(b"nothing"), "no valid ONNX file"),
        (lambda path: small_network(path, 17), "convert_version(model, 20)"),
    ],
)
def test_an_unfit_file_is_told_by_name(staged: Path, spoil: object, told: str, tmp_path: Path) -> None:
    spoil(staged / "small.onnx")  # type: ignore[operator]
    clip = pattern(tmp_path / "in.mkv", seconds=0.4)
    ran = afitrt("interpolate", clip, "--model", "small")
    assert ran.code == 6 and "small.onnx" in ran.err and told in ran.err


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('"t": "timestep", ', "", "img0, img1, output, timestep"),
        ('of_time=("fuse",)', 'of_time=("fuse", "more")', "its stages are"),
        ('of_time=("fuse",)', 'of_picture=("fuse",), of_time=()', "must be called encode"),
    ],
)
def test_a_manifest_that_fits_no_file_is_told(staged: Path, tmp_path: Path, old: str, new: str, told: str) -> None:
    module = staged / "small_package.py"
    assert old in module.read_text()
    module.write_text(module.read_text().replace(old, new))
    ran = afitrt("interpolate", pattern(tmp_path / "in.mkv", seconds=0.4), "--model", "small")
    assert ran.code in (5, 6) and told in ran.err and "Traceback" not in ran.err


def test_a_model_with_its_own_arithmetic_has_no_stages_to_build(site: Path) -> None:
    package(site, "whole_package", PLAIN, good="GOOD")
    ran = afitrt("build-engine", "--model", "good", "--runtime", "onnx")
    assert ran.code == UsageError.exit_code and "--model good" in ran.err


def test_another_version_of_a_package_is_another_arithmetic(site: Path) -> None:
    package(site, "whole_package", PLAIN, good="GOOD")
    made = segments.fingerprint(ModelOptions("good"), facts(), lambda _: None)
    assert made.runtime == "whole_package 1.2"
    assert segments.fingerprint(ModelOptions("blend"), facts(), lambda _: None).runtime == f"numpy {np.__version__}"


def test_names_come_without_imports(site: Path) -> None:
    package(site, "broken_package", "raise RuntimeError", broken="MODEL")
    assert plugins.names() == ("broken",)
    ModelOptions(model="broken")
