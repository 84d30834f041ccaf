"""What all calls of one client share: its timeout, its retry policy, and its traces."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from attrs import field, frozen
from convserve.runs import CallRecord

from convserve_client._checks import check_seconds
from convserve_client._digests import Repeats
from convserve_client._retries import Effort, Policy
from convserve_client._shared import Leases

# The open traces of this context, each with the session that it belongs to.
_TRACES: ContextVar[tuple[tuple[Session, list[CallRecord]], ...]] = ContextVar("_TRACES")


@frozen(eq=False)
class Session:
    """The settings of one client. `make_lock` makes locks of the driver's kind.

    `priority` is that of its calls where calls wait: -100 to 100. `leases` are the memory that the
    server shares; None: it is too far away. `repeats` knows whose weights it may have already.
    """

    timeout: float
    policy: Policy
    make_lock: Callable[[], Any]
    clock: Callable[[], float] = time.monotonic
    priority: int = 0
    leases: Leases | None = None
    repeats: Repeats = field(factory=Repeats)

    def begin(self, timeout: float | None) -> Effort:
        """The effort of a call that starts now; None takes the client's timeout, in seconds."""
        seconds = self.timeout if timeout is None else check_seconds(timeout)
        return Effort(self.policy, seconds, self.clock() + seconds, self.clock)

    @contextmanager
    def trace(self) -> Iterator[list[CallRecord]]:
        """Collect the records of this context's calls while the block runs."""
        records: list[CallRecord] = []
        token = _TRACES.set((*_TRACES.get(()), (self, records)))
        try:
            yield records
        finally:
            _TRACES.reset(token)

    def close(self) -> None:
        """Give the shared memory back. Safe to repeat."""
        if self.leases is not None:
            self.leases.close()

    @property
    def is_traced(self) -> bool:
        """Whether somebody collects this context's calls."""
        return any(session is self for session, _ in _TRACES.get(()))

    def record(self, record: CallRecord) -> None:
        """Give a call's record to every open trace of this session."""
        for session, records in _TRACES.get(()):
            if session is self:
                records.append(record)
