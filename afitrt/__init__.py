"""afitrt: smooth anime video by forward de-duplication on the GMFSS network."""

__version__ = "0.1.0"
