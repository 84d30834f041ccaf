"""Work that a lane has begun: what it holds until it is done, and what is done with its results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack

from convserve.runs import StepRecord
from convserve.tensors import Array

from convserve_server.engines.cuda.checks import NotFiniteError, judge
from convserve_server.engines.cuda.device import Lane, Mark
from convserve_server.engines.cuda.giving import Site
from convserve_server.engines.cuda.recipe import Check
from convserve_server.engines.cuda.transfers import Fetch


class Job:
    """Parts that a lane computes as one.

    `held` gives the memory back; `sent` are arrays that copies read which may still be to come, and
    `site` keeps loaded what the commands run.
    """

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.site: Site | None = None
        self.held = ExitStack()
        self.sent: list[Array] = []
        self.results: list[Fetch] = []
        self.checks: list[tuple[Check, list[Fetch]]] = []
        self.is_over = False
        self._mark: Mark | None = None

    def seal(self) -> None:
        """Say that the lane has been given everything."""
        self._mark = self.lane.mark()

    def wait(self) -> None:
        """Block until the lane has done what the sealed job gave it. Any thread may call it."""
        if self._mark is not None:
            self._mark.wait()

    def end(self) -> None:
        """Wait, and give everything back; results are on the host by then. Idempotent."""
        if not self.is_over:
            self.wait()
            self.is_over = True
            self.held.close()
            self.sent.clear()
            self.site = None

    def deliver(self) -> None:
        """Put the results in their places, and let go of them.

        Raises ConvserveError if they do not count.
        """
        results, self.results = self.results, []
        checks, self.checks = self.checks, []
        for result in results:
            result.finish()
        for check, values in checks:
            judge(check, [value.finish() for value in values])


class Begun:
    """Jobs that are one piece of work: a `Running` of the engine.

    `again` begins it without Fourier transforms, if they turn out not to be allowed.
    """

    def __init__(
        self, jobs: Sequence[Job], records: tuple[StepRecord, ...], again: Callable[[], Begun]
    ) -> None:
        self._jobs = jobs
        self._records = records
        self._again = again

    def wait(self) -> None:
        """See `Running`."""
        for job in self._jobs:
            job.wait()

    def finish(self) -> tuple[StepRecord, ...]:
        """See `Running`."""
        for job in self._jobs:
            job.end()
        try:
            for job in self._jobs:
                job.deliver()
        except NotFiniteError:
            return self._again().finish()
        return self._records
