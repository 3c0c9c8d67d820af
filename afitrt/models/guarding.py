"""The border to interpolators of other packages: whatever they raise becomes an error of ours that names them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction

from afitrt import plugins
from afitrt.errors import AfitrtError, RenderError
from afitrt.frames import Geometry, Pixels, from_planar, to_planar
from afitrt.models.manifest import Manifest, Request
from afitrt.models.protocol import Interpolator, Picture


class Guarded:
    """See Interpolator. What the other package did not foresee raises RenderError. Planar frames reach it as RGB."""

    def __init__(self, manifest: Manifest, request: Request) -> None:
        self._name, self._request = manifest.name, request
        with self._border("make"):
            self._inner: Interpolator = manifest.make(replace(request, yuv=None))
            self.clock = self._inner.clock

    def upload(self, frame: Pixels) -> Picture:
        """See Interpolator."""
        asked = self._request
        if asked.yuv:
            planar = asked.yuv.to_planar(frame, Geometry(asked.width, asked.height))
            frame = from_planar(planar, asked.width, asked.height, asked.yuv.layout.dtype)
        with self._border("upload"):
            return self._inner.upload(frame)

    def between(self, left: Picture, right: Picture, times: Sequence[Fraction]) -> list[Picture]:
        """See Interpolator."""
        with self._border("between"):
            return self._inner.between(left, right, times)

    def download(self, picture: Picture) -> Pixels:
        """See Interpolator."""
        with self._border("download"):
            pixels = self._inner.download(picture)
        asked = self._request
        if asked.yuv is None:
            return pixels
        return asked.yuv.from_planar(to_planar(pixels, Geometry(asked.width, asked.height)))

    def release(self, picture: Picture) -> None:
        """See Interpolator."""
        with self._border("release"):
            self._inner.release(picture)

    def close(self) -> None:
        """See Interpolator."""
        with self._border("close"):
            self._inner.close()

    @contextmanager
    def _border(self, call: str) -> Iterator[None]:
        try:
            yield
        except AfitrtError:
            raise
        except Exception as error:
            raise RenderError(
                f"model {self._name} of package {plugins.package(self._name)} failed in {call}: "
                f"{type(error).__name__}: {error}",
                "an interpolator that passes afitrt.testing",
                "another --model, and a report to the package's author",
            ) from error
