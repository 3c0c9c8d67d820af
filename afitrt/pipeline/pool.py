"""Worker processes that render the segments of one job, one for each device, from one list."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from afitrt.errors import RetryError, error_of
from afitrt.pipeline.rendering import Placing
from afitrt.system import out_of_reach

CHANCES = 2
"""So many failures set a device aside."""
GRACE_SECONDS = 5
"""For a worker that is told to stop; a picture on a CPU may take longer, and then nothing is lost but it."""
AGAIN = frozenset({1, 8, 75, 130})
"""Exit codes of a worker after which its segment is tried again; a process that was killed counts, too."""


class Work:
    """Segments that wait, and those at hand; for any thread."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self._waiting = deque(numbers)
        self._running: set[int] = set()
        self._stopped = False
        self._changed = threading.Condition()

    def take(self) -> int | None:
        """The next segment, or None when nothing is left; waits while another worker may still give one back."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or not self._running or self._stopped)
            if self._stopped or not self._waiting:
                return None
            number = self._waiting.popleft()
            self._running.add(number)
            return number

    def finish(self, number: int, *, done: bool) -> None:
        """A segment taken before is finished, or is given back to be taken again."""
        with self._changed:
            self._running.remove(number)
            if not done:
                self._waiting.appendleft(number)
            self._changed.notify_all()

    def stop(self) -> None:
        """Nobody takes any more."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    @property
    def left(self) -> bool:
        """Is there still something to do?"""
        return bool(self._waiting or self._running)


class Pool:
    """Runs `afitrt render` in a process for each placing. Iterating yields the lines they tell, as (worker, facts).

    A process that dies is replaced and its segment tried again; a device that fails twice is set aside, which a line
    of the kind "warning" says. Raises RetryError when none is left, and what a worker says that no repeating helps.
    A context manager: leaving it ends all processes within seconds.
    """

    def __init__(self, job: Path, placings: Sequence[Placing], numbers: Sequence[int]) -> None:
        self._job, self._placings = job, placings
        self._work = Work(numbers)
        self._told: queue.SimpleQueue[tuple[int, dict[str, Any]] | BaseException | None] = queue.SimpleQueue()
        self._children: dict[int, subprocess.Popen[str]] = {}
        self._threads = [
            threading.Thread(target=self._serve, args=(place,), name=f"afitrt-worker-{place}")
            for place in range(len(placings))
        ]

    def __enter__(self) -> Iterator[tuple[int, dict[str, Any]]]:
        for thread in self._threads:
            thread.start()
        return self._lines()

    def __exit__(self, *_: object) -> None:
        self._work.stop()
        for child in list(self._children.values()):
            child.terminate()
        until = time.monotonic() + GRACE_SECONDS
        for thread in self._threads:
            thread.join(max(0.1, until - time.monotonic()))
        for child in list(self._children.values()):
            child.kill()
        for thread in self._threads:
            thread.join()

    def _lines(self) -> Iterator[tuple[int, dict[str, Any]]]:
        ended = 0
        while ended < len(self._threads):
            told = self._told.get()
            if isinstance(told, BaseException):
                raise told
            if told is None:
                ended += 1
            else:
                yield told
        if self._work.left:
            raise RetryError(
                f"all of {len(self._placings)} devices failed twice", "one that works", "the same command again goes on"
            )

    def _serve(self, place: int) -> None:
        """One device: a process after another, until there is nothing to do or the device has failed too often."""
        failures = 0
        try:
            while failures < CHANCES and (error := self._process(place)) is not None:
                failures += 1
                text = f"worker {place} failed ({error})"
                if failures == CHANCES:
                    text += "; its device is set aside"
                self._told.put((place, {"event": "warning", "text": text}))
        except BaseException as failure:
            self._told.put(failure)
        finally:
            self._told.put(None)

    def _process(self, place: int) -> str | None:
        """Runs one process until it ends: None when there is nothing to do any more, else why it died.

        Raises its error where repeating does not help.
        """
        number = self._work.take()
        if number is None:
            return None
        log = self._placings[place].folder / f"worker-{place}.log"
        with log.open("a", encoding="utf-8") as words, self._started(place, words) as child:
            assert child.stdin is not None and child.stdout is not None
            error: dict[str, Any] = {}
            with suppress(OSError):  # It has ended.
                child.stdin.write(f"{number}\n")
                child.stdin.flush()
                for line in child.stdout:
                    facts = json.loads(line)
                    if facts["event"] == "error":
                        error = facts
                        continue
                    self._told.put((place, facts))
                    if facts["event"] == "segment":
                        self._work.finish(number, done=True)
                        if (number := self._work.take()) is None:
                            break
                        child.stdin.write(f"{number}\n")
                        child.stdin.flush()
            with suppress(OSError):  # It has ended.
                child.stdin.close()
            code = child.wait()
        del self._children[place]
        if number is None:
            return None
        self._work.finish(number, done=False)
        if code > 0 and code not in AGAIN:
            parts = (error.get("found", f"worker {place} ended with {code}"), error.get("expected", "exit code 0"))
            raise error_of(code, *parts, error.get("hint", f"see {log}"))
        return str(error.get("found") or f"exit code {code}")

    def _started(self, place: int, words: IO[str]) -> subprocess.Popen[str]:
        placing = self._placings[place]
        command = [sys.executable, "-m", "afitrt", "render", str(self._job), "--segments", "-", "--json"]
        command += ["--folder", str(placing.folder), "--threads", str(placing.threads)]
        if placing.device is not None:
            command += ["--device", str(placing.device)]
        if placing.source is not None:
            command += ["--source", str(placing.source)]
        if placing.allow_mixed:
            command.append("--allow-mixed")
        # Ctrl-C reaches only us, and we decide how workers end.
        child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=words,
            encoding="utf-8",
            **out_of_reach(),
        )
        self._children[place] = child
        return child
