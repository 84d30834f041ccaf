"""Where plans are made, and what cuDNN is asked for them."""

import asyncio
import threading

import pytest
from convserve.codec import network_to_message
from convserve.errors import DeviceNotFoundError, InvalidArgumentError, WorkerDiedError
from convserve.layers import Conv, ReLU
from convserve.networks import Network
from convserve.tensors import TensorSpec, spec_to_message
from convserve.v1 import planning_service_pb2 as pb2
from convserve_server.planners.cudnn.messages import encode_offer
from convserve_server.planners.offers import OfferDesk
from convserve_server.planners.pool import PlannerPool
from convserve_server.planners.tasks import TASKS, load_task
from convserve_server.planning.kernels import Candidate, Offer
from convserve_server.services import planning, plans
from convserve_server.services.headers import READ_INLINE_BYTES
from convserve_server.services.planning import PLAN_ASIDE_BYTES, PlanningService

from tests.planning import FixedAdvisor
from tests.targets import cpu_alone
from tests.unit.server.workers.harness import in_loop, started

OFFER = Offer("cuDNN 9.19.0", (Candidate("eng28_k2=4", 4096),))
SMALL, MEDIUM, LARGE = 2, 100, 800  # layers


class Planners(PlannerPool):
    """Runs tasks at once; those of cuDNN give `offer`, or fail as it says."""

    def __init__(self, offer=OFFER):
        self.offer = offer
        self.tasks = []

    async def run(self, task, request, *, region=None, seconds=None):
        self.tasks.append(task)
        if task != "cudnn_offer":
            return load_task(task)(request)
        if isinstance(self.offer, Exception):
            raise self.offer
        return encode_offer(self.offer)


class Call:
    """The part of a call that planning uses."""

    def end_stage(self, name):
        assert name == "compute"


def new_service(planners):
    return PlanningService(cpu_alone(FixedAdvisor()), planners, OfferDesk(planners, 1))


def request(count, **options):
    layers = [layer for _ in range(count // 2) for layer in (Conv(8, 3, padding=1), ReLU())]
    return pb2.PlanRequest(
        network=network_to_message(Network(layers)),
        inputs=[spec_to_message(TensorSpec("", "float32", (2, 8, 6, 6)))],
        **options,
    )


async def plan(service, asked):
    return pb2.PlanResponse.FromString(await service.plan(asked, Call())).plan


def test_the_sizes_are_what_the_tests_take_them_for():
    sizes = [request(count).ByteSize() for count in (SMALL, MEDIUM, LARGE)]
    assert sizes[0] <= READ_INLINE_BYTES < sizes[1] <= PLAN_ASIDE_BYTES < sizes[2]


@pytest.mark.parametrize(("count", "tasks"), [(SMALL, []), (MEDIUM, []), (LARGE, ["plan"])])
@in_loop
async def test_only_large_plans_take_a_process(count, tasks):
    planners = Planners()
    service = new_service(planners)
    first, second = [await plan(service, request(count)) for _ in range(2)]
    assert planners.tasks == tasks
    assert first == second
    assert len(first.layers) == count
    assert (first.device, first.layers[0].engine) == ("cpu", "reference")


@in_loop
async def test_a_plan_that_would_need_a_second_thread_takes_a_process(monkeypatch):
    going, go_on = threading.Event(), threading.Event()

    def make_slowly(*args):
        going.set()
        assert go_on.wait(60)
        return plans.make_plan(*args)

    monkeypatch.setattr(planning, "make_plan", make_slowly)
    planners = Planners()
    service = new_service(planners)
    first = await started(plan(service, request(MEDIUM)))
    await asyncio.to_thread(going.wait)
    assert len((await plan(service, request(MEDIUM + 2))).layers) == MEDIUM + 2
    assert planners.tasks == ["plan"]
    go_on.set()
    assert len((await first).layers) == MEDIUM
    await plan(service, request(MEDIUM + 4))
    assert planners.tasks == ["plan"]


@pytest.mark.parametrize("count", [SMALL, LARGE])
@in_loop
async def test_an_error_is_the_same_wherever_it_is_found(count):
    wrong = request(count)
    wrong.network.layers[0].conv.groups = 3
    with pytest.raises(InvalidArgumentError) as caught:
        await plan(new_service(Planners()), wrong)
    assert caught.value.field == "layers[0].conv.groups"


@pytest.mark.parametrize("count", [SMALL, LARGE])
@in_loop
async def test_kernels_are_asked_for_and_planned_with(count):
    planners = Planners()
    service = new_service(planners)
    asked = request(count, device="h200", kernels=True, precision="PRECISION_TF32")
    found = await plan(service, asked)
    assert await plan(service, asked) == found
    conv = found.layers[0]
    assert (conv.engine, conv.algorithm, conv.workspace_bytes) == ("cuda", "cudnn eng28", 4096)
    assert [kernel.name for kernel in conv.kernels] == ["eng28_k2=4"]
    assert planners.tasks.count("cudnn_offer") == 1  # the layers are equal
    assert "kernels may be ranked differently on a real h200" in found.notes[0]


@in_loop
async def test_training_has_the_kernels_of_the_gradients():
    asked = request(SMALL, device="l4", kernels=True, training=True)
    found = await plan(new_service(Planners()), asked)
    assert [kernel.direction for kernel in found.layers[0].kernels] == [1, 2, 3]


@in_loop
async def test_without_kernels_nobody_is_asked():
    planners = Planners()
    found = await plan(new_service(planners), request(SMALL, device="a100", explain=True))
    assert planners.tasks == []
    conv = found.layers[0]
    assert (conv.engine, conv.algorithm) == ("cuda", "")
    assert "kernels=True" in conv.algorithm_reason
    assert conv.quantization.multiprocessor_count == 108
    assert conv.explanation[-1].startswith("tiles = ")


@in_loop
async def test_kernels_of_a_cpu_are_not_asked_for():
    planners = Planners()
    found = await plan(new_service(planners), request(SMALL, kernels=True))
    assert planners.tasks == []
    assert found.layers[0].engine == "reference"


@in_loop
async def test_a_plan_is_made_although_cudnn_does_not_answer_and_not_kept():
    planners = Planners(WorkerDiedError("the planner process was ended"))
    service = new_service(planners)
    asked = request(SMALL, device="h200", kernels=True)
    found = await plan(service, asked)
    assert found.layers[0].algorithm == ""
    assert "the planner process was ended" in found.layers[0].algorithm_reason
    assert any("the planner process was ended" in note for note in found.notes)
    planners.offer = OFFER
    assert (await plan(service, asked)).layers[0].algorithm == "cudnn eng28"


@in_loop
async def test_an_unknown_device_is_refused():
    with pytest.raises(DeviceNotFoundError, match="tpu"):
        await plan(new_service(Planners()), request(SMALL, device="tpu"))


def test_every_task_can_be_loaded():
    assert all(callable(load_task(name)) for name in TASKS)


@pytest.mark.parametrize("device", ["", "cuda:0"])
def test_a_plan_for_the_servers_own_gpu_is_by_its_engine_and_its_memory(device):
    host = plans.Host("cuda:0", "cuda", 2, 1 << 30, "NVIDIA H200")
    response = plans.make_plan(request(SMALL, device=device), host, None)
    made = pb2.PlanResponse.FromString(response).plan
    assert made.device == "cuda:0"
    assert {layer.engine for layer in made.layers} == {"cuda"}
    assert made.fit.memory_bytes == 1 << 30
    assert made.time.seconds > 0
