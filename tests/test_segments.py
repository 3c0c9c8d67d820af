"""However a film is rendered, at once, in pieces, in any order, after any number of deaths: its bytes are the same."""

from __future__ import annotations

import json
import os
import random
import signal
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from unittest import mock

import av
import numpy as np
import pytest
from command import afitrt, process
from video_helpers import drawn, ffmpeg, pattern, payload

from afitrt import segments
from afitrt.options import Job, ModelOptions
from afitrt.pipeline import Placing, placed
from afitrt.segments import Store
from afitrt.segments.job import Origin, options_of

pytestmark = pytest.mark.slow

FLAGS = ("--model", "blend", "--codec", "libx264", "--preset", "ultrafast", "--segment-outputs", "24")


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """72 frames in four scenes, on twos in places; with closed GOPs of 12 frames."""
    folder = tmp_path_factory.mktemp("film")
    path = pattern(folder / "in.mkv", "-c:v", "libx264", "-g", "12", "-bf", "2", seconds=3, rate="24")
    return path


@pytest.fixture(scope="module")
def whole(film: Path) -> Path:
    """The film from one undisturbed run."""
    out = film.with_name("whole.mkv")
    ran = afitrt("interpolate", film, out, *FLAGS, "--cuts", "11,30,55")
    assert ran.code == 0, ran.err
    return out


CUTS = ("--cuts", "11,30,55")


def same(out: Path, whole: Path) -> None:
    """Same packets, same pictures, same times, and as many as the arithmetic says; read by a reader of its own."""
    assert payload(out, 0) == payload(whole, 0)
    assert out.read_bytes() == whole.read_bytes()
    with av.open(str(out)) as container:
        assert [frame.pts for frame in container.decode(video=0)] == [(k * 1000 + 24) // 48 for k in range(144)]


def planned(film: Path, tmp_path: Path, *more: object) -> Path:
    job = tmp_path / "job.json"
    ran = afitrt("plan", film, "-o", job, *FLAGS, *CUTS, *more)
    assert ran.code == 0, ran.err
    return job


def test_segments_begin_at_cuts_where_they_can(film: Path, tmp_path: Path) -> None:
    plan = segments.read(planned(film, tmp_path))
    ranges = [each.outputs for each in plan.segments]
    assert ranges == segments.cut(144, [22, 60, 110], 24)
    assert ranges == [(0, 22), (22, 46), (46, 60), (60, 84), (84, 108), (108, 132), (132, 144)]
    assert plan.cuts == (11, 30, 55) and plan.outputs == 144
    assert all(frames[1] - frames[0] <= 12 + 5 for frames in (each.frames for each in plan.segments))


def test_rendered_in_any_order_and_joined(film: Path, whole: Path, tmp_path: Path) -> None:
    job = planned(film, tmp_path)
    count = len(segments.read(job).segments)
    order = random.Random(7).sample(range(count), count)
    for number in order:
        assert afitrt("render", job, "--segment", number, "-q").code == 0
    ran = afitrt("join", job, tmp_path / "out.mkv")
    assert ran.code == 0 and "144 pictures" in ran.out
    same(tmp_path / "out.mkv", whole)


def test_a_missing_segment_is_named_with_the_command_that_makes_it(film: Path, whole: Path, tmp_path: Path) -> None:
    job = planned(film, tmp_path)
    count = len(segments.read(job).segments)
    assert afitrt("render", job, "--segments", "0-1,3", "-q").code == 0
    ran = afitrt("join", job, tmp_path / "out.mkv")
    assert ran.code == 3 and f"2, 4-{count - 1}" in ran.err
    assert f"afitrt render {job} --segments 2,4-{count - 1}" in ran.err
    ran = afitrt("join", job, tmp_path / "part.mkv", "--partial")
    assert ran.code == 0 and "46 pictures" in ran.out
    with av.open(str(tmp_path / "part.mkv")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 46
    assert afitrt("render", job, "--segments", f"0-{count - 1}", "-q").code == 0
    assert afitrt("join", job, tmp_path / "out.mkv").code == 0
    same(tmp_path / "out.mkv", whole)


def test_a_finished_segment_is_passed_over_and_a_damaged_one_made_again(film: Path, tmp_path: Path) -> None:
    job = planned(film, tmp_path)
    assert afitrt("render", job, "--segments", "0-1", "-q").code == 0
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "job.segments").glob("segment-*")}
    ran = afitrt("render", job, "--segments", "0-1", "--json")
    assert [json.loads(line)["found"] for line in ran.out.splitlines()] == [True, True]
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in made.items())
    path = tmp_path / "job.segments" / "segment-000001.mkv"
    before = path.read_bytes()
    path.write_bytes(before[:-1] + b"?")
    ran = afitrt("render", job, "--segments", "0-1", "--json")
    found = [json.loads(line) for line in ran.out.splitlines()]
    assert [each["found"] for each in found if each["event"] == "segment"] == [True, False]
    assert path.read_bytes() == before


