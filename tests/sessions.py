"""Runs a model of the tests in ONNX Runtime."""

from __future__ import annotations

from typing import Any

import onnx
import onnxruntime


def run(model: onnx.ModelProto, given: dict[str, Any], threads: int = 2) -> dict[str, Any]:
    """Outputs by name; inputs are taken from `given` by name."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    taken = {value.name: given[value.name] for value in session.get_inputs()}
    return dict(zip(names, session.run(names, taken), strict=True))
