"""Work for a GPU is made ready by building what its recipe takes, and nothing else."""

import asyncio

import pytest
from attrs import frozen
from convserve.layers import Conv
from convserve.networks import Network
from convserve.runs import RunOptions
from convserve.tensors import TensorSpec
from convserve_server.engines.cuda.advice import CudaAdvisor
from convserve_server.engines.cuda.graphs import Prepared
from convserve_server.planners.pool import TaskError
from convserve_server.planning.kernels import Policy
from convserve_server.planning.planner import compile_network
from convserve_server.services.building import GpuPreparation
from convserve_server.workers.messages import encode_work

from tests.unit.server.workers.harness import in_loop

X = TensorSpec("input", "float32", (4, 64, 32, 32))
WEIGHT = TensorSpec("conv1.weight", "float32", (64, 64, 3, 3))
WORK = compile_network(Network([Conv(64, 3, padding=1, bias=False)]), [X, WEIGHT])
OPTIONS = RunOptions(precision="tf32")


@frozen
class Known:
    """Plans that have been built, each with all the workspace that it may have."""

    plans: dict
    workspace_limit_bytes: int

    def find(self, graph):
        return self.plans.get(graph)


class Builder:
    """Stands in for `Preparer`: notes what it is asked for, by the limit of workspaces."""

    def __init__(self, *, fails=False):
        self.fails = fails
        self.built = {}
        self.precisions = set()

    def known(self, policy, max_age=0.0):
        return Known(self.built.setdefault(policy.workspace_limit_bytes, {}), 1 << 30)

    async def prepare(self, graphs, instances, policy):
        self.precisions.add(policy.precision)
        plans = self.built[policy.workspace_limit_bytes]
        for graph in graphs:
            plans.setdefault(graph, self.plan(policy, is_first=not plans))
        return Known(plans, policy.workspace_limit_bytes)

    def plan(self, policy, *, is_first):
        if self.fails and is_first:
            return Prepared(failure="cuDNN has none")
        return Prepared("eng1", workspace_bytes=policy.workspace_limit_bytes)


def tensor_bytes():
    """What the work takes without any workspace."""
    builder = Builder()
    advisor = CudaAdvisor(plans=builder.known(Policy("strict", 0)))
    graphs = advisor.wanted(WORK).graphs
    plans = {graph: Prepared("eng1") for graph in graphs}
    return CudaAdvisor(plans=Known(plans, 0)).working_bytes(WORK)


@in_loop
async def test_everything_is_known_of_work_that_was_prepared():
    builder = Builder()
    advisor = await GpuPreparation(builder, 1 << 40).prepare([WORK], OPTIONS)
    (limit,) = (limit for limit, plans in builder.built.items() if plans)
    assert advisor.working_bytes(WORK) == tensor_bytes() + limit
    assert advisor.advise(WORK.steps[0]).engine == "cuda"
    assert builder.precisions == {"tf32"}


@in_loop
async def test_work_that_does_not_fit_is_built_with_less_workspace():
    builder = Builder()
    memory_bytes = tensor_bytes() + (1 << 20)
    advisor = await GpuPreparation(builder, memory_bytes).prepare([WORK], OPTIONS)
    assert advisor.working_bytes(WORK) == tensor_bytes() <= memory_bytes
    assert sum(bool(plans) for plans in builder.built.values()) == len(builder.built) > 1


@in_loop
async def test_what_is_wanted_instead_of_what_cudnn_has_not_is_built_too():
    builder = Builder(fails=True)
    await GpuPreparation(builder, 1 << 40).prepare([WORK], OPTIONS)
    (plans,) = (plans for plans in builder.built.values() if plans)
    assert any(plan.failure for plan in plans.values())
    advisor = CudaAdvisor(plans=Known(plans, 1 << 30))
    assert advisor.wanted(WORK).graphs == ()


@in_loop
async def test_a_batch_that_calls_were_joined_to_is_built_once_in_the_background():
    builder = Builder()
    preparation = GpuPreparation(builder, 1 << 40)
    for rows in (16, 8, 16):  # the second comes while the first is being built
        preparation.expect(encode_work(WORK), rows, "tf32", "channels_first")
    await preparation._growth
    (plans,) = (plans for plans in builder.built.values() if plans)
    assert {graph.convolution.input[0] for graph in plans} == {16}
    before = preparation._growth
    preparation.expect(encode_work(WORK), 16, "tf32", "channels_first")
    assert preparation._growth is before
    preparation.expect(encode_work(WORK), 8, "tf32", "channels_first")
    await preparation._growth
    assert {graph.convolution.input[0] for graph in plans} == {16, 8}


class Stuck(Builder):
    """Never gets done."""

    async def prepare(self, graphs, instances, policy):
        await asyncio.Future()


@in_loop
async def test_what_is_built_in_the_background_ends_with_its_owner():
    preparation = GpuPreparation(Stuck(), 1 << 40)
    await preparation.close()  # nothing goes on yet
    preparation.expect(encode_work(WORK), 16, "tf32", "channels_first")
    await preparation.close()
    assert preparation._growth.cancelled()


class Faulty(Builder):
    """Has a fault, the first time that it is asked."""

    async def prepare(self, graphs, instances, policy):
        if not self.precisions:
            self.precisions.add(policy.precision)
            raise TaskError("a story")
        return await super().prepare(graphs, instances, policy)

    def doubt(self):
        pass


@in_loop
async def test_a_batch_that_could_not_be_built_is_not_tried_again_unless_much_is_in_doubt(caplog):
    builder = Faulty()
    preparation = GpuPreparation(builder, 1 << 40)
    preparation.expect(encode_work(WORK), 16, "tf32", "channels_first")
    await preparation._growth
    assert "no batch of 16 rows was built: a story" in caplog.text
    preparation.expect(encode_work(WORK), 16, "tf32", "channels_first")
    assert preparation._growth.done()
    preparation.doubt()
    preparation.expect(encode_work(WORK), 16, "tf32", "channels_first")
    await preparation._growth
    assert any(builder.built.values())


@pytest.mark.parametrize("memory_bytes", [0, 1])
def test_what_fits_nowhere_is_told_by_its_least(memory_bytes):
    """It is then split, or refused with this number."""

    @in_loop
    async def scenario():
        advisor = await GpuPreparation(Builder(), memory_bytes).prepare([WORK], OPTIONS)
        assert advisor.working_bytes(WORK) == tensor_bytes()

    scenario()
