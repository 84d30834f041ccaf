import asyncio
import functools

import pytest
from convserve import errors
from convserve.tensors import TensorSpec
from convserve.v1 import compute_service_pb2 as pb2
from convserve_server.scheduling.gate import Gate
from convserve_server.services.digests import read_named, verify
from convserve_server.workers.arena import Arena, place

from tests.stored import POOL_BYTES, as_bools, named, new_store, settled, upload, values

SPECS = [TensorSpec(f"t{n}", "float32", (4, 4)) for n in range(8)]


@pytest.fixture
def arena():
    made = Arena(POOL_BYTES)
    yield made
    assert made.bytes_in_use == 0
    made.close()


@pytest.fixture
def gate(arena):
    return Gate(arena)


@pytest.fixture
def store(gate):
    return new_store(gate)


def in_loop(test):
    """Run a coroutine function as a test; afterwards nothing may be used."""

    @functools.wraps(test)
    def run(store, **fixtures):
        async def whole():
            await test(store=store, **fixtures)
            store.close()

        asyncio.run(whole())
        assert (store.claimed_bytes, store.unused_bytes) == (0, 0)

    return run


async def put(store, *numbers):
    """Upload tensors that nobody uses afterwards."""
    store.drop((await upload(store, *numbers)).parcels)


def find(store, *numbers):
    """The values that the store has under the digests of these numbers."""
    with store.use([named(number, n) for n, number in enumerate(numbers)]) as stored:
        return [bytes(stored.placements[n].view()) for n in range(len(numbers))]


@in_loop
async def test_a_tensor_is_found_by_what_it_contains(store):
    await put(store, 1, 2)
    assert find(store, 2, 1) == [values(2), values(1)]
    assert (store.claimed_bytes, store.unused_bytes) == (128, 128)


@in_loop
async def test_all_that_are_missing_are_named_at_once(store):
    await put(store, 1)
    with pytest.raises(errors.TensorMissingError, match=r"4 tensors.* 1-3,5") as caught:
        find(store, 1, 2, 3, 4, 1, 5)
    assert caught.value.metadata == {"missing": "1-3,5", "count": "4"}
    assert store.unused_bytes == 64  # nothing is held


@in_loop
async def test_a_long_list_is_cut_between_positions(store):
    with (
        pytest.raises(errors.TensorMissingError) as caught,
        store.use([named(1, 2 * n) for n in range(200)]),
    ):
        pass
    listed = caught.value.metadata["missing"]
    assert len(listed) <= 150
    assert [int(part) for part in listed.split(",")] == [
        2 * n for n in range(listed.count(",") + 1)
    ]
    assert caught.value.metadata["count"] == "200"


@in_loop
async def test_what_is_sent_is_not_looked_for(store):
    with store.use([named(9, sent=True)]) as stored:
        assert stored.placements == {}


@in_loop
async def test_bytes_are_booleans_only_if_they_came_as_such(store):
    await put(store, 1)
    with pytest.raises(errors.TensorMissingError), store.use([as_bools(named(1))]):
        pass


@in_loop
async def test_the_longest_unused_make_room(store):
    for number in range(4):
        await put(store, number)
    assert find(store, 0) == [values(0)]
    await put(store, 4, 5)
    assert find(store, 0, 3, 4, 5) == [values(n) for n in (0, 3, 4, 5)]
    for number in (1, 2):
        with pytest.raises(errors.TensorMissingError):
            find(store, number)


@in_loop
async def test_what_is_used_does_not_go(store):
    first = await upload(store, 1, 2)
    await put(store, 3)
    assert not store.claim(129)
    assert find(store, 3) == [values(3)]  # what would not help stays
    assert store.claim(128)
    with pytest.raises(errors.TensorMissingError):
        find(store, 3)
    store.unclaim(128)
    store.drop(first.parcels)


@in_loop
async def test_a_parcel_stays_for_each_who_holds_it(store):
    stored = await upload(store, 1)
    with store.use([named(1)]):
        store.drop(stored.parcels)
        assert store.unused_bytes == 0
    assert store.unused_bytes == 64


@in_loop
async def test_what_nobody_could_find_goes_with_its_last_user(store):
    assert store.claim(64)
    region = await store.reserve(64)
    (placement,) = place(SPECS[:1], region)
    stored = store.settle(region, [], {0: placement})
    assert stored.placements == {0: placement}
    store.drop(stored.parcels)
    assert store.claimed_bytes == 0


@in_loop
async def test_of_equal_uploads_one_is_kept(store):
    first = await upload(store, 1, 2)
    second = await upload(store, 2, 1)
    assert store.claimed_bytes == 128
    assert second.parcels == first.parcels
    assert bytes(second.placements[0].view()) == values(2)
    for stored in (first, second):
        store.drop(stored.parcels)


