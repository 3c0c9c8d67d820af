"""A job as a template of the Open Job Description, specification 2023-09.

Source: https://github.com/OpenJobDescription/openjd-specifications/wiki/2023-09-Template-Schemas. No extension of it is
used, so that every scheduler of that specification can take the template.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MOST_TASKS = 1024
"""Values that a list of task parameters may have at most; schedulers hold ranges to the same number."""
MOST_NAME = 128
NOTICE_SECONDS = 30
PATHS = (
    ("JobFile", "job", "FILE", "IN", "The job, as `afitrt plan` wrote it."),
    ("Source", "source", "FILE", "IN", "The video that the job is about."),
    ("WorkFolder", "folder", "DIRECTORY", "INOUT", "Where segments lie; every worker sees it."),
    ("Output", "output", "FILE", "OUT", "The finished video."),
)


@dataclass(frozen=True)
class Film:
    """What a template tells of a job. Paths are absolute; home: the template's folder.

    segments: their number, at least 1. gpu: every task needs one.
    """

    home: Path
    job: Path
    source: Path
    output: Path
    folder: Path
    segments: int
    gpu: bool


def template(film: Film) -> dict[str, Any]:
    """The template as plain values: step `render` over all segments, and step `join` that waits for it.

    Paths are parameters, so that a scheduler can carry files and map paths. Those outside of `home` have no default,
    which the specification wants to be relative to the template: see `wanted`.
    """
    render: dict[str, Any] = {"name": "render"}
    if film.gpu:
        render["hostRequirements"] = {"amounts": [{"name": "amount.worker.gpu", "min": 1}]}
    space, wanted = _space(film.segments)
    render |= {"parameterSpace": space, "script": _run("render", wanted)}
    return {
        "specificationVersion": "jobtemplate-2023-09",
        "name": _name(film.source.stem),
        "parameterDefinitions": [_path(film, *facts) for facts in PATHS],
        "steps": [
            render,
            {
                "name": "join",
                "dependencies": [{"dependsOn": "render"}],
                "script": _run("join", ["{{Param.Output}}", "--overwrite"]),
            },
        ],
    }


def text(template: dict[str, Any]) -> str:
    """A template as YAML."""
    import yaml

    class Dumper(yaml.SafeDumper):  # type: ignore[misc]
        """Quotes what has line breaks of any kind, which in plain text would be read back as others."""

    def written(dumper: Any, value: str) -> Any:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=None if value.isprintable() else '"')

    Dumper.add_representer(str, written)
    return str(yaml.dump(template, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=120))


def wanted(film: Film) -> dict[str, Path]:
    """The parameters that have no default in the template, with their values here."""
    paths = {name: getattr(film, field) for name, field, *_ in PATHS}
    return {name: path for name, path in paths.items() if not path.is_relative_to(film.home)}


def _space(segments: int) -> tuple[dict[str, Any], list[str]]:
    """One task a segment, or as many to a task as keep their number in bounds; and what a task asks for."""
    if segments <= MOST_TASKS:
        return {"taskParameterDefinitions": [_whole("Segment", f"0-{segments - 1}")]}, [
            "--segment",
            "{{Task.Param.Segment}}",
        ]
    size = math.ceil(segments / MOST_TASKS)
    tasks = math.ceil(segments / size)
    lasts = [*range(size - 1, segments, size)][: tasks - 1]
    definitions = [
        _whole("First", f"0-{segments - 1}:{size}"),
        _whole("Last", f"{lasts[0]}-{lasts[-1]}:{size},{segments - 1}"),
    ]
    space = {"taskParameterDefinitions": definitions, "combination": "(First, Last)"}
    return space, ["--segments", "{{Task.Param.First}}-{{Task.Param.Last}}"]


def _whole(name: str, values: str) -> dict[str, Any]:
    return {"name": name, "type": "INT", "range": values}


def _path(film: Film, name: str, field: str, kind: str, flow: str, about: str) -> dict[str, Any]:
    path: Path = getattr(film, field)
    default = {} if name in wanted(film) else {"default": str(path.relative_to(film.home))}
    return {"name": name, "type": "PATH", "objectType": kind, "dataFlow": flow, **default, "description": about}


def _run(command: str, arguments: list[str]) -> dict[str, Any]:
    """A command over the job file. A task that is stopped gets SIGTERM and time to end by itself."""
    common = ["--folder", "{{Param.WorkFolder}}", "--source", "{{Param.Source}}"]
    action = {
        "command": "afitrt",
        "args": [command, "{{Param.JobFile}}", *arguments, *common],
        "cancelation": {"mode": "NOTIFY_THEN_TERMINATE", "notifyPeriodInSeconds": NOTICE_SECONDS},
    }
    return {"actions": {"onRun": action}}


def _name(stem: str) -> str:
    """A job's name: no format string, no control characters, not too long."""
    plain = "".join(each for each in re.sub(r"([{}])(?=\1)", r"\1 ", stem) if each.isprintable())
    return f"afitrt {plain}"[:MOST_NAME].rstrip()
