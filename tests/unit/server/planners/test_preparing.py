"""What work needs on a GPU is built once, kept, and there when the work comes."""

import asyncio
import math

import pytest
from attrs import evolve
from convserve.errors import (
    OverloadedError,
    TooLargeError,
    UnavailableError,
    WorkerDiedError,
)
from convserve_server.engines.cuda.graphs import ConvGraph, Prepared
from convserve_server.engines.cuda.plan_keys import BuildTarget
from convserve_server.engines.cuda.plan_store import PlanStore, StoredPlans
from convserve_server.engines.cuda.recipe import Instance
from convserve_server.planners.builds import (
    Built,
    KernelRequest,
    decode_kernel_request,
    decode_plan_request,
    encode,
)
from convserve_server.planners.pool import PlannerPool, TaskError
from convserve_server.planners.preparing import PASSING_SECONDS, Preparer
from convserve_server.planning.devices.properties import device_properties
from convserve_server.planning.kernels import Convolution, Policy

from tests.unit.server.workers.harness import cancel, in_loop, started

H200 = device_properties("h200")
POLICY = Policy("strict", 1 << 30)
CONV = Convolution(
    "forward",
    "float32",
    (2, 8, 6, 6),
    (4, 8, 3, 3),
    (2, 4, 6, 6),
    (1, 1),
    ((1, 1), (1, 1)),
    (1, 1),
)
GRAPHS = [ConvGraph(evolve(CONV, stride=(number + 1, 1))) for number in range(5)]
GRAPH = GRAPHS[0]
KERNEL = Instance("copy", "Copy", ("float32", "uint8"))
PLAN = Prepared("eng28", 5, blob=b"plan")
CUBIN = Prepared("Copy<float32, uint8>", blob=b"cubin")
NONE = Prepared(failure="cuDNN has none")


class FakePool(PlannerPool):
    """Builds what `reply` says when `gate` is open, and counts how many it builds at once."""

    def __init__(self, reply=lambda asked: encode(Built(PLAN))):
        self.reply = reply
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked = []
        self.at_once = self.most = 0
        self.two = asyncio.Event()  # are being built

    async def run(self, task, request, *, region=None, seconds=None):
        if task == "cuda_compile":
            self.asked.append(decode_kernel_request(request))
            return encode(Built(CUBIN))
        assert task == "cudnn_build"
        self.asked.append(decode_plan_request(request))
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        if self.at_once == 2:
            self.two.set()
        try:
            await self.gate.wait()
            return self.reply(self.asked[-1])
        finally:
            self.at_once -= 1


def failing(error):
    def reply(asked):
        raise error

    return reply


@pytest.fixture
def store(tmp_path):
    return PlanStore(tmp_path, 1 << 20)


def stored(store, policy=POLICY):
    """What a worker finds in the folder."""
    return StoredPlans(PlanStore(store._folder, 1 << 20), BuildTarget(H200, policy))


@in_loop
async def test_plans_and_kernels_are_built_once_and_found_by_workers(store):
    pool = FakePool()
    preparer = Preparer(pool, store, H200, 2)
    for _ in range(2):
        plans = await preparer.prepare([GRAPH, GRAPH], [KERNEL, KERNEL], POLICY)
        assert plans.workspace_limit_bytes == POLICY.workspace_limit_bytes
        assert plans.find(GRAPH) == PLAN
        assert plans.find(GRAPHS[1]) is None
    plan, kernel = sorted(pool.asked, key=lambda asked: isinstance(asked, KernelRequest))
    assert (plan.properties, plan.graph, plan.policy) == (H200, GRAPH, POLICY)
    assert (kernel.instance, kernel.architecture) == (KERNEL, "sm_90")
    assert stored(store).find(GRAPH) == PLAN
    assert stored(store).kernel(KERNEL) == CUBIN


@in_loop
async def test_what_an_earlier_server_kept_is_not_built(store):
    await Preparer(FakePool(), store, H200, 2).prepare([GRAPH], [KERNEL], POLICY)
    pool = FakePool()
    again = Preparer(pool, PlanStore(store._folder, 1 << 20), H200, 2)
    assert again.known(POLICY).find(GRAPH) is None
    assert (await again.prepare([GRAPH], [KERNEL], POLICY)).find(GRAPH) == PLAN
    assert again.known(POLICY).find(GRAPH) == PLAN
    assert pool.asked == []


@in_loop
async def test_another_policy_is_another_plan(store):
    pool = FakePool()
    preparer = Preparer(pool, store, H200, 1)
    tf32 = Policy("tf32", 1 << 30)
    for policy in (POLICY, tf32):
        await preparer.prepare([GRAPH], [KERNEL], policy)
    assert [each.policy for each in pool.asked if hasattr(each, "policy")] == [POLICY, tf32]
    assert len(pool.asked) == 3  # and one kernel


@in_loop
async def test_who_needs_the_same_meanwhile_waits_for_it(store):
    pool = FakePool()
    pool.gate.clear()
    preparer = Preparer(pool, store, H200, 2)
    asking = [await started(preparer.prepare([GRAPH], [], POLICY)) for _ in range(3)]
    await cancel(asking[0])
    pool.gate.set()
    for each in asking[1:]:
        assert (await each).find(GRAPH) == PLAN
    assert len(pool.asked) == 1


