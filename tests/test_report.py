"""`--report`: one file that needs no network, well-formed, with the facts as JSON; what it shows is what was there."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from command import afitrt
from video_helpers import X264, drawn, pattern

from afitrt.errors import AfitrtError
from afitrt.options import Job
from afitrt.report import Heard, Watched, Watcher, gather, page, timeline
from afitrt.report.watching import APART, CUTS_SHOWN, DOUBTFUL_SHOWN
from afitrt.scenes import Verdict

FAST = ("--model", "blend", "--codec", "libx264", "--preset", "ultrafast")
SCENES = [(200, 30, 30), (20, 60, 220), (30, 200, 60)]
HELD = 12


def film(path: Path) -> Path:
    """Three scenes of one colour each, in which a grey square moves; cuts at 12 and 24."""
    frames = []
    for colour in SCENES:
        for k in range(HELD):
            frame = np.full((96, 128, 3), colour, np.uint8)
            frame[20:50, 10 + 4 * k : 40 + 4 * k] = 128
            frames.append(frame)
    return drawn(path, frames)


def parsed(text: str) -> tuple[ElementTree.Element, dict[str, Any]]:
    """The page as a tree, held to XML's rules, and its facts."""
    tree = ElementTree.fromstring(text)
    (script,) = tree.iter("script")
    assert script.get("type") == "application/json"
    return tree, json.loads(script.text or "", parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def figures(tree: ElementTree.Element, place: int) -> list[tuple[str, list[np.ndarray], str]]:
    """Identifiers, decoded pictures and captions of one group."""
    found = []
    for figure in [each for each in tree.iter("div") if each.get("class") == "sides"][place].iter("figure"):
        pictures = []
        for image in figure.iter("img"):
            head, _, data = image.get("src", "").partition(",")
            assert head == "data:image/jpeg;base64"
            pictures.append(cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1])
        found.append((figure.get("id", ""), pictures, figure.findtext("figcaption", "")))
    return found


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ElementTree.Element, dict[str, Any]]:
    """The page of a run over the drawn film."""
    folder = tmp_path_factory.mktemp("report")
    source, report = film(folder / "in & <b>.mkv"), folder / "made" / "report.html"
    ran = afitrt("interpolate", source, folder / "out.mkv", *FAST, "--cuts", "12,24", "--report", report)
    assert ran.code == 0, ran.err
    assert not list(report.parent.glob(".*"))
    return report, *parsed(report.read_text())


def test_nothing_is_asked_of_a_network(made: tuple[Path, ElementTree.Element, dict[str, Any]]) -> None:
    report, tree, _ = made
    for element in tree.iter():
        for name, value in element.attrib.items():
            if name in ("src", "href", "action", "data", "srcset", "poster"):
                assert value.startswith(("data:image/jpeg;base64,", "#")), (element.tag, name)
    assert not re.search(r"@import|url\(|https?:", report.read_text())
    assert [script.get("type") for script in tree.iter("script")] == ["application/json"]
    anchors = {each.get("href", "")[1:] for each in tree.iter("a")}
    assert anchors <= {each.get("id") for each in tree.iter()}


def test_facts_are_those_of_the_run(made: tuple[Path, ElementTree.Element, dict[str, Any]]) -> None:
    report, _, facts = made
    frames = HELD * len(SCENES)
    assert facts["source"]["path"] == str(report.parent.parent / "in & <b>.mkv")
    assert (facts["source"]["size"], facts["source"]["frames"]) == ("128x96", frames)
    assert (facts["output"]["frames"], facts["output"]["rate"], facts["output"]["codec"]) == (2 * frames, "50", "h264")
    assert facts["output"]["bytes"] == (report.parent.parent / "out.mkv").stat().st_size
    assert facts["scenes"]["cuts"] == [12, 24] and facts["scenes"]["frames"] == frames
    assert [each["frame"] for each in facts["scenes"]["cuts_shown"]] == [12, 24]
    assert facts["scenes"]["cuts_shown"][0]["seconds"] == 12 / 25
    assert len(facts["differences"]) == frames and facts["differences"][0] == 0
    assert sorted(np.argsort(facts["differences"])[-2:].tolist()) == [12, 24]
    assert facts["run"]["done"]["outputs"] == 2 * frames and facts["run"]["error"] is None
    assert set(facts["run"]["done"]["waited"]) == {"decoder", "encoder"}
    assert any("yuv420p" in each for each in facts["warnings"])
    assert {"afitrt", "Python", "ffmpeg", "numpy"} <= set(facts["versions"])
    assert facts["options"]["model"]["model"] == "blend" and facts["stages"] == [] and facts["weights"] == {}


