"""Whether ncnn is here."""

from __future__ import annotations

import importlib.metadata
import importlib.util


def version() -> str | None:
    """The version of the installed package ncnn, None where there is none."""
    if importlib.util.find_spec("ncnn") is None:
        return None
    return importlib.metadata.version("ncnn")
