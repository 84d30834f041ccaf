"""Which errors are worth another attempt, and when."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, TypeVar

from attrs import frozen
from convserve.errors import (
    ChecksumError,
    ConvserveError,
    DeadlineExceededError,
    OverloadedError,
    UnreachableError,
    WorkerDiedError,
)

from convserve_client._flows import Exchange, Exclusive, Flow, Pause, Send

T = TypeVar("T")

RECONNECT_SECONDS = 0.2  # gRPC itself waits a tenth of a second before it connects again
OVERLOAD_SECONDS = 1.0  # where an overloaded server does not say how long


@frozen
class Policy:
    """When to try again. Every rpc of convserve may be repeated: none changes what it reads.

    A lost worker, a lost connection and a damaged chunk are retried up to `max_retries` times. An
    overloaded server is asked again after the delay that it names, until the deadline. Nothing
    else is retried, and with `max_retries` 0 nothing at all. `jitter` gives numbers from 0 to 1
    that spread callers refused together.
    """

    max_retries: int = 1
    jitter: Callable[[], float] = random.random

    def delay(self, error: ConvserveError, losses: int) -> float | None:
        """Seconds until the next attempt after `losses` lost ones before this; None: give up."""
        if isinstance(error, OverloadedError) and self.max_retries > 0:
            seconds = OVERLOAD_SECONDS if error.retry_delay is None else error.retry_delay
            return seconds * (1 + self.jitter() / 2)
        if losses >= self.max_retries:
            return None
        if isinstance(error, UnreachableError):
            return RECONNECT_SECONDS
        return 0.0 if isinstance(error, WorkerDiedError | ChecksumError) else None


@frozen
class Effort:
    """What one call of the user may cost: a deadline, and a policy for attempts within it.

    Whatever the call consists of, rpcs, their repetitions and waiting, belongs to one effort.
    """

    policy: Policy
    timeout: float
    deadline: float
    clock: Callable[[], float]

    def attempt(self, make: Callable[[], Exchange[T]]) -> Flow[T]:
        """Try one rpc, again where the policy says so; `make` makes each attempt's exchange.

        Raises the last attempt's error, or DeadlineExceededError when no time is left for one.
        """
        losses = 0
        while True:
            remaining = self._remaining()
            try:
                result: T = yield Send(make(), remaining)
            except ConvserveError as error:
                delay = self.policy.delay(error, losses)
                if delay is None or self.clock() + delay >= self.deadline:
                    raise
                losses += not isinstance(error, OverloadedError)
                pause = delay
            else:
                return result
            if pause:
                yield Pause(pause)

    def alone(self, lock: Any, flow: Flow[T]) -> Flow[T]:
        """Carry out a flow of this effort while holding `lock`; waiting for it counts too."""
        result: T = yield Exclusive(lock, flow, self._remaining())
        return result

    def _remaining(self) -> float:
        remaining = self.deadline - self.clock()
        if remaining <= 0:
            raise DeadlineExceededError(
                f"the call was not done within its {self.timeout:g} seconds",
                field="timeout",
                metadata={"timeout_seconds": self.timeout},
            )
        return remaining
