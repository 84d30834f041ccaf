import asyncio
import contextlib
import functools

import pytest
from convserve import errors
from convserve.layers import ReLU
from convserve.networks import Network
from convserve.plans import RunOptions
from convserve.tensors import TensorSpec
from convserve_server.services.models import MAX_PAGE_SIZE, ModelStore
from convserve_server.workers.arena import Arena, aligned_bytes, place

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
def store(worker):
    return ModelStore(worker, 256, idle_seconds=1e6)


async def add(store, arena):
    size = aligned_bytes([SPEC])
    await store.claim(size)
    region = arena.allocate(size)
    return store.add(NETWORK, RunOptions(), 9, place([SPEC], region), region)


def in_loop(test):
    """Run a coroutine function as a test; whatever it leaves is unloaded."""

    @functools.wraps(test)
    def run(store, **fixtures):
        async def whole():
            try:
                await test(store, **fixtures)
            finally:
                await store.close()

        asyncio.run(whole())
        assert store.claimed_bytes == len(store) == 0

    return run


@in_loop
async def test_a_model_tells_its_sizes(store, arena):
    info = (await add(store, arena)).info
    assert (info.weight_bytes, info.parameter_count, info.layer_count) == (64, 16, 1)
    assert (info.inputs, info.outputs) == (("input",), ("relu1",))
    assert info.id.startswith("m-")


@in_loop
async def test_what_is_larger_than_the_models_share_never_fits(store, arena):
    model = await add(store, arena)
    with pytest.raises(errors.TooLargeError, match=r"257 bytes.* at most 256"):
        await store.claim(257)
    with store.use(model.id):
        pass  # it was not evicted in vain


@in_loop
async def test_the_model_that_was_unused_for_the_longest_time_makes_room(store, arena, worker):
    first, second, third, fourth = [await add(store, arena) for _ in range(4)]
    with store.use(third.id), store.use(first.id):
        pass
    with store.use(second.id):
        await add(store, arena)
        assert worker.forgotten == [fourth.id]
        await add(store, arena)
        assert worker.forgotten == [fourth.id, first.id]
        await store.claim(128)
        assert worker.forgotten[2] == third.id
        assert len(worker.forgotten) == 4
        store.unclaim(128)
    with pytest.raises(errors.ModelNotFoundError):
        store.use(third.id).__enter__()
    assert arena.bytes_in_use == 128


@in_loop
async def test_models_in_use_are_not_evicted(store, arena, worker):
    models = [await add(store, arena) for _ in range(4)]
    with contextlib.ExitStack() as uses:
        for model in models[1:]:
            uses.enter_context(store.use(model.id))
        pattern = r"65 bytes.* in use hold 192 of the 256"
        with pytest.raises(errors.OverloadedError, match=pattern) as caught:
            await store.claim(65)
        assert caught.value.retry_delay > 0
        assert worker.forgotten == []  # what would not help stays
        await store.claim(64)
        assert worker.forgotten == [models[0].id]
    store.unclaim(64)


def test_a_model_that_nobody_uses_goes_after_a_while(arena, worker):
    async def scenario():
        store = ModelStore(worker, 256, idle_seconds=0.0)
        model = await add(store, arena)
        with store.use(model.id):
            turns = asyncio.Event()
            asyncio.get_running_loop().call_later(0.0, turns.set)  # after a timer that was left
            await turns.wait()
            assert worker.forgotten == []
        await worker.has_forgotten.wait()
        assert worker.forgotten == [model.id]
        await store.close()

    asyncio.run(scenario())
    assert arena.bytes_in_use == 0


@in_loop
async def test_unload_waits_for_the_runs_in_flight(store, arena, worker):
    model = await add(store, arena)
    with store.use(model.id), store.use(model.id) as used:
        assert used is model
        unloading = asyncio.create_task(store.unload(model.id))
        await asyncio.wait([unloading], timeout=0)
        with pytest.raises(errors.ModelNotFoundError):
            store.use(model.id).__enter__()
        assert worker.forgotten == []
        assert arena.bytes_in_use == 64
    await unloading
    assert worker.forgotten == [model.id]
    assert arena.bytes_in_use == 0


@in_loop
async def test_the_memory_is_freed_also_if_the_caller_of_unload_gives_up(store, arena):
    model = await add(store, arena)
    with store.use(model.id):
        unloading = asyncio.create_task(store.unload(model.id))
        await asyncio.wait([unloading], timeout=0)
        unloading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await unloading
        assert arena.bytes_in_use == 64
    await store.close()
    assert arena.bytes_in_use == 0


@in_loop
async def test_close_frees_every_model(store, arena):
    await add(store, arena)
    await add(store, arena)
    await store.close()
    assert arena.bytes_in_use == store.claimed_bytes == len(store) == 0


@in_loop
async def test_pages_meet_no_model_twice(store, arena):
    models = [await add(store, arena) for _ in range(4)]
    with store.use(models[0].id):
        pass  # a use changes nothing about the order
    first, token = store.page(2, "")
    await store.unload(models[1].id)
    second, last = store.page(MAX_PAGE_SIZE + 1, token)
    assert [info.id for info in (*first, *second)] == [model.id for model in models]
    assert last == ""


def test_no_models_make_one_empty_page(store):
    assert store.page(0, "") == ((), "")
