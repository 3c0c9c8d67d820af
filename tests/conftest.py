"""What several test files share: the published weights, torch, and a real clip; each skips with a reason.

AFITRT_REQUIRE_WEIGHTS=1 and AFITRT_REQUIRE_EXPORT=1 make a test fail where it would be skipped.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import pytest
from hypothesis import HealthCheck, settings

from afitrt import weights
from afitrt.errors import MissingToolError, RetryError

ROOT = Path(__file__).resolve().parent.parent

# A busy machine is no failure.
settings.register_profile("afitrt", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("afitrt")


def skip_unless_required(variable: str, reason: str) -> NoReturn:
    """Skips the test, or fails it where the environment variable is 1."""
    if os.environ.get(variable) == "1":
        pytest.fail(f"{reason}, and {variable}=1", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def weights_home() -> Iterator[Path]:
    """AFITRT_HOME, or the checkout where it is not set, with the published weights in it."""
    with pytest.MonkeyPatch.context() as patch:
        if not os.environ.get("AFITRT_HOME"):
            patch.setenv("AFITRT_HOME", str(ROOT))
        try:
            weights.fetch()
        except (RetryError, MissingToolError) as error:
            skip_unless_required("AFITRT_REQUIRE_WEIGHTS", f"weights cannot be fetched: {error.found}")
        yield Path(os.environ["AFITRT_HOME"])


@pytest.fixture(scope="session")
def torch() -> ModuleType:
    """torch on two threads."""
    if importlib.util.find_spec("torch") is None:
        skip_unless_required("AFITRT_REQUIRE_EXPORT", "torch is not installed")
    module = importlib.import_module("torch")
    module.set_num_threads(2)
    return module


@pytest.fixture(scope="session")
def bigbuckbunny() -> Path:
    """A real clip: 1280x720, 132 frames at 25 fps, with sound. Needs the network once."""
    specification = importlib.util.spec_from_file_location("bench_clip", ROOT / "bench" / "clip.py")
    assert specification is not None and specification.loader is not None
    clip = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(clip)
    try:
        return clip.fetch_clip()
    except (RetryError, MissingToolError) as error:
        skip_unless_required("AFITRT_REQUIRE_WEIGHTS", f"the clip cannot be fetched: {error.found}")
