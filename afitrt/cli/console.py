"""What a person sees: notes and errors on stderr, results on stdout, a progress bar on a terminal."""

from __future__ import annotations

import json
import math
import os
import sys
from datetime import timedelta
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from afitrt import events
from afitrt.errors import AfitrtError, OutputError, counted, stopped
from afitrt.file_names import readable
from afitrt.system import nobody_reads

stderr = Console(stderr=True, highlight=False, soft_wrap=True)
stdout = Console(highlight=False, soft_wrap=True)


def print_error(error: AfitrtError) -> None:
    """The three parts of an error, and what was kept, on stderr."""
    stderr.print("error: ", style="bold red", end="")
    stderr.print(str(error), markup=False)


def print_json(value: Any) -> None:
    """One JSON value on one line of stdout. Raises OutputError when nobody reads it any more."""
    try:
        sys.stdout.write(json.dumps(readable(value)) + "\n")
        sys.stdout.flush()
    except OSError as error:
        if not nobody_reads(error):
            raise
        # Python flushes stdout once more at exit and would complain about the same closed pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise OutputError("stdout was closed", "a reader that stays to the end", "the same command again") from None


def duration(seconds: float) -> str:
    """A duration rounded up to the largest unit that fits: "3 minutes", "1 second"."""
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds > length:
            return counted(math.ceil(seconds / length), unit)
    return counted(max(1, math.ceil(seconds)), "second")


class Reporter:
    """Draws events. quiet leaves only warnings; as_json prints one line an event on stdout and nothing else.

    source is named in every line; None while the options are read. piped: stdout belongs to the pictures.
    """

    def __init__(
        self,
        source: str | None = None,
        *,
        quiet: bool = False,
        verbose: bool = False,
        as_json: bool = False,
        piped: bool = False,
    ) -> None:
        self._source, self._quiet, self._verbose, self._json = source, quiet, verbose, as_json
        self._results = stderr if piped else stdout
        self._bar: Progress | None = None
        self._task: Any = None

    def __enter__(self) -> Reporter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()
        error = error and stopped(error)
        if self._json and isinstance(error, AfitrtError):
            parts = {"found": error.found, "expected": error.expected, "hint": error.hint, "kept": error.kept}
            print_json({"event": "error", "source": self._source, "exit_code": error.exit_code, **parts})

    def __call__(self, event: events.Event) -> None:
        """Shows one event."""
        if self._json:
            facts = event.as_json()
            print_json({"event": facts.pop("event"), "source": self._source, **facts})
            return
        match event:
            case events.Warned():
                stderr.print(f"warning: {event.text}", style="yellow", markup=False)
            case events.Progress():
                self._advance(event)
            case _ if self._quiet:
                pass
            case events.Note():
                stderr.print(event.text, markup=False)
            case events.Started():
                self._start(event)
            case events.SceneFound() if self._verbose:
                when = timedelta(seconds=event.seconds)
                stderr.print(f"scene at frame {event.index} ({when})", markup=False)
            case events.Done():
                self._done(event)

    def _start(self, event: events.Started) -> None:
        memory = f"about {event.memory / 1e9:.1f} GB of memory"
        if event.device_memory is not None:
            memory += f" and {event.device_memory / 1e9:.2f} GB on the GPU"
        if event.frames is None:
            stderr.print(f"a pipe does not tell how many frames come, so time is not estimated; {memory}", markup=False)
        elif event.seconds is not None:
            hint = "" if event.device else "; `afitrt doctor` says how to use a GPU"
            where = event.device or "this CPU"
            stderr.print(f"about {duration(event.seconds)} on {where}, {memory}{hint}", markup=False)
        if not stderr.is_terminal:
            return
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[fps]} fps, {task.fields[scenes]}"),
            TimeRemainingColumn(),
            console=stderr,
        )
        self._task = self._bar.add_task("pictures", total=event.outputs, completed=event.finished, fps="-", scenes="")
        self._bar.start()

    def _advance(self, event: events.Progress) -> None:
        if self._bar is not None:
            speed = self._bar.tasks[0].speed
            fps = f"{speed:.2f}" if speed else "-"
            self._bar.update(self._task, completed=event.outputs, scenes=counted(event.scenes, "scene"), fps=fps)

    def _done(self, event: events.Done) -> None:
        if self._bar is not None:
            self._bar.stop()
        peak = "" if event.device_memory is None else f", at most {event.device_memory / 1e9:.2f} GB on the GPU"
        if self._verbose:
            for name, cost in event.stages.items():
                stderr.print(f"{name}: {cost['calls']:.0f} calls, {cost['seconds']:.2f} s", markup=False)
        self._results.print(
            f"{event.output}: {counted(event.frames, 'frame')} in, {counted(event.outputs, 'picture')} out at "
            f"{event.rate} fps"
            f"{' on average, as the source varies' if event.varies else ''}, "
            f"{counted(event.scenes, 'scene')}, {event.seconds:.1f} s{peak}",
            markup=False,
        )
