"""What comes before the first picture: the source is probed, the encoder chosen, the model made."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

from afitrt import estimate, models, video
from afitrt.errors import counted
from afitrt.events import Note, Tell, Warned
from afitrt.frames import VideoInfo
from afitrt.models.protocol import Interpolator
from afitrt.options import EncodeOptions, Job
from afitrt.task import Task, resolve
from afitrt.yuv import Yuv420


@dataclass(frozen=True)
class Prepared:
    """A task that can begin. encode: as resolved by choose_encoding. memory: bytes, estimated. warnings: all told."""

    task: Task
    encode: EncodeOptions
    memory: int
    warnings: list[str]

    @property
    def yuv(self) -> Yuv420 | None:
        """What frames and pictures are on their whole way, where they need not become RGB."""
        return video.carried_yuv(self.task.info, self.encode)

    def writer(self, path: Path) -> video.Writer:
        """Encodes pictures to a file, or to a pipe."""
        return video.Writer(path, self.task.info, self.task.rate, self.encode, self.yuv)


def survey(job: Job, tell: Tell) -> Prepared:
    """What a job means for its source, how it is encoded, and all that is to be said about it; nothing is made yet.

    tell hears how long filters took. Raises what `resolve`, `choose_encoding`, `choose_tracks` and `try_tracks` raise,
    and ResourceError where memory is short.
    """
    began = time.monotonic()
    info = video.probe_source(job.source, job.rate, job.filters, job.video)
    if job.filters:
        frames, seconds = counted(info.frames, "frame"), time.monotonic() - began
        tell(Note(f"filters run once to learn what they give: {frames}, {seconds:.1f} s"))
    model = models.resolved(job.model, info.width, info.height)
    if model.scale not in (1.0, job.model.scale):
        tell(Note(f"--scale auto is {model.scale:g} for {info.width}x{info.height}"))
    task = resolve(replace(job, model=model), info)
    container = video.container_of(task.output)
    encode, notes = video.choose_encoding(info, job.encode, container, video.present_encoders())
    notes += _tracks(info, container, job.drop_tracks)
    notes += models.advice(task.job.model, info.width, info.height)
    return Prepared(task, encode, _memory(task, encode), [*task.warnings, *notes, *_room(task, encode)])


def prepare(job: Job, tell: Tell) -> Prepared:
    """A survey whose warnings `tell` hears, with the encoder tried where it may refuse."""
    prepared = survey(job, tell)
    for warning in prepared.warnings:
        tell(Warned(warning))
    if video.doubtful(job.encode, prepared.encode):
        video.try_encoder(prepared.task.info, prepared.task.rate, prepared.encode)
    return prepared


def _memory(task: Task, encode: EncodeOptions) -> int:
    """Bytes of the host, estimated. Raises ResourceError where it has fewer."""
    info, model = task.info, task.job.model
    yuv = video.carried_yuv(info, encode)
    frame_bytes = yuv.layout.nbytes(info.width, info.height) if yuv else info.width * info.height * 6
    memory = estimate.memory(models.memory(model, info.width, info.height), task.schedule, frame_bytes)
    estimate.check_memory(memory, f"{info.width}x{info.height} with {model.model}")
    return memory


def make(prepared: Prepared, tell: Tell) -> Interpolator:
    """The interpolator of a task; `tell` hears what is made on the way. To be closed."""
    task, info = prepared.task, prepared.task.info
    dtype = video.picture_type(prepared.encode)
    live = None if task.job.model.on_cpu else estimate.live_on_device(task.schedule)

    def say(text: str) -> None:
        tell(Note(text))

    return models.make(task.job.model, info.width, info.height, dtype, say, live, prepared.yuv)


def _room(task: Task, encode: EncodeOptions) -> list[str]:
    """A line where the disk is short; of a pipe nobody knows the length."""
    if task.frames is None:
        return []
    return video.shortage(task.output.parent, video.space_needed(task.info, encode, task.outputs(task.frames)))


def _tracks(info: VideoInfo, container: str, drop: tuple[str, ...]) -> list[str]:
    """What becomes of the tracks beside the video, in plain lines."""
    if info.alone:
        return []
    tracks = video.list_tracks(info.path)
    if container not in (video.PNG, video.Y4M):
        kept, notes = video.choose_tracks(tracks, container, drop, info.stream)
        video.check_encrypted(info.path, kept)
        video.check_edits(info, kept)
        video.try_tracks(info.path, [each for each in kept if each.index != info.stream], container)
        numbers = [each.index for each in kept]
        return [*video.rivals(info, numbers), *notes, *video.untold(info, container, numbers)]
    others = [str(track) for track in tracks if track.index != info.stream]
    notes = video.rivals(info)
    return [*notes, f"left out, since the output holds pictures alone: {', '.join(others)}"] if others else notes
