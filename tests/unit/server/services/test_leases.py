"""Leases: bounded, counted, and gone with their callers."""

import asyncio
import mmap
import os
import re
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from convserve import errors
from convserve.v1 import compute_service_pb2 as pb2
from convserve_server.services.leases import MAX_LEASES, LeaseService, LeaseStore

PAGE = mmap.PAGESIZE


class Budget:
    """Bytes of a pool: `reserve` takes them, or raises `error`."""

    def __init__(self):
        self.taken = 0
        self.error = None
        self.gate = None  # what a reservation waits for

    async def reserve(self, byte_count):
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        self.taken += byte_count
        return SimpleNamespace(release=lambda: self._give(byte_count))

    def _give(self, byte_count):
        self.taken -= byte_count


@pytest.fixture
def budget():
    made = Budget()
    yield made
    assert made.taken == 0


@pytest.fixture
def freed():
    return []


@pytest.fixture
def store(budget, freed):
    made = LeaseStore(budget.reserve, 4 * PAGE, freed.append)
    yield made
    assert len(made) == made.claimed_bytes == 0


def create(store, byte_count):
    return asyncio.run(store.create(byte_count))


def test_a_lease_is_named_by_chance_and_counts_against_the_pool(store, budget):
    with create(store, PAGE + 1) as lease:
        assert re.fullmatch("l-[0-9a-f]{16}", lease.id)
        assert lease.segment.byte_count == budget.taken == store.claimed_bytes == 2 * PAGE
        assert len(store) == 1


@pytest.mark.parametrize("size", [0, -1, -(2**63)])
def test_a_lease_has_bytes(store, size):
    with pytest.raises(errors.InvalidArgumentError) as caught:
        create(store, size)
    assert caught.value.field == "byte_count"


