"""A real Ray cluster of two nodes on this machine, one of which is killed while it works."""

from __future__ import annotations

import json
import os
import platform
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import av
import psutil
import pytest
from command import afitrt, process
from video_helpers import pattern

from afitrt.errors import InputError, RetryError, UsageError
from afitrt.farm import cluster

pytestmark = pytest.mark.slow
ray = pytest.importorskip("ray")


@pytest.fixture(scope="module")
def head() -> Iterator[object]:
    """A cluster of one node, whose cores are called CPU and are one."""
    from ray.cluster_utils import Cluster

    facts = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False}
    made = Cluster(initialize_head=True, head_node_args=facts)
    yield made
    made.shutdown()


@pytest.fixture
def second(head: object) -> Iterator[object]:
    """Another node of it."""
    node = head.add_node(num_cpus=1, object_store_memory=80 * 2**20)  # type: ignore[attr-defined]
    yield node
    if node in head.list_all_nodes():  # type: ignore[attr-defined]
        head.remove_node(node)  # type: ignore[attr-defined]


def slowly(number: int) -> str:
    time.sleep(0.3)
    return ray.get_runtime_context().get_node_id()


def test_a_killed_node_loses_nothing(head: object, second: object) -> None:
    with cluster.Cluster(head.address) as connected:  # type: ignore[attr-defined]
        done: dict[int, str] = {}
        for number, node in connected.run(slowly, range(8), cluster.Needs(cpus=1)):
            assert number not in done
            done[number] = node
            if len(set(done.values())) == 2 and second in head.list_all_nodes():  # type: ignore[attr-defined]
                head.remove_node(second, allow_graceful=False)  # type: ignore[attr-defined]
        assert set(done) == set(range(8))


def failing(number: int) -> None:
    raise UsageError(f"number {number}", "another", "try another")


def flaky(number: int, folder: Path) -> int:
    mark = folder / f"{number}-{os.getpid()}-{time.time_ns()}"
    mark.touch()
    if len(list(folder.iterdir())) < 3:
        raise RetryError("the disk is full", "room", "again")
    return number


def test_errors_of_ours_come_back_whole_and_only_those_of_the_moment_are_tried_again(
    head: object, tmp_path: Path
) -> None:
    with cluster.Cluster(head.address) as connected:  # type: ignore[attr-defined]
        with pytest.raises(UsageError) as caught:
            list(connected.run(failing, [7], cluster.Needs(cpus=1)))
        assert (caught.value.found, caught.value.hint) == ("number 7", "try another")
        assert list(connected.run(partial(flaky, folder=tmp_path), [3], cluster.Needs(cpus=1))) == [(3, 3)]
        assert len(list(tmp_path.iterdir())) == 3
        assert connected.lacks(cluster.Needs(cpus=1)) == ""
        assert "1 GPU" in connected.lacks(cluster.Needs(cpus=1, gpus=1))


def beating(number: int, beats: Path) -> None:
    while number:
        with beats.open("a") as file:
            file.write(".")
        time.sleep(0.02)


def test_work_that_is_not_finished_ends_with_the_connection(head: object, second: object, tmp_path: Path) -> None:
    beats = tmp_path / "beats"
    with cluster.Cluster(head.address) as connected:  # type: ignore[attr-defined]
        results = connected.run(partial(beating, beats=beats), [1, 0], cluster.Needs(cpus=1))
        assert next(results) == (0, None)
        while not beats.exists():
            time.sleep(0.01)
        results.close()  # type: ignore[attr-defined]
    time.sleep(0.5)
    counted = beats.stat().st_size
    time.sleep(0.5)
    assert counted > 0 and beats.stat().st_size == counted


def test_sigterm_stays_ours(head: object) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with cluster.Cluster(head.address):  # type: ignore[attr-defined]
        assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere", ":"])
def test_an_address_where_nothing_answers_is_refused_at_once(address: str) -> None:
    with pytest.raises(InputError, match=f"no Ray cluster at {address}") as caught:
        cluster.Cluster(address)
    assert "ray start" in caught.value.hint


def busy(node: object) -> bool:
    """Does a process of this node work on a task? Ray names it so."""
    raylet = node.all_processes["raylet"][0].process.pid  # type: ignore[attr-defined]
    with suppress(psutil.Error):
        return any("".join(child.cmdline()).startswith("ray::_call") for child in psutil.Process(raylet).children())
    return False


def test_a_film_from_two_nodes_one_of_which_is_killed_is_the_one_from_a_single_run(
    head: object, second: object, tmp_path: Path
) -> None:
    clip = pattern(tmp_path / "in.mkv", "-c:v", "libx264", "-g", "12", seconds=8, rate="24", size="320x240")
    flags = ("--model", "blend", "--codec", "libx264", "--preset", "medium", "--segment-outputs", "24")
    assert afitrt("interpolate", clip, tmp_path / "whole.mkv", *flags).code == 0
    # The nodes know the folder by another name, as machines with their own mounts do.
    (tmp_path / "mount").symlink_to(tmp_path)
    mapped = ("--path-map", f"{tmp_path}={tmp_path / 'mount'}")
    address = head.address  # type: ignore[attr-defined]
    running = process("interpolate", clip, tmp_path / "out.mkv", *flags, "--ray", address, *mapped, "--json")
    assert running.stdout is not None
    lines = []
    killed_after = 0
    for line in running.stdout:
        lines.append(json.loads(line))
        if lines[-1]["event"] == "segment" and not killed_after and busy(second):
            killed_after = sum(each["event"] == "segment" for each in lines)
            head.remove_node(second, allow_graceful=False)  # type: ignore[attr-defined]
    _, err = running.communicate(timeout=60)
    assert running.returncode == 0, err
    done = [each for each in lines if each["event"] == "segment"]
    assert 0 < killed_after < 16 and sorted(each["segment"] for each in done) == list(range(16))
    assert {(each["host"], each["device"]) for each in done} == {(platform.node(), "cpu")}
    progress = [each["outputs"] for each in lines if each["event"] == "progress"]
    assert progress == list(range(24, 385, 24))
    assert (lines[-1]["event"], lines[-1]["outputs"]) == ("done", 384)
    assert (tmp_path / "out.mkv").read_bytes() == (tmp_path / "whole.mkv").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"in.mkv", "out.mkv", "whole.mkv", "mount"}


def test_a_stopped_run_keeps_its_segments_and_the_same_command_goes_on(head: object, tmp_path: Path) -> None:
    clip = pattern(tmp_path / "in.mkv", "-c:v", "libx264", "-g", "12", seconds=6, rate="24", size="320x240")
    flags = ("--model", "blend", "--codec", "libx264", "--preset", "medium", "--segment-outputs", "24", "--json")
    words = ("interpolate", clip, tmp_path / "out.mkv", *flags, "--ray", head.address)  # type: ignore[attr-defined]
    with process(*words) as running:
        assert running.stdout is not None
        lines = (json.loads(line) for line in running.stdout)
        assert any(line["event"] == "segment" for line in lines)
        running.send_signal(signal.SIGTERM)
        last = [*lines][-1]
        assert running.wait(timeout=30) == 75
    assert (last["event"], last["exit_code"]) == ("error", 75) and "the same command goes on" in last["kept"]
    with process(*words) as again:
        out, err = again.communicate(timeout=60)
    assert again.returncode == 0, err
    told = [json.loads(line) for line in out.splitlines()]
    (start,) = [each for each in told if each["event"] == "start"]
    assert start["finished"] >= 24 and told[-1]["outputs"] == 288
    with av.open(str(tmp_path / "out.mkv")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 288
