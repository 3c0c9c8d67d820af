"""Models of other packages, found by the entry point group `afitrt.models`.

A package names its models in its pyproject.toml; what each entry point leads to is an `afitrt.models.Manifest`:

    [project.entry-points."afitrt.models"]
    opticalflow = "afitrt_opticalflow:MODEL"

Names are read without importing the packages; a package is imported when its model is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from afitrt.errors import MissingToolError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint, EntryPoints

GROUP = "afitrt.models"


def _added() -> EntryPoints:
    # A third of the time that `afitrt --help` takes, so not at the top.
    from importlib.metadata import entry_points

    return entry_points(group=GROUP)


def names() -> tuple[str, ...]:
    """Names of the models that installed packages add, in order."""
    return tuple(sorted(_added().names))


def package(name: str) -> str:
    """The package, with its version, that adds a model; several where they fight for one name."""
    return " and ".join(_package(each) for each in _added().select(name=name))


def _package(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value


def load(name: str) -> Any:
    """What the entry point of a model leads to. Raises MissingToolError that names the package.

    Anything may go wrong while a stranger's package is imported, so everything is caught.
    """
    found = tuple(_added().select(name=name))
    if len(found) != 1:
        raise MissingToolError(
            f"{package(name) or 'no package'} has a model {name}", "one package", "pip uninstall the other one"
        )
    try:
        return found[0].load()
    except Exception as error:
        raise broken(name, f"{type(error).__name__}: {error}") from error


def broken(name: str, why: str) -> MissingToolError:
    """The error for a model whose package does not do what it should."""
    lines = str(why).splitlines() or [""]
    owner = package(name)
    return MissingToolError(
        f"model {name} of package {owner} cannot be used: {lines[0]}",
        "a package whose entry point is an afitrt.models.Manifest",
        f"pip install --upgrade {owner.split()[0]}, another --model, or tell its author",
    )
