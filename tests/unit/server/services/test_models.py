import asyncio
import contextlib
import functools

import pytest
from convserve import errors
from convserve.layers import ReLU
from convserve.networks import Network
from convserve.runs import RunOptions
from convserve.tensors import TensorSpec
from convserve_server.scheduling.gate import Gate
from convserve_server.services.models import MAX_PAGE_SIZE, ModelStore
from convserve_server.workers.arena import Arena, aligned_bytes, place

from tests.stored import named, new_store, upload

NETWORK = Network([ReLU()])
SPEC = TensorSpec("relu1.weight", "float32", (4, 4))


class ForgetfulWorker:
    """Notes what it is told to forget, and lets whoever waits for that know."""

    def __init__(self):
        self.forgotten = []
        self.has_forgotten = asyncio.Event()

    async def forget(self, key):
        self.forgotten.append(key)
        self.has_forgotten.set()


@pytest.fixture
def arena():
    made = Arena(1 << 20)
    yield made
    made.close()


@pytest.fixture
def worker():
    return ForgetfulWorker()


@pytest.fixture
def tensors(arena):
    return new_store(Gate(arena))


@pytest.fixture
def store(worker, tensors):
    return ModelStore(worker.forget, tensors, idle_seconds=1e6)


async def add(store, tensors, name=""):
    async with store.room(aligned_bytes([SPEC])) as region:
        came = tensors.settle(region, [], dict(enumerate(place([SPEC], region))))
    placements = tuple(came.placements.values())
    return store.add(NETWORK, RunOptions(), 9, placements, came.parcels, name)


async def take(store, byte_count):
    """Have room made for so many bytes, and give it back."""
    async with store.room(byte_count):
        raise EnoughError


class EnoughError(Exception):
    """The room is there."""


def in_loop(test):
    """Run a coroutine function as a test; whatever it leaves is unloaded."""

    @functools.wraps(test)
    def run(store, tensors, **fixtures):
        async def whole():
            try:
                await test(store, tensors, **fixtures)
            finally:
                await store.close()
                tensors.close()

        asyncio.run(whole())
        assert tensors.claimed_bytes == len(store) == 0

    return run


@in_loop
async def test_a_model_tells_its_sizes(store, tensors):
    info = (await add(store, tensors)).info
    assert (info.weight_bytes, info.parameter_count, info.layer_count) == (64, 16, 1)
    assert (info.inputs, info.outputs) == (("input",), ("relu1",))
    assert info.id.startswith("m-")


@in_loop
async def test_what_is_larger_than_the_models_share_never_fits(store, tensors):
    model = await add(store, tensors)
    with pytest.raises(errors.TooLargeError, match=r"257 bytes.* at most 256"):
        await take(store, 257)
    with store.use(model.id):
        pass  # it was not evicted in vain


@in_loop
async def test_room_that_may_not_be_waited_for(store, tensors, arena):
    taken = arena.allocate(arena.capacity_bytes)
    with pytest.raises(errors.OverloadedError):
        async with store.room(64, wait=False):
            pass
    assert tensors.claimed_bytes == 0
    taken.release()


@in_loop
async def test_the_model_that_was_unused_for_the_longest_time_makes_room(store, tensors, worker):
    first, second, third, fourth = [await add(store, tensors) for _ in range(4)]
    with store.use(third.id), store.use(first.id):
        pass
    with store.use(second.id):
        await add(store, tensors)
        assert worker.forgotten == [fourth.id]
        await add(store, tensors)
        assert worker.forgotten == [fourth.id, first.id]
        with pytest.raises(EnoughError):
            await take(store, 128)
        assert worker.forgotten[2] == third.id
        assert len(worker.forgotten) == 4
    with pytest.raises(errors.ModelNotFoundError):
        store.use(third.id).__enter__()
    assert tensors.claimed_bytes == 128  # what was not kept is given back


