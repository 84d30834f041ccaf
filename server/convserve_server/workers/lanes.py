"""Requests on an engine with lanes: several are in progress, and answered in their order.

One thread drives the engine. A second one, the `Waiter`, does nothing but wait for what was begun.
"""

from __future__ import annotations

import socket
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread

from attrs import define

from convserve_server.engines.base import DeviceLostError, LaneEngine, Running
from convserve_server.workers.batches import count_rows
from convserve_server.workers.messages import (
    Detach,
    Done,
    Failure,
    Forget,
    Message,
    Part,
    Run,
    Success,
    encode_steps,
)
from convserve_server.workers.runner import GIVEN_UP, Places, failure_of
from convserve_server.workers.views import slots_of


def _wait_for(running: Running) -> None:
    with suppress(Exception):  # `finish` raises it again
        running.wait()


class Waiter:
    """A thread that waits for work, in the order in which it is put, and tells when it is done.

    Its descriptor can be read when something is; `take_done` tells how much.
    """

    def __init__(self) -> None:
        self._near, self._far = socket.socketpair()
        self._work: SimpleQueue[Running | None] = SimpleQueue()
        self._thread = Thread(target=self._wait, daemon=True)  # a lost device may never come back
        self._thread.start()

    def fileno(self) -> int:
        """The descriptor."""
        return self._near.fileno()

    def put(self, running: Running) -> None:
        """Wait for this too."""
        self._work.put(running)

    def take_done(self) -> int:
        """Wait until something is done; returns how many are, since it was last asked."""
        return len(self._near.recv(4096))

    def close(self) -> None:
        """End the thread, after what it waits for."""
        self._work.put(None)
        self._thread.join()
        self._near.close()
        self._far.close()

    def _wait(self) -> None:
        while (running := self._work.get()) is not None:
            _wait_for(running)
            self._far.send(b"\0")


@define(eq=False)
class _Begun:
    """A request in its turn, since when, and in how many rows.

    It is over when its work is done, or there is none. Without `running` it has a `failure`, or
    its turn is all that it waits for.
    """

    request: Run | Forget
    since: float
    rows: int = 1
    running: Running | None = None
    failure: Failure | None = None
    is_over: bool = True


class Lanes:
    """Begins requests as they come, as many at once as the engine has lanes.

    `answer` is given the answers in the order of the requests. Of those that are not answered, the
    first so many may have begun, and no others.
    """

    def __init__(
        self, engine: LaneEngine, places: Places, waiter: Waiter, answer: Callable[[Done], None]
    ) -> None:
        self._engine = engine
        self._places = places
        self._waiter = waiter
        self._answer = answer
        self._waiting: deque[Run | Forget] = deque()
        self._begun: deque[_Begun] = deque()
        self._ended_at = 0.0

    def take(self, request: Message) -> None:
        """A request has come. Raises DeviceLostError."""
        match request:
            case Run() | Forget():
                self._waiting.append(request)
                self._advance()
            case Detach():
                self._places.detach(request)
            case _:
                raise TypeError(f"{type(request).__name__} is not a request")

    def settle(self, count: int) -> None:
        """So many of those that have begun are done, the oldest first. Raises DeviceLostError."""
        working = [begun for begun in self._begun if not begun.is_over]
        for begun in working[:count]:
            begun.is_over = True
        self._advance()

    def _advance(self) -> None:
        """Answer what is over and in its turn, and begin what there are lanes for."""
        while True:
            while self._begun and self._begun[0].is_over:
                self._answer(self._end(self._begun.popleft()))
            if not self._waiting or len(self._begun) >= self._engine.lanes:
                return
            self._begun.append(self._begin(self._waiting.popleft()))

    def _begin(self, request: Run | Forget) -> _Begun:
        begun = _Begun(request, time.perf_counter())
        if isinstance(request, Forget):
            return begun
        if self._places.is_given_up(request):
            begun.failure = GIVEN_UP
            return begun
        self._start(begun, request, request.parts)
        if begun.running is not None:
            begun.is_over = False
            self._waiter.put(begun.running)
        return begun

    def _end(self, begun: _Begun) -> Done:
        request = begun.request
        if isinstance(request, Forget):
            self._engine.forget(request.key)
            return Done(request.job_id)
        outcomes: tuple[Success | Failure, ...] = (self._finish(begun),)
        has_failed = isinstance(outcomes[0], Failure) and outcomes[0] is not GIVEN_UP
        if has_failed and len(request.parts) > 1:  # no part must fail for the values of another
            outcomes = tuple(self._alone(request, part) for part in request.parts)
        return Done(request.job_id, outcomes)

    def _alone(self, request: Run, part: Part) -> Success | Failure:
        """Run one part of a batch that failed, while whoever is behind waits: that is rare."""
        begun = _Begun(request, time.perf_counter())
        self._start(begun, request, (part,))
        if begun.running is not None:
            _wait_for(begun.running)
        return self._finish(begun)

    def _start(self, begun: _Begun, request: Run, parts: tuple[Part, ...]) -> None:
        try:
            slots = slots_of(request)
            views = [self._places.views(request, slots, part) for part in parts]
            begun.rows = count_rows(slots.work, views)
            begun.running = self._engine.begin(slots.work, views, request.key, request.precision)
        except DeviceLostError:
            raise
        except Exception as error:  # a fault of the engine must not end the process
            begun.failure = failure_of(error)

    def _finish(self, begun: _Begun) -> Success | Failure:
        if begun.running is None:
            assert begun.failure is not None
            return begun.failure
        try:
            steps = begun.running.finish()
        except DeviceLostError:
            raise
        except Exception as error:
            return failure_of(error)
        now = time.perf_counter()
        # What runs side by side counts once: the lanes' seconds add up to those of the device.
        seconds, self._ended_at = now - max(begun.since, self._ended_at), now
        return Success(encode_steps(steps), seconds, begun.rows)
