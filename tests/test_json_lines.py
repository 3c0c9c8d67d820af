"""Every line of `--json` in real runs obeys the published schema, and the page beside it names every field."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from command import afitrt
from video_helpers import X264, drawn, ffmpeg, noise, pattern

REFERENCE = Path(__file__).parent.parent / "docs" / "reference"
SCHEMA = json.loads((REFERENCE / "events.schema.json").read_text())
KINDS = {"start", "progress", "segment", "scene", "note", "warning", "done", "error"}
FAST = ("--model", "blend", "--codec", "libx264", "--preset", "ultrafast", "--json")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The lines of runs that succeed, warn, fail before and after the first picture, and of several inputs."""
    folder = tmp_path_factory.mktemp("json")
    plain = pattern(folder / "plain.mkv", seconds=0.4)
    cut = pattern(folder / "cut.mkv", *X264, seconds=4)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size * 6 // 10])
    ffmpeg(
        "-f",
        "lavfi",
        "-i",
        "testsrc2=s=64x48:d=0.2",
        "-vf",
        "setfield=tff",
        *X264,
        "-flags",
        "+ildct+ilme",
        folder / "i.mkv",
    )
    scenes = [np.full((48, 64, 3), 40 + 160 * (k > 5) + k * k % 7, np.uint8) for k in range(12)]
    drawn(folder / "scenes.mkv", scenes)
    drawn(folder / "rgb.mkv", noise(2))
    runs = [
        afitrt("interpolate", plain, *FAST),
        afitrt("interpolate", plain, *FAST),
        afitrt("interpolate", plain, "--times", "0", *FAST),
        afitrt("interpolate", cut, *FAST),
        afitrt("interpolate", folder / "scenes.mkv", f"{folder}/out/", "--model", "blend", "--json", "--cuts", "6"),
        afitrt(
            "interpolate", folder / "i.mkv", folder / "none.mkv", folder / "rgb.mkv", "--out-dir", folder / "o", *FAST
        ),
    ]
    assert [run.code for run in runs] == [0, 4, 2, 9, 0, 3]
    return [json.loads(line) for run in runs for line in run.out.splitlines()]


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert set(SCHEMA["$defs"]) == KINDS
    assert all(kind["additionalProperties"] is False for kind in SCHEMA["$defs"].values())


def test_every_line_obeys_it(runs: list[dict[str, Any]]) -> None:
    validator = jsonschema.Draft202012Validator(SCHEMA)
    for line in runs:
        validator.validate(line)
    assert {line["event"] for line in runs} == KINDS - {"note"}


def test_it_refuses_what_is_no_event(runs: list[dict[str, Any]]) -> None:
    validator = jsonschema.Draft202012Validator(SCHEMA)
    start = next(line for line in runs if line["event"] == "start")
    for wrong in ({**start, "rate": "59.94"}, {**start, "more": 1}, {**start, "event": "begin"}, {"event": "done"}):
        assert not validator.is_valid(wrong)
    validator.validate({"event": "note", "source": "in.mkv", "text": "weights fetched"})


def test_the_page_names_every_field() -> None:
    rows = re.findall(r"^\| `(\w+)` \|[^|]*\| (.*) \|$", (REFERENCE / "json-lines.md").read_text(), re.MULTILINE)
    named = {event: set(re.findall(r"`(\w+)`", fields)) for event, fields in rows}
    assert named == {kind: set(facts["properties"]) - {"event", "source"} for kind, facts in SCHEMA["$defs"].items()}
    examples = re.search(r"```json\n(.*?)```", (REFERENCE / "json-lines.md").read_text(), re.DOTALL)
    assert examples is not None
    for line in examples[1].splitlines():
        jsonschema.validate(json.loads(line), SCHEMA)
