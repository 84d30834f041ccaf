"""Models that a server loads before it serves."""

import json

import numpy as np
import pytest
from convserve import errors

from tests.clients import KINDS, connected
from tests.server import start_server

LAYERS = [
    {"kind": "conv", "out_channels": 2, "kernel_size": 1, "name": "c", "inputs": ["input"]},
    {"kind": "add", "inputs": ["c", "other"], "name": "sum"},
]
ADDING = {"layers": LAYERS, "inputs": ["input", "other"]}
WEIGHT, BIAS = np.full((2, 1, 1, 1), 3, np.float32), np.array([0, 1], np.float32)
WEIGHTS = {"c.weight": WEIGHT, "c.bias": BIAS}
X = np.ones((1, 1, 2, 2), np.float32)
RESULT = np.stack([np.full((2, 2), 3.0), np.full((2, 2), 4.0)])[None]


def write_model(folder, network, *, archive=False):
    """Make the folder of a model with the weights of `c`."""
    folder.mkdir()
    (folder / "network.json").write_text(json.dumps(network))
    if archive:
        np.savez(folder / "weights.npz", **WEIGHTS)
        return
    for name, array in WEIGHTS.items():
        np.save(folder / f"{name}.npy", array)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    write_model(root / "chain", LAYERS[:1])
    write_model(root / "graph", ADDING, archive=True)
    flags = [f"--model={name}={root / name}" for name in ("chain", "graph")]
    idle = "--model-idle-seconds=0"
    with start_server(*flags, idle, "--tensor-pool-bytes=1MiB", "--engine=reference") as running:
        yield running


@pytest.fixture(params=KINDS)
def client(request, server):
    with connected(request.param, server.address) as made:
        yield made


def test_a_model_is_called_by_its_name(client):
    model = client.model("chain")
    assert model.id == "chain"
    np.testing.assert_array_equal(model(X), RESULT)
    np.testing.assert_array_equal(model({"input": X}), RESULT)


def test_closing_it_leaves_it_there(client):
    client.model("chain").close()
    with client.model("chain") as model:
        np.testing.assert_array_equal(model(X), RESULT)
    assert [info.id for info in client.models()] == ["chain", "graph"]


def test_the_inputs_are_those_of_the_network(client):
    model = client.model("graph")
    other = np.ones((1, 2, 2, 2), np.float32)
    np.testing.assert_array_equal(model({"input": X, "other": other}), RESULT + 1)
    with pytest.raises(errors.InvalidArgumentError, match="input, other"):
        model(X)


@pytest.mark.parametrize("kind", KINDS)
def test_callers_of_any_priority_share_a_model(server, kind):
    with connected(kind, server.address, priority=7) as client:
        np.testing.assert_array_equal(client.model("chain")(X), RESULT)


def test_there_is_no_model_of_another_name(client):
    with pytest.raises(errors.ModelNotFoundError, match="'nothing'") as caught:
        client.model("nothing")
    assert caught.value.field == "model_id"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda m: (m / "network.json").unlink(), "network.json: cannot read it: No such file"),
        (lambda m: (m / "network.json").write_text("{"), "network.json: cannot read it: Expecting"),
        (lambda m: (m / "network.json").write_text("[]"), "network.json.*at least one layer"),
        (lambda m: (m / "c.bias.npy").unlink(), "m.*c.bias"),
        (lambda m: (m / "c.bias.npy").write_bytes(b"no"), "c.bias.npy: cannot read it"),
        (lambda m: np.save(m / "c.bias.npy", np.array([{}])), "c.bias.npy: cannot read it"),
        (lambda m: (m / "weights.npz").write_bytes(b"no"), "weights.npz and in c.bias.npy"),
        (lambda m: np.save(m / "c.weight.npy", np.ones((2, 1 << 17, 1, 1))), "keeps at most"),
    ],
    ids=["none", "no-json", "no-layers", "missing", "no-npy", "objects", "both", "large"],
)
def test_a_model_that_cannot_be_loaded_is_one_clear_line(tmp_path, spoil, message):
    folder = tmp_path / "m"
    write_model(folder, LAYERS[:1])
    spoil(folder)
    with pytest.raises(RuntimeError, match=f"code 1:(.|\n)*cannot start: {tmp_path}.*{message}"):
        start_server(f"--model=m={folder}", "--tensor-pool-bytes=1MiB", "--engine=reference")


def test_two_models_of_one_name_are_refused(tmp_path):
    for name in ("m", "n"):
        write_model(tmp_path / name, LAYERS[:1])
    flags = [f"--model=same={tmp_path / name}" for name in ("m", "n")]
    with pytest.raises(RuntimeError, match="both to be the model same"):
        start_server(*flags, "--tensor-pool-bytes=1MiB", "--engine=reference")
