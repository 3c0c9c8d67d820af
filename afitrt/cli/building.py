"""What `afitrt build-engine` does and shows on the way."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from afitrt.cli.console import stderr, stdout
from afitrt.errors import UsageError

if TYPE_CHECKING:
    from afitrt.models.explaining import StageCost
    from afitrt.options import ModelOptions


class Build:
    """One call of the command: a model with its options, at some sizes, for some GPU architectures."""

    def __init__(self, options: ModelOptions, chosen_here: bool, sizes: list[tuple[int, int]], target: str | None):
        from afitrt.runtimes import choosing

        self._options, self._chosen_here, self._sizes = options, chosen_here, sizes
        self._gpu = choosing.present_gpu(options.gpu)
        self._paths: dict[tuple[tuple[int, int], str], list[Path]] = {}
        self.targets: tuple[str, ...] = ()
        if options.runtime != "onnx":
            self.targets = choosing.targets(options.runtime, target, options.gpu)
        elif target is not None:
            raise UsageError(f"--target {target} with --runtime onnx", "a TensorRT runtime", "--runtime tensorrt-rtx")

    def announce(self) -> None:
        """Says what was chosen and how to change it, on stderr."""
        options = self._options
        sizes = ", ".join(f"{width}x{height}" for width, height in self._sizes)
        here = "for this CPU" if options.on_cpu else f"for GPU {options.gpu} by ONNX Runtime"
        where = f"for {', '.join(self.targets)}" if self.targets else here
        stderr.print(f"{options.runtime}, {options.precision}, {sizes}, {where}", markup=False)
        stderr.print("choose with --runtime, --precision, --size, --target, --scale, --model", markup=False)
        if not self._chosen_here:
            return
        if options.runtime != "onnx" and self._gpu.target is None:
            stderr.print(
                f"no GPU here ({self._gpu.problem}): these are for machines that have one; interpolate runs on onnx "
                "here, and `--runtime onnx` makes its stages",
                markup=False,
            )
        elif options.runtime == "onnx":
            stderr.print("TensorRT is not installed; `afitrt doctor` says how to get it", markup=False)

    def run(self, quiet: bool) -> list[dict[str, Any]]:
        """Makes everything; what `engines list` says of each. quiet leaves stdout alone.

        Raises ResourceError, before anything is built, for a size that the GPU here has too little memory for.
        """
        from afitrt import models
        from afitrt.cli.engines import entry

        if self._on_gpu:
            for size in self._sizes:
                self._fitting(size, [])
        entries = []
        for size in self._sizes:
            for target in self.targets or ("cpu",):
                shown = _Progress(target)
                say = lambda text: stderr.print(text, markup=False)  # noqa: E731
                wanted = (target,) if self.targets else ()
                with shown:
                    paths = models.prepare(self._options, *size, say, wanted, shown.advance)
                self._paths[size, target] = paths
                entries += [entry(path) for path in paths]
                if not quiet:
                    for path in paths:
                        stdout.print(str(path), markup=False)
                if self.targets:
                    stderr.print(self._memory(size, target, paths), markup=False)
        return entries

    @property
    def _on_gpu(self) -> bool:
        """Is the GPU here one of those that are built for?"""
        return self._gpu.target in self.targets

    def _fitting(self, size: tuple[int, int], paths: list[Path]) -> str:
        from afitrt import models

        name = f"GPU {self._options.gpu} ({self._gpu.name})"
        return models.check_fits(self._options, *size, paths, self._gpu.memory, name)

    def _memory(self, size: tuple[int, int], target: str, paths: list[Path]) -> str:
        """One line: the memory plan of built engines, and whether it fits the GPU here."""
        from afitrt import models

        if target == self._gpu.target:
            return self._fitting(size, paths)
        plan = models.device_plan(self._options, *size, paths)
        shown = f"{size[0]}x{size[1]} needs {plan.total / 1e9:.2f} GB of GPU memory with --n-forward 2"
        return f"{shown}; no GPU is here to compare" if self._gpu.target is None else f"{shown}, on {target}"

    def explained(self, quiet: bool) -> list[dict[str, Any]]:
        """The cost of what was made, as JSON values; printed as a table on stdout unless quiet."""
        from afitrt import models

        plans = []
        for (size, target), paths in self._paths.items():
            costs, plan = models.explained(self._options, *size, paths)
            memory = {name: value for name, value in asdict(plan).items() if name != "blocks"} | {"total": plan.total}
            shown = {"size": f"{size[0]}x{size[1]}", "target": target, "stages": [asdict(each) for each in costs]}
            fits = {"fits": plan.total <= self._gpu.memory} if target == self._gpu.target else {}
            plans.append(shown | ({"memory": memory | fits} if self.targets else {}))
            if not quiet:
                _print_plan(f"{size[0]}x{size[1]}, {target}", costs, memory if self.targets else None)
                if fits:
                    stdout.print(self._fitting(size, paths), markup=False)
        return plans


def _print_plan(title: str, costs: list[StageCost], memory: dict[str, int] | None) -> None:
    stdout.print(f"\n{title}: GFLOP and MB of one call", markup=False)
    head = (
        "stage",
        "per",
        "GFLOP",
        "half",
        "Winograd",
        "MB moved",
        "launches",
        "engine MB",
        "scratch MB",
        "weights MB",
    )
    rows = [head, *(_row(each) for each in costs)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    for row in rows:
        cells = (
            text.ljust(width) if i < 2 else text.rjust(width)
            for i, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        stdout.print("  ".join(cells).rstrip(), markup=False)
    if memory is not None:
        parts = ", ".join(f"{name} {value / 1e6:.0f}" for name, value in memory.items())
        stdout.print(f"GPU memory with n-forward 2, MB: {parts}", markup=False)
    stdout.print("launches are counted on the graph, before the builder fuses further", markup=False)


def _row(cost: StageCost) -> tuple[str, ...]:
    half, winograd = (
        f"{100 * each / cost.flop:.0f} %" if each else "-" for each in (cost.half_flop, cost.winograd_flop)
    )
    sizes = (cost.engine_bytes, cost.activation_bytes, cost.weight_bytes)
    megabytes = ("-" if size is None else f"{size / 1e6:.1f}" for size in sizes)
    moved = (f"{cost.flop / 1e9:.1f}", half, winograd, f"{cost.nbytes / 1e6:.0f}", str(cost.launches))
    return (cost.stage, cost.per, *moved, *megabytes)


class _Progress:
    """A bar for the stage that is being built, on a terminal; otherwise a line for each stage that took a while."""

    def __init__(self, target: str) -> None:
        from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

        self._target = target
        self._began: dict[str, float] = {}
        self._tasks: dict[str, TaskID] = {}
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        self._bar = Progress(*columns, console=stderr) if stderr.is_terminal else None

    def __enter__(self) -> None:
        if self._bar is not None:
            self._bar.start()

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, stage: str, share: float) -> None:
        """Called from the building thread, and once at the end of every stage."""
        began = self._began.setdefault(stage, time.monotonic())
        if self._bar is not None:
            if stage not in self._tasks:
                self._tasks[stage] = self._bar.add_task(f"{stage} for {self._target}", total=1.0)
            self._bar.update(self._tasks[stage], completed=share)
        elif share == 1.0 and self._began[stage] >= 0 and (seconds := time.monotonic() - began) > 0.05:
            self._began[stage] = -1.0
            stderr.print(f"{stage} for {self._target}: {seconds:.1f} s", markup=False)