@in_loop
async def test_models_in_use_are_not_evicted(store, tensors, worker):
    models = [await add(store, tensors) for _ in range(4)]
    with contextlib.ExitStack() as uses:
        for model in models[1:]:
            uses.enter_context(store.use(model.id))
        pattern = r"65 bytes.* in use hold 192 of the 256"
        with pytest.raises(errors.OverloadedError, match=pattern) as caught:
            await take(store, 65)
        assert caught.value.retry_delay > 0
        assert worker.forgotten == []  # what would not help stays
        with pytest.raises(EnoughError):
            await take(store, 64)
        assert worker.forgotten == [models[0].id]


def test_a_model_that_nobody_uses_goes_after_a_while(arena, worker, tensors):
    async def scenario():
        store = ModelStore(worker.forget, tensors, idle_seconds=0.0)
        model = await add(store, tensors)
        with store.use(model.id):
            turns = asyncio.Event()
            asyncio.get_running_loop().call_later(0.0, turns.set)  # after a timer that was left
            await turns.wait()
            assert worker.forgotten == []
        await worker.has_forgotten.wait()
        assert worker.forgotten == [model.id]
        await store.close()

    asyncio.run(scenario())
    assert tensors.claimed_bytes == 0


@in_loop
async def test_unload_waits_for_the_runs_in_flight(store, tensors, worker):
    model = await add(store, tensors)
    with store.use(model.id), store.use(model.id) as used:
        assert used is model
        unloading = asyncio.create_task(store.unload(model.id))
        await asyncio.wait([unloading], timeout=0)
        with pytest.raises(errors.ModelNotFoundError):
            store.use(model.id).__enter__()
        assert worker.forgotten == []
        assert tensors.claimed_bytes == 64
    await unloading
    assert worker.forgotten == [model.id]
    assert tensors.claimed_bytes == 0


@in_loop
async def test_the_memory_is_freed_also_if_the_caller_of_unload_gives_up(store, tensors):
    model = await add(store, tensors)
    with store.use(model.id):
        unloading = asyncio.create_task(store.unload(model.id))
        await asyncio.wait([unloading], timeout=0)
        unloading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await unloading
        assert tensors.claimed_bytes == 64
    await store.close()
    assert tensors.claimed_bytes == 0


@in_loop
async def test_close_frees_every_model(store, tensors):
    await add(store, tensors)
    await add(store, tensors)
    await store.close()
    assert tensors.claimed_bytes == len(store) == 0


@in_loop
async def test_pages_meet_no_model_twice(store, tensors):
    models = [await add(store, tensors) for _ in range(4)]
    with store.use(models[0].id):
        pass  # a use changes nothing about the order
    first, token = store.page(2, "")
    await store.unload(models[1].id)
    second, last = store.page(MAX_PAGE_SIZE + 1, token)
    assert [info.id for info in (*first, *second)] == [model.id for model in models]
    assert last == ""


def test_no_models_make_one_empty_page(store):
    assert store.page(0, "") == ((), "")


@in_loop
async def test_models_share_equal_weights(store, tensors):
    for _ in range(2):
        came = await upload(tensors, 1)
        store.add(NETWORK, RunOptions(), 9, tuple(came.placements.values()), came.parcels)
    assert tensors.claimed_bytes == 64
    first, second = (info.id for info in store.page(0, "")[0])
    await store.unload(first)
    assert tensors.unused_bytes == 0
    await store.unload(second)
    assert tensors.unused_bytes == 64
    with tensors.use([named(1)]):
        pass  # it is still there for a model to come


@in_loop
async def test_models_that_share_their_weights_are_evicted_together(store, tensors, worker):
    for _ in range(2):
        came = await upload(tensors, 1, 2)
        store.add(NETWORK, RunOptions(), 9, tuple(came.placements.values()), came.parcels)
    other = await upload(tensors, 3)
    with pytest.raises(EnoughError):
        await take(store, 192)
    assert len(worker.forgotten) == 2
    tensors.drop(other.parcels)


@in_loop
async def test_a_model_with_a_name_of_its_own_stays(store, tensors, worker):
    model = await add(store, tensors, "resnet")
    assert model.id == "resnet"
    with store.use("resnet"):
        pass
    with pytest.raises(errors.OverloadedError, match="hold 64 of the 256"):
        await take(store, 256)
    with pytest.raises(errors.FailedPreconditionError, match="loaded at the server's start"):
        await store.unload("resnet")
    assert worker.forgotten == []