def test_nothing_but_the_needed_frames_is_decoded(film: Path, tmp_path: Path) -> None:
    job = planned(film, tmp_path)
    ran = afitrt("render", job, "--segment", "3", "--json")
    assert ran.code == 0
    (decoded,) = {line["frames"] for line in map(json.loads, ran.out.splitlines()) if line["event"] == "progress"}
    first, last = segments.read(job).segments[3].frames
    assert decoded == last - first < 20


def changed(job: Path, change: Callable[[dict], None]) -> None:
    facts = json.loads(job.read_text())
    change(facts)
    job.write_text(json.dumps(facts))


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda facts: facts["recipe"]["options"]["schedule"].update(n_forward=3), ("changed",)),
        (lambda facts: facts.update(cuts=[12]), ("changed",)),
        (lambda facts: facts.update(colour="red"), ("colour",)),
        (lambda facts: facts["recipe"]["options"].update(speed=3), ("speed",)),
        (lambda facts: facts["recipe"]["options"]["encode"].update(crf="16"), ("options.encode.crf", "number")),
        (lambda facts: facts.update(afitrt_job=2), ("version 2",)),
        (lambda facts: facts["segments"][0].update(outputs=[0]), ("segments[0].outputs", "list of 2")),
        (lambda facts: facts.pop("times"), ("times",)),
    ],
)
def test_a_changed_job_file_is_refused(
    film: Path, tmp_path: Path, change: Callable[[dict], None], words: tuple[str, ...]
) -> None:
    job = planned(film, tmp_path)
    changed(job, change)
    for command in (("render", job, "--segment", "0"), ("join", job, tmp_path / "out.mkv")):
        ran = afitrt(*command)
        assert ran.code == 3 and "Traceback" not in ran.err
        assert all(word in ran.err for word in words), ran.err


def test_another_source_is_refused_by_name(film: Path, tmp_path: Path) -> None:
    job = planned(film, tmp_path)
    other = pattern(tmp_path / "other.mkv", seconds=3, rate="24")
    ran = afitrt("render", job, "--segment", "0", "--source", other)
    assert ran.code == 3 and "source.size" in ran.err
    copy = tmp_path / "copy.mkv"
    copy.write_bytes(film.read_bytes())
    assert afitrt("render", job, "--segment", "0", "--source", copy, "-q").code == 0


def test_another_encoder_and_another_machine_are_refused(film: Path, tmp_path: Path) -> None:
    job = planned(film, tmp_path)
    with mock.patch("afitrt.segments.identity.encoder_build", lambda codec: "another"):
        ran = afitrt("render", job, "--segment", "0")
    assert ran.code == 3 and "encoder" in ran.err and "another" in ran.err
    assert afitrt("render", job, "--segment", "0", "-q").code == 0
    with mock.patch("afitrt.segments.identity.instruction_sets", lambda: "z80"):
        ran = afitrt("render", job, "--segment", "1")
        assert ran.code == 2 and "processor" in ran.err and "z80" in ran.err and "--allow-mixed" in ran.err
        assert afitrt("render", job, "--segment", "1", "--allow-mixed", "-q").code == 0


