"""Networks made of stages: some run once for a picture, some once for a pair, the rest once for each time.

What each stage takes and gives is `afitrt.build.STAGES`, by tensor name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from afitrt.errors import AfitrtError
from afitrt.frames import Pixels
from afitrt.models.manifest import StagedManifest
from afitrt.models.protocol import StageClock
from afitrt.runtimes.protocol import DeviceUse, OverlappingRuntime, Runtime, Tensor
from afitrt.yuv import Yuv420


@dataclass
class Encoded:
    """A padded picture on the device; features are empty until it first takes part in a pair."""

    image: Tensor
    features: dict[str, Tensor] = field(default_factory=dict)


class Staged:
    """See Interpolator. Pictures are padded to the network's multiple; only outputs are cropped and rounded.

    The last stage of a time gives the picture, as `image`. dtype, yuv: see Request.
    """

    def __init__(
        self,
        manifest: StagedManifest,
        runtime: Runtime,
        width: int,
        height: int,
        scale: float,
        dtype: npt.DTypeLike,
        yuv: Yuv420 | None = None,
    ) -> None:
        self._manifest, self._runtime, self._yuv = manifest, runtime, yuv
        self._width, self._height = width, height
        self._dtype = np.dtype(dtype)
        self._geometry = manifest.geometry(width, height, scale)
        self._stages = {name: runtime.stage(name, self._geometry) for name in manifest.stages}
        self.clock = StageClock()
        self._last = ""

    def upload(self, frame: Pixels) -> Encoded:
        """See Interpolator."""
        with self._naming():
            return Encoded(self._runtime.upload(frame, self._geometry, self._yuv))

    def between(self, left: Encoded, right: Encoded, times: Sequence[Fraction]) -> list[Encoded]:
        """See Interpolator."""
        with self._naming():
            pair = {
                f"{name}_{side}": tensor
                for side, picture in enumerate((left, right))
                for name, tensor in self._encoded(picture).items()
            }
            motion = self._run(self._manifest.of_pair, pair)
            with self._freeing(motion):
                return [self._at(t, pair | motion) for t in times]

    def download(self, picture: Encoded) -> Pixels:
        """See Interpolator."""
        with self._naming():
            return self._runtime.download(picture.image, self._width, self._height, self._dtype, self._yuv)

    def release(self, picture: Encoded) -> None:
        """See Interpolator."""
        self._runtime.release(picture.image)
        self._free(picture.features)
        picture.features = {}

    def device_use(self) -> DeviceUse:
        """See OnDevice."""
        return self._runtime.device_use()

    def close(self) -> None:
        """See Interpolator."""
        self._stages.clear()
        self._runtime.close()

    def _encoded(self, picture: Encoded) -> dict[str, Tensor]:
        image = {"image": picture.image}
        if not picture.features:
            picture.features = self._run(self._manifest.of_picture, image)
        return image | picture.features

    def _at(self, t: Fraction, known: dict[str, Tensor]) -> Encoded:
        at = self._runtime.to_device(np.full((1, 1, 1, 1), float(t), np.float32))
        with self._freeing({"t": at}):
            made = self._run(self._manifest.of_time, known | {"t": at})
        image = made.pop("image")
        self._free(made)
        return Encoded(image)

    def _run(self, stages: Sequence[str], known: dict[str, Tensor]) -> dict[str, Tensor]:
        """What the stages make of what is known and of each other's results."""
        made: dict[str, Tensor] = {}
        try:
            for name in stages:
                run = self._stages[name]
                given = {each: made[each] if each in made else known[each] for each in run.inputs}
                self._last = name
                with self.clock.timed(name):
                    made |= run(**given)
        except AfitrtError:
            with suppress(AfitrtError):
                self._free(made)
            raise
        return made

    @contextmanager
    def _naming(self) -> Iterator[None]:
        """A failure inside names a stage: where work is only queued, the last one of those that may have failed."""
        try:
            yield
        except AfitrtError as error:
            if self._last and "stage" not in error.found:
                error.found = f"{error.found}, after stage {self._last}"
            raise

    @contextmanager
    def _freeing(self, tensors: dict[str, Tensor]) -> Iterator[None]:
        """Frees tensors at the end; after a failure quietly, for the first one tells more."""
        try:
            yield
        except AfitrtError:
            with suppress(AfitrtError):
                self._free(tensors)
            raise
        self._free(tensors)

    def _free(self, tensors: dict[str, Tensor]) -> None:
        for tensor in tensors.values():
            self._runtime.release(tensor)


class OverlappingStaged(Staged):
    """Staged on a runtime that computes while pictures come down. See Overlapping."""

    _runtime: OverlappingRuntime

    def begin_download(self, picture: Encoded) -> Callable[[], Pixels]:
        """See Overlapping."""
        with self._naming():
            begun = self._runtime.begin_download(picture.image, self._width, self._height, self._dtype, self._yuv)

        def finished() -> Pixels:
            with self._naming():
                return begun()

        return finished
