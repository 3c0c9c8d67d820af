"""Numbered pieces of work as tasks of a Ray cluster, which places them, carries them out and tries them again."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeVar

from afitrt.errors import AfitrtError, InputError, MissingToolError, RetryError
from afitrt.options import ModelOptions

Result = TypeVar("Result")
RETRIES = 5
"""How often a task is tried again whose machine was lost, or which asked for it."""
WAIT_SECONDS = 1.0
KNOCK_SECONDS = 10


@dataclass(frozen=True)
class Needs:
    """What a task takes of its machine, whole numbers: cores, and GPUs, which it then finds under number 0."""

    cpus: int
    gpus: int = 0

    @classmethod
    def of(cls, model: ModelOptions) -> Needs:
        """Of a network: one GPU, or as many cores as threads were asked for, else one."""
        return cls(model.threads or 1) if model.on_cpu else cls(1, 1)


class Cluster:
    """A connection to a Ray cluster that runs already; to be closed.

    address: host:port of its head, or "auto" for the cluster that this machine belongs to. Raises MissingToolError
    without ray, InputError where nothing answers there.
    """

    def __init__(self, address: str) -> None:
        with _own_signals():
            self._ray = _load()
            try:
                _knock(address)
                self._ray.init(address=address, log_to_driver=False, logging_level="ERROR")
            except (OSError, ValueError, RuntimeError) as error:
                raise InputError(
                    f"no Ray cluster at {address}: {str(error).splitlines()[0]:.100}",
                    "the address of a running one",
                    "ray start --head, then --ray auto on that machine",
                ) from error

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        with redirect_stdout(sys.stderr):  # Where it tells once more what it told.
            self._ray.shutdown()

    def lacks(self, needs: Needs) -> str:
        """What no machine of the cluster has now, as a plain line; empty where one has it all."""
        wanted = {"CPU": needs.cpus, "GPU": needs.gpus}
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        if any(all(node.get(name, 0) >= count for name, count in wanted.items()) for node in nodes):
            return ""
        listed = " and ".join(f"{count} {name}" for name, count in wanted.items() if count)
        return f"none of the cluster's {len(nodes)} machines has {listed}; waiting for one that has"

    def run(self, work: Callable[[int], Result], numbers: Sequence[int], needs: Needs) -> Iterator[tuple[int, Result]]:
        """Results of work(number) with their numbers, as they come. work and results: picklable.

        What is not finished when the connection is closed is killed by Ray. Raises what `work` raised, and RetryError
        where machines were lost more often than a task is tried again.
        """
        task = self._ray.remote(
            num_cpus=needs.cpus, num_gpus=needs.gpus, max_retries=RETRIES, retry_exceptions=[RetryError]
        )(_call)
        waiting = {task.remote(work, number): number for number in numbers}
        # No ray.cancel(force=True) on the way out: where it meets the reply of its task, Ray 2.60 aborts this process.
        while waiting:
            ready, _ = self._ray.wait(list(waiting), timeout=WAIT_SECONDS)
            for reference in ready:
                yield waiting.pop(reference), self._result(reference)

    def _result(self, reference: object) -> Any:
        errors = self._ray.exceptions
        try:
            return self._ray.get(reference)
        except errors.RayTaskError as error:
            if isinstance(error.cause, AfitrtError):
                raise error.cause from error
            raise AfitrtError(
                f"a task of the cluster failed: {error.cause!r:.200}", "no such failure", "report this as a defect"
            ) from error
        except errors.RayError as error:
            raise RetryError(
                f"the cluster lost a task {RETRIES + 1} times: {str(error).splitlines()[0]:.100}",
                "machines that stay",
                "the same command again: finished segments are kept",
            ) from error


def _knock(address: str) -> None:
    """Raises OSError or ValueError where nothing answers: Ray itself would try for minutes."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    socket.create_connection((host, int(port)), timeout=KNOCK_SECONDS).close()


def _call(work: Callable[[int], Result], number: int) -> Result:
    return work(number)


@contextmanager
def _own_signals() -> Iterator[None]:
    """Ray takes SIGTERM when it connects, and would exit with a code of its own."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _load() -> ModuleType:
    try:
        import ray
    except ImportError as error:
        raise MissingToolError("ray is not installed", "the extra ray", "pip install 'afitrt[ray]'") from error
    module: ModuleType = ray
    return module
