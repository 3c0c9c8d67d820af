"""`afitrt plan` and `afitrt scenes`: what would happen, without a network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import timedelta
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from afitrt.cli.flags import EncodeFlags, FilterFlags, ModelFlags, SceneFlags, ScheduleFlags, grouped, whole
from afitrt.cli.jobs import JobFlags
from afitrt.cli.segments import folder_of
from afitrt.errors import UsageError, counted
from afitrt.file_names import check_name
from afitrt.options import Job, SceneOptions, ScheduleOptions

if TYPE_CHECKING:
    from afitrt.frames import VideoInfo
    from afitrt.pipeline.workers import Watch
    from afitrt.scenes import Verdict
    from afitrt.schedule import End, Frame

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


@grouped
def plan(
    source: Annotated[
        Path | None, typer.Argument(metavar="[IN]", help="The video; without one, give --frames and --rate.")
    ] = None,
    *,
    schedule: ScheduleFlags,
    scenes: SceneFlags,
    model: ModelFlags,
    encode: EncodeFlags,
    filters: FilterFlags,
    options: JobFlags,
    frames: Annotated[str | None, typer.Option(help="Number of source frames, without a video.")] = None,
    output: Annotated[
        Path | None, typer.Option("-o", metavar="JOB.json", help="Write a job file for render and join.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print scenes, outputs, and the matchings and inferences that a job would cost, or write it as a job file."""
    from afitrt import schedule as room
    from afitrt.cli.console import print_json

    if output is not None:
        if source is None:
            raise UsageError("-o without IN", "the video that the job is for", f"afitrt plan IN -o {output}")
        check_name(output, "-o with a shorter name")
        check_name(folder_of(output, None), "-o with a shorter name")  # Where `render` puts the segments.
        _write_job(options.job(source, None, (schedule, scenes, model, encode, filters), overwrite=True), output)
        return
    wanted, finding = schedule.options(), scenes.options()
    if source is not None:
        source_rate, timeline = _watched(source, _given_rate(options.rate), filters, finding)
    else:
        source_rate, timeline = _imagined(frames, options.rate or "24000/1001", finding.cuts or ())
    wanted = replace(wanted, n_forward=room.resolve_n_forward(wanted.n_forward, source_rate))
    if as_json:
        print_json(room.listing(room.plan(timeline, wanted)))
    else:
        _print_plan(timeline, wanted)


def _write_job(job: Job, path: Path) -> None:
    from afitrt import pipeline, segments
    from afitrt.cli.console import Reporter, stderr, stdout

    plan = pipeline.plan(job, Reporter(str(job.source)))
    segments.write(plan, path)
    if plan.damage:
        stderr.print(f"warning: {job.source} is damaged: {plan.damage}", style="yellow", markup=False)
    count = len(plan.segments)
    made = f"{counted(plan.outputs, 'picture')} in {counted(count, 'segment')}, {counted(len(plan.cuts) + 1, 'scene')}"
    stdout.print(f"{path}: {made}", markup=False)
    stdout.print(f"next: afitrt render {path} --segments 0-{count - 1}, then afitrt join {path} OUT.mkv", markup=False)


