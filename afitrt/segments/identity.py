"""What decides the bytes of a segment: source, network, encoder; and, measured here, the machine that renders."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from afitrt import build, models, video
from afitrt.artefacts import read_sidecar
from afitrt.errors import InputError
from afitrt.frames import VideoInfo
from afitrt.options import EncodeOptions, ModelOptions
from afitrt.segments.cutting import default_length
from afitrt.segments.job import Origin, Recipe, Stage, options_of
from afitrt.segments.values import to_json
from afitrt.task import Task

# Instruction sets by which numerical libraries choose their kernels.
CHOSEN = ("sse4_2", "avx", "fma", "avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "asimd", "sve")


def recipe(task: Task, encode: EncodeOptions, index: video.Index) -> Recipe:
    """The recipe of a resolved task. encode: as resolved by `choose_encoding`.

    Raises ArtefactError where weights or graphs are missing.
    """
    job, info = task.job, task.info
    ratio = float(task.rate / task.source_rate)
    return Recipe(
        source=Origin(info.path, size_of(info), index.sha256),
        options=options_of(job, task.schedule, encode),
        stages=stages(job.model, info),
        encoder=encoder_build(encode.codec),
        segment_outputs=job.segment_outputs or default_length(job.model, info, task.schedule, ratio),
    )


def index_source(info: VideoInfo) -> video.Index:
    """What tells this source from another, and where decoding may begin; pictures are hashed file by file."""
    if not info.pictures:
        return video.index_packets(info)
    digest = hashlib.sha256()
    for path in info.pictures:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return video.Index(digest.hexdigest(), (), False)


def size_of(info: VideoInfo) -> int:
    """Bytes of the source."""
    return sum(path.stat().st_size for path in info.pictures or (info.path,))


def stages(options: ModelOptions, info: VideoInfo) -> dict[str, Stage]:
    """Weights and graphs of every stage of a network; none where it brings its own arithmetic, as blend does."""
    manifest = models.find(options.model)
    if not isinstance(manifest, models.StagedManifest):
        return {}
    geometry = manifest.geometry(info.width, info.height, options.scale)
    target = build.Target(options.runtime, "", options.precision)
    made = {
        name: build.stage_identity(options.model, name, geometry, options.weights, target) for name in manifest.stages
    }
    return {name: Stage(each.weights, each.graph) for name, each in made.items()}


def encoder_build(codec: str) -> str:
    """The build of the ffmpeg that encodes, and of the one that reads where that is another."""
    encodes, reads = video.find_for(codec), video.find()
    return encodes.build if encodes == reads else f"{encodes.build}, read by {reads.build}"


@dataclass(frozen=True)
class Fingerprint:
    """What a machine's arithmetic depends on. engines: SHA-256 of the files that run, by stage or engine."""

    runtime: str
    processor: str
    engines: dict[str, str]


def fingerprint(options: ModelOptions, info: VideoInfo, say: Callable[[str], None]) -> Fingerprint:
    """Of this machine, for pictures of this size; makes stages that are missing."""
    from afitrt.runtimes import ncnn
    from afitrt.runtimes.choosing import present_gpu

    if not isinstance(models.find(options.model), models.StagedManifest):
        return Fingerprint(models.arithmetic(options.model), instruction_sets(), {})
    runtime = options.runtime
    if runtime == "onnx":
        import onnxruntime

        runtime = f"onnxruntime {onnxruntime.__version__}"
        if options.on_cpu and (found := ncnn.version()):
            runtime += f", ncnn {found}"
    if options.on_cpu:
        files = models.prepare(options, info.width, info.height, say)
        return Fingerprint(runtime, instruction_sets(), _hashes(files))

    gpu = present_gpu(options.gpu)
    files = models.prepare(options, info.width, info.height, say, (str(gpu.target),))
    return Fingerprint(runtime, f"{gpu.name} {gpu.target}", _hashes(files))


def _hashes(files: Sequence[Path]) -> dict[str, str]:
    return {path.name: str(read_sidecar(path)["sha256"]) for path in files}


def device_name(options: ModelOptions) -> str:
    """What renders: "cpu", or a GPU by its number, as "gpu0"."""
    return "cpu" if options.on_cpu else f"gpu{options.gpu}"


def instruction_sets() -> str:
    """This processor's architecture and those of its extensions that change how sums are made."""
    flags: set[str] = set()
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.machine()
    for line in text.splitlines():
        if line.lower().startswith(("flags", "features")):
            flags = set(line.partition(":")[2].split())
            break
    return " ".join([platform.machine(), *(each for each in CHOSEN if each in flags)])


def check(recipe: Recipe, found: Recipe) -> None:
    """Raises InputError naming the first field in which what is here differs from what a job was made for."""
    here = _flat(to_json(found))
    for name, wanted in _flat(to_json(recipe)).items():
        if name != "source.path" and here.get(name) != wanted:
            raise _other(name, wanted, here.get(name))


def check_source(recipe: Recipe, info: VideoInfo) -> None:
    """The same for the source alone."""
    found = (("source.size", recipe.source.size, size_of(info)),)
    for name, wanted, here in (*found, ("source.packets", recipe.source.packets, index_source(info).sha256)):
        if wanted != here:
            raise _other(name, wanted, here)


def _other(name: str, wanted: object, here: object) -> InputError:
    return InputError(
        f"the job was made for {name} {wanted}, and here it is {here}",
        "the same source, weights and tools",
        "afitrt plan IN -o JOB.json here, or use what the job was made with",
    )


def _flat(facts: dict[str, object], before: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, fact in facts.items():
        if isinstance(fact, dict):
            flat |= _flat(fact, f"{before}{name}.")
        else:
            flat[before + name] = fact
    return flat