@in_loop
async def test_several_are_built_at_once_but_no_more_than_may_be(store):
    pool = FakePool()
    pool.gate.clear()
    preparer = Preparer(pool, store, H200, 2)
    preparing = await started(preparer.prepare(GRAPHS, [], POLICY))
    await pool.two.wait()
    pool.gate.set()
    plans = await preparing
    assert [plans.find(graph) for graph in GRAPHS] == [PLAN] * 5
    assert pool.most == 2


@in_loop
async def test_that_cudnn_has_none_is_kept_too(store):
    pool = FakePool(lambda asked: encode(Built(NONE)))
    preparer = Preparer(pool, store, H200, 1)
    for _ in range(2):
        assert (await preparer.prepare([GRAPH], [], POLICY)).find(GRAPH) == NONE
    assert len(pool.asked) == 1
    assert stored(store).find(GRAPH) == NONE


@in_loop
async def test_a_failure_that_may_pass_is_kept_for_a_while(tmp_path):
    """Workers must know of it too: they take another recipe then."""
    seconds = [0.0]
    store = PlanStore(tmp_path, 1 << 20, clock=lambda: 1e9 + seconds[0])
    pool = FakePool(lambda asked: encode(Built(NONE, lasts=False)))
    preparer = Preparer(pool, store, H200, 1)
    for _ in range(2):
        assert (await preparer.prepare([GRAPH], [], POLICY)).find(GRAPH) == NONE
    workers = StoredPlans(
        PlanStore(tmp_path, 1 << 20, clock=store._clock), BuildTarget(H200, POLICY)
    )
    assert workers.find(GRAPH) == NONE
    assert len(pool.asked) == 1
    seconds[0] = PASSING_SECONDS
    assert workers.find(GRAPH) is None
    assert preparer.known(POLICY, math.inf).find(GRAPH) is None
    pool.reply = lambda asked: encode(Built(PLAN))
    assert (await preparer.prepare([GRAPH], [], POLICY)).find(GRAPH) == PLAN
    assert workers.find(GRAPH) == PLAN


@in_loop
async def test_what_has_gone_from_the_folder_is_written_anew_once_that_is_feared(store):
    preparer = Preparer(FakePool(), store, H200, 1)
    await preparer.prepare([GRAPH], [KERNEL], POLICY)
    for path in store._folder.glob("*/*"):
        path.unlink()
    await preparer.prepare([GRAPH], [KERNEL], POLICY)
    assert stored(store).find(GRAPH) is None
    preparer.doubt()
    assert preparer.known(POLICY).find(GRAPH) is None
    assert preparer.known(POLICY, math.inf).find(GRAPH) == PLAN
    await preparer.prepare([GRAPH], [KERNEL], POLICY)
    assert (stored(store).find(GRAPH), stored(store).kernel(KERNEL)) == (PLAN, CUBIN)
    assert len(preparer._pool.asked) == 2


@pytest.mark.parametrize(
    ("error", "kind", "told"),
    [
        (TooLargeError("more than 30 s"), UnavailableError, "could not be built: more than 30 s"),
        (WorkerDiedError("the process died"), WorkerDiedError, "the process died"),
        (OverloadedError("too many wait"), OverloadedError, "too many wait"),
        (TaskError("a story"), TaskError, "a story"),
    ],
)
@in_loop
async def test_a_failure_is_the_calls_and_the_next_one_builds(store, error, kind, told):
    pool = FakePool(failing(error))
    preparer = Preparer(pool, store, H200, 1)
    with pytest.raises(kind, match=told):
        await preparer.prepare(GRAPHS, [KERNEL], POLICY)
    pool.reply = lambda asked: encode(Built(PLAN))
    assert (await preparer.prepare([GRAPH], [], POLICY)).find(GRAPH) == PLAN


@in_loop
async def test_an_answer_that_cannot_be_read_is_a_fault(store):
    with pytest.raises(TaskError, match="cudnn_build built cannot be read"):
        await Preparer(FakePool(lambda _: b"\xc1"), store, H200, 1).prepare([GRAPH], [], POLICY)


@in_loop
async def test_a_folder_that_cannot_be_used_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    store = PlanStore(tmp_path / "file", 1 << 20)
    with pytest.raises(UnavailableError, match=r"keeps plans: Not a dir.*--plan-folder"):
        await Preparer(FakePool(), store, H200, 1).prepare([GRAPH], [], POLICY)


@in_loop
async def test_the_listener_is_told_where_everything_came_from(store):
    told = []

    def listen(what, source, seconds):
        assert seconds >= 0
        told.append((what, source))

    preparer = Preparer(FakePool(), store, H200, 1, listen)
    for _ in range(2):
        await preparer.prepare([GRAPH], [KERNEL], POLICY)
    fresh = Preparer(FakePool(), PlanStore(store._folder, 1 << 20), H200, 1, listen)
    await fresh.prepare([GRAPH], [], POLICY)
    assert sorted(told) == [
        ("kernel", "built"),
        ("kernel", "memory"),
        ("plan", "built"),
        ("plan", "disk"),
        ("plan", "memory"),
    ]
