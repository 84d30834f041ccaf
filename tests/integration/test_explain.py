"""Layers explained and looked for by a live server, from Python and from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import convserve_client as cs
import pytest
from convserve_client.cli import main

from tests.clients import KINDS, connected
from tests.model_texts import CFG

STEM = "nn.Conv2d(3, 64, 7, stride=2, padding=3)"
IMAGE = (1, 3, 224, 224)


@pytest.fixture(params=KINDS)
def client(request, server):
    with connected(request.param, server.address) as made:
        yield made


@pytest.fixture
def command(server, monkeypatch, tmp_path, capsys):
    """The command, which gives its exit code and what it printed."""
    monkeypatch.setenv("CONVSERVE_SERVER", server.address)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(arguments)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def test_a_text_is_explained(client):
    found = client.explain(STEM, IMAGE, compare=True)
    assert found.layer == cs.Conv(64, 7, stride=2, padding=3)
    assert found.plan.output_shape == (1, 64, 112, 112)
    assert found.plan.counts[0].convention == "mac"
    assert found.plan.algorithm
    outcomes = {row.runtime: row.outcome for row in found.renderings}
    assert (outcomes["torch"], outcomes["onnxruntime"]) == ("same", "same")
    assert "[ZeroPadding2D" in str(found)


def test_a_layer_of_ours_is_explained(client):
    found = client.explain(cs.Conv(64, 3), ("N", 3, 224, 224), want=224)
    assert found.plan.output_shape == ("N", 64, 222, 222)
    assert (found.changes[0].edit, found.changes[0].gives) == ("padding=1", "224")
    assert [row.dialect for row in found.renderings][:2] == ["convserve", "pytorch"]


def test_an_impossible_layer_is_an_answer(client):
    found = client.explain("nn.Conv2d(3, 64, 7)", (1, 3, 5, 5))
    assert found.plan is None
    assert found.problem_field == "conv.kernel_size"
    assert found.changes


def test_several_inputs_go_by_name(client):
    found = client.explain(cs.Add(), {"a": (1, 3, 4), "b": (1, 3, 4)})
    assert found.plan.inputs == ("a", "b")


@pytest.mark.parametrize(
    ("arguments", "error", "field"),
    [
        (("nn.Conv2d(3, 64)", IMAGE), cs.InvalidLayerError, "text.kernel_size"),
        (("nn.Linear(3, 4)", IMAGE), cs.InvalidArgumentError, "dialect"),
        ((STEM, (1, 4, 9, 9)), cs.ShapeError, "text.in_channels"),
        ((STEM, IMAGE, "flux"), cs.InvalidArgumentError, "dialect"),
        ((STEM, "x"), cs.ShapeError, "input_shape"),
        ((7, IMAGE), cs.InvalidArgumentError, "layer_or_text"),
    ],
)
def test_what_is_wrong_names_its_field(client, arguments, error, field):
    with pytest.raises(error) as caught:
        client.explain(*arguments)
    assert caught.value.field == field


def test_an_unknown_device_is_refused(client):
    with pytest.raises(cs.DeviceNotFoundError):
        client.explain(STEM, IMAGE, device="abacus")


def test_a_gpu_that_is_not_there_is_planned_for(client):
    plan = client.explain(cs.Conv(256, 3, padding=1), (108, 4096, 16, 16), device="a100").plan
    assert plan.quantization.tile_count == 216
    assert plan.time.bound == "compute"


def test_layers_are_found(client):
    found = client.find_layers(224, 112)
    numbers = [(each.kernel_size, each.stride, each.padding) for each in found]
    assert (3, 2, ((1, 1),)) in numbers
    assert found.count == len(found) == 7
    assert "223 to 224" in str(found)
    assert client.find_layers((5, 5), (10, 10), True, max_stride=2).transposed


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"output_size": 0}, cs.InvalidArgumentError),
        ({"output_size": (1, 2)}, cs.InvalidArgumentError),
        ({"max_stride": -1}, cs.InvalidArgumentError),
        ({"max_stride": 10**6}, cs.TooLargeError),
    ],
)
def test_a_search_that_makes_no_sense_is_refused(client, options, error):
    with pytest.raises(error):
        client.find_layers(**{"input_size": 224, "output_size": 112, **options})


def test_a_plan_explains_its_layers(client):
    plan = client.plan([cs.Conv(8, 3)], IMAGE)
    assert "MACs" in plan.explain("conv1")


def test_the_command_explains_a_text(command):
    code, printed, _ = command("explain", STEM, "--input", "1x3x224x224", "--compare")
    assert code == 0
    assert "cs.Conv(64, 7, stride=2, padding=3)" in printed
    assert "onnxruntime" in printed


def test_the_command_explains_a_layer_of_a_network(command):
    layers = [
        {"kind": "conv", "out_channels": 4, "kernel_size": 3},
        {"kind": "max_pool", "kernel_size": 2, "name": "half"},
    ]
    Path("net.json").write_text(json.dumps(layers))
    code, printed, _ = command("explain", "net.json", "--layer", "half", "--input", "Nx3x8x8")
    assert code == 0
    assert "half (max_pool) reads conv1, gives (N, 4, 3, 3)" in printed
    code, _, errors = command("explain", "net.json", "--layer", "x", "--input", "Nx3x8x8")
    assert code == 2
    assert "only conv1, half" in errors


def test_the_command_takes_shapes_that_the_file_tells(command):
    Path("net.cfg").write_text(CFG)
    code, printed, _ = command("explain", "net.cfg", "--layer", "conv0")
    assert code == 0
    assert "reads (N, 3, 8, 8) float32" in printed


def test_the_command_says_what_it_needs(command):
    Path("net.cfg").write_text(CFG)
    code, _, errors = command("explain", "net.cfg")
    assert (code, "net.cfg: this is a file: name the layer" in errors) == (2, True)
    code, _, errors = command("explain", STEM)
    assert (code, "--input: give the shape" in errors) == (2, True)


def test_the_command_prints_json(command):
    code, printed, _ = command(
        "explain", "cs.Conv(8, 3)", "--input", "1x3x5x5", "--want", "5", "--json"
    )
    assert code == 0
    document = json.loads(printed)
    assert document["changes"][0] == {"edit": "padding=1", "gives": "5", "distance": 1}
    assert document["plan"]["output"]["shape"] == [1, 8, 3, 3]


def test_the_command_finds_layers(command):
    code, printed, _ = command("find", "--input", "224", "--output", "112")
    assert code == 0
    assert "Inputs with this output" in printed
    code, printed, _ = command(
        "find", "--input", "5x5", "--output", "10x10", "--transposed", "--json"
    )
    assert code == 0
    assert json.loads(printed)["layers"][0]["kernel_size"] == 2
