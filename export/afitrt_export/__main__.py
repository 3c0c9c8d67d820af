"""`python -m afitrt_export [--out DIR]`: remakes the committed graphs, or makes them somewhere else."""

from __future__ import annotations

import argparse
from pathlib import Path

from afitrt.build.pieces import GRAPHS

from .to_onnx import export_all


def main() -> None:
    """Exports every piece."""
    parser = argparse.ArgumentParser(prog="python -m afitrt_export", description=__doc__)
    parser.add_argument("--out", type=Path, default=GRAPHS, help="folder to write to (default: %(default)s)")
    parser.add_argument("--processes", type=int, default=2, help="pieces exported at once")
    options = parser.parse_args()
    export_all(options.out, processes=options.processes)


if __name__ == "__main__":
    main()
