"""What all calls of one client share: its timeout, its retry policy, and its traces."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from attrs import frozen
from convserve.plans import CallRecord

from convserve_client._checks import check_seconds
from convserve_client._retries import Effort, Policy

# The open traces of this context, each with the session that it belongs to.
_TRACES: ContextVar[tuple[tuple[Session, list[CallRecord]], ...]] = ContextVar("_TRACES")


@frozen(eq=False)
class Session:
    """The settings of one client. `make_lock` makes locks of the driver's kind."""

    timeout: float
    policy: Policy
    make_lock: Callable[[], Any]
    clock: Callable[[], float] = time.monotonic

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

    def record(self, record: CallRecord) -> None:
        """Give a call's record to every open trace of this session."""
        for session, records in _TRACES.get(()):
            if session is self:
                records.append(record)
