"""What one worker has been sent, until it has answered or is lost."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from functools import partial

from convserve.errors import ConvserveError

from convserve_server.workers.arena import Arena
from convserve_server.workers.messages import Done, Forget, FrameError, Run, encode_frame
from convserve_server.workers.pending import Pending, Sent, died
from convserve_server.workers.segments import Segment
from convserve_server.workers.worker import Worker

_log = logging.getLogger(__name__)


class Outstanding:
    """A worker's requests in the order of its answers: the first `lanes` may have begun.

    A worker that still computes `abandon_seconds` after the last call that it computes was given up
    is killed.
    """

    def __init__(
        self, worker: Worker, arena: Arena, abandon_seconds: float, lanes: int = 1
    ) -> None:
        self._worker = worker
        self._arena = arena
        self._abandon_seconds = abandon_seconds
        self._lanes = lanes
        self._sent: deque[Sent] = deque()

    def __len__(self) -> int:
        return len(self._sent)

    def start(self, job_id: int, pendings: tuple[Pending, ...]) -> None:
        """Have the worker compute jobs, as one batch if they are several."""
        job = pendings[0].job  # all that have a batch key in common differ in their part only
        for pending in pendings:
            for memory in pending.regions:
                if isinstance(memory, Segment):
                    self._worker.hand(memory)
        request = Run(
            job_id,
            job.work,
            tuple(pending.job.part for pending in pendings),
            job.key,
            job.layout,
            self._arena.take_flag(),
            dict(job.taken),
            dict(job.kept),
            job.is_frugal,
            job.precision,
        )
        self._send(Sent(request, pendings))

    def forget(self, job_id: int, key: str) -> asyncio.Future[None]:
        """Have the worker drop what it kept for a key; done when it has, or is lost."""
        ended = asyncio.get_running_loop().create_future()
        self._send(Sent(Forget(job_id, key), ended=ended))
        return ended

    def answer(self, done: Done) -> Run | Forget:
        """The worker has carried out a request; returns which. Raises FrameError if none is so."""
        # Runs and Forgets are numbered apart: it is the order that matches answers and requests.
        if not self._sent or self._sent[0].request.job_id != done.job_id:
            raise FrameError(f"an answer to {done.job_id}, which does not run")
        sent = self._sent[0]
        sent.settle(done)  # if that fails, it is lost with the worker
        self._remove_first()
        self._watch()
        return sent.request

    def lose(self, how: str) -> list[Pending]:
        """The worker has gone, and with it what may have begun; returns the jobs that wait again.

        They have certainly not begun. Those of them that nobody waits for end here.
        """
        # Writing to a dead child can fail before its last answer is read. Then what it had computed
        # is lost too: rare, and the caller repeats it as any other.
        for _ in range(min(self._lanes, len(self._sent))):
            self._remove_first().lose(partial(died, how))
        waiting: list[Pending] = []
        while self._sent:
            waiting += self._remove_first().take_back()
        return waiting

    def fail(self, new_error: Callable[[], ConvserveError]) -> None:
        """The worker has gone for good: everything ends with an error."""
        while self._sent:
            self._remove_first().lose(new_error)

    def abandon(self, pending: Pending) -> None:
        """Nobody waits for a job any more: it is not begun, or may not go on for long."""
        for sent in self._sent:
            if pending in sent.pendings and sent.is_abandoned and isinstance(sent.request, Run):
                self._arena.raise_flag(sent.request.flag)
                self._watch()

    def _send(self, sent: Sent) -> None:
        self._sent.append(sent)
        self._worker.send(encode_frame(sent.request))

    def _remove_first(self) -> Sent:
        """What is answered, or lost: its flag is not read any more."""
        sent = self._sent.popleft()
        if isinstance(sent.request, Run):
            self._arena.give_flag(sent.request.flag)
        return sent

    def _watch(self) -> None:
        """Bound how long what the worker computes now may go on, if nobody waits for it."""
        sent = self._sent[0] if self._sent else None
        if sent is not None and sent.is_abandoned and sent.runaway_timer is None:
            loop = asyncio.get_running_loop()
            sent.runaway_timer = loop.call_later(self._abandon_seconds, self._kill_runaway)

    def _kill_runaway(self) -> None:
        _log.warning(
            "worker %s still computes %.1f s after its call was given up: it is killed",
            self._worker.pid,
            self._abandon_seconds,
        )
        self._worker.kill()