@grouped
def scenes(
    source: Annotated[Path, typer.Argument(metavar="IN", help="The video.", show_default=False)],
    *,
    scenes: SceneFlags,
    filters: FilterFlags,
    rate: Annotated[str | None, typer.Option(help="Frames for each second, where IN is pictures.")] = None,
    output: Annotated[Path | None, typer.Option("-o", help="Write the cuts to this file.")] = None,
    report: Annotated[
        Path | None, typer.Option("--report", help="Write a page with both sides of every cut to this file.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Find scenes; print them, or write the cuts to a file that a person can edit."""
    from afitrt import video
    from afitrt.artefacts import writing_in, written_aside
    from afitrt.cli import reporting
    from afitrt.cli.console import print_json, stdout
    from afitrt.scenes import cuts_text

    if report is not None:
        reporting.check(report, overwrite=True)
    if output is not None:
        check_name(output, "-o with a shorter name")
    # A job for its options alone: nothing is written, but standard input must have a name for its output.
    chain, number = filters.chain(), filters.number()
    job = Job(source, source=source, scenes=scenes.options(), rate=_given_rate(rate), filters=chain, video=number)
    info = video.probe_source(source, job.rate, chain, number)
    _warn(video.rivals(info))
    with reporting.seen(job, report) as watch:
        verdicts = list(_verdicts(info, job.scenes, watch))
    cuts = [verdict.index for verdict in verdicts if verdict.cut]
    if output is not None:
        with writing_in(output.parent), written_aside(output) as aside:
            aside.write_text(cuts_text(cuts))
    if as_json:
        print_json({"frames": [asdict(verdict) for verdict in verdicts[1:]]})
        return
    for number, (first, last) in enumerate(zip([0, *cuts], [*cuts, len(verdicts)], strict=True)):
        begins = timedelta(seconds=float(info.elapsed(first)))
        stdout.print(f"scene {number}: frames {first} to {last - 1}, from {begins}", markup=False)


def _verdicts(info: VideoInfo, options: SceneOptions, watch: Watch | None = None) -> Iterator[Verdict]:
    from afitrt import video
    from afitrt.scenes import detector, sample

    yuv = video.decoded_yuv(info)
    judge = detector(options, yuv=yuv).judge
    with video.open_reader(info, yuv=yuv) as reader:
        for pixels in reader:
            verdict = judge(pixels)
            if watch is not None:
                watch(verdict, info.elapsed(verdict.index), sample(pixels, yuv)[0] if yuv else pixels)
            yield verdict
    if not reader.complete:
        from afitrt.cli.console import stderr

        told = "; ".join(reader.errors[-2:]) or info.damage
        found = f"{info.path} is damaged: {counted(reader.frames, 'frame')} decoded ({told})"
        stderr.print(f"warning: {found}", markup=False)


def _given_rate(text: str | None) -> Fraction | None:
    from afitrt.rates import parse_rate

    return None if text is None else parse_rate(text, "--rate")


def _watched(
    source: Path, rate: Fraction | None, filters: FilterFlags, options: SceneOptions
) -> tuple[Fraction, list[Frame | End]]:
    from afitrt import video
    from afitrt.schedule import End, Frame
    from afitrt.task import fields

    info = video.probe_source(source, rate, filters.chain(), filters.number())
    _warn([*fields(info), *video.rivals(info)])
    cuts = [verdict.cut for verdict in _verdicts(info, options)]
    timeline: list[Frame | End] = [Frame(info.elapsed(index), cut) for index, cut in enumerate(cuts)]
    return info.rate, [*timeline, End(info.elapsed(len(cuts)))]


def _warn(lines: list[str]) -> None:
    from afitrt.cli.console import stderr

    for line in lines:
        stderr.print(f"warning: {line}", markup=False)


def _imagined(frames: str | None, rate: str, cuts: tuple[int, ...]) -> tuple[Fraction, list[Frame | End]]:
    from afitrt.rates import parse_rate
    from afitrt.scenes import check_cuts
    from afitrt.schedule import End, Frame

    if frames is None:
        raise UsageError("neither IN nor --frames", "one of the two", "afitrt plan IN, or --frames 100")
    count = whole("--frames", frames, "a whole number from 0", "--frames 100")
    if count < 0:
        raise UsageError(f"--frames {count}", "a whole number from 0", "--frames 100")
    source_rate = parse_rate(rate, "--rate")
    opens = set(check_cuts(cuts, count))
    timeline: list[Frame | End] = [Frame(index / source_rate, index in opens) for index in range(count)]
    return source_rate, [*timeline, End(count / source_rate)]


def _print_plan(timeline: list[Frame | End], options: ScheduleOptions) -> None:
    from afitrt import schedule as room
    from afitrt.cli.console import stdout
    from afitrt.task import costs

    summary = room.summarise(room.plan(timeline, options))
    scenes = sum(1 for index, item in enumerate(timeline) if isinstance(item, room.Frame) and (item.cut or not index))
    stdout.print(f"source frames: {len(timeline) - 1}")
    stdout.print(f"scenes: {scenes}")
    stdout.print(f"n_forward: {options.n_forward}")
    stdout.print(f"outputs: {summary.outputs}")
    stdout.print(f"matchings: {summary.matchings}")
    stdout.print(f"inferences: {summary.inferences}")
    if options.correct and options.n_forward > 1:
        cost = counted(room.correction_cost(options.n_forward), "inference")
        stdout.print(f"correcting an edge: {cost} before any are shared")
    _warn(costs(options))