def test_a_false_key_frame_is_found_out(tmp_path: Path) -> None:
    options = ("-c:v", "libx264", "-preset", "veryfast", "-x264-params", "keyint=12:intra-refresh=1:bframes=0")
    film = pattern(tmp_path / "refresh.mkv", *options, seconds=3, rate="24", size="320x240")
    whole, job = tmp_path / "whole.mkv", tmp_path / "job.json"
    assert afitrt("interpolate", film, whole, *FLAGS).code == 0
    assert afitrt("plan", film, "-o", job, *FLAGS).code == 0
    assert afitrt("render", job, "--segments", "0-5", "-q").code == 0
    assert afitrt("join", job, tmp_path / "out.mkv").code == 0
    assert (tmp_path / "out.mkv").read_bytes() == whole.read_bytes()


def test_rates_spans_and_other_codecs(film: Path, tmp_path: Path) -> None:
    for name, more in {
        "fps": ("--fps", "60", "--no-shrink"),
        "span": ("--start", "0.7", "--end", "2.5", "--times", "3"),
        "x265": ("--codec", "libx265"),
        "normal": ("--normalize", "25", "--codec", "ffv1"),
    }.items():
        flags = [*FLAGS, *more]
        if "--codec" in more:
            del flags[2:6]
        job, out = tmp_path / f"{name}.json", tmp_path / f"{name}.mkv"
        assert afitrt("interpolate", film, tmp_path / f"{name}.whole.mkv", *flags).code == 0
        assert afitrt("plan", film, "-o", job, *flags).code == 0
        count = len(segments.read(job).segments)
        assert afitrt("render", job, "--segments", f"1-{count - 1}", "-q").code == 0
        assert afitrt("render", job, "--segment", "0", "-q").code == 0
        assert afitrt("join", job, out).code == 0
        assert out.read_bytes() == (tmp_path / f"{name}.whole.mkv").read_bytes(), name


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_rate_that_varies_and_sound(tmp_path: Path, suffix: str) -> None:
    film = tmp_path / "in.mkv"
    picture = "testsrc2=s=64x48:r=24:d=3,select=not(eq(mod(n\\,7)\\,3))"
    sound = ("-f", "lavfi", "-i", "sine=d=3", "-c:a", "aac", "-fps_mode", "vfr")
    ffmpeg("-f", "lavfi", "-i", picture, *sound, "-c:v", "libx264", "-g", "12", "-output_ts_offset", "0.3", film)
    whole, job, out = tmp_path / f"whole{suffix}", tmp_path / "job.json", tmp_path / f"out{suffix}"
    assert afitrt("interpolate", film, whole, *FLAGS).code == 0
    assert afitrt("plan", film, "-o", job, *FLAGS).code == 0
    assert len(segments.read(job).times.spacings) > 3
    count = len(segments.read(job).segments)
    for number in reversed(range(count)):
        assert afitrt("render", job, "--segment", number, "-q").code == 0
    assert afitrt("join", job, out).code == 0
    assert out.read_bytes() == whole.read_bytes()


def test_a_folder_of_pictures(tmp_path: Path) -> None:
    clip = drawn(tmp_path / "clip.mkv", [np.full((48, 64, 3), 3 * k, np.uint8) for k in range(40)])
    assert afitrt("interpolate", clip, f"{tmp_path}/png/", "--model", "blend", "--times", "1").code == 0
    flags = ("--rate", "24", *FLAGS)
    assert afitrt("interpolate", tmp_path / "png", tmp_path / "whole.mkv", *flags).code == 0
    assert afitrt("plan", tmp_path / "png", "-o", tmp_path / "job.json", *flags).code == 0
    assert afitrt("render", tmp_path / "job.json", "--segments", "0-3", "-q").code == 0
    assert afitrt("join", tmp_path / "job.json", tmp_path / "out.mkv").code == 0
    assert (tmp_path / "out.mkv").read_bytes() == (tmp_path / "whole.mkv").read_bytes()


