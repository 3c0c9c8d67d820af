"""Stages as sessions of fixed-size graphs, wherever they run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import onnxruntime as ort

from afitrt import build
from afitrt.errors import ArtefactError, MissingToolError, RenderError, ResourceError, UsageError
from afitrt.frames import Geometry
from afitrt.options import ModelOptions
from afitrt.runtimes.onnx.places import INSTALL, Place
from afitrt.system import cores


def prepare(options: ModelOptions, stage: str, geometry: Geometry, say: Callable[[str], None]) -> Path:
    """The file of a stage for this runtime, made when it is missing. Raises ArtefactError, OutputError.

    In float32 CPU and GPU share it; in fp16 a GPU computes in half, which a CPU only emulates.
    """
    half = options.precision == "fp16" and options.device is not None
    target = build.Target("onnx", ort.__version__, options.precision, "cuda" if half else "cpu")
    return build.ensure_stage(options.model, stage, geometry, options.weights, target, say)


def load(
    path: Path, stage: str, options: ModelOptions, place: Place, piece: bytes | None = None
) -> ort.InferenceSession:
    """The session of a stage, or of a piece of it. Raises ArtefactError, and for a GPU UsageError, ResourceError and
    MissingToolError.
    """
    with loading(path, place):
        session = ort.InferenceSession(
            piece or _named(path), _options(stage, threads(options)), providers=place.providers, enable_fallback=0
        )
    if place.provider not in session.get_providers():
        raise _unloadable("it does not say why")
    return session


def _named(path: Path) -> Path | bytes:
    """A stage's file as ONNX Runtime takes it: by its name where that is UTF-8, else its bytes."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return path.read_bytes()
    return path


@contextmanager
def loading(path: Path, place: Place) -> Iterator[None]:
    """Translates what is raised while a stage's file is made ready to run, as `load` says."""
    try:
        yield
    except Exception as error:
        raise _refused(path, place, _words(error)) from error


def threads(options: ModelOptions) -> int:
    """CPU threads: as asked for, else every core that this process may use."""
    return options.threads or cores()


def frugal() -> ort.RunOptions:
    """Stages take turns, so each gives its scratch memory back: half the peak at no measurable time."""
    options = ort.RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return options


@contextmanager
def running(stage: str) -> Iterator[None]:
    """Translates what ONNX Runtime raises while a stage runs to RenderError."""
    try:
        yield
    except Exception as error:  # ONNX Runtime's exceptions have no common base of their own
        raise RenderError(
            f"stage {stage} failed: {_words(error)}",
            "a stage that runs at this size",
            "a smaller --scale or size if memory ran out; else report it with `afitrt doctor --json`",
        ) from error


def _words(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _unloadable(words: str) -> MissingToolError:
    return MissingToolError(
        f"ONNX Runtime's CUDA provider cannot be loaded: {words}",
        "an NVIDIA driver, and CUDA and cuDNN of the version that onnxruntime-gpu was built for",
        INSTALL,
    )


def _refused(path: Path, place: Place, words: str) -> Exception:
    if "invalid device ordinal" in words:
        return UsageError(f"--device {place.ordinal}: {words}", "a GPU that exists", "--device 0")
    if "Failed to allocate memory" in words or "out of memory" in words:
        return ResourceError(f"GPU {place.ordinal}: {words}", "enough free GPU memory", "a smaller size or --scale 0.5")
    if place.kind != "cpu" and any(sign in words for sign in ("librar", ".so", "CUDA failure", "no CUDA-capable")):
        return _unloadable(words)
    return ArtefactError(
        f"{path} cannot be loaded: {words}",
        "a stage made by this afitrt",
        f"delete {path} and run the command again",
    )


def _options(stage: str, count: int) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = count
    # Threads that wait for more work while ncnn works, or the encoder, take their cores.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if stage == "splat":
        # Adding ScatterND races between threads and is then wrong; patterns would only keep its largest buffers.
        options.intra_op_num_threads = 1
        options.enable_mem_pattern = False
    return options
