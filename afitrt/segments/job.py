"""The job file: everything that decides a film's pictures, and the ranges of them that can be made apart."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from itertools import accumulate, groupby, pairwise
from math import lcm
from pathlib import Path
from typing import Any

from afitrt.artefacts import writing_in, written_aside
from afitrt.errors import InputError
from afitrt.options import EncodeOptions, Job, ScheduleOptions
from afitrt.schedule import Film, Range
from afitrt.segments.values import AGAIN, from_json, to_json

VERSION = 1
ELSEWHERE = ("source", "output", "folder", "overwrite", "segment_outputs", "allow_mixed")


@dataclass(frozen=True)
class Origin:
    """The source. packets: SHA-256 over its video packets, or over its picture files; size: bytes."""

    path: Path
    size: int
    packets: str


@dataclass(frozen=True)
class Stage:
    """What a stage of the network was made of: SHA-256 of its weights and of its graphs."""

    weights: str
    graph: str


@dataclass(frozen=True)
class Recipe:
    """What is known before the first frame is decoded. All else follows from it.

    options: those of a Job that decide its pictures, see `options_of`. stages: of the network, by name. encoder: the
    build of ffmpeg. segment_outputs: see Cutter.
    """

    source: Origin
    options: dict[str, Any]
    stages: dict[str, Stage]
    encoder: str
    segment_outputs: int

    @cached_property
    def digest(self) -> str:
        """SHA-256 over all that decides pictures: not the source's path, nor which other tracks are left out."""
        options = {name: fact for name, fact in self.options.items() if name != "drop_tracks"}
        return _digest(to_json(replace(self, source=replace(self.source, path=Path()), options=options)))

    def job(self, output: Path | None = None) -> Job:
        """The options as a job again. Raises InputError and UsageError where they are none."""
        elsewhere: dict[str, Any] = {
            "source": str(self.source.path),
            "output": str(output) if output else None,
            "folder": None,
            "overwrite": True,
            "segment_outputs": self.segment_outputs,
            "allow_mixed": False,
        }
        return from_json(Job, {**self.options, **elsewhere}, "options")


def options_of(job: Job, schedule: ScheduleOptions, encode: EncodeOptions) -> dict[str, Any]:
    """A job as JSON values, without what decides where and by whom it is done; schedule and encode are resolved."""
    model = replace(job.model, threads=0, device=None if job.model.on_cpu else 0)
    facts: dict[str, Any] = to_json(replace(job, schedule=schedule, encode=encode, model=model))
    return {name: fact for name, fact in facts.items() if name not in ELSEWHERE}


@dataclass(frozen=True)
class Times:
    """Times of frames and of the end, in ticks of time_base seconds: the first, then runs of (spacing, count)."""

    time_base: Fraction
    first: int
    spacings: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, times: Sequence[Fraction]) -> Times:
        """Of exact seconds."""
        unit = lcm(*{each.denominator for each in times})
        ticks = [int(each * unit) for each in times]
        runs = groupby(after - before for before, after in pairwise(ticks))
        return cls(Fraction(1, unit), ticks[0], tuple((spacing, len(list(run))) for spacing, run in runs))

    def seconds(self) -> list[Fraction]:
        """Exact seconds."""
        spacings = [spacing for spacing, count in self.spacings for _ in range(count)]
        return [tick * self.time_base for tick in accumulate(spacings, initial=self.first)]


@dataclass(frozen=True)
class Segment:
    """outputs: which are made. frames: which are decoded for them, counted from the first one that the job reads.

    first and all: hashes of the first of these frames and of all of them, decoded from the beginning of the file.
    """

    outputs: Range
    frames: Range
    first: str
    all: str


@dataclass(frozen=True)
class Plan:
    """A job file. scenes: frames that begin one, counted from the first frame of the file; times: of the frames read.

    damage: what is wrong with the source, all of which could not be decoded; else empty.
    """

    recipe: Recipe
    first_frame: int
    times: Times
    cuts: tuple[int, ...]
    segments: tuple[Segment, ...]
    damage: str

    @cached_property
    def film(self) -> Film:
        """Frames counted from the first one read."""
        return Film(self.times.seconds(), [cut - self.first_frame for cut in self.cuts])

    @property
    def outputs(self) -> int:
        """Number of all pictures."""
        return self.segments[-1].outputs[1] if self.segments else 0


def write(plan: Plan, path: Path) -> None:
    """Writes a job file, aside and then renamed. Raises OutputError."""
    facts = {"afitrt_job": VERSION, **to_json(plan)}
    lines = (f'"{name}": {json.dumps(fact)}' for name, fact in [*facts.items(), ("sha256", _digest(facts))])
    with writing_in(path.parent), written_aside(path) as aside:
        aside.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def read(path: Path) -> Plan:
    """Reads a job file. Raises InputError where it is none, is of another version, or was changed."""
    try:
        facts: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}", "a job file", AGAIN) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON: {error}", "a job file", AGAIN) from error
    if not isinstance(facts, dict) or facts.get("afitrt_job") != VERSION:
        found = facts.get("afitrt_job", "none") if isinstance(facts, dict) else "none"
        raise InputError(f"{path} has job version {found!r:.20}", f"version {VERSION}", AGAIN)
    given = facts.pop("sha256", None)
    plan = from_json(Plan, {name: value for name, value in facts.items() if name != "afitrt_job"}, path.name)
    plan.recipe.job()
    if given != _digest(facts):
        raise InputError(
            f"{path} was changed after it was written", "the file as `afitrt plan` wrote it", "give options to plan"
        )
    return plan


def _digest(facts: Any) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
