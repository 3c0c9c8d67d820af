"""What each rewrite of the graphs gives: stages of gmfss with it and without it, in turn. Needs torch.

    python bench/rewrites.py [--rounds N]

ONNX Runtime on the CPU, 448x256, medians. "Without" is the committed graph with that one rewrite taken back
(bench/unwritten.py), and its results are compared; what cannot be taken back is compared with the published network in
torch. It writes bench/results/rewrites.json and the table of docs/explanation/speed.md.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import settings
import torch
import unwritten
from afitrt_export.networks.gmflow import GMFlow
from measuring import hardware, psnr, put_table
from oracle import Published

from afitrt import build, models
from afitrt.build.stages import STAGES
from afitrt.models.manifest import StagedManifest
from afitrt.options import ModelOptions
from afitrt.runtimes.onnx import sessions

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "bench" / "results" / "rewrites.json"
COMMAND = "python bench/rewrites.py"
NO_FUSION = ["GeluFusion", "GeluFusionL1", "GeluFusionL2", "LayerNormFusion", "LayerNormFusionL1", "LayerNormFusionL2"]

Run = Callable[[], Any]


@dataclass(frozen=True)
class Rewrite:
    """with_, without: what runs in its place, one graph after the other. taken: afitrt has it."""

    name: str
    stage: str
    without: tuple[unwritten.Edit, ...]
    with_: tuple[unwritten.Edit, ...] = (lambda _: None,)
    taken: bool = True
    fused: bool = True
    """ONNX Runtime may make one operator of several again."""


SIDES = (unwritten.only("x_a", "x_b"), unwritten.only("x1", "x2", "x3"))
REWRITES = (
    Rewrite("Wk'Wq and Wm Wv as one product each", "match", (unwritten.unfold_projections,)),
    Rewrite("tokens stay in the order of windows", "match", (unwritten.rows_between_layers,)),
    Rewrite("the last two convolutions as one 5x5", "fuse", (unwritten.unfold_tail,)),
    *(Rewrite("LeakyRelu for PRelu", stage, (unwritten.prelu,)) for stage in ("encode", "match", "fuse")),
    Rewrite("six splats for eight", "splat", SIDES),
    Rewrite("Gelu, for five operators", "match", (unwritten.gelu_of_erf,), fused=False),
    Rewrite("Gelu, for five operators that are fused", "match", (unwritten.gelu_of_erf,)),
    Rewrite("LayerNormalization, for nine operators", "match", (unwritten.layer_norm_in_parts,), fused=False),
)
OTHERS = (
    Rewrite("ONNX Runtime's own Gelu", "match", (), (unwritten.gelu_of_microsoft,), taken=False),
    Rewrite("Gelu by tanh (not exact)", "match", (), (unwritten.gelu_of_tanh,), taken=False),
    Rewrite("attention without stored scores", "match", (), (unwritten.attention_without_scores,), taken=False),
)


def loaded(stage: str, graph: onnx.ModelProto, fused: bool) -> ort.InferenceSession:
    """A session as afitrt makes it."""
    options = sessions._options(stage, settings.THREADS)
    off = [] if fused else NO_FUSION
    return ort.InferenceSession(graph.SerializeToString(), options, ["CPUExecutionProvider"], disabled_optimizers=off)


def one_after_the_other(made: list[ort.InferenceSession], tensors: dict[str, Any]) -> Run:
    """Runs graphs on the tensors that each takes; gives all results by name."""
    calls = [(each, {value.name: tensors[value.name] for value in each.get_inputs()}) for each in made]

    def run() -> dict[str, Any]:
        found: dict[str, Any] = {}
        for session, given in calls:
            names = [value.name for value in session.get_outputs()]
            found |= zip(names, session.run(names, given), strict=True)
        return found

    return run


def in_turn(runs: list[Run], rounds: int) -> list[float]:
    """Median seconds of each, after one warm-up."""
    spent: list[list[float]] = [[] for _ in runs]
    for number in range(rounds + 1):
        for run, seconds in zip(runs, spent, strict=True):
            # Threads of the run before go on spinning for a while.
            time.sleep(0.02)
            began = time.perf_counter()
            run()
            if number:
                seconds.append(time.perf_counter() - began)
    return [statistics.median(each) for each in spent]


def measure(rewrite: Rewrite, graph: onnx.ModelProto, tensors: dict[str, Any], rounds: int) -> dict[str, Any]:
    """One row."""

    def edited(edit: unwritten.Edit, fused: bool) -> ort.InferenceSession:
        copy = onnx.ModelProto()
        copy.CopyFrom(graph)
        edit(copy)
        return loaded(rewrite.stage, copy, fused)

    plain: tuple[unwritten.Edit, ...] = (lambda _: None,)
    runs = [
        one_after_the_other([edited(edit, True) for edit in rewrite.with_], tensors),
        one_after_the_other([edited(edit, rewrite.fused) for edit in rewrite.without or plain], tensors),
    ]
    left, right = (run() for run in runs)
    scale = {name: max(1.0, float(np.abs(value).max())) for name, value in left.items()}
    alike = min(psnr(left[name] / scale[name], right[name] / scale[name]) for name in left)
    return row(rewrite.name, rewrite.stage, "ONNX Runtime", in_turn(runs, rounds), alike, rewrite.taken)


def row(name: str, stage: str, runtime: str, seconds: list[float], alike: float, taken: bool = True) -> dict[str, Any]:
    """One row; seconds: with and without. alike: PSNR of the results in dB, None where they are the same bits."""
    return {
        "rewrite": name,
        "stage": stage,
        "runtime": runtime,
        "taken": taken,
        "with": round(seconds[0], 4),
        "without": round(seconds[1], 4),
        "gain": round(seconds[1] / seconds[0] - 1, 4),
        "psnr": None if alike == float("inf") else round(alike, 1),
    }


@torch.inference_mode()
def both_ways(rounds: int) -> dict[str, Any]:
    """Both flows in one call, in torch, for two calls of the published network: with every rewrite inside."""
    torch.set_num_threads(settings.THREADS)
    published = Published()
    ours = GMFlow().eval()
    ours.load_state_dict(published.state_dict("flow"))
    width, height = (side // 2 for side in settings.SIZE)
    pair = torch.rand(2, 1, 3, height, width)
    runs: list[Run] = [
        lambda: ours(pair[0], pair[1]),
        lambda: (published.flow(pair[0], pair[1]), published.flow(pair[1], pair[0])),
    ]
    left, right = (torch.cat([each.reshape(1, 2, height, width) for each in run()]).numpy() for run in runs)
    largest = float(np.abs(left).max())
    alike = psnr(left / largest, right / largest)
    return row("both flows in one call, and all of the above", "match", "torch", in_turn(runs, rounds), alike)


def table(found: dict[str, Any]) -> str:
    """Rows for people."""
    lines = ["| rewrite | stage | by | ms with | ms without | gain | alike, dB |", "|---|---|---|---|---|---|---|"]
    for each in sorted(found["results"], key=lambda each: not each["taken"]):
        name = each["rewrite"] if each["taken"] else f"not taken: {each['rewrite']}"
        times = [f"{1000 * each[key]:.1f}" for key in ("with", "without")]
        alike = "same bits" if each["psnr"] is None else f"{each['psnr']:.0f}"
        cells = [name, each["stage"], each["runtime"], *times, f"{each['gain']:+.1%}", alike]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    manifest, tensors = models.find("gmfss"), settings.inputs()
    assert isinstance(manifest, StagedManifest)
    geometry, weights = manifest.geometry(*settings.SIZE, 1.0), ModelOptions().weights
    graphs = {name: build.stage_model("gmfss", name, geometry, weights) for name in STAGES["gmfss"]}
    rows = []
    for rewrite in (*REWRITES, *OTHERS):
        rows.append(measure(rewrite, graphs[rewrite.stage], tensors[rewrite.stage], rounds))
        print(json.dumps(rows[-1]), flush=True)
    rows.append(both_ways(rounds))
    facts = {"command": COMMAND, "hardware": hardware(torch=torch.__version__), "rounds": rounds}
    size = f"{settings.SIZE[0]}x{settings.SIZE[1]}"
    found = {**facts, "threads": settings.THREADS, "size": size, "results": rows}
    OUT.write_text(json.dumps(found, indent=1) + "\n")
    put_table(ROOT / "docs" / "explanation" / "speed.md", COMMAND, table(found))


if __name__ == "__main__":
    main()
