"""The Containerfile without a container engine: what it copies is enough, and everything it takes is pinned."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
LINES = (ROOT / "Containerfile").read_text().replace("\\\n", " ").splitlines()


def words(instruction: str) -> list[list[str]]:
    """The words of every line with this instruction."""
    return [line.split()[1:] for line in LINES if line.startswith(f"{instruction} ")]


def test_bases_are_pinned_to_one_version_of_cuda() -> None:
    arguments = dict(each[0].split("=") for each in words("ARG"))
    assert re.fullmatch(r"13\.\d+\.\d+", arguments["CUDA"]) and re.fullmatch(r"ubuntu\d\d\.\d\d", arguments["SYSTEM"])
    bases = [each[0] for each in words("FROM")]
    assert bases == [f"docker.io/nvidia/cuda:${{CUDA}}-{kind}-${{SYSTEM}}" for kind in ("devel", "base")]


def test_extras_exist_and_packages_are_pinned() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (named,) = re.findall(r"/build\[([\w,-]+)\]", "\n".join(LINES))
    needed = {re.split("[>=]", package)[0] for extra in named.split(",") for package in extras[extra]}
    pinned = {line.split("==")[0] for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line}
    assert needed <= pinned


def test_what_is_copied_is_all_that_an_installation_needs(tmp_path: Path) -> None:
    kept = {line[1:] for line in (ROOT / ".containerignore").read_text().splitlines() if line.startswith("!")}
    copied = [path for each in words("COPY") if not each[0].startswith("--") for path in each[:-1]]
    assert set(copied) == kept
    for path in set(copied):
        if (ROOT / path).is_dir():
            shutil.copytree(ROOT / path, tmp_path / path, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / path, tmp_path / path)
    site = tmp_path / "site"
    install = ["install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(site)]
    subprocess.run([sys.executable, "-m", "pip", *install, str(tmp_path)], check=True)
    ran = subprocess.run(
        [sys.executable, "-c", "import afitrt; print(afitrt.__file__)"],
        env={"PYTHONPATH": str(site)},
        cwd=tmp_path / "site",
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(ran.stdout.strip()).parent == site / "afitrt"
    assert {path.name for path in (site / "afitrt" / "graphs").iterdir()} >= {
        path.name for path in (ROOT / "afitrt" / "graphs").iterdir() if path.suffix == ".onnx"
    }