@in_loop
async def test_a_parcel_with_something_new_is_kept_whole(store):
    first = await upload(store, 1)
    second = await upload(store, 1, 2)
    store.drop(first.parcels)
    store.drop(second.parcels)
    assert store.unused_bytes == 192
    assert find(store, 1, 2) == [values(1), values(2)]


def test_what_nobody_uses_for_long_goes(gate):
    async def scenario():
        store = new_store(gate, idle_seconds=0.0)
        stored = await upload(store, 1)
        store.drop(stored.parcels)
        store.hold(stored.parcels)
        await turn()
        assert store.claimed_bytes == 64
        store.drop(stored.parcels)
        await turn()
        assert store.claimed_bytes == 0

    asyncio.run(scenario())


async def turn():
    """Return after every timer that was due before."""
    over = asyncio.Event()
    asyncio.get_running_loop().call_later(0.0, over.set)
    await over.wait()


@in_loop
async def test_a_call_that_waits_for_memory_gets_that_of_unused_tensors(store, gate):
    used = await upload(store, 1)
    await put(store, 2)
    await put(store, 3)
    with await gate.reserve(POOL_BYTES - 192):
        (await gate.reserve(64)).release()
        assert find(store, 3) == [values(3)]  # one of them was enough
        waiting = asyncio.create_task(gate.reserve(192))
        await asyncio.wait([waiting], timeout=0)
        assert not waiting.done()
        store.drop(used.parcels)
        (await waiting).release()
    assert store.claimed_bytes == 0


@in_loop
async def test_copies_are_kept_of_what_came_with_a_call(store, gate):
    came = [named(1, 0, sent=True), named(2, 1, sent=True)]
    with await gate.reserve(128) as region:
        places = place([each.spec for each in came], region)
        for number, placement in enumerate(places, 1):
            placement.view()[:] = values(number)
        await store.keep(came, dict(enumerate(places)))
    assert find(store, 1, 2) == [values(1), values(2)]
    assert store.unused_bytes == 128


@in_loop
async def test_nothing_is_kept_where_there_is_no_room(store, gate):
    used = await upload(store, 1, 2, 3, 4)
    came = [named(5, 0, sent=True)]
    with await gate.reserve(64) as region:
        await store.keep(came, dict(enumerate(place(SPECS[:1], region))))
    store.drop(used.parcels)
    with await gate.reserve(POOL_BYTES) as region:  # all of the pool
        await store.keep(came, dict(enumerate(place(SPECS[:1], region))))
    with pytest.raises(errors.TensorMissingError):
        find(store, 5)


@in_loop
async def test_who_may_not_wait_for_memory_is_refused(store, gate):
    assert store.claim(64)
    with await gate.reserve(POOL_BYTES):
        with pytest.raises(errors.OverloadedError, match="no room for 64 bytes now"):
            await store.reserve(64, wait=False)
        waiting = asyncio.create_task(gate.reserve(64))
        await asyncio.wait([waiting], timeout=0)
        with pytest.raises(errors.OverloadedError):  # others were here first
            await store.reserve(64, wait=False)
    (await waiting).release()
    store.give_back(await store.reserve(64, wait=False))


@in_loop
async def test_values_that_are_not_what_the_digest_says_are_refused(store):
    stored = await settled(store, [named(1, sent=True)], [values(2)])
    with pytest.raises(errors.ChecksumError, match="SHA-256") as caught:
        await verify([named(1, sent=True)], stored.placements)
    assert caught.value.field == "tensors['t0']"
    await verify([named(2, sent=True), named(1)], stored.placements)  # the other was not sent
    store.drop(stored.parcels)


def digest(position, size=32):
    return pb2.TensorDigest(tensor=position, sha256=bytes(size), sent=True)


@pytest.mark.parametrize(
    ("digests", "field", "message"),
    [
        ([digest(8)], "digests[0].tensor", "8 is not the position of one of the 8"),
        ([digest(-1)], "digests[0].tensor", "-1 is not"),
        ([digest(3), digest(3)], "digests[1].tensor", "has a digest already"),
        ([digest(0), digest(1, 31)], "digests[1].sha256", "31 bytes are no SHA-256"),
    ],
)
def test_a_digest_must_be_one(digests, field, message):
    with pytest.raises(errors.InvalidArgumentError, match=message) as caught:
        read_named(digests, SPECS)
    assert caught.value.field == field


def test_digests_are_read_with_their_specs():
    (found,) = read_named([digest(3)], SPECS)
    assert (found.position, found.spec, found.sent) == (3, SPECS[3], True)
