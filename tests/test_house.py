"""The house keeps its shape: arrows point down, heavy libraries load late, functions and files stay small."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "afitrt"

BASE = {"errors", "options", "frames", "buffers", "yuv"}
TABLE: dict[str, set[str]] = {
    "errors": set(),
    "channel": set(),
    "events": set(),
    "plugins": {"errors"},
    "options": {"errors", "plugins"},
    "rates": {"errors"},
    "buffers": set(),
    "frames": {"buffers"},
    "yuv": {"errors", "frames", "buffers"},
    "file_names": {"errors"},
    "system": set(),
    "artefacts": {"errors", "file_names"},
    "locks": {"artefacts", "errors", "file_names"},
    "scenes": BASE,
    "schedule": BASE,
    "video": BASE | {"artefacts", "rates", "system"},
    "weights": BASE | {"artefacts"},
    "build": BASE | {"artefacts", "weights"},
    "runtimes": BASE | {"artefacts", "weights", "build", "system"},
    "models": BASE | {"artefacts", "plugins", "runtimes", "weights", "build"},
    "render": BASE | {"models", "schedule"},
    "testing": {"frames", "models", "options", "yuv"},
    "compare": BASE | {"artefacts", "video"},
    "stills": BASE | {"artefacts", "models", "file_names"},
    "task": BASE | {"rates", "scenes", "schedule", "video", "file_names"},
    "segments": BASE | {"artefacts", "build", "models", "runtimes", "schedule", "task", "video"},
    "estimate": BASE | {"models", "render", "schedule"},
    "pipeline": BASE
    | {
        "artefacts",
        "channel",
        "events",
        "locks",
        "file_names",
        "video",
        "models",
        "scenes",
        "schedule",
        "render",
        "estimate",
        "segments",
        "system",
        "task",
    },
    "api": {"events", "options", "pipeline"},
    "preview": BASE | {"events", "pipeline", "task", "video", "file_names"},
    "report": BASE | {"artefacts", "events", "models", "runtimes", "scenes", "video", "weights"},
    "farm": BASE | {"events", "pipeline", "segments"},
    "doctor": BASE | {"artefacts", "runtimes", "video", "weights"},
}
HEAVY = ("torch", "onnx", "onnxruntime", "cv2", "av", "tensorrt", "ffmpeg", "numpy")


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def imported_rooms(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name.split(".")[1] for name in node.names if name.name.startswith("afitrt."))
        elif isinstance(node, ast.ImportFrom) and node.module == "afitrt":
            yield from (name.name for name in node.names if name.name != "__version__")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("afitrt."):
            yield (node.module or "").split(".")[1]


@pytest.mark.parametrize("path", [p for p in sources() if room(p) not in ("__init__", "__main__", "cli")], ids=str)
def test_a_file_imports_only_rooms_below_it(path: Path) -> None:
    here = room(path)
    assert set(imported_rooms(path)) <= TABLE[here] | {here}


def test_the_table_names_every_room_and_has_no_circle() -> None:
    rooms = {room(p) for p in sources()} - {"__init__", "__main__", "cli"}
    assert rooms == set(TABLE)
    below: set[str] = set()
    while len(below) < len(TABLE):
        ready = {name for name, needs in TABLE.items() if needs <= below} - below
        assert ready, f"a circle among {set(TABLE) - below}"
        below |= ready


@pytest.mark.parametrize("path", sources(), ids=str)
def test_the_runtime_never_imports_torch_and_only_the_cli_prints(path: Path) -> None:
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            assert not any(name.name.split(".")[0] in ("torch", "afitrt_export") for name in node.names)
        if isinstance(node, ast.ImportFrom):
            assert (node.module or "").split(".")[0] not in ("torch", "afitrt_export")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and room(path) != "cli":
            assert node.func.id != "print"


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first, *rest = function.body
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    start = rest[0].lineno if documented and rest else first.lineno
    return (function.end_lineno or start) - start + 1


@pytest.mark.parametrize("path", sources(), ids=str)
def test_files_and_functions_stay_small(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert body_lines(node) <= 40, f"{node.name} is too long"


@pytest.mark.parametrize("path", sources(), ids=str)
def test_public_names_are_documented(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), "a module needs a docstring"
    for node in tree.body:
        public = isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
        assert not public or ast.get_docstring(node), f"{node.name} needs a docstring"  # type: ignore[arg-type]


def paths_given(tree: ast.AST) -> Iterator[ast.expr]:
    """What the code gives to PyAV or ffmpeg as the name of a file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.List | ast.Tuple):
            flags = [each.value if isinstance(each, ast.Constant) else None for each in node.elts]
            yield from (after for flag, after in zip(flags, node.elts[1:], strict=False) if flag in ("-i", "-attach"))
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        if called in ("av.open", "ffmpeg.input"):
            yield node.args[0]
        elif called.endswith(".output"):
            yield from (each for each in node.args if not isinstance(each, ast.Starred | ast.Subscript))


def test_no_name_reaches_ffmpeg_or_pyav_without_its_protocol() -> None:
    found = 0
    for path in (each for folder in ("afitrt", "bench", "docs") for each in (PACKAGE.parent / folder).rglob("*.py")):
        for given in paths_given(ast.parse(path.read_text(encoding="utf-8"))):
            text = ast.unparse(given)
            named = isinstance(given, ast.Call) and text.startswith(("readable_path(", "node_path(", "video.readable_"))
            assert named or isinstance(given, ast.Constant), f"{path.name}: {text}"
            found += named
    assert found > 20, "the walk sees nothing"


def loaded_by(code: str) -> set[str]:
    script = f"import sys; {code}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in run.stdout.splitlines()[-1].split()}


def test_import_loads_no_heavy_library() -> None:
    assert not loaded_by("import afitrt").intersection(HEAVY)


def test_help_loads_the_parser_and_no_other_package() -> None:
    code = (
        "import sys\nsys.argv = ['afitrt', '--help']\nfrom afitrt.cli import main\ntry: main()\n"
        "except SystemExit: pass\nprint(*sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in run.stdout.splitlines()[-1].split()} - loaded_by("pass")
    assert loaded - set(sys.stdlib_module_names) == {"afitrt", "typer", "shellingham", "annotated_doc"}


def best_seconds(*arguments: str) -> float:
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        subprocess.run([sys.executable, *arguments], capture_output=True, check=True, env=environment)
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def test_help_is_no_slower_than_twice_its_parser() -> None:
    # Not a benchmark: both sides run here and now, and a heavy import would cost far more than twice.
    parser = best_seconds("-c", "import typer, rich.console, rich.progress")
    assert best_seconds("-m", "afitrt", "--help") <= 2 * parser
