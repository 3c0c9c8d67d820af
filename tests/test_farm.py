"""Templates for render managers, held to the specification by its own library, and paths of other machines."""

from __future__ import annotations

from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as some
from openjd.model import StepParameterSpaceIterator, create_job, decode_job_template, preprocess_job_parameters

from afitrt.errors import UsageError
from afitrt.farm import Film, PathMap, template, text, wanted

pytestmark = pytest.mark.slow

FILM = Film(
    home=Path("/films"),
    job=Path("/films/job.json"),
    source=Path("/films/in.mkv"),
    output=Path("/films/out.mkv"),
    folder=Path("/films/out.segments"),
    segments=100,
    gpu=True,
)
GOLDEN = Path(__file__).parent / "golden" / "job.template.yaml"


def film(**other: object) -> Film:
    return Film(**{**vars(FILM), **other})  # type: ignore[arg-type]


def job(made: Film) -> object:
    """The job that a scheduler makes of the template's text, after every check of the specification's library."""
    decoded = decode_job_template(template=yaml.safe_load(text(template(made))))
    values = preprocess_job_parameters(
        job_template=decoded,
        job_parameter_values={k: str(v) for k, v in wanted(made).items()},
        job_template_dir=made.home,
        current_working_dir=Path("/"),
    )
    return create_job(job_template=decoded, job_parameter_values=values)


def asked(made: Film) -> list[range]:
    """The segments of every task, in order."""
    render = job(made).steps[0]  # type: ignore[attr-defined]
    tasks = []
    for task in StepParameterSpaceIterator(space=render.parameterSpace):
        numbers = {name: int(value.value) for name, value in task.items()}
        first = numbers.get("Segment", numbers.get("First", -1))
        tasks.append(range(first, numbers.get("Segment", numbers.get("Last", -1)) + 1))
    return tasks


def test_the_template_is_the_one_that_is_committed() -> None:
    assert text(template(FILM)) == GOLDEN.read_text()


def test_a_scheduler_takes_it() -> None:
    made = job(FILM)
    render, join = made.steps  # type: ignore[attr-defined]
    assert (render.name, join.name, join.dependencies[0].dependsOn) == ("render", "join", "render")
    assert [(each.name, float(each.min)) for each in render.hostRequirements.amounts] == [("amount.worker.gpu", 1)]
    assert job(film(gpu=False)).steps[0].hostRequirements is None  # type: ignore[attr-defined]


def test_paths_outside_of_the_templates_folder_must_be_given() -> None:
    made = film(source=Path("/disk/in.mkv"), home=Path("/films/templates"), folder=Path("/films/templates"))
    assert set(wanted(made)) == {"JobFile", "Source", "Output"}
    defaults = {each["name"]: each.get("default") for each in template(made)["parameterDefinitions"]}
    assert defaults == {"JobFile": None, "Source": None, "Output": None, "WorkFolder": "."}
    given = {name: each.value for name, each in job(made).parameters.items()}  # type: ignore[attr-defined]
    assert given["Source"] == "/disk/in.mkv" and given["WorkFolder"] == "/films/templates"


@pytest.mark.parametrize("segments", [1, 2, 1024, 1025, 1026, 2048, 2049, 5000])
def test_every_segment_is_in_one_task_and_tasks_are_no_more_than_the_specification_allows(segments: int) -> None:
    tasks = asked(film(segments=segments))
    assert [number for task in tasks for number in task] == list(range(segments))
    assert len(tasks) <= 1024


@given(some.integers(1, 30000))
def test_so_it_is_for_any_number(segments: int) -> None:
    step = template(film(segments=segments))["steps"][0]
    definitions = {each["name"]: each["range"] for each in step["parameterSpace"]["taskParameterDefinitions"]}
    if set(definitions) == {"Segment"}:
        assert definitions["Segment"] == f"0-{segments - 1}" and segments <= 1024
        return
    firsts, lasts = (spread(definitions[name]) for name in ("First", "Last"))
    assert len(firsts) == len(lasts) <= 1024
    assert [n for first, last in zip(firsts, lasts, strict=True) for n in range(first, last + 1)] == [*range(segments)]


def spread(expression: str) -> list[int]:
    """The numbers of a range expression."""
    numbers: list[int] = []
    for part in expression.split(","):
        span, _, step = part.partition(":")
        first, _, last = span.partition("-")
        numbers += range(int(first), int(last or first) + 1, int(step or 1))
    return numbers


@given(some.text(some.characters(exclude_characters="/\0", exclude_categories=("Cs",)), min_size=1, max_size=300))
@example("°\x85\u2028")
@example("{{{Param.Source}}}\n")
def test_a_film_may_have_any_name(name: str) -> None:
    made = job(film(source=Path("/films") / f"{name}.mkv"))
    assert made.parameters["Source"].value == f"/films/{name}.mkv"  # type: ignore[attr-defined]


def test_typed_rules_map_whole_parts_and_the_longest_counts() -> None:
    paths = PathMap.parse(["/mnt=/srv", "/mnt/films=/films", "Z:\\anime=/anime"])
    assert paths(Path("/mnt/films/a/in.mkv")) == Path("/films/a/in.mkv")
    assert paths(Path("/mnt/filmstrip")) == Path("/srv/filmstrip")
    assert paths(Path("z:\\Anime\\a\\in.mkv")) == Path("/anime/a/in.mkv")
    assert paths(Path("/home/in.mkv")) == Path("/home/in.mkv")
    assert PathMap()(Path("in.mkv")) == Path("in.mkv")


@pytest.mark.parametrize("wrong", ["", "/mnt", "=/srv", "/mnt="])
def test_what_is_no_rule_is_refused_with_an_example(wrong: str) -> None:
    with pytest.raises(UsageError, match="--path-map") as caught:
        PathMap.parse([wrong])
    assert caught.value.hint == "--path-map /mnt/films=/srv/films"


PARTS = some.lists(some.text("abc .=", min_size=1, max_size=4).filter(lambda t: t.strip(". ")), min_size=1, max_size=4)


@given(PARTS, PARTS, some.sampled_from([PurePosixPath("/"), PureWindowsPath("Z:\\")]))
def test_a_mapped_path_keeps_what_follows_the_rule(front: list[str], rest: list[str], root: PurePosixPath) -> None:
    source = root.joinpath(*(part.replace("=", "_") for part in front))
    paths = PathMap.parse([f"{source}=/here"])
    assert paths(Path(str(source.joinpath(*rest)))) == Path("/here", *rest)
