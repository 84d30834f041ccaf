"""Running something on tensors in shared memory: one copy in, and none out.

A client whose server is on the same machine asks for leases when a call is worth it. Whatever keeps
tensors from being shared, they are sent instead.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import accumulate
from typing import Any

from attrs import define
from convserve.errors import (
    AreaTooSmallError,
    ConvserveError,
    FailedPreconditionError,
    InternalError,
    InvalidArgumentError,
    LeaseNotFoundError,
    NotBuiltError,
    NotFoundError,
    ResourceExhaustedError,
    UnsupportedError,
    WorkerDiedError,
)
from convserve.inline import InlineResponse, inline_request
from convserve.servers import ServerInfo
from convserve.services import Outgoing
from convserve.tensors import Array, TensorSpec, aligned, spec_of, wire_bytes
from convserve.v1 import compute_service_pb2 as pb2

from convserve_client import _calls
from convserve_client._flows import Borrow, Flow, Send
from convserve_client._memory import SharedMemory, Span
from convserve_client._results import Outcome, Target
from convserve_client._retries import Effort

SHARED_BYTES = 256 << 10  # of a call's tensors either way: fewer are faster in a message
SMALL_BYTES = 4 << 10  # a tensor below this is sent anyway
SENT_BYTES = 1 << 20  # of tensors that cannot be shared; calls with more are sent as a whole
MIN_LEASE_BYTES = 64 << 20
LEASE_FACTOR = 4  # of what the first call needs
MAX_LEASES = 4
LEASE_SECONDS = 5.0  # for the server to answer
PAUSE_SECONDS = 30.0  # after a refusal
HEADERS = 128  # whose results' sizes are remembered
ATTEMPTS = 3  # one more for a lease that has gone, and one for results of unknown size

# After these nobody uses the call's memory any more. After any other error somebody may.
_ENDED = (
    InvalidArgumentError,
    ResourceExhaustedError,
    NotFoundError,
    FailedPreconditionError,
    NotBuiltError,
    UnsupportedError,
    WorkerDiedError,
)


@define(eq=False)
class Loan:
    """A call's part of shared memory: where its tensors lie, by position, and room for results.

    `inputs` are the places of those that have to be copied there.
    """

    memory: SharedMemory
    offsets: dict[int, int]
    inputs: dict[int, Span]
    room: Span
    _given: bool = False  # whether the room belongs to the results

    def fill(self, arrays: Mapping[int, Array]) -> None:
        """Copy the arrays that do not lie in the memory yet."""
        for position, (start, _) in self.inputs.items():
            array = arrays[position]
            self.memory.array(spec_of("", array), start)[...] = array

    def message(self) -> bytes:
        """What the server is told of it."""
        tensors = [pb2.SharedTensor(tensor=n, offset=at) for n, at in self.offsets.items()]
        start, end = self.room
        shared = pb2.Shared(
            lease_id=self.memory.lease_id,
            tensors=tensors,
            output_offset=start,
            output_bytes=end - start,
        )
        return shared.SerializeToString()

    def results(self, specs: Sequence[TensorSpec], offsets: Sequence[int]) -> tuple[Array, ...]:
        """The results, whose room belongs to them from now on. Raises InternalError."""
        start, end = self.room
        places = list(accumulate((aligned(spec.byte_count) for spec in specs), initial=start))
        if places[:-1] != list(offsets) or places[-1] > end:
            raise InternalError(
                f"the server put its results at {list(offsets)}, where {places[:-1]} was agreed on"
            )
        self._given = True
        if places[-1] < end:
            self.memory.free([(places[-1], end)])
        return tuple(map(self.memory.result, specs, offsets))

    def end(self) -> None:
        """Give back what is the call's alone: nobody uses it any more."""
        self.memory.free(
            self.inputs.values() if self._given else (*self.inputs.values(), self.room)
        )


def borrow(memory: SharedMemory, arrays: Mapping[int, Array], room_bytes: int) -> Loan | None:
    """Room in shared memory for the arrays that do not lie there, and for results; None: full."""
    found = {n: memory.offset_of(array) for n, array in arrays.items()}
    copied = [n for n, offset in found.items() if offset is None]
    spans = memory.allocate([*(arrays[n].nbytes for n in copied), room_bytes])
    if spans is None:
        return None
    *inputs, room = spans
    places = dict(zip(copied, inputs, strict=True))
    offsets = {n: places[n][0] if at is None else at for n, at in found.items()}
    return Loan(memory, offsets, places, room)


