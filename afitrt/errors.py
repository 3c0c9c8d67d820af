"""Every failure that is not a bug of ours, as one tree. Each class is one exit code of the command line.

AfitrtError                1  a defect of afitrt itself (please report it)
├── UsageError             2  an option, or two together, cannot be used
├── InputError             3  the source cannot be read
├── OutputError            4  the destination cannot be written
├── MissingToolError       5  a program, library or encoder is not installed
├── ArtefactError          6  weights, graphs or engines are missing, damaged or made for something else
├── ResourceError          7  memory or disk cannot hold the job; known before the first frame
├── RenderError            8  the network or the encoder failed in mid-run
├── PartialInputError      9  the source is damaged; all that could be decoded is in the finished file
├── RetryError            75  a passing condition (full disk, lost device, SIGTERM): the same command may work
└── InterruptedRunError  130  Ctrl-C
"""

from __future__ import annotations


class AfitrtError(Exception):
    """A failure told in three parts, each one line of plain text without a final full stop.

    found: what was met, with the offending value. expected: what would have been right.
    hint: what to type or do next. kept: the file that holds the work finished so far, if any.
    `str(error)` joins them, one to a line.
    """

    exit_code = 1
    kept: str | None = None

    def __init__(self, found: str, expected: str, hint: str) -> None:
        super().__init__(found, expected, hint)
        self.found, self.expected, self.hint = found, expected, hint

    def __str__(self) -> str:
        kept = f"\n  kept: {self.kept}" if self.kept else ""
        return f"{self.found}\n  expected: {self.expected}\n  try: {self.hint}{kept}"


class UsageError(AfitrtError):
    """An option's value, or a combination of options, cannot be used."""

    exit_code = 2


class InputError(AfitrtError):
    """The source is missing, is not a video, or cannot be decoded at all."""

    exit_code = 3


class OutputError(AfitrtError):
    """The destination exists, cannot be created, or cannot hold what is asked for."""

    exit_code = 4


class MissingToolError(AfitrtError):
    """A program, library or encoder that the job needs is not installed."""

    exit_code = 5


class ArtefactError(AfitrtError):
    """Weights, graphs or engines are missing, damaged, or made for something else."""

    exit_code = 6


class ResourceError(AfitrtError):
    """Memory or disk cannot hold the job; found out before the first frame."""

    exit_code = 7


class RenderError(AfitrtError):
    """The network or the encoder failed in mid-run; finished work is kept."""

    exit_code = 8


class PartialInputError(AfitrtError):
    """The source ends early or is damaged; all that could be decoded is in the finished output."""

    exit_code = 9


class RetryError(AfitrtError):
    """A passing condition of the machine; the same command may succeed later."""

    exit_code = 75


class InterruptedRunError(AfitrtError):
    """The user stopped the run with Ctrl-C; finished work is kept."""

    exit_code = 130


def counted(count: int, noun: str) -> str:
    """A number of things, for messages: "1 scene", "2 scenes"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


class Terminated(BaseException):
    """SIGINT, SIGTERM or SIGHUP (a closed terminal), which its text names, raised wherever the main thread is.

    No `except Exception` takes it for a failure of what was called.
    """


def stopped(failure: BaseException) -> BaseException:
    """What a signal raised as an error of ours, anything else as it is."""
    if isinstance(failure, KeyboardInterrupt) or (isinstance(failure, Terminated) and str(failure) == "SIGINT"):
        return InterruptedRunError("interrupted (Ctrl-C)", "time to finish", "the same command again")
    if isinstance(failure, Terminated):
        return RetryError(f"stopped by {failure}", "time to finish", "the same command again")
    return failure


def error_of(exit_code: int, found: str, expected: str, hint: str) -> AfitrtError:
    """The error of an exit code, told by another process."""
    kinds: list[type[AfitrtError]] = AfitrtError.__subclasses__()
    return next((each for each in kinds if each.exit_code == exit_code), AfitrtError)(found, expected, hint)
