"""Model files over a live server: read, planned, run with the weights that the server keeps."""

import hashlib
import itertools
import json

import convserve_client as cs
import grpc
import numpy as np
import pytest
from convserve import errors
from convserve.chunks import chunk_messages
from convserve.tensors import wire_bytes
from convserve.v1 import planning_service_pb2 as pb2
from convserve_client.cli import main

from tests.clients import KINDS, connected
from tests.model_texts import CFG
from tests.onnx_models import make_model, node, runtime_results
from tests.server import start_server
from tests.wire import call, scrape

RANDOM = np.random.default_rng(11)
X = RANDOM.standard_normal((2, 3, 12, 12), np.float32)
POOL_BYTES = 8 << 20
NUMBERS = itertools.count(1)  # for weights that nobody else has


def values(*shape):
    return RANDOM.standard_normal(shape, np.float32)


def small_model(batch=2, seed=0):
    """Two convolutions and a fully connected layer; its weights are those of no other seed."""
    constants = {
        "w1": values(8, 3, 3, 3) + seed, "b1": values(8), "w2": values(8, 8, 3, 3),
        "f": values(8, 5), "g": values(5),
    }  # fmt: skip
    return make_model(
        node("Conv", "x w1 b1", "a", pads=[1, 1, 1, 1], name="conv1"),
        node("Relu", "a", "b"),
        node("Conv", "b w2", "c", auto_pad="SAME_UPPER", strides=[2, 2], name="conv2"),
        node("GlobalAveragePool", "c", "d"),
        node("Flatten", "d", "e"),
        node("Gemm", "e f g", name="fc"),
        inputs={"x": (batch, 3, 12, 12)},
        constants=constants,
        opset=17,
    )


@pytest.fixture
def model():
    return small_model()


@pytest.fixture
def path(tmp_path, model):
    file = tmp_path / "net.onnx"
    file.write_bytes(model.SerializeToString())
    return file


@pytest.fixture(scope="module")
def server():
    with start_server(f"--tensor-pool-bytes={POOL_BYTES}", "--engine=reference") as running:
        yield running


@pytest.fixture(scope="module")
def channel(server):
    with grpc.insecure_channel(server.address) as made:
        yield made


