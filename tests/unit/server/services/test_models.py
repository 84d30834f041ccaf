import asyncio

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
    """Notes what it is told to forget."""

    def __init__(self):
        self.forgotten = []

    async def forget(self, key):
        self.forgotten.append(key)


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
    return ModelStore(worker, 256)


def add(store, arena):
    size = aligned_bytes([SPEC])
    store.claim(size)
    region = arena.allocate(size)
    return store.add(NETWORK, RunOptions(), place([SPEC], region), region)


def test_a_model_tells_its_sizes(store, arena):
    info = add(store, arena).info
    assert (info.weight_bytes, info.parameter_count, info.layer_count) == (64, 16, 1)
    assert (info.inputs, info.outputs) == (("input",), ("relu1",))
    assert info.id.startswith("m-")


def test_models_share_a_bound(store, arena):
    with pytest.raises(errors.TooLargeError, match=r"257 bytes.* at most 256"):
        store.claim(257)
    for _ in range(4):
        add(store, arena)
    with pytest.raises(errors.OverloadedError, match=r"64 bytes.* hold 256 of the 256") as caught:
        store.claim(64)
    assert caught.value.retry_delay > 0


def test_unload_waits_for_the_runs_in_flight(store, arena, worker):
    async def scenario():
        model = add(store, arena)
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

    asyncio.run(scenario())
    assert arena.bytes_in_use == store.claimed_bytes == len(store) == 0


def test_the_memory_is_freed_also_if_the_caller_of_unload_gives_up(store, arena):
    async def scenario():
        model = add(store, arena)
        with store.use(model.id):
            unloading = asyncio.create_task(store.unload(model.id))
            await asyncio.wait([unloading], timeout=0)
            unloading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await unloading
            assert arena.bytes_in_use == 64
        await store.close()

    asyncio.run(scenario())
    assert arena.bytes_in_use == store.claimed_bytes == 0


def test_close_frees_every_model(store, arena):
    async def scenario():
        add(store, arena)
        add(store, arena)
        await store.close()

    asyncio.run(scenario())
    assert arena.bytes_in_use == store.claimed_bytes == len(store) == 0


def test_pages_meet_no_model_twice(store, arena):
    async def scenario():
        models = [add(store, arena) for _ in range(4)]
        first, token = store.page(2, "")
        await store.unload(models[1].id)
        second, last = store.page(MAX_PAGE_SIZE + 1, token)
        assert [info.id for info in (*first, *second)] == [model.id for model in models]
        assert last == ""

    asyncio.run(scenario())


def test_no_models_make_one_empty_page(store):
    assert store.page(0, "") == ((), "")
