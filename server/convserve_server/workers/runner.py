"""Requests of the front as calls of an engine: arrays over tensors, and failures as answers."""

from __future__ import annotations

import ctypes
import time
import traceback
from itertools import repeat

from attrs import frozen
from convserve.errors import CallCancelledError, ConvserveError, TooLargeError, to_status

from convserve_server.engines.base import Engine, Views
from convserve_server.workers.batches import count_rows, join
from convserve_server.workers.messages import (
    Detach,
    Done,
    Failure,
    Forget,
    Part,
    Run,
    Success,
    encode_steps,
)
from convserve_server.workers.segments import Segments
from convserve_server.workers.views import Slots, index_of, slots_of

_MAX_STORY_CHARS = 64 << 10
_OUT_OF_MEMORY = "the engine ran out of memory; make the tensors smaller or split the batch"


@frozen
class Places:
    """Where tensors lie: in `memory`, which all requests share, and in segments."""

    memory: memoryview
    segments: Segments

    def views(self, request: Run, slots: Slots, part: Part) -> Views:
        """Arrays over the tensors of a part. None but the outputs can be written."""
        segments = part.segments or repeat(0, len(part.addresses))
        memories = [self.segments.view(n) if n else self.memory for n in segments]
        places = list(zip(memories, part.addresses, strict=True))
        tensors, outputs = (
            {
                slot.name: slot.view(*place, request, part.rows)
                for slot, place in zip(slots, places, strict=True)
            }
            for slots, places in (
                (slots.tensors, places[: len(slots.tensors)]),
                (slots.outputs, places[len(slots.tensors) :]),
            )
        )
        for array in tensors.values():
            array.flags.writeable = False
        kept = {name: index_of(part, outputs[name].ndim) for name, part in request.kept.items()}
        return Views(tensors, outputs, kept)

    def is_given_up(self, request: Run) -> bool:
        """Whether nobody waits for the request any more."""
        return bool(self.memory[request.flag])

    def detach(self, request: Detach) -> None:
        """Unmap a segment; one that no request has named was not even received yet."""
        self.segments.view(request.segment)
        self.segments.forget(request.segment)


@frozen
class Runner:
    """Runs requests with an engine, one after the other."""

    engine: Engine
    places: Places

    def run(self, request: Run) -> Done:
        """Run one job, as one batch if it has several parts. Every failure becomes an answer.

        What fails together is tried alone: a part must not fail for the values of another.
        """
        if self.places.is_given_up(request):
            return Done(request.job_id, (GIVEN_UP,))
        outcomes: tuple[Success | Failure, ...] = (self._attempt(request, request.parts),)
        if isinstance(outcomes[0], Failure) and len(request.parts) > 1:
            outcomes = tuple(self._attempt(request, (part,)) for part in request.parts)
        if request.is_frugal:
            _return_memory()
        return Done(request.job_id, outcomes)

    def forget(self, request: Forget) -> Done:
        """Drop what the engine kept for a key."""
        self.engine.forget(request.key)
        return Done(request.job_id)

    def _attempt(self, request: Run, parts: tuple[Part, ...]) -> Success | Failure:
        try:
            return self._compute(request, parts)
        except Exception as error:  # a fault of the engine must not end the process
            return failure_of(error)

    def _compute(self, request: Run, parts: tuple[Part, ...]) -> Success:
        start = time.perf_counter()
        slots = slots_of(request)
        views = [self.places.views(request, slots, part) for part in parts]
        batch = join(slots.work, views)
        steps = self.engine.run(
            batch.work, batch.tensors, batch.outputs, request.key, request.precision
        )
        batch.scatter()
        rows = count_rows(slots.work, views)
        return Success(encode_steps(steps), time.perf_counter() - start, rows)


def failure_of(error: Exception) -> Failure:
    """What is answered for an error: to its caller, or for a fault a story for the log only."""
    match error:
        case ConvserveError():
            return Failure(to_status(error).SerializeToString())
        case MemoryError():
            return failure_of(TooLargeError(_OUT_OF_MEMORY))
    return Failure(story="".join(traceback.format_exception(error))[-_MAX_STORY_CHARS:])


GIVEN_UP = failure_of(CallCancelledError("nobody waits for it any more"))


def _return_memory() -> None:
    """Give what is free of the C library's heap back to the system.

    Without this a worker with 32 MiB for its work grew by 240: glibc keeps what is freed in blocks
    of up to 32 MiB, and pieces leave gaps that fit none. Where memory is not short, such as between
    blocks of rows, it would only be faulted in again.
    """
    ctypes.CDLL(None).malloc_trim(0)
