"""What a user can ask for, as frozen values that refuse nonsense at birth."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from afitrt import plugins
from afitrt.errors import UsageError

SCALES = (0.25, 0.5, 1.0, 2.0)
AUTO_SCALE = 0.0
"""The scale that stands for the one that fits the network and the size, see `afitrt.models.resolved`."""
DETECTORS = ("svfi", "none")
RUNTIMES = ("onnx", "tensorrt-rtx", "tensorrt")
PRECISIONS = ("fp32", "fp16")
OUR_MODELS = ("gmfss", "rife", "rife48", "blend")
"""Models of this package; others add theirs, see afitrt.plugins."""
HOLDS = ("exact", "off")
MAX_N_FORWARD = 16


def one_of(option: str, value: object, allowed: tuple[object, ...]) -> None:
    """Raises UsageError unless the value is one of those allowed."""
    if value not in allowed:
        listed = ", ".join(str(each) for each in allowed)
        raise UsageError(f"{option} {value}", f"one of {listed}", f"{option} {allowed[0]}")


@dataclass(frozen=True)
class ScheduleOptions:
    """How many pictures there are to be, and how holds are smoothed.

    Exactly one of times (outputs per source frame) and fps (outputs per second) is given. n_forward is 0 for
    automatic, else 1..16. shrink: use the end of a scene for new pictures instead of repeating its last one.
    correct: even out the motion at both ends of a scene.
    """

    times: int | None = 2
    fps: Fraction | None = None
    n_forward: int = 0
    shrink: bool = True
    correct: bool = True

    def __post_init__(self) -> None:
        if self.fps is None and self.times is None:
            raise UsageError("neither --times nor --fps", "one of the two", "--times 2")
        if self.fps is not None and self.times is not None:
            raise UsageError("both --times and --fps", "one of the two", "leave one out")
        if self.times is not None and self.times < 1:
            raise UsageError(f"--times {self.times}", "a whole number from 1", "--times 2, or --fps for a rate")
        if self.fps is not None and self.fps <= 0:
            raise UsageError(f"--fps {self.fps}", "a rate above 0", "--fps 60")
        if not 0 <= self.n_forward <= MAX_N_FORWARD:
            raise UsageError(
                f"--n-forward {self.n_forward}",
                f"a whole number from 0 (automatic) to {MAX_N_FORWARD}",
                "--n-forward 2",
            )


@dataclass(frozen=True)
class SceneOptions:
    """Where scenes begin: found by a detector, or given as cuts (absolute indices of first frames)."""

    detector: str = "svfi"
    threshold: float = 14.0
    cuts: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        one_of("--detector", self.detector, DETECTORS)
        if not self.threshold >= 0:
            raise UsageError(f"--scene-threshold {self.threshold}", "a number from 0", "--scene-threshold 14")


@dataclass(frozen=True)
class ModelOptions:
    """Which network runs where. threads 0 means as many as the machine has cores, scale 0 the one that fits the size.

    device: the GPU, from 0. None is the CPU for ONNX Runtime and the first GPU for TensorRT.
    """

    model: str = "gmfss"
    weights: str = "gmfss-union"
    scale: float = AUTO_SCALE
    precision: str = "fp32"
    runtime: str = "onnx"
    threads: int = 0
    device: int | None = None

    def __post_init__(self) -> None:
        if self.model not in OUR_MODELS:
            one_of("--model", self.model, (*OUR_MODELS, *plugins.names()))
        if self.scale != AUTO_SCALE:
            one_of("--scale", self.scale, SCALES)
        one_of("--precision", self.precision, PRECISIONS)
        one_of("--runtime", self.runtime, RUNTIMES)
        if self.threads < 0:
            raise UsageError(f"--threads {self.threads}", "a whole number from 0 (all cores)", "--threads 0")
        if self.device is not None and self.device < 0:
            raise UsageError(f"--device {self.device}", "a whole number from 0", "--device 0")

    @property
    def gpu(self) -> int:
        """The GPU that a TensorRT runtime takes."""
        return self.device or 0

    @property
    def on_cpu(self) -> bool:
        """Does the CPU do all the work?"""
        return self.runtime == "onnx" and self.device is None


@dataclass(frozen=True)
class EncodeOptions:
    """The video encoder, by ffmpeg's names. crf and preset None take the codec's default; pix_fmt None the depth's.

    extra: further options of ffmpeg with their values, without dashes.
    """

    codec: str = "libx265"
    crf: float | None = None
    preset: str | None = None
    pix_fmt: str | None = None
    extra: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Options:
    """What can be asked of a run of the whole pipeline.

    output None names the file after the rate that it really has, in `folder` or beside the source; a pattern makes PNG
    files, `-` is y4m on standard output. start and end: seconds on the source's clock, half-open; None is open. rate:
    frames a second of pictures, which do not tell it. normalize: the constant rate to read at. filters: ffmpeg's, in
    front of everything else. video: ffmpeg's number of the stream to take, None for the one that `select` finds.
    drop_tracks: numbers and kinds of tracks to leave out. hold: no network runs between
    frames that are equal. segment_outputs: pictures of a segment, None for the default. allow_mixed: machines may
    differ from segment to segment.
    """

    output: Path | None = None
    schedule: ScheduleOptions = field(default_factory=ScheduleOptions)
    scenes: SceneOptions = field(default_factory=SceneOptions)
    model: ModelOptions = field(default_factory=ModelOptions)
    encode: EncodeOptions = field(default_factory=EncodeOptions)
    start: Fraction | None = None
    end: Fraction | None = None
    rate: Fraction | None = None
    normalize: Fraction | None = None
    filters: str = ""
    video: int | None = None
    folder: Path | None = None
    drop_tracks: tuple[str, ...] = ()
    hold: bool = True
    segment_outputs: int | None = None
    allow_mixed: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise UsageError(
                f"--start {float(self.start):g} --end {float(self.end):g}", "a start before the end", "swap the two"
            )
        if self.segment_outputs is not None and self.segment_outputs < 1:
            raise UsageError(
                f"--segment-outputs {self.segment_outputs}", "a whole number from 1", "--segment-outputs 200"
            )


@dataclass(frozen=True)
class Job(Options):
    """Options with what they are for: a video, a folder or pattern (%06d.png) of pictures, `-` for y4m on stdin."""

    source: Path = field(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.output is None and self.source == Path("-"):
            raise UsageError("no OUT for what comes from standard input", "a name", "afitrt interpolate - OUT.mkv")