def test_killed_between_the_name_and_the_end_of_the_folder(film: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mkv"
    command = ("interpolate", film, out, *FLAGS, *CUTS, "--json")
    with mock.patch.object(Store, "remove", lambda store: None):
        assert afitrt(*command).code == 0
    (folder,) = (path for path in tmp_path.iterdir() if path.is_dir())
    (folder / "segment-000000.mkv").unlink()
    ran = afitrt(*command)
    assert ran.code == 0 and json.loads(ran.out)["outputs"] == 144 and json.loads(ran.out)["scenes"] == 4
    assert [path.name for path in tmp_path.iterdir()] == ["out.mkv"]
    same(out, whole)
    assert afitrt(*command).code == 4
    with mock.patch.object(Store, "remove", lambda store: None):
        assert afitrt(*command, "--overwrite").code == 0
    out.write_bytes(out.read_bytes() + b"edited")
    assert afitrt(*command).code == 4 and folder.exists()


def killed_at(moment: int, arguments: tuple[object, ...]) -> bool:
    """Runs a command in a fork that dies, as of kill -9, at its moment-th picture or rename; did it die?"""
    left = [moment]

    def counted(original: Callable) -> Callable:
        def call(*given: object, **named: object) -> object:
            left[0] -= 1
            if left[0] < 0:
                os._exit(9)
            result = original(*given, **named)
            left[0] -= 1
            if left[0] < 0:
                os._exit(9)
            return result

        return call

    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            with (
                mock.patch.object(segments.PieceWriter, "write", counted(segments.PieceWriter.write)),
                mock.patch.object(Path, "replace", counted(Path.replace)),
            ):
                code = afitrt(*arguments).code
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in (0, 9)
    return code == 9


@pytest.mark.slow
def test_killed_at_twenty_moments_and_resumed(film: Path, whole: Path, tmp_path: Path) -> None:
    draw = random.Random(20)
    deaths = runs = 0
    while deaths < 20:
        runs += 1
        out = tmp_path / f"{runs}.mkv"
        command = ("interpolate", film, out, *FLAGS, *CUTS)
        while killed_at(draw.randrange(330), command):
            deaths += 1
        assert [path.name for path in tmp_path.iterdir()] == [out.name]
        same(out, whole)
        out.unlink()
    assert runs >= 3


@pytest.mark.slow
def test_a_killed_process_goes_on_and_loses_one_segment_at_most(tmp_path: Path) -> None:
    source = pattern(tmp_path / "in.mkv", seconds=40, size="320x240")
    flags = (*FLAGS[:-1], "100", "--json")
    running = process("interpolate", source, tmp_path / "out.mkv", *flags)
    assert running.stdout is not None
    shown = 0
    for line in running.stdout:
        event = json.loads(line)
        shown = event["outputs"] if event["event"] == "progress" else shown
        if event["event"] == "segment" and event["segment"] == 3:
            break
    running.send_signal(signal.SIGKILL)
    running.communicate()
    ran = afitrt("interpolate", source, tmp_path / "out.mkv", *flags)
    assert ran.code == 0, ran.err
    events = [json.loads(line) for line in ran.out.splitlines()]
    start = next(event for event in events if event["event"] == "start")
    assert start["finished"] >= 400 and start["finished"] > shown - 300
    progress = [event["outputs"] for event in events if event["event"] == "progress"]
    assert progress[0] == start["finished"] + 1 and progress[-1] == 2000
    assert events[-1]["outputs"] == 2000
    assert afitrt("interpolate", source, tmp_path / "again.mkv", *flags).code == 0
    assert (tmp_path / "out.mkv").read_bytes() == (tmp_path / "again.mkv").read_bytes()


def test_a_store_takes_nothing_for_finished_that_is_not(film: Path, tmp_path: Path) -> None:
    job = planned(film, tmp_path)
    assert afitrt("render", job, "--segment", "0", "-q").code == 0
    digest = segments.read(job).recipe.digest
    folder = tmp_path / "job.segments"
    store = Store(folder, digest)
    assert store.finished(0) is not None
    assert Store(folder, "another").finished(0) is None
    sidecar = folder / "segment-000000.json"
    facts = json.loads(sidecar.read_text())
    for wrong in ({"segment": 1}, {"pictures": facts["pictures"][1:]}, {"more": 1}, {"bytes": 3}):
        sidecar.write_text(json.dumps(facts | wrong))
        assert store.finished(0) is None, wrong
    sidecar.write_text("{")
    assert store.finished(0) is None


@pytest.mark.weights
def test_a_network_renders_on_the_cpu_what_was_planned_for_it(weights_home: Path, tmp_path: Path) -> None:
    clip = pattern(tmp_path / "in.mkv", seconds=0.2)
    flags = ("--model", "rife", "--runtime", "onnx", *FLAGS[2:])
    assert afitrt("interpolate", clip, tmp_path / "whole.mkv", *flags).code == 0
    assert afitrt("plan", clip, "-o", tmp_path / "job.json", *flags).code == 0
    ran = afitrt("render", tmp_path / "job.json", "--segment", "0", "--json")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out.splitlines()[-1])["device"] == "cpu"
    assert afitrt("join", tmp_path / "job.json", tmp_path / "out.mkv").code == 0
    assert payload(tmp_path / "out.mkv", 0) == payload(tmp_path / "whole.mkv", 0)