class Leases:
    """The shared memory of one client: a few leases, had when a call first needs them.

    `lock` is of the driver's kind.
    """

    def __init__(self, lock: Any, clock: Callable[[], float] = time.monotonic) -> None:
        self._lock = lock
        self._clock = clock
        self._memories: tuple[SharedMemory, ...] = ()
        self._limit: int | None = None  # of a lease, as the server told
        self._ask_from = 0.0
        self._rooms: OrderedDict[bytes, int] = OrderedDict()

    def room_for(self, header: bytes, guess: int) -> int:
        """The bytes that the results of a call take: as it turned out before, or the guess."""
        return self._rooms.get(header, guess)

    def learn_room(self, header: bytes, byte_count: int) -> int:
        """Remember, and return, what the results of such calls take."""
        self._rooms[header] = byte_count
        if len(self._rooms) > HEADERS:
            self._rooms.popitem(last=False)
        return byte_count

    def lend(
        self, effort: Effort, arrays: Mapping[int, Array], room_bytes: int
    ) -> Flow[Loan | None]:
        """Room for a call, in another lease if need be. None: send the tensors."""
        loan = self._find(arrays, room_bytes)
        needed = sum(aligned(array.nbytes) for array in arrays.values()) + aligned(room_bytes)
        if loan is None and self._may_ask(needed):
            known = self._memories
            yield from effort.alone(self._lock, self._extend(effort, needed, known))
            loan = self._find(arrays, room_bytes)
        return loan

    def close(self) -> None:
        """Give everything back; arrays stay valid."""
        memories, self._memories = self._memories, ()
        for memory in memories:
            memory.close()

    def _find(self, arrays: Mapping[int, Array], room_bytes: int) -> Loan | None:
        """Room in the lease where most of the arrays lie, or in any."""

        def strangers(memory: SharedMemory) -> int:
            return sum(memory.offset_of(array) is None for array in arrays.values())

        loans = (
            borrow(memory, arrays, room_bytes) for memory in sorted(self._open(), key=strangers)
        )
        return next((loan for loan in loans if loan is not None), None)

    def _open(self) -> tuple[SharedMemory, ...]:
        return tuple(memory for memory in self._memories if memory.is_open)

    def _may_ask(self, needed: int) -> bool:
        return (
            self._clock() >= self._ask_from
            and (self._limit is None or needed <= self._limit)
            and len(self._open()) < MAX_LEASES
        )

    def _extend(self, effort: Effort, needed: int, known: tuple[SharedMemory, ...]) -> Flow[None]:
        """Ask for another lease, unless another call has had one since `known`."""
        if self._memories is not known:
            return
        try:
            memory = yield from self._ask(effort, needed)
        except ConvserveError:  # the call itself will find out what is wrong, if anything is
            memory = None
        if memory is not None:
            self._memories = (*self._open(), memory)
        elif self._limit is None or needed <= self._limit:
            self._ask_from = self._clock() + PAUSE_SECONDS

    def _ask(self, effort: Effort, needed: int) -> Flow[SharedMemory | None]:
        seconds = min(LEASE_SECONDS, effort.deadline - effort.clock())
        info: ServerInfo = yield Send(_calls.server_info(), seconds)
        self._limit = info.limits.max_lease_bytes
        if needed > self._limit:
            return None
        memory: SharedMemory = yield Borrow(min(lease_bytes(needed), self._limit), seconds)
        return memory


def leases_at(address: str, lock: Any) -> Leases | None:
    """What a client of the server at `address` starts with; None where nothing can be shared."""
    return Leases(lock) if address.startswith("unix:") else None


def lease_bytes(needed: int) -> int:
    """How much to ask for, when a call needs so much: room for some results that are kept."""
    return max(MIN_LEASE_BYTES, 1 << (LEASE_FACTOR * needed - 1).bit_length())


class RunShared(_calls.RunInline):
    """RunInline on a loan: its tensors lie there, and its results will."""

    def __init__(self, request: _calls.Request, target: Target, loan: Loan) -> None:
        super().__init__(request, target)
        if not loan.memory.is_open:  # an attempt before this one has lost the connection
            raise LeaseNotFoundError("the server that shared the memory has gone")
        self._loan = loan

    def requests(self) -> Iterator[Outgoing]:
        """The one message."""
        elsewhere = self._request.unsent | self._loan.offsets.keys()
        values = [
            b"" if position in elsewhere else wire_bytes(array)
            for position, array in enumerate(self._request.tensors.values())
        ]
        yield inline_request(self._request.header, values, self._loan.message())

    def _take(self, specs: tuple[TensorSpec, ...], message: InlineResponse) -> tuple[Array, ...]:
        return self._target.adopt(specs, self._loan.results(specs, message.offsets))


def run_shared(
    leases: Leases,
    effort: Effort,
    request: _calls.Request,
    target: Target,
    result_bytes: int,
) -> Flow[Outcome | None]:
    """Run it on shared memory. None where that cannot be: nothing has been done yet.

    `result_bytes` is a guess; where it is too low the server tells, and it is remembered.
    """
    unsent = request.unsent
    arrays = {
        n: a for n, a in enumerate(request.tensors.values()) if n not in unsent and _is_shared(a)
    }
    if request.byte_count - sum(array.nbytes for array in arrays.values()) > SENT_BYTES:
        return None
    room = leases.room_for(request.header, result_bytes)
    for _ in range(ATTEMPTS):
        loan = yield from leases.lend(effort, arrays, room)
        if loan is None:
            return None
        try:
            return (
                yield from _run_on(loan, arrays, effort, partial(RunShared, request, target, loan))
            )
        except AreaTooSmallError as error:
            room = leases.learn_room(request.header, int(error.metadata["planned_bytes"]))
        except LeaseNotFoundError:
            loan.memory.close()
    return None


def _run_on(
    loan: Loan, arrays: Mapping[int, Array], effort: Effort, make: Callable[[], RunShared]
) -> Flow[Outcome]:
    try:
        loan.fill(arrays)
        outcome = yield from effort.attempt(make)
    except _ENDED:
        loan.end()
        raise
    except BaseException:  # somebody may use the memory yet: only the lease's end tells
        loan.memory.close()
        raise
    loan.end()
    return outcome


def _is_shared(array: Array) -> bool:
    """Whether it may lie in shared memory (booleans may not) and is worth it."""
    return array.nbytes >= SMALL_BYTES and array.dtype.kind != "b"
