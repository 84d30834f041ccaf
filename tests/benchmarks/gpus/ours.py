"""Our recipes on the GPU, timed on it: without copies to and from the host."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

from convserve.tensors import Array
from convserve_server.engines.cuda.cuda_device import CudaDevice
from convserve_server.engines.cuda.giving import Site
from convserve_server.engines.cuda.loading import Loaded, Loader
from convserve_server.engines.cuda.transfers import send
from convserve_server.planning.inputs import CHANNELS_LAST
from convserve_server.planning.planner import compile_network
from convserve_server.planning.program import work_outputs

from tests.benchmarks.gpus.works import Work
from tests.gpu.machine import BuildingShelf, target

ROUNDS, SECONDS = 7, 0.02  # each round repeats the work for about so long


class Ours:
    """The engine's recipes, on all of its memory."""

    def __init__(self, device: CudaDevice) -> None:
        self._device = device
        self._shelves: dict[str, BuildingShelf] = {}
        self._loader = Loader(device, self._library)
        self._lane = device.lane()

    def seconds(self, work: Work) -> float:
        """How long its commands take, recorded, weights being prepared."""
        loaded = self._load(work)
        base = self._device.base
        site = Site(loaded, base, base + loaded.placement.working_bytes)
        sent = self._send(site, work.tensors())
        site.give(loaded.recipe.preparation, self._lane)
        site.give(loaded.recipe.commands, self._lane)
        replay = self._lane.record(lambda: site.give(loaded.recipe.commands, self._lane))
        self._lane.mark().wait()
        del sent
        return repeated(lambda: self._lane.replay(replay), self._lane.stream)

    def algorithms(self, work: Work) -> str:
        """What its steps with arithmetic run by."""
        records = {record.algorithm for record in self._load(work).recipe.records}
        return ", ".join(sorted(records))

    def _load(self, work: Work) -> Loaded:
        program = compile_network(work.network, work.specs())
        names = ("input", *(spec.name for spec in work_outputs(program)))
        layouts = tuple((name, CHANNELS_LAST) for name in names)
        loaded = self._loader.find(program, layouts, work.precision, fft=True)
        assert loaded is not None  # everything is built when it is asked for
        return loaded

    def _library(self, precision: str) -> Sequence[BuildingShelf]:
        if precision not in self._shelves:
            self._shelves[precision] = BuildingShelf(target(self._device, precision))
        return (self._shelves[precision],)

    def _send(self, site: Site, tensors: dict[str, Array]) -> list[Array]:
        recipe = site.loaded.recipe
        return [
            send(self._lane, tensors[name], view, site.buffer_of(view))
            for views in (recipe.weights, recipe.inputs)
            for name, view in views.items()
        ]


def repeated(run: Callable[[], object], stream: Any) -> float:
    """The median over rounds of what one run takes on the GPU, by events on the stream."""
    import cupy

    start, end = cupy.cuda.Event(), cupy.cuda.Event()

    def timed(count: int) -> float:
        start.record(stream)
        for _ in range(count):
            run()
        end.record(stream)
        end.synchronize()
        return float(cupy.cuda.get_elapsed_time(start, end)) / 1e3 / count

    timed(3)
    count = max(1, int(SECONDS / max(timed(3), 1e-7)))
    return median(timed(count) for _ in range(ROUNDS))
