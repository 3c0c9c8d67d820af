"""The job file obeys its published schema, and reads back as what was written."""

from __future__ import annotations

import dataclasses
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from command import afitrt
from hypothesis import given
from hypothesis import strategies as st
from video_helpers import pattern

from afitrt import segments
from afitrt.errors import AfitrtError
from afitrt.options import EncodeOptions, Job, ModelOptions, SceneOptions, ScheduleOptions
from afitrt.segments import Cutter, Plan, Recipe, Segment, Times, cut
from afitrt.segments.job import ELSEWHERE
from afitrt.segments.values import from_json, to_json

pytestmark = pytest.mark.slow

SCHEMA = json.loads((Path(__file__).parent.parent / "docs" / "job.schema.json").read_text())
FLAGS = ("--model", "blend", "--codec", "libx264", "--segment-outputs", "20")


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("job")
    source = pattern(folder / "in.mkv", seconds=2, rate="24000/1001")
    more = ("--fps", "59.94", "--cuts", "11,30", "--start", "0.25", "--encoder-args", "-tune animation")
    assert afitrt("plan", source, "-o", folder / "job.json", *FLAGS, *more).code == 0
    return folder / "job.json"


def test_what_plan_writes_obeys_the_schema_and_reads_back(job: Path, tmp_path: Path) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(json.loads(job.read_text()), SCHEMA)
    plan = segments.read(job)
    segments.write(plan, tmp_path / "again.json")
    assert (tmp_path / "again.json").read_text() == job.read_text()
    assert plan.first_frame == 6 and plan.cuts == (11, 30)
    assert plan.film.cuts == [5, 24] and plan.film.times[1] == Fraction(1001, 24000)


@pytest.mark.parametrize(
    "place, kind",
    [
        ((), Plan),
        (("recipe",), Recipe),
        (("recipe", "options", "schedule"), ScheduleOptions),
        (("recipe", "options", "scenes"), SceneOptions),
        (("recipe", "options", "model"), ModelOptions),
        (("recipe", "options", "encode"), EncodeOptions),
        (("times",), Times),
    ],
)
def test_the_schema_names_every_field(place: tuple[str, ...], kind: Any) -> None:
    described = SCHEMA
    for name in place:
        described = described["properties"][name]
    names = {field.name for field in dataclasses.fields(kind)}
    assert set(described["properties"]) - {"afitrt_job", "sha256"} == names
    assert described["additionalProperties"] is False and set(described["required"]) == set(described["properties"])


def test_the_schema_names_every_option_of_a_job() -> None:
    options = SCHEMA["properties"]["recipe"]["properties"]["options"]["properties"]
    assert set(options) == {field.name for field in dataclasses.fields(Job)} - set(ELSEWHERE)
    items = SCHEMA["properties"]["segments"]["items"]["properties"]
    assert set(items) == {field.name for field in dataclasses.fields(Segment)}


@pytest.mark.parametrize("wrong", [{"afitrt_job": 2}, {"more": 1}, {"cuts": [0]}, {"segments": [{"outputs": [0, 1]}]}])
def test_the_schema_refuses_what_is_no_job(job: Path, wrong: dict[str, Any]) -> None:
    facts = json.loads(job.read_text()) | wrong
    assert not jsonschema.Draft202012Validator(SCHEMA).is_valid(facts)


@given(st.lists(st.fractions(Fraction(1, 500), Fraction(1), max_denominator=90_000), min_size=1, max_size=30))
def test_times_are_exact(spacings: list[Fraction]) -> None:
    times = [sum(spacings[:place], Fraction(0)) for place in range(len(spacings) + 1)]
    assert Times.of(times).seconds() == times
    regular = [Fraction(k * 1001, 24000) for k in range(1000)]
    assert len(Times.of(regular).spacings) == 1 and Times.of(regular).seconds() == regular


@given(st.integers(1, 300), st.sets(st.integers(1, 299)), st.integers(1, 60))
def test_segments_are_whole_in_order_and_never_too_long(outputs: int, starts: set[int], length: int) -> None:
    wanted = sorted(start for start in starts if start < outputs)
    ranges = cut(outputs, wanted, length)
    assert [number for first, last in ranges for number in range(first, last)] == list(range(outputs))
    assert all(0 < last - first <= length for first, last in ranges)
    for first, last in ranges[:-1]:
        assert last - first == length or last in wanted
        half = [start for start in wanted if first + (length + 1) // 2 <= start <= first + length]
        assert last == (half[0] if half else first + length)
    cutter = Cutter(length)
    for output in range(outputs):
        if output in starts:
            cutter.scene(output)
        assert cutter.segment(output) == cutter.segment_of(output)
    cutter.close(outputs)
    assert cutter.bounds == [0, *(last for _, last in ranges)]


@pytest.mark.parametrize(
    "value",
    [
        Job(source=Path("a b.mkv"), schedule=ScheduleOptions(None, Fraction(60000, 1001), 3), start=Fraction(5, 7)),
        Job(
            Path("y.mp4"),
            source=Path("x"),
            scenes=SceneOptions(cuts=(3, 9)),
            encode=EncodeOptions(extra=(("tune", "film"),)),
        ),
    ],
)
def test_options_survive_json(value: Job) -> None:
    assert from_json(Job, json.loads(json.dumps(to_json(value))), "job") == value


def test_nonsense_is_refused_in_one_sentence(tmp_path: Path) -> None:
    for text in ("", "[]", "{", "nul", '{"afitrt_job": 1}', '{"afitrt_job": "1"}', "\x00", "[" * 100_000):
        (tmp_path / "job.json").write_text(text)
        with pytest.raises(AfitrtError):
            segments.read(tmp_path / "job.json")
    with pytest.raises(AfitrtError, match="cannot read"):
        segments.read(tmp_path / "none.json")
