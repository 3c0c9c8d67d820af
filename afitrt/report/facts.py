"""The facts of a run as plain JSON values: what the page shows, and what a program reads out of it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from dataclasses import asdict, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from afitrt import __version__, models, video, weights
from afitrt.artefacts import read_sidecar
from afitrt.errors import AfitrtError
from afitrt.events import Done, Event, Note, Started, Warned
from afitrt.frames import VideoInfo
from afitrt.options import Job, ModelOptions
from afitrt.report.watching import Sides, Watched

LIBRARIES = ("numpy", "onnxruntime", "ncnn", "opencv-python-headless", "av", "tensorrt-rtx-cu13-bindings", "pycuda")


class Heard:
    """Keeps of a run's events what a report tells."""

    def __init__(self) -> None:
        self.started: Started | None = None
        self.done: Done | None = None
        self.warnings: list[str] = []
        self.notes: list[str] = []

    def __call__(self, event: Event) -> None:
        """Hears one event."""
        match event:
            case Started():
                self.started = event
            case Done():
                self.done = event
            case Warned():
                self.warnings.append(event.text)
            case Note():
                self.notes.append(event.text)


def gather(job: Job, heard: Heard, watched: Watched, error: AfitrtError | None) -> dict[str, Any]:
    """All facts of a run. error: what ended it, or the damage of its source."""
    info = _probed(job)
    if heard.started is not None:
        job = replace(job, model=replace(job.model, scale=heard.started.scale))
    written = Path(heard.done.output) if heard.done else None
    return {
        "afitrt": __version__,
        "source": _source(job, info),
        "output": None if written is None else _output(written),
        "run": {
            "started": heard.started and heard.started.as_json(),
            "done": heard.done and heard.done.as_json(),
            "error": error and {**_parts(error), "kept": error.kept, "exit_code": error.exit_code},
        },
        "options": _options(job, heard),
        "warnings": heard.warnings,
        "notes": heard.notes,
        "scenes": {
            "first_frame": watched.first,
            "frames": len(watched.differences),
            "cuts": list(watched.cuts),
            "cuts_shown": [_place(each) for each in watched.shown],
            "not_taken": [_place(each) for each in watched.doubtful],
        },
        "differences": [round(each, 2) for each in watched.differences],
        "versions": _versions(),
        "weights": _weights(job.model) if heard.started else {},
        "stages": _stages(job.model, info) if heard.started and info else [],
    }


def _options(job: Job, heard: Heard) -> dict[str, Any]:
    """What was asked for; of the rest than scenes only where pictures were to be made."""
    scenes = {"scenes": _plain(asdict(job.scenes))}
    if heard.started is None:
        return scenes
    others = {"schedule": asdict(job.schedule), "model": asdict(job.model), "encode": asdict(job.encode)}
    return scenes | {name: _plain(each) for name, each in (others | {"start": job.start, "end": job.end}).items()}


def _parts(error: AfitrtError) -> dict[str, str]:
    return {"found": error.found, "expected": error.expected, "hint": error.hint}


def _place(sides: Sides) -> dict[str, Any]:
    return {
        "frame": sides.index,
        "seconds": round(sides.seconds, 3),
        "difference": round(sides.difference, 2),
        "rule": sides.branch,
        "score": None if sides.score is None else round(sides.score, 2),
    }


def _plain(value: Any) -> Any:
    """The value with fractions and paths as text and tuples as lists."""
    match value:
        case dict():
            return {name: _plain(each) for name, each in value.items()}
        case tuple() | list():
            return [_plain(each) for each in value]
        case Fraction() | Path():
            return str(value)
    return value


def _probed(job: Job) -> VideoInfo | None:
    """The source's facts; none of a pipe, which is gone, nor of what can no longer be read."""
    if job.source == video.STDIO:
        return None
    try:
        return video.probe_source(job.source, job.rate, job.filters, job.video)
    except AfitrtError:
        return None


def _source(job: Job, info: VideoInfo | None) -> dict[str, Any]:
    if info is None:
        return {"path": str(job.source)}
    return {"path": str(job.source)} | _described(info)


def _output(path: Path) -> dict[str, Any]:
    """What is in the file that was written; a pattern's pictures and a pipe are only named."""
    if not path.is_file():
        return {"path": str(path)}
    try:
        return {"path": str(path)} | _described(video.probe(path))
    except AfitrtError as error:
        return {"path": str(path), "unreadable": error.found}


def _described(info: VideoInfo) -> dict[str, Any]:
    files = info.pictures or (info.path,)
    return {
        "size": f"{info.width}x{info.height}",
        "frames": info.frames,
        "rate": str(info.rate),
        "constant_rate": info.constant,
        "seconds": round(float(info.seconds(info.frames) - info.seconds(0)), 3),
        "codec": info.codec,
        "pixel_format": info.pix_fmt,
        "depth": info.depth,
        "colour": asdict(info.colour),
        "sample_aspect": str(info.sample_aspect),
        "rotation": info.rotation,
        "interlaced": info.interlaced,
        "bytes": sum(each.stat().st_size for each in files),
        "tracks": [] if info.alone else [str(track) for track in video.list_tracks(info.path)],
        "damage": info.damage,
    }


def _versions() -> dict[str, str]:
    found = {"afitrt": __version__, "Python": platform.python_version(), "ffmpeg": video.find().version}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    return found | {"machine": machine}


def _weights(options: ModelOptions) -> dict[str, str]:
    """SHA-256 of the weight files by network; none where the model takes none."""
    if not isinstance(models.find(options.model), models.StagedManifest):
        return {}
    try:
        found = weights.read_set(options.weights)
    except AfitrtError:
        return {}
    return {f"{found.name} {network}": file.sha256 for network, file in found.networks.items()}


def _stages(options: ModelOptions, info: VideoInfo) -> list[dict[str, Any]]:
    """The artefacts that the network ran from, as their sidecars describe them; none where it has no stages."""
    if not isinstance(models.find(options.model), models.StagedManifest):
        return []
    targets: tuple[str, ...] = ()
    try:
        if options.runtime != "onnx":
            from afitrt.runtimes.choosing import present_gpu

            targets = (str(present_gpu(options.gpu).target),)
        files = models.prepare(options, info.width, info.height, lambda _: None, targets)
        return [read_sidecar(path) for path in files]
    except AfitrtError:
        return []