def assert_equal(result, model):
    np.testing.assert_allclose(result, runtime_results(model, {"x": X})[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_is_read_planned_and_run(kind, server, path, model):
    with connected(kind, server.address) as client:
        network = client.read_network(path)
        assert isinstance(network, cs.ImportedNetwork)
        assert network.path == path
        assert network.input_specs == (cs.TensorSpec("x", "float32", (2, 3, 12, 12)),)
        assert list(network.weights) == [
            *("conv1.weight", "conv1.bias", "conv2.weight", "fc.weight", "fc.bias")
        ]
        plan = client.plan(network)
        assert plan.outputs[0].shape == (2, 5)
        assert plan.parameter_count == 8 * 27 + 8 + 8 * 72 + 40 + 5
        assert client.plan(network, ("N", 3, 20, 20)).symbolic_batch
        assert_equal(client.run(network, X), model)
        with client.load(network) as resident:
            assert_equal(resident(X), model)


def test_the_kept_weights_are_those_of_the_file(server, path, model):
    stored = {each.name: each for each in model.graph.initializer}
    with cs.connect(server.address) as client:
        weights = client.read_network(path).weights
    assert weights["conv1.weight"].sha256 == hashlib.sha256(stored["w1"].raw_data).digest()
    turned = np.frombuffer(stored["f"].raw_data, np.float32).reshape(8, 5).T
    assert weights["fc.weight"].sha256 == hashlib.sha256(wire_bytes(turned)).digest()


def test_weights_travel_once(server, path, model):
    with cs.connect(server.address) as client:
        network = client.read_network(path)
        before = scrape(server.metrics_address)
        client.run(network, X)
        after = scrape(server.metrics_address)
    grown = sum(
        after[name] - before.get(name, 0)
        for name in after
        if name.startswith("convserve_received_bytes_total")
    )
    assert grown < X.nbytes + 2048


def test_inputs_in_shared_memory_and_weights_by_name(tmp_path, path, model):
    x = np.tile(X, (200, 1, 1, 1))
    flags = ("--listen", f"unix:{tmp_path}/socket", "--engine=reference")
    with start_server(*flags) as local, cs.connect(local.address) as client:
        network = client.read_network(path)
        result = client.run(network, x)
        assert scrape(local.metrics_address)["convserve_lease_bytes"] > 0
    np.testing.assert_allclose(result[:2], result[-2:], rtol=1e-6)
    assert_equal(result[:2], model)


@pytest.mark.parametrize("how", ["run", "load"])
def test_weights_that_the_server_lost_are_read_again(server, path, model, how):
    with cs.connect(server.address) as client:
        network = client.read_network(path)
        crowd_out(client)
        before = imports(server)
        if how == "run":
            assert_equal(client.run(network, X), model)
        else:
            with client.load(network) as resident:
                assert_equal(resident(X), model)
        assert imports(server) == before + 1


def test_a_file_that_has_changed_is_not_taken_for_itself(server, path):
    with cs.connect(server.address) as client:
        network = client.read_network(path)
        path.write_bytes(small_model(seed=1).SerializeToString())
        crowd_out(client)
        with pytest.raises(cs.FailedPreconditionError, match="not what it was"):
            client.run(network, X)


def imports(server):
    """How many files the server has read."""
    return scrape(server.metrics_address)['convserve_calls_total{code="OK",rpc="ImportNetwork"}']


def crowd_out(client):
    """Have the server forget the weights that nobody uses: others need their room."""
    weight = np.full((POOL_BYTES // 2 // 144, 4, 3, 3), next(NUMBERS), np.float32)
    client.load(cs.Conv(len(weight), 3, bias=False), {"conv1.weight": weight}).close()


def test_other_weights_may_be_given(server, path):
    with cs.connect(server.address) as client:
        network = client.read_network(path, keep_weights=False)
        assert {weight.sha256 for weight in network.weights.values()} == {b""}
        zeros = {name: np.zeros(w.spec.shape, np.float32) for name, w in network.weights.items()}
        assert not client.run(network, X, zeros).any()
        with pytest.raises(cs.FailedPreconditionError, match="did not keep the weights"):
            client.run(network, X)


def test_weights_for_which_there_is_no_room_are_described(server, tmp_path):
    model = make_model(
        node("ConstantOfShape", "s", "w"),
        node("MatMul", "x w"),
        inputs={"x": (1, 1 << 20)},
        constants={"s": np.array([1 << 20, 1 << 20])},
    )
    (tmp_path / "large.onnx").write_bytes(model.SerializeToString())
    with cs.connect(server.address) as client:
        network = client.read_network(tmp_path / "large.onnx")
        assert network.weights["y.weight"].sha256 == b""
        assert "the weights are not kept" in network.notes[0]
        assert client.plan(network).weight_bytes == 4 << 40


def test_weights_that_are_there_need_no_more_room(server, tmp_path):
    """There is room for the file and its weights, and for no more: a copy would evict the model."""
    weight = values(42 * POOL_BYTES // 3600, 1, 3, 3)
    model = make_model(
        node("Conv", "x w", "c"),
        node("GlobalAveragePool", "c", "m"),
        node("Slice", "m low high axis", "s"),
        node("Flatten", "s", "f"),
        node("Gemm", "f g"),
        inputs={"x": (1, 1, 4, 4)},
        constants={"w": weight, "g": values(4, 5), "low": [0], "high": [4], "axis": [1]},
    )
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    with cs.connect(server.address) as client:
        first = client.read_network(tmp_path / "net.onnx")
        with client.load(first):
            before = scrape(server.metrics_address)["convserve_model_bytes"]
            second = client.read_network(tmp_path / "net.onnx")
            assert scrape(server.metrics_address)["convserve_model_bytes"] == before > 0
    assert first.weights["c.weight"].sha256 == hashlib.sha256(wire_bytes(weight)).digest()
    assert second.weights == first.weights


def test_open_sizes_are_asked_for(server, tmp_path):
    path = tmp_path / "open.onnx"
    model = make_model(node("Relu", "x"), inputs={"x": ("N", 4, "H", "W")})
    path.write_bytes(model.SerializeToString())
    with cs.connect(server.address) as client:
        network = client.read_network(path)
        assert network.input_specs[0].shape == (-1, 4, 0, 0)
        with pytest.raises(cs.ShapeError, match="leaves sizes of 'x' open"):
            client.plan(network)
        assert client.plan(network, (1, 4, 5, 5)).outputs[0].shape == (1, 4, 5, 5)
        given = client.read_network(path, input_shape=("N", 4, 5, 5))
        assert client.plan(given).outputs[0].shape == (-1, 4, 5, 5)


def test_the_layout_of_a_plan(server, path):
    with cs.connect(server.address) as client:
        network = client.read_network(path)
        plan = client.plan(network, layout="channels_last")
        assert plan.inputs[0].shape == (2, 12, 12, 3)


def test_errors_name_the_node(server, tmp_path):
    path = tmp_path / "net.onnx"
    model = make_model(node("NonZero", "x", name="odd"), inputs={"x": (1, 4)})
    path.write_bytes(model.SerializeToString())
    with cs.connect(server.address) as client:
        with pytest.raises(cs.UnsupportedError, match="operator NonZero is not known") as caught:
            client.read_network(path)
        assert caught.value.field == "node[0] NonZero 'odd'"
        path.write_bytes(b"no model")
        with pytest.raises(cs.InvalidArgumentError):
            client.read_network(path)
        with pytest.raises(cs.InvalidArgumentError, match="cannot read it"):
            client.read_network(tmp_path / "missing.onnx")
        with pytest.raises(cs.InvalidArgumentError, match="'tf' is not a format"):
            client.read_network(path, "tf")


def test_the_command_plans_and_runs_a_file(server, path, model, tmp_path, capsys):
    at = ["--server", server.address]
    assert main(["plan", str(path), *at]) == 0
    assert "conv2" in capsys.readouterr().out
    assert main(["plan", str(path), "--input", "Nx3x16x16", "--json", *at]) == 0
    assert json.loads(capsys.readouterr().out)["outputs"][0]["shape"] == ["N", 5]
    np.save(tmp_path / "x.npy", X)
    output = tmp_path / "y.npy"
    assert main(["run", str(path), "--input", str(tmp_path / "x.npy"), "-o", str(output), *at]) == 0
    assert_equal(np.load(output), model)


# On the wire.


def messages(data, **fields):
    header = pb2.ImportNetworkHeader(**({"file_name": "a.onnx", "byte_count": len(data)} | fields))
    yield pb2.ImportNetworkRequest(header=header)
    for chunk in chunk_messages([memoryview(data)], 1024):
        yield pb2.ImportNetworkRequest.FromString(chunk)


def test_the_format_may_be_told_by_the_name(channel, model):
    (answer,) = call(channel, "ImportNetwork", *messages(model.SerializeToString()))
    assert answer.network.layers[0].name == "conv1"
    data = CFG.encode()
    (answer,) = call(channel, "ImportNetwork", *messages(data, file_name="x/y.CFG"))
    assert len(answer.network.layers) == 1


@pytest.mark.parametrize(
    ("fields", "error", "field"),
    [
        ({"file_name": "model.pb"}, errors.InvalidArgumentError, "file_name"),
        ({"file_name": ""}, errors.InvalidArgumentError, "file_name"),
        ({"format": 99}, errors.InvalidArgumentError, "format"),
        ({"byte_count": 0}, errors.InvalidArgumentError, "byte_count"),
        ({"byte_count": 2**31}, errors.TooLargeError, "byte_count"),
        ({"byte_count": POOL_BYTES + 1}, errors.TooLargeError, ""),
        ({"byte_count": 5}, errors.ByteCountError, "tensors['file']"),
        ({"byte_count": 10_000}, errors.ByteCountError, "tensors['file']"),
        ({"inputs": [pb2.InputShape(shape=[1] * 40)]}, errors.ShapeError, "inputs[0].shape"),
        ({"inputs": [pb2.InputShape(name="x")]}, errors.InvalidArgumentError, "inputs[0].shape"),
        (
            {"inputs": [pb2.InputShape(name="x", shape=[1, 3, 8, 8])] * 2},
            errors.InvalidArgumentError,
            "inputs[1].name",
        ),
    ],
)
def test_wrong_headers(channel, model, fields, error, field):
    with pytest.raises(error) as caught:
        call(channel, "ImportNetwork", *messages(model.SerializeToString(), **fields))
    assert caught.value.field == field


def test_no_memory_is_left_behind(server, channel, model):
    name = "convserve_tensor_bytes_in_flight"
    data = model.SerializeToString()
    for wrong in ({"byte_count": 5}, {"file_name": "a.cfg"}):
        with pytest.raises(errors.ConvserveError):
            call(channel, "ImportNetwork", *messages(data, **wrong))
    with pytest.raises(errors.InvalidArgumentError):
        call(channel, "ImportNetwork", *messages(data[:-3]))
    assert scrape(server.metrics_address)[name] == 0
