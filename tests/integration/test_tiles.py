"""Tiles planned by a live server, and run there one by one, from Python and the command line."""

from __future__ import annotations

import json
from pathlib import Path

import convserve_client as cs
import numpy as np
import pytest
from convserve.codec import from_message, to_message
from convserve.v1 import tiles_pb2
from convserve_client.cli import main

from tests.clients import KINDS, connected

NETWORK = cs.Network(
    [
        cs.Conv(4, 3, padding=1, name="a", inputs="input"),
        cs.MaxPool(2, name="down"),
        cs.ConvTranspose(4, 2, 2, name="up"),
        cs.Concat(name="both", inputs=("a", "up")),
        cs.Conv(1, 3, padding=1, dilation=1, name="out"),
    ]
)
VOLUME = (2, 1, 24, 20, 28)
LIMIT = 80_000


@pytest.fixture(params=KINDS)
def client(request, server):
    with connected(request.param, server.address) as made:
        yield made


def test_a_network_run_in_tiles_is_the_network(client):
    random = np.random.default_rng(0)
    planned = client.plan(NETWORK, VOLUME, explain=False)
    weights = {
        spec.name: random.integers(-2, 3, spec.shape).astype(np.float32)
        for layer in planned.layers
        for spec in layer.parameters
    }
    x = random.integers(-3, 4, VOLUME).astype(np.float32)
    tiles = client.tiles(NETWORK, VOLUME, memory_limit=LIMIT)
    assert tiles.tile_count > 8
    assert len(tiles.axes) > 1
    assert tiles.peak_memory_bytes <= LIMIT < planned.peak_memory_bytes
    y = np.full(tiles.outputs[0].shape, np.nan, np.float32)
    for tile in tiles.tiles():
        y[tile.output()] = client.run(NETWORK, x[tile.input()], weights)[tile.kept()]
    np.testing.assert_array_equal(y, client.run(NETWORK, x, weights))


def test_a_tile_needs_what_its_plan_says(client):
    tiles = client.tiles(NETWORK, VOLUME, memory_limit="200KB", axes=[2, 4])
    own = client.plan(NETWORK, tiles.tile_inputs[0].shape, explain=False)
    assert own.peak_memory_bytes == tiles.peak_memory_bytes
    assert own.outputs == tiles.tile_outputs
    assert {axis.axis for axis in tiles.axes} <= {2, 4}


def test_layers_are_told_on_request(client):
    tiles = client.tiles(NETWORK, VOLUME, memory_limit=LIMIT, layers=True)
    (held, right), *_ = tiles.tile(0).layer("down")
    assert held[0] == right[0] == 0
    assert right[1] <= held[1]


def test_plans_survive_the_wire(client):
    tiles = client.tiles(NETWORK, VOLUME, memory_limit=LIMIT)
    message = to_message(tiles, tiles_pb2.TilePlan())
    assert from_message(message, cs.TilePlan) == tiles


@pytest.mark.parametrize(
    ("options", "error", "field"),
    [
        ({"memory_limit": 0}, cs.InvalidArgumentError, "memory_limit"),
        ({"memory_limit": "much"}, cs.InvalidArgumentError, "memory_limit"),
        ({"memory_limit": "0.1B"}, cs.InvalidArgumentError, "memory_limit"),
        ({"memory_limit": "99999999TiB"}, cs.InvalidArgumentError, "memory_limit"),
        ({"memory_limit": "1MiB", "axes": [1]}, cs.InvalidArgumentError, "axes[0]"),
        ({"memory_limit": "1MiB", "axes": [2, 3, 4, 2]}, cs.InvalidArgumentError, "axes[3]"),
        ({"memory_limit": "1KiB"}, cs.TooLargeError, "memory_limit_bytes"),
        ({"memory_limit": "1MiB", "layers": 3}, cs.InvalidArgumentError, "layers"),
    ],
)
def test_wrong_arguments_are_refused_by_name(client, options, error, field):
    with pytest.raises(error) as caught:
        client.tiles(NETWORK, VOLUME, **options)
    assert caught.value.field == field


@pytest.fixture
def command(server, monkeypatch, tmp_path, capsys):
    """The command, which gives its exit code and what it printed."""
    monkeypatch.setenv("CONVSERVE_SERVER", server.address)
    monkeypatch.chdir(tmp_path)
    Path("net.json").write_text(
        '[{"kind": "conv", "out_channels": 4, "kernel_size": 3, "padding": 1}, {"kind": "relu"}]'
    )

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(arguments)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def test_the_command_prints_a_table(command):
    code, printed, _ = command("tiles", "net.json", "--input", "1x1x512x512", "--memory", "1MiB")
    assert code == 0
    assert "of the work is done again" in printed
    assert "Halo" in printed
    assert "conv1" not in printed
    arguments = ("tiles", "net.json", "--input", "1x1x512x512", "--memory", "1MiB", "--layers")
    assert "conv1" in command(*arguments)[1]


def test_the_command_prints_json(command):
    code, printed, _ = command(
        *("tiles", "net.json", "--input", "1x1x512x512", "--memory", "1MiB"),
        *("--axes", "3", "--layers", "--json"),
    )
    assert code == 0
    document = json.loads(printed)
    assert [axis["axis"] for axis in document["axes"]] == [3]
    assert {track["name"] for track in document["axes"][0]["tracks"]} == {"input", "conv1", "relu1"}


def test_the_axes_of_the_command_do_not_swallow_the_network(command):
    options = ("--input", "1x1x512x512", "--memory", "1MiB", "--json", "--axes", "2,3")
    code, printed, _ = command("tiles", *options, "net.json")
    assert code == 0
    assert [axis["axis"] for axis in json.loads(printed)["axes"]] == [2, 3]


def test_the_command_says_what_is_wrong(command):
    code, _, errors = command("tiles", "net.json", "--input", "1x1x64x64", "--memory", "lots")
    assert code == 2
    assert "'lots' is no number of bytes" in errors
