"""What the dispatcher is told, and what it says: events go in, commands come out."""

from __future__ import annotations

from typing import TypeAlias

import attrs
from convserve.errors import ConvserveError

from convserve_server.scheduling.batching import Task

# Not frozen: that makes each several times as slow to construct, and there are three a call.


@attrs.define
class Submit:
    """Tasks may run from now on. Those that came together can start together."""

    tasks: tuple[Task, ...]
    now: float


@attrs.define
class Cancel:
    """Nobody wants the task any more. Only what waits is concerned."""

    id: int


@attrs.define
class Finished:
    """A worker is done with a job, however it went."""

    job_id: int
    now: float


@attrs.define
class WorkerUp:
    """A worker takes jobs from now on."""

    worker: int
    now: float


@attrs.define
class WorkerDown:
    """A worker is lost, and its jobs with it."""

    worker: int
    now: float


@attrs.define
class Tick:
    """It is as late as `Wake` asked for, or somebody looks at the clock."""

    now: float


@attrs.define
class Start:
    """Send the tasks as one job to the worker, in this order."""

    job_id: int
    worker: int
    task_ids: tuple[int, ...]


@attrs.define
class Refuse:
    """The task ends with this error."""

    task_id: int
    error: ConvserveError


@attrs.define
class Wake:
    """Send a Tick then. It replaces the Wake before."""

    at: float


Event: TypeAlias = Submit | Cancel | Finished | WorkerUp | WorkerDown | Tick
Command: TypeAlias = Start | Refuse | Wake


class IllegalEventError(Exception):
    """An event that cannot happen: a fault of the driver."""
