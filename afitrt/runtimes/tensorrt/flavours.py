"""TensorRT and TensorRT for RTX: one interface, and one table of what differs between the two."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from typing import Any

from afitrt.errors import MissingToolError, UsageError


@dataclass(frozen=True)
class Flavour:
    """One of the two libraries.

    modules: names that its Python module may have, the first that is there is taken. portable: GPU architectures to
    build for where there is no GPU; empty where the library builds only for the GPU that is present. least: the
    oldest architecture that serves, as a number. timing_cache: whether building measures kernels and remembers what
    it found. install: what to type to get it.
    """

    name: str
    modules: tuple[str, ...]
    portable: tuple[str, ...]
    least: int
    timing_cache: bool
    install: str

    @property
    def module_name(self) -> str | None:
        """The module to import, or None where the library is not installed. Imports nothing."""
        return next((name for name in self.modules if importlib.util.find_spec(name)), None)

    def load(self) -> Any:
        """The Python module. Raises MissingToolError where it is not installed or cannot be loaded."""
        name = self.module_name
        try:
            if name is not None:
                return importlib.import_module(name)
            reason = "is not installed"
        except (ImportError, OSError, RuntimeError) as error:
            reason = f"cannot be loaded ({error})"
        raise MissingToolError(f"{self.name} {reason}", f"the Python module {self.modules[0]}", self.install)

    def version(self) -> str:
        """Version of the library, such as "1.7.1.116". Raises MissingToolError."""
        return str(self.load().__version__)

    def targets(self) -> tuple[str, ...]:
        """Architectures that can be built for without the GPU, such as "sm_89". Raises MissingToolError."""
        if not self.portable:
            return ()
        numbers = (name[2:] for name in vars(self.load().ComputeCapability) if name.startswith("SM"))
        return tuple(f"sm_{number}" for number in sorted(map(int, numbers)) if number >= self.least)


FLAVOURS = {
    each.name: each
    for each in (
        Flavour(
            name="tensorrt",
            modules=("tensorrt", "tensorrt_bindings"),
            portable=(),
            least=75,
            timing_cache=True,
            install="pip install tensorrt, which fetches it from its vendor (see docs/how-to/gpu.md)",
        ),
        Flavour(
            name="tensorrt-rtx",
            modules=("tensorrt_rtx", "tensorrt_rtx_bindings"),
            portable=("sm_86", "sm_89", "sm_120"),
            # It has no FP32 matrix product for SM 7.5, and correlation is FP32.
            least=80,
            timing_cache=False,
            install="pip install 'afitrt[tensorrt-rtx]'",
        ),
    )
}


def installed() -> list[Flavour]:
    """Those whose module is there, best first. Imports nothing."""
    return [flavour for flavour in FLAVOURS.values() if flavour.module_name]


def check_target(flavour: Flavour, target: str, present: str | None) -> None:
    """Raises UsageError unless the flavour can build for this architecture; present: that of the GPU here, if any."""
    known = [*flavour.targets()]
    if present is not None and int(present.removeprefix("sm_")) >= flavour.least and present not in known:
        known.append(present)
    if target in known:
        return
    if not known:
        raise UsageError(
            f"--target {target}, and no GPU is here",
            f"a GPU, for {flavour.name} builds only for the one that is here",
            "--runtime tensorrt-rtx, which builds without one",
        )
    listed = ", ".join(known)
    raise UsageError(
        f"--target {target}",
        f"one of {listed}, for which {flavour.name} {flavour.version()} builds here",
        f"--target {','.join(flavour.portable) or 'current'}",
    )
