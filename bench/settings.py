"""What ONNX Runtime's settings give on the CPU: every stage of gmfss at 448x256 under each, in turn.

    python bench/settings.py [--rounds N]

It writes bench/results/settings.json and the table of docs/explanation/speed.md. A gain is that of a picture: one call
of each stage, medians.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from drawn import clip
from measuring import hardware, put_table

from afitrt import build, models
from afitrt.models.manifest import StagedManifest
from afitrt.options import ModelOptions
from afitrt.runtimes.onnx import sessions

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "bench" / "results" / "settings.json"
COMMAND = "python bench/settings.py"
SIZE, THREADS = (448, 256), 2
PAYS = 0.02
"""A gain below this share of a picture is not worth a line of code."""

Tensors = dict[str, Any]


@dataclass(frozen=True)
class Setting:
    """What differs from what afitrt does. values: attributes of SessionOptions; entries: its configuration entries."""

    name: str
    values: tuple[tuple[str, Any], ...] = ()
    entries: tuple[tuple[str, str], ...] = ()
    shrink: bool = True

    def session(self, stage: str, graph: bytes) -> ort.InferenceSession:
        """The stage under this setting; the splat keeps its one thread, more would be wrong."""
        options = sessions._options(stage, THREADS)
        for name, value in self.values:
            if (stage, name) != ("splat", "intra_op_num_threads"):
                setattr(options, name, value)
        for key, entry in self.entries:
            options.add_session_config_entry(key, entry)
        return ort.InferenceSession(graph, options, ["CPUExecutionProvider"])

    def run(self, session: ort.InferenceSession, given: Tensors) -> list[Any]:
        """One call."""
        options = ort.RunOptions()
        if self.shrink:
            options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        found: list[Any] = session.run(None, given, options)
        return found


PARALLEL = (("execution_mode", ort.ExecutionMode.ORT_PARALLEL), ("inter_op_num_threads", 2))
SETTINGS = (
    Setting("as it is"),
    Setting("one thread", (("intra_op_num_threads", 1),)),
    Setting("three threads", (("intra_op_num_threads", 3),)),
    Setting("threads spin", entries=(("session.intra_op.allow_spinning", "1"),)),
    Setting("work in blocks that shrink (dynamic_block_base 4)", entries=(("session.dynamic_block_base", "4"),)),
    Setting("parallel executor", PARALLEL),
    Setting("the arena keeps its memory", shrink=False),
    Setting("no arena", (("enable_cpu_mem_arena", False),), shrink=False),
    Setting("no memory pattern", (("enable_mem_pattern", False),)),
    Setting("no NCHWc layout", (("graph_optimization_level", ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED),)),
    Setting("weights not packed ahead", entries=(("session.disable_prepacking", "1"),)),
    Setting("denormals are zero", entries=(("session.set_denormal_as_zero", "1"),)),
)


def inputs() -> dict[str, Tensors]:
    """What each stage is given for one pair of a drawn clip, by stage."""
    options = ModelOptions(scale=1.0, threads=THREADS)
    network: Any = models.make(options, *SIZE, np.float32, lambda text: None)
    given: dict[str, Tensors] = {}
    for name, stage in network._stages.items():

        def noted(_name: str = name, _stage: Any = stage, **tensors: Any) -> Any:
            given[_name] = tensors
            return _stage(**tensors)

        noted.inputs = stage.inputs  # type: ignore[attr-defined]
        network._stages[name] = noted
    frames = clip(*SIZE, 4, (1, 2, 3))[::3]
    network.between(*map(network.upload, frames), [Fraction(1, 2)])
    return given


def measure(stage: str, graph: bytes, given: Tensors, rounds: int) -> dict[str, dict[str, float]]:
    """Median seconds of a stage, and how far its results are from those as it is, by setting."""
    made = {setting: setting.session(stage, graph) for setting in SETTINGS}
    exact = SETTINGS[0].run(made[SETTINGS[0]], given)
    spent: dict[str, list[float]] = {setting.name: [] for setting in SETTINGS}
    apart: dict[str, float] = {}
    for number in range(rounds + 1):
        for setting, session in made.items():
            # Threads of the setting before go on spinning for a while.
            time.sleep(0.02)
            began = time.perf_counter()
            results = setting.run(session, given)
            if number:
                spent[setting.name].append(time.perf_counter() - began)
            else:
                apart[setting.name] = max(
                    float(np.abs(found - right).max()) for found, right in zip(results, exact, strict=True)
                )
    return {name: {"seconds": statistics.median(each), "apart": apart[name]} for name, each in spent.items()}


def table(found: dict[str, Any]) -> str:
    """Rows for people."""
    stages = list(found["results"][0]["seconds"])
    lines = ["| setting | " + " | ".join(stages) + " | a picture | gain |", "|---" * (len(stages) + 3) + "|"]
    for row in found["results"]:
        cells = [f"{row['seconds'][stage]:.3f}" for stage in stages]
        lines.append("| " + " | ".join([row["setting"], *cells, f"{row['picture']:.3f}", f"{row['gain']:+.1%}"]) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    manifest, tensors = models.find("gmfss"), inputs()
    assert isinstance(manifest, StagedManifest)
    geometry = manifest.geometry(*SIZE, 1.0)
    stages = {}
    for name in manifest.stages:
        graph = build.stage_model("gmfss", name, geometry, ModelOptions().weights).SerializeToString()
        stages[name] = measure(name, graph, tensors[name], given.rounds)
    rows: list[dict[str, Any]] = []
    for setting in SETTINGS:
        seconds = {name: round(each[setting.name]["seconds"], 4) for name, each in stages.items()}
        picture = round(sum(seconds.values()), 4)
        gain = round(rows[0]["picture"] / picture - 1, 4) if rows else 0.0
        apart = {name: each[setting.name]["apart"] for name, each in stages.items()}
        rows.append({"setting": setting.name, "seconds": seconds, "picture": picture, "gain": gain, "apart": apart})
    facts = {"command": COMMAND, "hardware": hardware(), "rounds": given.rounds, "threads": THREADS, "pays_from": PAYS}
    found = {**facts, "size": f"{SIZE[0]}x{SIZE[1]}", "results": rows}
    OUT.write_text(json.dumps(found, indent=1) + "\n")
    put_table(ROOT / "docs" / "explanation" / "speed.md", COMMAND, table(found))
    print(table(found))


if __name__ == "__main__":
    main()
