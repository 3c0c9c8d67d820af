"""How the work of a stage reaches the GPU: call by call, or as a CUDA graph where that measures faster.

A graph works on fixed addresses. An arena hands out the same ones again while a schedule repeats itself, so a stage
keeps a graph for each set of addresses that comes often enough. What comes first runs as it is, which TensorRT wants
before it is captured. Both ways are timed on the GPU while the run goes on, and nobody waits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from statistics import median

from afitrt.errors import AfitrtError, RenderError
from afitrt.runtimes import cuda
from afitrt.runtimes.protocol import Launching

GRAPHS, TRIED = 32, 4
"""Graphs of a stage at most, and while it is not known yet whether they pay. None is ever replaced: a schedule with
more sets of addresses would make new ones for ever."""
SEEN = 1024
"""Sets of addresses that are remembered."""
TRIALS = 5
"""Timed calls of each way."""


class Replay:
    """The work of one stage. capturable: whether its library would have it captured at all; asked once it has run.

    say: told once what was found, or why the stage cannot be captured.
    """

    def __init__(
        self, device: cuda.Device, stage: str, capturable: Callable[[], bool], say: Callable[[str], None]
    ) -> None:
        self._device, self._stage, self._capturable, self._say = device, stage, capturable, say
        self._graphs: dict[tuple[int, ...], cuda.Graph] = {}
        self._seen: Counter[tuple[int, ...]] = Counter()
        self._began, self._ended = cuda.Event(device, timing=True), cuda.Event(device, timing=True)
        self._timing: list[float] | None = None
        self._plain: list[float] = []
        self._graph: list[float] = []
        self._way, self._refused = "undecided", ""
        self.nbytes = 0
        """Device memory that the graphs have taken."""

    @property
    def found(self) -> Launching:
        """What has been chosen so far, and by which times."""
        plain, graph = (median(each) if len(each) == TRIALS else None for each in (self._plain, self._graph))
        return Launching(self._way, plain, graph, self._refused)

    def run(self, addresses: tuple[int, ...], queue: Callable[[], None], stream: cuda.Stream) -> None:
        """Queues one run on the stream; queue: does it call by call. Raises what that raises."""
        if self._way == "undecided":
            self._read()
        if self._way == "plain":
            queue()
        elif (graph := self._graphs.get(addresses)) is None:
            self._first(addresses, queue, stream)
        elif self._way == "graph" or self._timing is not None:
            graph.launch(stream)
        elif len(self._graph) <= len(self._plain):
            self._timed(self._graph, lambda: graph.launch(stream), stream)
        else:
            self._timed(self._plain, queue, stream)

    def close(self) -> None:
        """Drops the graphs."""
        for graph in self._graphs.values():
            # A GPU that is lost takes them along.
            with suppress(AfitrtError):
                graph.close()
        self._graphs.clear()
        self.nbytes = 0

    def _first(self, addresses: tuple[int, ...], queue: Callable[[], None], stream: cuda.Stream) -> None:
        wanted = False
        if len(self._graphs) < (GRAPHS if self._way == "graph" else TRIED):
            # What is captured stays: the last places are for what comes most often.
            wanted = self._seen[addresses] > len(self._graphs) // 4
            if addresses in self._seen or len(self._seen) < SEEN:
                self._seen[addresses] += 1
        if not wanted:
            queue()
        elif (graph := self._captured(queue, stream)) is not None:
            self._graphs[addresses] = graph
            graph.launch(stream)
        else:
            try:
                queue()
            except RenderError:
                # TensorRT may tell once more of the capture that failed; work that fails by itself fails again.
                queue()

    def _captured(self, queue: Callable[[], None], stream: cuda.Stream) -> cuda.Graph | None:
        graph, words = None, "its library says that it cannot be captured"
        free = self._device.free_memory()
        try:
            if self._capturable():
                graph = cuda.Graph(self._device, stream, queue)
        except AfitrtError as error:
            words = error.found
        if graph is None:
            self._choose("plain", words)
            self._say(f"stage {self._stage} runs without CUDA graphs: {words}")
        else:
            self.nbytes += max(0, free - self._device.free_memory())
        return graph

    def _timed(self, times: list[float], start: Callable[[], None], stream: cuda.Stream) -> None:
        stream.record(self._began)
        start()
        stream.record(self._ended)
        self._timing = times

    def _read(self) -> None:
        """Takes down the time of the last timed call, once that is done, and chooses once there are enough."""
        if self._timing is None or not self._ended.done():
            return
        self._timing.append(self._ended.milliseconds_since(self._began))
        self._timing = None
        if len(self._graph) < TRIALS or len(self._plain) < TRIALS:
            return
        plain, graph = median(self._plain), median(self._graph)
        self._choose("graph" if graph < plain else "plain")
        self._say(f"stage {self._stage}: {plain:.3f} ms call by call, {graph:.3f} ms as a CUDA graph")

    def _choose(self, way: str, refused: str = "") -> None:
        self._way, self._refused = way, refused
        if way == "plain":
            # One that still runs is freed by the driver when it is done.
            self.close()
