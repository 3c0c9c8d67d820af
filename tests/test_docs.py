"""Every code block of the docs runs, in the order of its page, in a folder with a small clip.

```bash runs, with the blend model and the quickest encoder where the page names none, and pip without the network.
```bash gpu, network or long is only checked: commands, flags, targets and extras must exist.
```python runs as a script. With name=FILE a block is written to that file instead. ```json must parse, line by line.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer
from video_helpers import BUNDLED, ffmpeg

from afitrt import stills
from afitrt.cli import app

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
PAGES += sorted(page for folder in ("docs", "examples") for page in (ROOT / folder).rglob("*.md"))
NOT_RUN = {"gpu", "network", "long"}
RUN = {"bash", "python", "json", "toml", "text", "yaml", "console"}

AFITRT = """#!{python}
import runpy, sys
words = sys.argv[1:]
makes_video = words[:1] in (["interpolate"], ["preview"])
if (makes_video or words[:1] == ["between"]) and "--help" not in words:
    given = set(words)
    words = ["blend" if word in ("gmfss", "rife") else word for word in words]
    words += [] if "--model" in given else ["--model", "blend"]
    if makes_video:
        words += [] if given & {{"--codec", "--preset"}} else ["--preset", "ultrafast"]
        words += [] if given & {{"--overwrite", "--dry-run"}} else ["--overwrite"]
sys.argv = ["afitrt", *words]
runpy.run_module("afitrt", run_name="__main__")
"""
PIP = """#!{python}
import subprocess, sys
assert sys.argv[1] == "install", sys.argv
where = ["--target", {site!r}, "--upgrade"]
sys.exit(subprocess.call([sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", *sys.argv[1:], *where,
    "--no-deps", "--no-build-isolation", "--no-index"]))
"""


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, further words of the info string, and the line it begins at."""

    language: str
    words: tuple[str, ...]
    text: str
    line: int

    @property
    def name(self) -> str | None:
        return next((word.removeprefix("name=") for word in self.words if word.startswith("name=")), None)

    @property
    def runs(self) -> bool:
        return NOT_RUN.isdisjoint(self.words)


def blocks(page: Path) -> list[Block]:
    found: list[Block] = []
    info, lines = None, []
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("```") and info is None:
            info, lines = line.removeprefix("```").split(), []
        elif line.startswith("```"):
            language, *words = info or ["text"]
            found.append(Block(language, tuple(words), "\n".join(lines) + "\n", number - len(lines)))
            info = None
        else:
            lines.append(line)
    assert info is None, f"{page} has a block without an end"
    return found


WITH_BLOCKS = [page for page in PAGES if blocks(page)]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def write_program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """A folder with what pages speak of, and the environment that commands run in."""
    programs, site, folder = tmp_path / "bin", tmp_path / "site", tmp_path / "here"
    for each in (programs, site, folder / "frames"):
        each.mkdir(parents=True)
    write_program(programs / "afitrt", AFITRT.format(python=sys.executable))
    write_program(programs / "pip", PIP.format(python=sys.executable, site=str(site)))
    write_program(programs / "python", f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    (programs / "ffmpeg").symlink_to(BUNDLED)
    source = ("-f", "lavfi", "-i", "testsrc2=s=64x48:r=24000/1001:d=1", "-f", "lavfi", "-i", "sine=d=1")
    ffmpeg(*source, "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac", folder / "in.mkv")
    ffmpeg("-i", folder / "in.mkv", "-frames:v", "6", folder / "frames" / "%06d.png")
    for index, name in enumerate(("a.png", "b.png"), 1):
        stills.write(folder / name, stills.read(folder / "frames" / f"{index:06}.png"))
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(programs), os.environ["PATH"]]),
        "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)]),
        "AFITRT_HOME": str(tmp_path / "home"),
        "PYTHONWARNINGS": "",
    }
    yield folder, environment


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_BLOCKS, ids=name_of)
def test_every_block_of_a_page_runs(page: Path, place: tuple[Path, dict[str, str]]) -> None:
    folder, environment = place
    calm: dict[str, Any] = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True}
    for block in blocks(page):
        if block.name:
            path = folder / block.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)
        elif block.language in ("bash", "python") and block.runs:
            program = ["bash", "-euo", "pipefail"] if block.language == "bash" else [sys.executable]
            command = [*program, "-c", block.text]
            ran = subprocess.run(command, cwd=folder, env=environment, check=False, **calm)
            assert ran.returncode == 0, f"{name_of(page)}:{block.line}\n{block.text}\n{ran.stdout}\n{ran.stderr}"


@pytest.mark.parametrize("page", WITH_BLOCKS, ids=name_of)
def test_every_block_says_what_it_is(page: Path) -> None:
    for block in blocks(page):
        where = f"{name_of(page)}:{block.line}"
        assert block.language in RUN, f"{where} is {block.language}"
        if block.language == "json":
            for line in block.text.splitlines():
                json.loads(line)
        if block.language == "python":
            compile(block.text, where, "exec")
        if block.language == "bash":
            check_commands(block.text, where)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_code_is_fenced(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    assert not re.findall(r"\n\n    \S.*", text), "code that no test runs"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_and_pictures_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        if not target.startswith(("http:", "https:", "mailto:")):
            assert (page.parent / target).exists(), f"{name_of(page)} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_in_the_text_exist(page: Path) -> None:
    for text in re.findall(r"`(afitrt [a-z][^`]*)`", page.read_text(encoding="utf-8")):
        check_commands(text.replace("\n", " "), f"{name_of(page)}: {text}")


def check_commands(text: str, where: str) -> None:
    """Commands, flags, make targets and extras that a script speaks of must exist."""
    for line in text.replace("\\\n", " ").splitlines():
        for words in commands_of(line):
            if words[:1] == ["afitrt"]:
                check_flags(words[1:], where)
            elif words[:1] == ["make"]:
                targets = re.findall(r"^([a-z-]+)(?: [a-z-]+)*:", (ROOT / "Makefile").read_text(), flags=re.M)
                assert set(words[1:]) <= {*targets, "test-quick"}, f"{where}: {line}"
            elif words[:2] == ["pip", "install"]:
                check_extras(line, where)


def commands_of(line: str) -> list[list[str]]:
    """The words of every command of a line of shell."""
    reader = shlex.shlex(line, posix=True, punctuation_chars=True)
    reader.whitespace_split = True
    found: list[list[str]] = [[]]
    for word in reader:
        if set(word) <= set("|&;()<>"):
            found.append([])
        else:
            found[-1].append(word)
    return found


def check_extras(command: str, where: str) -> None:
    import tomllib

    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for listed in re.findall(r"(?:afitrt|\.)\[([^\]]+)\]", command):
        assert set(listed.split(",")) <= known.keys(), f"{where}: {command}"


def check_flags(words: list[str], where: str) -> None:
    command: Any = typer.main.get_command(app)
    known = {"--help"}
    for word in words:
        if word in getattr(command, "commands", {}):
            command = command.commands[word]
        elif (word.startswith("--") and word != "--") or re.fullmatch(r"-[a-z]", word):
            options = {each for p in command.params for each in (*p.opts, *p.secondary_opts)}
            assert word.partition("=")[0] in options | known, f"{where}: {command.name} has no {word}"
    assert command.name != "afitrt" or not words or words[0].startswith("-"), f"{where}: no such command"