def test_both_sides_of_every_cut_are_shown(made: tuple[Path, ElementTree.Element, dict[str, Any]]) -> None:
    _, tree, _ = made
    shown = figures(tree, 0)
    assert [name for name, *_ in shown] == ["frame-12", "frame-24"]
    for number, (_, pictures, caption) in enumerate(shown):
        assert "rule given" in caption
        for picture, colour in zip(pictures, SCENES[number : number + 2], strict=True):
            assert picture.shape == (96, 128, 3)
            assert np.abs(picture[80, 64].astype(int) - colour).max() < 12
    doubtful = figures(tree, 1)
    assert doubtful and not {"frame-12", "frame-24"} & {name for name, *_ in doubtful}
    assert all(left.shape == right.shape for _, (left, right), _ in doubtful)


def test_the_chart_marks_the_cuts_where_they_are(made: tuple[Path, ElementTree.Element, dict[str, Any]]) -> None:
    _, tree, facts = made
    (chart,) = tree.iter("svg")
    *_, width, _ = map(float, chart.get("viewBox", "").split())
    paths = {each.get("class"): each.get("d", "") for each in chart.iter("path")}
    places = [float(x) for x in re.findall(r"M([\d.]+) ", paths["cut"])]
    frames = facts["scenes"]["frames"]
    assert places == pytest.approx([(cut + 0.5) * width / frames for cut in (12, 24)], abs=0.1)
    heights = [float(y) for y in re.findall(r"L[\d.]+ ([\d.]+)", paths["area"])]
    assert len(heights) == frames and sorted(np.argsort(heights)[:2].tolist()) == [12, 24]


def frame(value: int, dtype: type = np.uint8) -> np.ndarray:
    return np.full((18, 32, 3), value, dtype)


def watched(values: list[int], cuts: set[int] = frozenset(), first: int = 0, dtype: type = np.uint8) -> Watched:  # type: ignore[assignment]
    watcher = Watcher()
    for index, value in enumerate(values, first):
        watcher(Verdict(index, None, None, "given", index in cuts), Fraction(index, 24), frame(value, dtype))
    return watcher.watched()


def test_differences_are_steps_of_eight_bits_at_every_depth() -> None:
    assert list(watched([10, 30, 30, 5]).differences) == [0, 20, 0, 25]
    assert list(watched([10 * 257, 30 * 257, 5 * 257], dtype=np.uint16).differences) == [0, 20, 25]


def test_thousands_of_cuts_keep_a_few_hundred_pictures_from_all_over_the_film() -> None:
    count = 5 * CUTS_SHOWN
    seen = watched([index % 2 * 90 for index in range(count)], cuts=set(range(1, count)))
    assert len(seen.cuts) == count - 1
    assert CUTS_SHOWN // 2 <= len(seen.shown) <= CUTS_SHOWN
    gaps = np.diff([each.index for each in seen.shown])
    assert set(gaps) == {gaps[0]} and seen.shown[0].index == 1 and count - seen.shown[-1].index <= gaps[0]
    tree = ElementTree.fromstring(page(gather(Job(source=Path("none.mkv")), Heard(), seen, None), seen))
    texts = [each.text or "" for each in tree.iter("h2")]
    assert f"Cuts: {len(seen.shown)} of {count - 1}, evenly chosen" in texts


def test_a_pan_is_one_doubtful_place_and_the_largest_come_first() -> None:
    values = [0] * 200
    for index in range(50, 56):
        values[index] = 20 * (index - 49)
    values[100] = 90
    seen = watched(values)
    places = [each.index for each in seen.doubtful]
    assert places[0] == 56 and seen.doubtful[0].difference == 120
    assert len(places) <= DOUBTFUL_SHOWN
    assert min(np.diff(sorted(places)), default=APART) >= APART
    assert [each.difference for each in seen.doubtful] == sorted((e.difference for e in seen.doubtful), reverse=True)


def test_absolute_numbers_and_short_films() -> None:
    seen = watched([10, 90], cuts={101}, first=100)
    assert seen.first == 100 and seen.cuts == (101,) and seen.shown[0].seconds == pytest.approx(101 / 24)
    assert "Too short" in timeline(watched([1]))
    assert "M900.0 " in timeline(seen)


def test_the_chart_of_two_hours_is_small() -> None:
    frames = 172_800
    seen = watched([0, 1])
    seen.differences.extend([1.5] * (frames - 2))
    seen.seconds.extend([index / 24 for index in range(2, frames)])
    chart = timeline(seen)
    assert len(chart) < 40_000


