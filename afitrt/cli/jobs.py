"""The options that make a job, as `interpolate` and `plan` take them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from afitrt.cli.flags import EncodeFlags, FilterFlags, ModelFlags, SceneFlags, ScheduleFlags, clock_time, whole
from afitrt.errors import UsageError
from afitrt.options import HOLDS, Job, one_of


@dataclass(frozen=True)
class JobFlags:
    """What is taken from the source, and how a film is divided."""

    start: Annotated[str | None, typer.Option(help="First moment to take: seconds or HH:MM:SS.mmm.")] = None
    end: Annotated[str | None, typer.Option(help="First moment to leave out.")] = None
    rate: Annotated[str | None, typer.Option(help="Frames a second of pictures, which do not tell it.")] = None
    normalize: Annotated[
        str | None, typer.Option(help="Read at this constant rate, repeating and dropping frames.")
    ] = None
    hold: Annotated[
        str, typer.Option(help="exact: no network between frames that are equal to the last bit. off: always.")
    ] = "exact"
    drop_tracks: Annotated[
        str | None, typer.Option(help="Tracks to leave out: numbers or kinds, as in 3,4 or subtitle,attachment.")
    ] = None
    segment_outputs: Annotated[
        str | None,
        typer.Option(help="Pictures of one segment.", show_default="about five minutes of work, at most 500"),
    ] = None

    def job(
        self,
        source: Path,
        output: Path | None,
        groups: tuple[ScheduleFlags, SceneFlags, ModelFlags, EncodeFlags, FilterFlags],
        *,
        folder: Path | None = None,
        overwrite: bool = False,
        allow_mixed: bool = False,
    ) -> Job:
        """The job that these and the other groups of options mean. Raises UsageError and InputError."""
        from afitrt.rates import parse_rate
        from afitrt.video import parse_drop

        one_of("--hold", self.hold, HOLDS)
        schedule, scenes, model, encode, filters = groups
        return Job(
            source=source,
            output=output,
            schedule=schedule.options(),
            scenes=scenes.options(),
            model=model.options(),
            encode=encode.options(),
            start=clock_time("--start", self.start),
            end=clock_time("--end", self.end),
            rate=None if self.rate is None else parse_rate(self.rate, "--rate"),
            normalize=None if self.normalize is None else parse_rate(self.normalize, "--normalize"),
            filters=filters.chain(),
            video=filters.number(),
            folder=folder,
            hold=self.hold == HOLDS[0],
            drop_tracks=() if self.drop_tracks is None else parse_drop(self.drop_tracks),
            segment_outputs=self._segment_outputs(),
            allow_mixed=allow_mixed,
            overwrite=overwrite,
        )

    def _segment_outputs(self) -> int | None:
        if self.segment_outputs is None:
            return None
        return whole("--segment-outputs", self.segment_outputs, "a whole number from 1", "--segment-outputs 200")


def numbers(option: str, text: str, count: int | None = None) -> list[int]:
    """Ascending numbers of "3", "3-9" or "0-3,7". count: a range that begins before it ends there.

    Raises UsageError.
    """
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdigit() or (dash and not last.isdigit()) or (dash and int(last) < int(first)):
            raise UsageError(f"{option} {text}", "numbers from 0, as in 3-9 or 0,4-7", f"{option} 0-3")
        end = int(last or first) + 1
        if count is not None and int(first) < count:
            end = min(end, count)
        found.update(range(int(first), end))
    return sorted(found)
