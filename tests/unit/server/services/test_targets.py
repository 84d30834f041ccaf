"""Which device runs a call, and what is made ready for it beforehand."""

import asyncio

import pytest
from attrs import evolve, frozen
from convserve.codec import network_to_message
from convserve.errors import DeviceNotFoundError, NotBuiltError, ShapeError, WorkerDiedError
from convserve.layers import Conv
from convserve.networks import Network
from convserve.runs import RunOptions
from convserve.servers import Device
from convserve.tensors import TensorSpec, spec_to_message
from convserve.v1 import compute_service_pb2 as pb2
from convserve_server.planning.program import Program, work_outputs
from convserve_server.services.requests import RequestReader
from convserve_server.services.targets import Targets

from tests.planning import FixedAdvisor
from tests.targets import IdlePool, cpu_alone, target_of

X = TensorSpec("input", "float32", (8, 1, 16))
WEIGHT = TensorSpec("conv1.weight", "float32", (1, 1, 3))


def gpu(number, load=0, *, kind="a GPU", **more):
    device = Device(name=f"cuda:{number}", engine="cuda", description=kind)
    return target_of(
        FixedAdvisor(), device=device, pool=IdlePool(load, **more.pop("pool", {})), **more
    )


def names(choice):
    return [target.device.name for target in choice.targets]


def test_a_server_without_gpus_runs_on_the_cpu():
    targets = cpu_alone(FixedAdvisor())
    assert targets.choice("") is targets.choice("cpu")
    with pytest.raises(DeviceNotFoundError, match=r"it has cpu$"):
        targets.choice("cuda")


def test_any_gpu_is_one_like_the_first_with_the_least_to_do():
    targets = Targets([gpu(0, 5), gpu(1, 3), gpu(2, 4), gpu(3, 0, kind="another GPU")])
    assert names(targets.choice("cuda")) == ["cuda:0", "cuda:1", "cuda:2"]
    assert targets.choice("") is targets.choice("cuda")
    assert targets.choice("cuda").pick().device.name == "cuda:1"
    assert targets.choice("cuda:3").pick().device.name == "cuda:3"


def test_a_gpu_that_cannot_work_is_taken_last():
    targets = Targets([gpu(0, 0, pool={"is_able": False}), gpu(1, 9)])
    assert targets.choice("cuda").pick().device.name == "cuda:1"


def test_work_for_any_gpu_fits_each_of_them():
    targets = Targets([gpu(0, budget_bytes=100), gpu(1, budget_bytes=90)])
    assert targets.choice("cuda").budget_bytes == 90


def test_the_default_is_told_first_and_what_lacks_last():
    cpu, lacking = target_of(FixedAdvisor()), Device(name="cuda:7", engine="cuda", available=False)
    devices = Targets([cpu, gpu(0)], missing=[evolve(lacking, description="no driver")]).devices
    assert [device.name for device in devices] == ["cuda:0", "cpu", "cuda:7"]
    devices = Targets([cpu, gpu(0)], "cpu").devices
    assert [device.name for device in devices] == ["cpu", "cuda:0"]


def test_whoever_asks_for_a_gpu_that_lacks_is_told_why():
    lacking = Device(name="cuda", engine="cuda", available=False, description="no driver")
    targets = Targets([target_of(FixedAdvisor())], missing=[lacking])
    with pytest.raises(DeviceNotFoundError, match="it has cpu; cuda: no driver") as caught:
        targets.choice("cuda:0")
    assert caught.value.field == "device"


def test_plans_depend_on_the_device_that_is_named():
    targets = Targets([target_of(FixedAdvisor()), gpu(0), gpu(1)], "cuda:1")
    hosts = {name: targets.host(name).device for name in ("", "cpu", "cuda", "h200")}
    assert hosts == {"": "cuda:1", "cpu": "cpu", "cuda": "cuda:0", "h200": "cuda:1"}


# What is made ready


@frozen
class Exact(FixedAdvisor):
    """Knows the memory of each sample; more than was thought once it was built."""

    sample_bytes: int = 10

    def working_bytes(self, work):
        return self.sample_bytes * work_outputs(work)[0].shape[0]


class Builder:
    """Notes what is built. What it knows afterwards is not what it thought."""

    def __init__(self):
        self.built = []
        self.doubts = 0
        self.is_closed = False

    def doubt(self):
        self.doubts += 1

    async def close(self):
        self.is_closed = True

    async def prepare(self, works, options):
        assert options == RunOptions(precision="tf32")
        self.built += [work.inputs[0].shape[0] for work in works if isinstance(work, Program)]
        return Exact(sample_bytes=10 if len(self.built) == 1 else 20)


def header():
    return pb2.RunHeader(
        network=network_to_message(Network([Conv(1, 3, bias=False)])),
        tensors=[spec_to_message(spec) for spec in (X, WEIGHT)],
        options=pb2.RunOptions(precision=2),
    )


def read(budget_bytes):
    builder = Builder()
    target = target_of(FixedAdvisor(), budget_bytes, preparation=builder)
    reader = RequestReader(Targets([target]), tensor_pool_bytes=1 << 20)
    message = header()
    request = asyncio.run(reader.read_run(message.SerializeToString(), message, None))
    return [piece.working_bytes for piece in request.pieces], builder.built


@pytest.mark.parametrize(
    ("kind", "is_kept"), [(NotBuiltError, False), (WorkerDiedError, True), (ShapeError, True)]
)
def test_what_has_gone_is_looked_for_and_made_ready_anew(kind, is_kept):
    builder = Builder()
    reader = RequestReader(
        Targets([target_of(FixedAdvisor(), 160, preparation=builder)]), tensor_pool_bytes=1 << 20
    )
    message = header()
    for _ in range(2):
        asyncio.run(reader.read_run(message.SerializeToString(), message, None))
        assert reader.recall(message.SerializeToString()) is not None
        with pytest.raises(kind), reader.relying_on(message.SerializeToString()):
            raise kind("what was built is gone")
        assert (reader.recall(message.SerializeToString()) is not None) == is_kept
    assert builder.built == [8, 8]
    assert builder.doubts == (0 if is_kept else 2)


def test_what_goes_on_in_the_background_is_ended():
    builder = Builder()
    targets = Targets([target_of(FixedAdvisor()), gpu(0, preparation=builder)])
    asyncio.run(targets.close())
    assert builder.is_closed


def test_the_whole_is_built_once_if_it_fits():
    assert read(budget_bytes=160) == ([80], [8])


def test_pieces_are_built_too_and_split_again_if_they_then_do_not_fit():
    """80 bytes were thought to fit 60 in pieces of 6 rows; built, only 3 rows do."""
    pieces, built = read(budget_bytes=60)
    assert built[0] == 8
    assert all(byte_count <= 60 for byte_count in pieces)
    assert set(built) >= {byte_count // 20 for byte_count in pieces}
