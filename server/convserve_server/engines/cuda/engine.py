"""The engine of one GPU: lanes of work on one slab of its memory."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import numpy as np
from attrs import evolve, frozen
from convserve.errors import NotBuiltError
from convserve.runs import StepRecord
from convserve.tensors import Array

from convserve_server.cache import ByteCache
from convserve_server.engines.base import STRICT, Views
from convserve_server.engines.cuda.device import Device
from convserve_server.engines.cuda.giving import Site
from convserve_server.engines.cuda.jobs import Begun, Job
from convserve_server.engines.cuda.loading import Library, Loaded, Loader
from convserve_server.engines.cuda.replays import Replays
from convserve_server.engines.cuda.space import Space
from convserve_server.engines.cuda.transfers import fetch, layout_of, send
from convserve_server.engines.cuda.views import View
from convserve_server.planning.program import Program, Work, work_outputs
from convserve_server.planning.tiling import rebatched

CACHE_BYTES = 16 << 20
STEP_BYTES = 2 << 10  # about what one step takes in Python objects
LANES = 3  # one copies in, one computes, one copies out


@frozen(eq=False)
class _Call:
    """What the engine is asked for. Without `fft`, by no Fourier transform."""

    work: Work
    parts: Sequence[Views]
    key: str
    precision: str
    fft: bool = True


class CudaEngine:
    """Runs work on a device. See `LaneEngine`.

    `library` tells what was built for the device: nothing is built here.
    """

    name = "cuda"

    def __init__(self, device: Device, library: Library, lanes: int = LANES) -> None:
        self.lanes = lanes
        self.facts = device.facts
        self._device = device
        self._space = Space(device)
        self._lanes = [device.lane() for _ in range(lanes)]
        self._loader = Loader(device, library)
        self._replays = Replays()
        self._programs: ByteCache[tuple[Program, int], Program] = ByteCache(CACHE_BYTES)

    @property
    def free_bytes(self) -> int:
        """Bytes of the device that neither work nor weights have."""
        return self._space.free_bytes

    def run(
        self,
        work: Work,
        tensors: Mapping[str, Array],
        outputs: Mapping[str, Array],
        key: str = "",
        precision: str = STRICT,
    ) -> tuple[StepRecord, ...]:
        """See `Engine.run`."""
        running = self.begin(work, [Views(tensors, outputs)], key, precision)
        running.wait()
        return running.finish()

    def begin(
        self, work: Work, parts: Sequence[Views], key: str = "", precision: str = STRICT
    ) -> Begun:
        """See `LaneEngine.begin`."""
        return self._begin(_Call(work, parts, key, precision))

    def forget(self, key: str) -> None:
        """See `Engine.forget`."""
        self._space.forget(key)

    def attach(self, memory: memoryview) -> None:
        """See `LaneEngine.attach`."""
        self._device.pin(_address(memory), memory.nbytes)

    def detach(self, memory: memoryview) -> None:
        """See `LaneEngine.detach`."""
        self._device.unpin(_address(memory))

    def close(self) -> None:
        """Wait for what has begun, and give the device back. Idempotent."""
        self._space.close()
        self._device.close()

    def _begin(self, call: _Call) -> Begun:
        again = partial(self._begin_again, call)
        if _rows(call.work, call.parts) == 0:
            alone = self._of_rows(call.work, 1)
            return Begun((), self._loader.records(alone, call.precision), again)
        batches = self._split(call, call.parts)
        jobs: list[Job] = []
        try:
            for loaded, parts in batches:
                jobs.append(self._start(loaded, parts, call.key))
        except BaseException:
            for job in jobs:
                job.end()
            raise
        return Begun(jobs, batches[0][0].recipe.records, again)

    def _begin_again(self, call: _Call) -> Begun:
        return self._begin(evolve(call, fft=False))

    def _split(self, call: _Call, parts: Sequence[Views]) -> list[tuple[Loaded, Sequence[Views]]]:
        """The parts in as few batches as the library has plans for; each of them has its own."""
        loaded = self._load(call, parts)
        if loaded is not None:
            return [(loaded, parts)]
        if len(parts) == 1:
            raise NotBuiltError(
                "what the device needs for this work has not been built, or was dropped since; "
                "call again"
            )
        half = 1 << (len(parts) - 1).bit_length() - 1  # sizes repeat, whatever comes together
        return self._split(call, parts[:half]) + self._split(call, parts[half:])

    def _load(self, call: _Call, parts: Sequence[Views]) -> Loaded | None:
        work = self._of_rows(call.work, _rows(call.work, parts))
        given = work.inputs if isinstance(work, Program) else work.operands
        arrays = {spec.name: parts[0].tensors[spec.name] for spec in given}
        arrays |= {spec.name: parts[0].outputs[spec.name] for spec in work_outputs(work)}
        layouts = tuple((name, layout_of(array)) for name, array in arrays.items())
        find = partial(self._loader.find, work, precision=call.precision, fft=call.fft)
        # Whoever has it built may have taken tensors to lie as they do if nobody says how.
        return find(layouts) or find(())

    def _start(self, loaded: Loaded, parts: Sequence[Views], key: str) -> Job:
        job = self._space.begin(self._lanes)
        try:
            self._give(job, loaded, parts, key)
        except BaseException:
            job.seal()
            job.end()
            raise
        job.seal()
        return job

    def _give(self, job: Job, loaded: Loaded, parts: Sequence[Views], key: str) -> None:
        """Give a job's copies and commands to its lane."""
        recipe, lane = loaded.recipe, job.lane
        site, resident, is_new = self._space.take(job, loaded, key)
        if is_new:
            _send(job, site, recipe.weights, parts[:1])
            site.give(recipe.preparation, lane)
            self._space.keep(key, resident, job)
        _send(job, site, recipe.inputs, parts)
        self._replays.run(lane, site, lambda: site.give(recipe.commands, lane))
        for name, view in recipe.outputs.items():
            _fetch(job, site, name, view, parts)
        job.checks = [(check, site.fetch(lane, check.values)) for check in recipe.checks]

    def _of_rows(self, work: Work, rows: int) -> Work:
        """The work for a batch of so many rows; what has no batch as it is."""
        if not isinstance(work, Program) or work.inputs[0].shape[0] == rows:
            return work
        found = self._programs.get((work, rows))
        if found is None:
            found = rebatched(work, rows)
            self._programs.put((work, rows), found, STEP_BYTES * (1 + len(work.steps)))
        return found


