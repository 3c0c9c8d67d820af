"""What `afitrt engines prune` takes away, and why."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path


def useless(everything: bool) -> Iterator[tuple[Path, str]]:
    """Folders and files under the engines' home that nothing will find again, each with the reason."""
    from afitrt import artefacts
    from afitrt.errors import ArtefactError

    for path in artefacts.leftovers():
        yield path, "left unfinished, or by an older afitrt"
    versions = _versions()
    for folder in artefacts.folders():
        if everything:
            yield folder, "all were asked for"
            continue
        try:
            facts = artefacts.read_sidecar(artefacts.check_folder(folder))
        except ArtefactError as error:
            yield folder, error.found
            continue
        current = versions.get(facts["runtime"])
        if current is not None and facts["runtime_version"] not in current:
            yield (
                folder,
                f"made for {facts['runtime']} {facts['runtime_version']}, here is {', '.join(sorted(current))}",
            )


def _versions() -> dict[str, set[str]]:
    """Versions of each runtime whose artefacts are of use here; a runtime that is not installed has no say."""
    import onnxruntime

    from afitrt.errors import AfitrtError
    from afitrt.runtimes import kernels
    from afitrt.runtimes.tensorrt import installed

    versions = {"onnx": {onnxruntime.__version__}}
    versions |= {flavour.name: {flavour.version()} for flavour in installed()}
    try:
        compiler = f"nvrtc {kernels.nvrtc_version()}"
    except AfitrtError:
        return versions
    for flavour in installed():
        versions[flavour.name].add(compiler)
    return versions | {"cuda": {compiler}}
