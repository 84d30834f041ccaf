"""The pieces of one call on their device: as many at once as it has lanes, done in their order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable

from convserve_server.services.calls import Call
from convserve_server.services.targets import Target
from convserve_server.workers.jobs import Job, JobResult


class Execution:
    """Runs the jobs of a call on a target, and counts what they took to the call."""

    def __init__(self, target: Target, call: Call) -> None:
        self.call = call
        self._target = target
        self._begun: deque[asyncio.Task[JobResult]] = deque()  # the oldest first

    @property
    def last(self) -> asyncio.Task[JobResult]:
        """The piece that was begun last; it is done when all are."""
        return self._begun[-1]

    async def run_all(self, jobs: Iterable[Job]) -> JobResult:
        """Run jobs; returns the result of the last.

        After an error no more are begun, and those that run are waited for: they may write to
        memory that the caller has again with the answer. Of several errors the first job's counts.
        """
        if self._target.lanes == 1:
            for job in jobs:
                result = await self._run(job)
            return result
        begun: list[asyncio.Task[JobResult]] = []
        try:
            for job in jobs:
                latest = begun[-self._target.lanes :]
                if len(latest) == self._target.lanes:
                    await asyncio.wait(latest[:1])
                if any(task.done() and task.exception() for task in latest):
                    break
                begun.append(asyncio.create_task(self._run(job)))
            await asyncio.wait(begun)
        finally:
            for task in begun:
                task.cancel()
            await asyncio.gather(*begun, return_exceptions=True)
        return [task.result() for task in begun][-1]

    async def until_free(self) -> None:
        """Wait until the device has a lane for another piece."""
        if len(self._begun) >= self._target.lanes:
            await asyncio.wait((self._begun.popleft(),))

    def begin(
        self, group: asyncio.TaskGroup, job: Job, done: Callable[[], None] = lambda: None
    ) -> None:
        """Run a job in a task of the group. `done` is called when it and those before it are."""
        before = self._begun[-1] if self._begun else None
        self._begun.append(group.create_task(self._in_turn(job, before, done)))

    async def _in_turn(
        self, job: Job, before: asyncio.Task[JobResult] | None, done: Callable[[], None]
    ) -> JobResult:
        result = await self._run(job)
        if before is not None:
            await before
        done()
        return result

    async def _run(self, job: Job) -> JobResult:
        result = await self._target.pool.run(job)
        self.call.end_stage("queue")
        self.call.move_stage("queue", "compute", result.compute_seconds)
        work = (self._target.device.name, result.steps.counts, result.batch_rows)
        self.call.work.append(work)
        if self._target.preparation is not None and result.batch_rows >= 2 * job.rows > 0:
            doublings = (result.batch_rows // job.rows).bit_length() - 1
            self._target.preparation.expect(
                job.work, job.rows << doublings, job.precision, job.layout
            )
        return result