def _rows(work: Work, parts: Sequence[Views]) -> int:
    if not isinstance(work, Program):
        return 1
    return sum(len(part.tensors[work.inputs[0].name]) for part in parts)


def _send(job: Job, site: Site, views: Mapping[str, View], parts: Sequence[Views]) -> None:
    """Copy tensors by name; those of several parts lie one after the other."""
    for name, view in views.items():
        arrays = [part.tensors[name] for part in parts]
        for array, share in zip(arrays, _shares(view, arrays), strict=True):
            job.sent.append(send(job.lane, array, share, site.buffer_of(view)))


def _fetch(job: Job, site: Site, name: str, view: View, parts: Sequence[Views]) -> None:
    """Copy a result to its places in all parts."""
    places = [part.outputs[name] for part in parts]
    for part, place, share in zip(parts, places, _shares(view, places), strict=True):
        index = part.kept.get(name, ())
        job.results.append(fetch(job.lane, share, site.buffer_of(view), place, index))


def _shares(view: View, arrays: Sequence[Array]) -> Iterator[View]:
    """The rows of a batch's view that are each part's."""
    if len(arrays) == 1:
        yield view
        return
    ends = itertools.accumulate(map(len, arrays))
    for array, end in zip(arrays, ends, strict=True):
        yield view.sliced(0, end - len(array), len(array))


def _address(memory: memoryview) -> int:
    """Where the memory lies in this process."""
    address: int = np.frombuffer(memory, np.uint8).ctypes.data
    return address