@pytest.mark.parametrize(
    ("model", "device", "planned", "here"),
    [
        (ModelOptions(), None, None, None),
        (ModelOptions(device=3), None, 0, 0),
        (ModelOptions(runtime="tensorrt-rtx", precision="fp16"), 2, 0, 2),
    ],
)
def test_a_job_keeps_whether_a_gpu_works_and_a_machine_says_which(
    model: ModelOptions, device: int | None, planned: int | None, here: int | None
) -> None:
    job = Job(source=Path("in.mkv"), model=model)
    options = options_of(job, job.schedule, job.encode)
    assert options["model"]["device"] == planned
    recipe = segments.Recipe(Origin(Path("in.mkv"), 1, ""), options, {}, "", 24)
    plan = segments.Plan(recipe, 0, segments.Times.of([Fraction(0), Fraction(1)]), (), (), "")
    assert placed(plan, Placing(Path("segments"), device=device)).model.device == here


@pytest.mark.slow
@pytest.mark.weights
@pytest.mark.usefixtures("weights_home")
def test_gmfss_in_pieces_on_one_thread_and_killed_on_two(tmp_path: Path) -> None:
    frames = []
    for k in range(7):
        frame = np.full((256, 256, 3), 90, np.uint8)
        frame[60 + 6 * k : 140 + 6 * k, 20 + 20 * k : 90 + 20 * k] = (200, 40 + 20 * k, 30)
        frames.append(frame)
    source = drawn(tmp_path / "in.mkv", frames)
    flags = ("--codec", "libx264", "--preset", "ultrafast", "--scale", "1.0", "--segment-outputs", "5", "-n", "2")
    job, out = tmp_path / "job.json", tmp_path / "pieces.mkv"
    assert afitrt("plan", source, "-o", job, *flags).code == 0
    assert len(segments.read(job).segments) == 3
    for number in (2, 0, 1):
        ran = afitrt("render", job, "--segment", number, "--threads", "1", "-q")
        assert ran.code == 0, ran.err
    assert afitrt("join", job, out).code == 0
    killed = tmp_path / "killed.mkv"
    running = process("interpolate", source, killed, *flags, "--json", "--threads", "2")
    assert running.stdout is not None
    assert any(json.loads(line)["event"] == "segment" for line in running.stdout)
    running.send_signal(signal.SIGKILL)
    running.communicate()
    ran = afitrt("interpolate", source, killed, *flags, "--json", "--threads", "2")
    assert ran.code == 0, ran.err
    start = next(line for line in map(json.loads, ran.out.splitlines()) if line["event"] == "start")
    assert start["finished"] >= 5
    assert killed.read_bytes() == out.read_bytes()
    sidecars = [json.loads(path.read_text()) for path in sorted((tmp_path / "job.segments").glob("segment-*.json"))]
    assert [len(each["pictures"]) for each in sidecars] == [5, 5, 4]
