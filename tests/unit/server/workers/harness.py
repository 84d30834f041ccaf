"""What the tests of workers share: a running pool, jobs for it, and FIFOs to hold workers with."""

import asyncio
import functools
import os
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import numpy as np
from convserve.layers import ReLU
from convserve.operations import Convolve
from convserve.tensors import TensorSpec, array_over
from convserve_server.engines.base import EngineSpec
from convserve_server.planning.program import OperationStep, Program, Step
from convserve_server.scheduling.dispatch import Dispatcher
from convserve_server.scheduling.pool import WorkerPool
from convserve_server.workers.arena import Arena, aligned_bytes, place
from convserve_server.workers.jobs import Job
from convserve_server.workers.messages import encode_work

from tests.processes import children

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
async def running_pool(
    engine="Scripted", *, module="tests.fakes.engines", limits=None, made_with=None, **options
):
    """An arena and a started pool with a fake engine; afterwards nothing is in use.

    `limits` are the dispatcher's, and the engine is `made_with` its options. Nobody waits for
    company: what comes while a worker is held is one batch, and nothing hangs on the time.
    """
    arena = Arena(1 << 20)
    dispatcher = Dispatcher(
        **{
            "queue_limit": 256,
            "working_budget_bytes": 1 << 20,
            "batch_rows": 64,
            "batch_bytes": 1 << 20,
            "batch_wait_seconds": 0.0,
            **(limits or {}),
        }
    )
    spec = EngineSpec(f"{module}:{engine}", made_with or {})
    pool = WorkerPool(arena, spec, dispatcher, **options)
    try:
        await pool.start()
        yield arena, pool
    finally:
        await pool.stop()
        assert arena.bytes_in_use == 0
        assert dispatcher.working_bytes == 0
        arena.close()


def new_job(arena, key="", value=1.0, on_free=None, **more):
    """A job that adds two vectors, and the region of its own that they lie in."""
    region = arena.allocate(aligned_bytes((A, V, OUTPUT)), on_free=on_free)
    a, v, output = place((A, V, OUTPUT), region)
    array_over(a.view(), A)[...] = value
    array_over(v.view(), V)[...] = np.arange(5)
    job = Job(work=WORK, tensors=(a, v), outputs=(output,), key=key, request_id="r-1", **more)
    return job, region


def rows_program(rows):
    """A network of one layer, on rows of three numbers."""
    x, y = (TensorSpec(name, "float32", (rows, 3)) for name in ("input", "relu1"))
    return Program((x,), (Step(ReLU(name="relu1", inputs=("input",)), (x,), (), y),), ("relu1",))


def new_rows(arena, values, *, batch_key="rows", on_free=None, **more):
    """A job that adds 1 to rows which may be computed with others', and its region."""
    program = rows_program(len(values))
    (x,), (step,) = program.inputs, program.steps
    region = arena.allocate(aligned_bytes((x, step.output)), on_free=on_free)
    tensors = place((x, step.output), region)
    array_over(tensors[0].view(), x)[...] = np.reshape(values, (-1, 1))
    array_over(tensors[1].view(), step.output)[...] = np.nan
    job = Job(
        work=encode_work(program),
        tensors=tensors[:1],
        outputs=tensors[1:],
        batch_key=batch_key,
        rows=len(values),
        byte_count=2 * x.byte_count,
        **more,
    )
    return job, region


def output_of(job):
    """The values of the job's output."""
    (output,) = job.outputs
    return array_over(output.view(), output.spec).copy()


async def run_once(arena, pool, key="", value=1.0, **more):
    """Run one job in a region of its own; returns its output."""
    job, region = new_job(arena, key, value, **more)
    with region:
        await pool.run(job)
        return output_of(job)


async def run_rows(arena, pool, *values, **more):
    """Run rows in a region of their own; checks what came back, and returns the batch's rows."""
    job, region = new_rows(arena, values, **more)
    with region:
        result = await pool.run(job)
        expected = np.repeat(np.float32(values)[:, None] + 1, 3, axis=1)
        np.testing.assert_array_equal(output_of(job), expected)
        return result.batch_rows


async def started(coroutine):
    """A task that has come to its first wait: what it sends has been sent."""
    task = asyncio.create_task(coroutine)
    await asyncio.wait((task,), timeout=0)
    return task


async def cancel(*tasks):
    """Cancel tasks, and wait until they have ended so."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert all(task.cancelled() for task in tasks)


async def passed(time):
    """Wait until the event loop's clock shows this time."""
    arrival = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_at(time, arrival.set_result, None)
    await arrival


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


@asynccontextmanager
async def held(arena, pool, directory, name="fifo", **more):
    """A worker that computes as long as the block lasts, unless its FIFO is released earlier."""
    with fifo(directory, name) as gate:
        holding = asyncio.create_task(run_once(arena, pool, gate.key, **more))
        await gate.reached()
        yield gate
        gate.release()
        await holding


def is_alive(pid):
    """Whether a process of this id exists, a zombie included."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def child_pids():
    """The ids of this process's children, zombies included."""
    return sorted(children(os.getpid()))


def open_descriptors():
    """What this process's open descriptors are: paths, and kinds such as `socket:`."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{name}").partition("[")[0])
        except FileNotFoundError:
            continue  # the one that listed the directory
    return sorted(found)
