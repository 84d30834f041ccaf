"""Who may have memory, and when: a pure machine. Events go in, commands come out.

```
Request ──> queue ── first, and fits ──> Admit ──> Release
   │         │  └── Cancel                 │
   │         ^──────────────────────────── Defer
   ├──> never fits ─────────> Refuse(TooLargeError)
   └──> queue full ─────────> Refuse(OverloadedError)
```

The bytes admitted and not released never exceed the budget, and nobody overtakes. It has no clock:
who has waited long enough cancels.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeAlias

from attrs import frozen
from convserve.errors import ConvserveError, OverloadedError, TooLargeError

from convserve_server.scheduling.events import IllegalEventError

RETRY_SECONDS = 1.0  # what a caller is told to wait when the queue is full


@frozen
class Request:
    """Somebody wants `byte_count` bytes."""

    id: int
    byte_count: int


@frozen
class Cancel:
    """Who waits under this id has gone."""

    id: int


@frozen
class Release:
    """Who was admitted under this id has given its bytes back."""

    id: int


@frozen
class Defer:
    """Who was admitted under this id could not be served: first in the queue until a release."""

    id: int


@frozen
class Continue:
    """The commands before have been carried out."""


@frozen
class Admit:
    """The bytes are the request's until it releases them."""

    id: int


@frozen
class Refuse:
    """The request ends with this error."""

    id: int
    error: ConvserveError


Event: TypeAlias = Request | Cancel | Release | Defer | Continue
Command: TypeAlias = Admit | Refuse


class Admission:
    """Keeps the bytes in flight within `budget_bytes`, and the queue within `queue_limit`."""

    def __init__(self, budget_bytes: int, queue_limit: int) -> None:
        self.budget_bytes = budget_bytes
        self.queue_limit = queue_limit
        self._waiting: OrderedDict[int, Request] = OrderedDict()
        self._admitted: dict[int, Request] = {}
        self._deferred: int | None = None  # whom only a release can help
        self._bytes_in_flight = 0

    @property
    def queue_length(self) -> int:
        """How many requests wait."""
        return len(self._waiting)

    def handle(self, event: Event) -> list[Command]:
        """What to do after an event: a refusal, or at most one admission.

        Continue until nothing comes: there may be room for more. Raises IllegalEventError.
        """
        match event:
            case Cancel(id):
                self._check(event, id in self._waiting)
                del self._waiting[id]
            case Release():
                self._remove(event)
                self._deferred = None
            case Defer(id):
                self._waiting[id] = self._remove(event)
                self._waiting.move_to_end(id, last=False)
                self._deferred = id
            case Request(id):
                self._check(event, id not in self._waiting and id not in self._admitted)
                if error := self._refusal(event):
                    return [Refuse(id, error)]
                self._waiting[id] = event  # at the queue's end, even if it is admitted at once
        return self._admit()

    def _remove(self, event: Release | Defer) -> Request:
        self._check(event, event.id in self._admitted)
        request = self._admitted.pop(event.id)
        self._bytes_in_flight -= request.byte_count
        return request

    def _refusal(self, request: Request) -> ConvserveError | None:
        if request.byte_count > self.budget_bytes:
            return self._too_large(request)
        if len(self._waiting) >= self.queue_limit and (self._waiting or not self._fits(request)):
            return self._overloaded(request)
        return None

    def _admit(self) -> list[Command]:
        request = next(iter(self._waiting.values()), None)
        if request is None or request.id == self._deferred or not self._fits(request):
            return []
        del self._waiting[request.id]
        self._admitted[request.id] = request
        self._bytes_in_flight += request.byte_count
        return [Admit(request.id)]

    def _fits(self, request: Request) -> bool:
        return self._bytes_in_flight + request.byte_count <= self.budget_bytes

    def _check(self, event: Event, legal: bool) -> None:
        if not legal:
            raise IllegalEventError(
                f"{event} cannot happen now: {list(self._waiting.values())} wait, and "
                f"{list(self._admitted.values())} are admitted"
            )

    def _too_large(self, request: Request) -> TooLargeError:
        return TooLargeError(
            f"the call's tensors need {request.byte_count} bytes, and the server has "
            f"{self.budget_bytes} in all; make the tensors smaller or split the batch",
            metadata=self._numbers(request),
        )

    def _overloaded(self, request: Request) -> OverloadedError:
        return OverloadedError(
            f"the call's tensors need {request.byte_count} bytes, but {self._bytes_in_flight} of "
            f"{self.budget_bytes} are in use and {len(self._waiting)} calls wait, as many as may; "
            f"retry after {RETRY_SECONDS} s",
            metadata=self._numbers(request) | {"queue_length": len(self._waiting)},
            retry_delay=RETRY_SECONDS,
        )

    def _numbers(self, request: Request) -> dict[str, int]:
        return {
            "planned_bytes": request.byte_count,
            "budget_bytes": self.budget_bytes,
            "bytes_in_flight": self._bytes_in_flight,
        }
