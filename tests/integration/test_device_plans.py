"""Plans for devices that the server does not have, and what its own worker really takes."""

from __future__ import annotations

import convserve_client as cs
import pytest
from convserve_client.cli import main

from tests.benchmarks.memory import predict_and_measure
from tests.networks import EXAMPLES, unet, vgg16

SHAPE = ("N", 3, 224, 224)


@pytest.fixture(scope="module")
def client(server):
    with cs.connect(server.address) as made:
        yield made


def test_devices_that_can_only_be_planned_for_come_last(client):
    devices = client.devices()
    assert [each.name for each in devices if each.available] == ["cpu"] == [devices[0].name]
    h200 = next(each for each in devices if each.name == "h200")
    assert h200.memory_bytes > 120 << 30
    figures = {figure.name: figure for figure in h200.figures}
    assert figures["memory_bandwidth"].value == 4.8e12
    assert figures["memory_bandwidth"].unit == "byte/s"
    assert "NVIDIA H200" in figures["memory_bandwidth"].source


@pytest.mark.parametrize("name", ["l4", "h200", "epyc9654"])
def test_a_plan_for_a_device_that_is_not_there(client, name):
    plan = client.plan(vgg16(), SHAPE, device=name, max_batch=True, explain=False)
    assert plan.device == plan.fit.device == name
    assert plan.fit.max_batch > 1
    assert plan.time.seconds_low < plan.time.seconds < plan.time.seconds_high
    assert {layer.engine for layer in plan.layers} == {"cpu" if name == "epyc9654" else "cuda"}
    assert len(plan.timeline) == sum(not layer.fused_into for layer in plan.layers)


def test_the_servers_own_device_fuses_and_holds_weights_twice(client):
    plan = client.plan([cs.Conv(64, 3), cs.ReLU()], (1, 3, 64, 64))
    assert plan.layers[1].fused_into == "conv1"
    assert plan.fit.fits
    assert plan.fit.max_batch is None  # nobody asked
    assert plan.engine_bytes > plan.weight_bytes


def test_a_plan_of_a_step_of_training(client):
    plan = client.plan(vgg16(), SHAPE, training=True, optimizer="momentum", device="l4")
    assert plan.training
    assert plan.optimizer == "momentum"
    assert {moment.phase for moment in plan.timeline} == {"forward", "backward", "update"}
    assert plan.timeline[0].optimizer_bytes == plan.weight_bytes


def test_unknown_devices_and_optimizers_are_refused(client):
    with pytest.raises(cs.DeviceNotFoundError, match="it has cpu, and plans for a10, a100"):
        client.plan([cs.ReLU()], (1, 2), device="abacus")
    with pytest.raises(cs.InvalidArgumentError, match="adam") as caught:
        client.plan([cs.ReLU()], (1, 2), training=True, optimizer="lion")
    assert caught.value.field == "optimizer"


def test_an_optimizer_without_training_is_refused(client, server, capsys):
    with pytest.raises(cs.InvalidArgumentError, match="ask for training too") as caught:
        client.plan([cs.ReLU()], (1, 2), optimizer="adam")
    assert caught.value.field == "optimizer"
    assert caught.value.metadata["value"] == "adam"
    network, shape = str(EXAMPLES / "alexnet.json"), ("--input", "8x3x224x224")
    assert main(["plan", network, *shape, "--optimizer", "sgd", "--server", server.address]) == 2
    assert "'sgd' is for a plan of training" in capsys.readouterr().err


def test_one_command_says_up_to_which_batch_and_why(server, capsys):
    network = str(EXAMPLES / "vgg16.json")
    arguments = ["--input", "Nx3x224x224", "--device", "l4", "--max-batch"]
    assert main(["plan", network, *arguments, "--server", server.address]) == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("Fit"))
    assert line.startswith(
        "Fit              fits l4 up to batch 871, peak at layer relu1, because batch 872"
    )
    assert line.endswith("activations 20.9 GiB, weights 528 MiB")


def test_the_command_plans_training(server, capsys):
    network = str(EXAMPLES / "alexnet.json")
    arguments = ["--input", "8x3x224x224", "--training", "--optimizer", "sgd"]
    assert main(["plan", network, *arguments, "--server", server.address]) == 0
    out = capsys.readouterr().out
    assert "forward, backward and update by sgd" in out
    assert "(backward)" in out


@pytest.mark.parametrize("batch", [1, 8])
def test_the_worker_takes_what_the_plan_says(batch):
    found = predict_and_measure(unet(32, 3), (batch, 3, 256, 256))
    assert found.predicted_bytes == pytest.approx(found.measured_bytes, rel=0.1)
