"""The timing cache: what a builder measured of its kernels, kept between builds where the flavour measures at all."""

from __future__ import annotations

import hashlib
from pathlib import Path

from afitrt import artefacts
from afitrt.runtimes.tensorrt.flavours import Flavour

_DIGEST = 32


def path(flavour: Flavour, target: str) -> Path:
    """Where the cache of one version for one architecture lies."""
    return artefacts.home() / "caches" / f"{flavour.name}-{flavour.version()}-{target}.timing"


def read(file: Path) -> bytes | None:
    """The cache, or None where there is none or its checksum fails: then it is measured anew."""
    try:
        data = file.read_bytes()
    except OSError:
        return None
    digest, cache = data[:_DIGEST], data[_DIGEST:]
    return cache if hashlib.sha256(cache).digest() == digest else None


def merge(flavour: Flavour, file: Path, grown: bytes) -> None:
    """Adds what one build measured to what others kept meanwhile, and publishes the sum by a rename.

    Two that merge at the same moment lose one of the two additions, never the file.
    """
    trt = flavour.load()
    kept = read(file)
    if kept is not None and kept != grown:
        config = trt.Builder(trt.Logger(trt.Logger.ERROR)).create_builder_config()
        cache = config.create_timing_cache(grown)
        if cache.combine(config.create_timing_cache(kept), ignore_mismatch=False):
            grown = bytes(cache.serialize())
    with artefacts.written_aside(file, artefacts.HOME_HINT) as aside:
        aside.write_bytes(hashlib.sha256(grown).digest() + grown)
