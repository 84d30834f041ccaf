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
    DrainingError,
    NotBuiltError,
    OverloadedError,
    UnreachableError,
    WorkerDiedError,
)

from convserve_client._flows import Exchange, Exclusive, Flow, Pause, Send

T = TypeVar("T")

RECONNECT_SECONDS = 0.2  # gRPC itself waits a tenth of a second before it connects again
REFUSAL_SECONDS = 1.0  # where a server that refuses does not say how long
MAX_DOUBLINGS = 4  # of a delay, by repetition
LOST = (WorkerDiedError, NotBuiltError, ChecksumError)  # what is repeated at once


@frozen
class Policy:
    """When to try again. Every rpc of convserve may be repeated: none changes what it reads.

    A lost worker, lost plans and a damaged chunk are retried at once, a lost connection after a
    delay, together up to `max_retries` times. A server that is overloaded, draining or without
    workers is asked again after the delay that it names, until the deadline: another one may take
    its place. Delays
    double with each repetition, up to sixteen times the first. Nothing else is retried, and with
    `max_retries` 0 nothing at all. `jitter` gives numbers from 0 to 1 that spread callers refused
    together.
    """

    max_retries: int = 1
    jitter: Callable[[], float] = random.random

    def delay(self, error: ConvserveError, losses: int, refusals: int = 0) -> float | None:
        """Seconds until the next attempt; None: give up.

        Before this one, `losses` attempts were lost, and `refusals` were refused.
        """
        if is_refusal(error) and self.max_retries > 0:
            seconds = REFUSAL_SECONDS if error.retry_delay is None else error.retry_delay
            return self._spread(seconds, refusals)
        if losses >= self.max_retries:
            return None
        if isinstance(error, UnreachableError):
            return self._spread(RECONNECT_SECONDS, losses)
        return 0.0 if isinstance(error, LOST) else None

    def _spread(self, seconds: float, repetitions: int) -> float:
        doubled: float = seconds * 2 ** min(repetitions, MAX_DOUBLINGS)
        return doubled * (1 + self.jitter() / 2)


def is_refusal(error: ConvserveError) -> bool:
    """Whether a server would not begin a call now, though it may later.

    A worker that died tells of a delay where none could be started in its place yet.
    """
    if isinstance(error, WorkerDiedError):
        return error.retry_delay is not None
    return isinstance(error, OverloadedError | DrainingError)


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
        losses = refusals = 0
        while True:
            remaining = self._remaining()
            try:
                result: T = yield Send(make(), remaining)
            except ConvserveError as error:
                delay = self.policy.delay(error, losses, refusals)
                if delay is None or self.clock() + delay >= self.deadline:
                    raise
                refused = is_refusal(error)
                losses, refusals = losses + (not refused), refusals + refused
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