def test_a_damaged_source_is_told_on_the_page(tmp_path: Path) -> None:
    source = pattern(tmp_path / "in.mkv", *X264, seconds=4)
    source.write_bytes(source.read_bytes()[: source.stat().st_size * 6 // 10])
    ran = afitrt("interpolate", source, tmp_path / "out.mkv", *FAST, "--report", tmp_path / "report.html")
    assert ran.code == 9
    tree, facts = parsed((tmp_path / "report.html").read_text())
    assert facts["run"]["error"]["exit_code"] == 9 and facts["run"]["done"] is not None
    (bad,) = [each for each in tree.iter("ul") if each.get("class") == "marks bad"]
    assert "damaged" in "".join(bad.itertext())


def test_a_run_that_never_began_leaves_no_page(tmp_path: Path) -> None:
    (tmp_path / "in.mkv").write_bytes(b"nothing")
    assert afitrt("interpolate", tmp_path / "in.mkv", *FAST, "--report", tmp_path / "report.html").code == 3
    assert [each.name for each in tmp_path.iterdir()] == ["in.mkv"]


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("--report", "report.txt"), 4, "report.html"),
        (("--report", "TAKEN"), 4, "--overwrite"),
        (("--report", "report.html", "--out-dir", "out"), 2, "--out-dir"),
    ],
)
def test_wrong_names_are_told_before_any_work(tmp_path: Path, arguments: tuple[str, ...], code: int, told: str) -> None:
    taken = tmp_path / "taken.html"
    taken.write_text("mine")
    source = pattern(tmp_path / "in.mkv", seconds=0.2)
    arguments = tuple(str(taken) if each == "TAKEN" else each for each in arguments)
    ran = afitrt("interpolate", source, *FAST, *arguments)
    assert ran.code == code and told in ran.err and "expected:" in ran.err
    assert taken.read_text() == "mine" and len(list(tmp_path.iterdir())) == 2


def test_a_report_that_cannot_be_written_names_the_output_that_is_there(tmp_path: Path) -> None:
    source = pattern(tmp_path / "in.mkv", seconds=0.2)
    ran = afitrt("interpolate", source, tmp_path / "out.mkv", *FAST, "--report", "/dev/null/report.html")
    assert ran.code == 4
    assert f"kept: {tmp_path / 'out.mkv'}" in ran.err and (tmp_path / "out.mkv").exists()


@pytest.mark.weights
@pytest.mark.slow
def test_weights_and_stages_are_named_by_their_hashes(weights_home: Path, tmp_path: Path) -> None:
    source = pattern(tmp_path / "in.mkv", seconds=0.12)
    command = ("interpolate", source, tmp_path / "out.mkv", "--n-forward", 1, *FAST[2:], "--report")
    ran = afitrt(*command, tmp_path / "report.html")
    assert ran.code == 0, ran.err
    tree, facts = parsed((tmp_path / "report.html").read_text())
    assert [each["stage"] for each in facts["stages"]] == ["encode", "match", "splat", "fuse"]
    assert all(re.fullmatch(r"[0-9a-f]{64}", digest) for digest in facts["weights"].values()) and facts["weights"]
    text = "".join(tree.itertext())
    assert all(each["sha256"] in text for each in facts["stages"])


@pytest.mark.slow
def test_a_browser_shows_it(made: tuple[Path, ElementTree.Element, dict[str, Any]], tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no chromium is installed; apt-get install chromium")
    for scheme, ground in (("1", 251), ("0", 23)):
        shot = tmp_path / f"{scheme}.png"
        options = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--window-size=1300,1600",
            "--virtual-time-budget=2000",
        ]
        profile = f"--user-data-dir={tmp_path / scheme}"
        command = [
            browser,
            *options,
            profile,
            f"--blink-settings=preferredColorScheme={scheme}",
            f"--screenshot={shot}",
        ]
        subprocess.run([*command, made[0].as_uri()], check=True, capture_output=True, timeout=120)
        picture = cv2.imread(str(shot))[:, :, ::-1].astype(int)
        assert abs(picture[5, 5] - ground).max() <= 5
        for colour in SCENES:
            assert (np.abs(picture - colour).max(axis=2) < 8).sum() > 2 * 60 * 40, f"{colour} is not seen"


def test_an_error_before_done_is_told_with_what_was_kept() -> None:
    error = AfitrtError("the <lamp> fell", "a lamp", "pick it up")
    error.kept = "out.partial.mkv"
    seen = watched([1, 2])
    tree, facts = parsed(page(gather(Job(source=Path("none.mkv")), Heard(), seen, error), seen))
    assert facts["run"]["error"]["found"] == "the <lamp> fell" and facts["output"] is None
    assert "kept: out.partial.mkv" in "".join(tree.itertext())


def test_scenes_shows_its_cuts_before_anything_is_rendered(tmp_path: Path) -> None:
    source, report = film(tmp_path / "in.mkv"), tmp_path / "cuts.html"
    for _ in range(2):
        ran = afitrt("scenes", source, "--cuts", "12,24", "--report", report, "-o", tmp_path / "cuts.json")
        assert ran.code == 0, ran.err
    tree, facts = parsed(report.read_text())
    assert tree.findtext(".//h1") == str(source)
    assert facts["output"] is None and facts["run"] == {"started": None, "done": None, "error": None}
    assert list(facts["options"]) == ["scenes"] and facts["weights"] == {}
    assert [name for name, *_ in figures(tree, 0)] == ["frame-12", "frame-24"]
    assert afitrt("scenes", source, "--report", tmp_path / "cuts.txt").code == 4