@pytest.mark.parametrize("size", [4 * PAGE + 1, 2**63 - 1])
def test_what_never_fits_is_refused_with_both_numbers(store, size):
    with pytest.raises(errors.TooLargeError) as caught:
        create(store, size)
    planned = -(-size // PAGE) * PAGE
    assert caught.value.metadata == {"planned_bytes": str(planned), "limit_bytes": str(4 * PAGE)}


def test_what_does_not_fit_beside_the_others_is_refused_for_now(store):
    with create(store, 3 * PAGE):
        with pytest.raises(errors.OverloadedError) as caught:
            create(store, 2 * PAGE)
        assert caught.value.retry_delay
        assert caught.value.metadata["claimed_bytes"] == str(3 * PAGE)
        with create(store, PAGE):
            pass
    with create(store, 4 * PAGE):
        pass


def test_there_are_only_so_many(budget):
    store = LeaseStore(budget.reserve, 1 << 40)
    with ExitStack() as stack:
        for _ in range(MAX_LEASES):
            stack.enter_context(create(store, 1))
        with pytest.raises(errors.OverloadedError) as caught:
            create(store, 1)
        assert caught.value.metadata["leases"] == str(MAX_LEASES)
    with create(store, 1):
        assert len(store) == 1


def test_two_who_ask_at_once_do_not_both_get_the_last_bytes(store, budget):
    async def check():
        answers = await asyncio.gather(
            store.create(3 * PAGE), store.create(2 * PAGE), return_exceptions=True
        )
        assert isinstance(answers[1], errors.OverloadedError)
        with answers[0]:
            assert budget.taken == 3 * PAGE

    asyncio.run(check())


def test_nobody_waits_for_the_pool(store, budget):
    async def check():
        budget.gate = asyncio.Event()
        with pytest.raises(errors.OverloadedError, match="no room") as caught:
            await store.create(PAGE)
        assert caught.value.metadata == {"planned_bytes": str(PAGE)}
        assert store.claimed_bytes == 0

    asyncio.run(check())


def test_a_refusal_of_the_pool_leaves_nothing_claimed(store, budget):
    budget.error = errors.OverloadedError("the pool is full")
    with pytest.raises(errors.OverloadedError, match="pool"):
        create(store, PAGE)
    assert store.claimed_bytes == 0


def test_a_machine_without_descriptors_is_overloaded(store, budget, monkeypatch):
    def refuse(*_):
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(os, "memfd_create", refuse)
        with pytest.raises(errors.OverloadedError, match="Too many open files"):
            create(store, PAGE)
    assert budget.taken == store.claimed_bytes == 0


def test_a_lease_that_has_ended_is_not_found(store):
    with create(store, PAGE) as lease, store.use(lease.id) as segment:
        assert segment is lease.segment
    for lost in (lease.id, "l-0000000000000000", "", "x" * 1000):
        with pytest.raises(errors.LeaseNotFoundError) as caught, store.use(lost):
            pass
        assert caught.value.field == "shared.lease_id"
        assert len(str(caught.value)) < 200


def test_the_memory_stays_until_the_calls_in_progress_have_ended(store, budget, freed):
    with ExitStack() as calls:
        with create(store, PAGE) as lease:
            segment = calls.enter_context(store.use(lease.id))
            calls.enter_context(store.use(lease.id))
            segment.hold()  # as a job does
        assert len(store) == 0
        assert budget.taken == PAGE  # it is memory still
        assert not segment.is_free
    assert not segment.is_free
    assert freed == []
    segment.drop()
    assert segment.is_free
    assert freed == [segment.segment]


def test_no_two_segments_have_one_number(store, freed):
    for _ in range(3):
        with create(store, PAGE):
            pass
    assert freed == [1, 2, 3]


class Caller:
    """The call of one who asks for a lease: what it sends, what it got, and when it leaves."""

    def __init__(self, *requests, peer="unix:"):
        self.peer = peer
        self.answers = []
        self.answered = asyncio.Event()
        self.left = asyncio.Event()
        self._requests = list(requests)

    async def read(self):
        return self._requests.pop(0) if self._requests else None

    async def write(self, message):
        self.answers.append(message)
        self.answered.set()

    async def wait_closed(self):
        if self._requests:
            raise errors.InvalidArgumentError("one message is enough")
        await self.left.wait()


class Door:
    """A handover that notes which tickets are good."""

    path = Path("/run/convserve.lease")

    def __init__(self):
        self.tickets = {}

    @contextmanager
    def offer(self, fd):
        self.tickets[b"ticket"] = fd
        try:
            yield b"ticket"
        finally:
            del self.tickets[b"ticket"]


@pytest.fixture
def door():
    made = Door()
    yield made
    assert made.tickets == {}


def ask(byte_count):
    return pb2.LeaseRequest(byte_count=byte_count)


def test_a_lease_is_the_callers_until_its_stream_ends(store, door):
    async def check():
        caller = Caller(ask(PAGE))
        serving = asyncio.create_task(LeaseService(store, door).lease(caller, caller))
        await caller.answered.wait()
        (answer,) = caller.answers
        assert (answer.byte_count, answer.ticket) == (PAGE, b"ticket")
        assert answer.socket_path == "/run/convserve.lease"
        with store.use(answer.lease_id) as segment:
            assert door.tickets == {b"ticket": segment.fd}
        caller.left.set()
        await serving

    asyncio.run(check())


def test_a_caller_that_is_killed_leaves_nothing(store, door):
    async def check():
        caller = Caller(ask(PAGE))
        serving = asyncio.create_task(LeaseService(store, door).lease(caller, caller))
        await caller.answered.wait()
        serving.cancel()  # as gRPC does
        with pytest.raises(asyncio.CancelledError):
            await serving

    asyncio.run(check())


def refusal(service, caller, error):
    with pytest.raises(error) as caught:
        asyncio.run(service.lease(caller, caller))
    return caught.value


def test_a_caller_that_goes_on_talking_loses_its_lease(store, door):
    refusal(LeaseService(store, door), Caller(ask(1), ask(1)), errors.InvalidArgumentError)


def test_a_caller_that_says_nothing_gets_nothing(store, door):
    assert refusal(LeaseService(store, door), Caller(), errors.InvalidArgumentError).field


@pytest.mark.parametrize("peer", ["ipv4:127.0.0.1:4242", "ipv6:%5B::1%5D:4242", ""])
def test_only_callers_through_a_unix_socket_share(store, door, peer):
    refusal(LeaseService(store, door), Caller(ask(1), peer=peer), errors.NotLocalError)


def test_a_server_may_share_nothing(store):
    refusal(LeaseService(store, None), Caller(ask(1)), errors.NotLocalError)
