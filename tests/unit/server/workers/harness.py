"""What the tests of workers share: a running worker, its tensors, and FIFOs to hold it with."""

import asyncio
import functools
import os
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import numpy as np
from convserve.operations import Convolve
from convserve.tensors import TensorSpec, array_over
from convserve_server.planning.program import OperationStep
from convserve_server.workers.arena import Arena, aligned_bytes, place
from convserve_server.workers.messages import encode_work
from convserve_server.workers.worker import Job, Worker

REPOSITORY = Path(__file__).parents[4]
LONGEST_TEST_SECONDS = 60
A, V, OUTPUT = (TensorSpec(name, "float32", (5,)) for name in ("a", "v", "output"))
WORK = encode_work(OperationStep(Convolve(), (A, V), OUTPUT))


def in_loop(test):
    """Run a coroutine function as a test; one that waits in vain fails."""

    @functools.wraps(test)
    def run(*args, **kwargs):
        asyncio.run(asyncio.wait_for(test(*args, **kwargs), LONGEST_TEST_SECONDS))

    return run


@asynccontextmanager
async def running_worker(engine="Scripted", **options):
    """An arena and a started worker with a fake engine; afterwards nothing is in use."""
    arena = Arena(1 << 20)
    worker = Worker(arena, f"tests.fakes.engines:{engine}", **options)
    try:
        await worker.start()
        yield arena, worker
    finally:
        await worker.stop()
        assert arena.bytes_in_use == 0
        arena.close()


def new_job(arena, key="", value=1.0, on_free=None):
    """A job that adds two vectors, and the region of its own that they lie in."""
    region = arena.allocate(aligned_bytes((A, V, OUTPUT)), on_free=on_free)
    a, v, output = place((A, V, OUTPUT), region)
    array_over(a.view(), A)[...] = value
    array_over(v.view(), V)[...] = np.arange(5)
    return Job(WORK, (a, v), (output,), key, request_id="r-1"), region


def sum_of(job):
    """The values of the job's output."""
    return array_over(job.outputs[0].view(), OUTPUT).copy()


async def run_once(arena, worker, key="", value=1.0):
    """Run one job in a region of its own; returns its output."""
    job, region = new_job(arena, key, value)
    with region:
        await worker.run(job)
        return sum_of(job)


class Fifo:
    """Holds a computation: `await reached()` until it runs, `release()` to let it go on."""

    def __init__(self, path):
        self.key = f"wait:{path}"
        self._path = path
        self._end = None
        os.mkfifo(path)

    async def reached(self):
        """Wait until the engine has opened the FIFO."""
        self._end = await asyncio.to_thread(open, self._path, "wb")

    def release(self):
        """Let the engine go on."""
        if self._end is not None:
            self._end.close()
            self._end = None


@contextmanager
def fifo(directory, name="fifo"):
    """A FIFO that is released at the end."""
    gate = Fifo(directory / name)
    try:
        yield gate
    finally:
        gate.release()


def open_descriptors():
    """What this process's open descriptors are: paths, and kinds such as `socket:`."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{name}").partition("[")[0])
        except FileNotFoundError:
            continue  # the one that listed the directory
    return sorted(found)
