"""Manifests by name: ours at once, those of other packages when they are asked for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from afitrt import __version__, build, plugins
from afitrt.errors import AfitrtError
from afitrt.models.blend import BLEND
from afitrt.models.gmfss import GMFSS
from afitrt.models.manifest import Manifest, StagedManifest
from afitrt.models.rife import RIFE, RIFE48
from afitrt.options import OUR_MODELS, RUNTIMES

MANIFESTS: dict[str, Manifest | StagedManifest] = {each.name: each for each in (GMFSS, RIFE, RIFE48, BLEND)}


def find(name: str) -> Manifest | StagedManifest:
    """The manifest of a model. Raises MissingToolError that names the package where that is broken."""
    if name in MANIFESTS:
        return MANIFESTS[name]
    manifest = plugins.load(name)
    if not isinstance(manifest, Manifest | StagedManifest):
        raise plugins.broken(name, f"its entry point leads to {type(manifest).__name__}")
    if manifest.name != name:
        raise plugins.broken(name, f"its manifest is named {manifest.name}")
    if isinstance(manifest, StagedManifest):
        _add_stages(manifest)
    return manifest


def _add_stages(manifest: StagedManifest) -> None:
    graphs = {each.name: each for each in manifest.graphs}
    if graphs.keys() != set(manifest.stages) or len(graphs) != len(manifest.stages):
        raise plugins.broken(manifest.name, f"its stages are {manifest.stages} and its graphs {tuple(graphs)}")
    if manifest.of_picture not in ((), (build.PICTURE_STAGE,)):
        raise plugins.broken(manifest.name, f"the stage of a picture must be called {build.PICTURE_STAGE}")
    build.STAGES[manifest.name] = graphs


def arithmetic(name: str) -> str:
    """Whose arithmetic a model without stages is, with its version."""
    return f"numpy {np.__version__}" if name in OUR_MODELS else plugins.package(name)


@dataclass(frozen=True)
class Model:
    """What `afitrt models` tells of one.

    multiple: pixels that padded sides are multiples of, at the first scale. memory: bytes of the host at 1920x1080, one
    pair and the picture between. runtimes: those of ours that run it; none where it brings its own. problem: why it
    cannot be used; then only name and package are known.
    """

    name: str
    package: str
    about: str = ""
    scales: tuple[float, ...] = ()
    multiple: int = 0
    memory: int = 0
    runtimes: tuple[str, ...] = ()
    problem: str = ""


def available() -> list[Model]:
    """All models, ours first; a broken package is told as a problem of its own models only."""
    ours = [_told(name, f"afitrt {__version__}") for name in OUR_MODELS]
    return ours + [_told(name, plugins.package(name)) for name in plugins.names() if name not in OUR_MODELS]


def _told(name: str, package: str) -> Model:
    try:
        manifest = find(name)
    except AfitrtError as error:
        return Model(name, package, problem=error.found)
    try:
        return _facts(manifest, package)
    except Exception as error:  # a stranger's functions may raise anything
        return Model(name, package, problem=f"{type(error).__name__}: {error}")


def _facts(manifest: Manifest | StagedManifest, package: str) -> Model:
    scale = 1.0 if 1.0 in manifest.scales else manifest.scales[0]
    needs = manifest.memory(manifest.geometry(1920, 1080, scale))
    runtimes = RUNTIMES if isinstance(manifest, StagedManifest) else ()
    return Model(
        manifest.name,
        package,
        manifest.about,
        manifest.scales,
        manifest.multiple(scale),
        needs.stages + 3 * needs.picture,
        runtimes,
    )
