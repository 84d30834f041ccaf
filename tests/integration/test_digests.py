"""Weights that are named by their digests: sent once, found by everybody after."""

import hashlib
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
from convserve import errors
from convserve.layers import Conv
from convserve.tensors import wire_bytes
from convserve.v1 import compute_service_pb2 as pb2

from tests.chunks import chunks
from tests.clients import KINDS, connected, unload_model
from tests.server import start_server
from tests.wire import (
    arrays_of,
    arrays_of_stream,
    call,
    header_of,
    inline,
    load_messages,
    scrape,
    stream,
)

LAYERS = [Conv(64, 3, padding=1, bias=False, name="a"), Conv(64, 3, padding=1, name="b")]
X = np.random.default_rng(7).standard_normal((1, 64, 4, 4), np.float32)
LARGE_BYTES = 64 * 64 * 9 * 4


def new_weights(number):
    """Weights that no other test has: two large ones and a small one."""
    made = np.random.default_rng(number)
    return {
        "a.weight": made.standard_normal((64, 64, 3, 3), np.float32),
        "b.weight": made.standard_normal((64, 64, 3, 3), np.float32),
        "b.bias": made.standard_normal(64, np.float32),
    }


def digest(position, array, *, sent=False):
    return pb2.TensorDigest(
        tensor=position, sha256=hashlib.sha256(wire_bytes(array)).digest(), sent=sent
    )


def received_bytes(server, rpc):
    """How much the server has received so far by an rpc."""
    return scrape(server.metrics_address)[f'convserve_received_bytes_total{{rpc="{rpc}"}}']


@pytest.fixture(scope="module")
def server():
    with start_server("--tensor-pool-bytes=64MiB", "--engine=reference") as running:
        yield running


@pytest.fixture(scope="module")
def channel(server):
    with grpc.insecure_channel(server.address) as made:
        yield made


def load(channel, weights, *digests, skip=()):
    """LoadModel with these digests, and chunks of all weights but those at `skip`."""
    header, *messages = load_messages(LAYERS, weights)
    header.header.digests.extend(digests)
    kept = [message for message in messages if message.chunk.tensor not in skip]
    (response,) = call(channel, "LoadModel", header, *kept)
    return response.model


def test_a_model_is_loaded_without_the_weights_that_are_there(channel, server):
    weights = new_weights(1)
    a, b, bias = weights.values()
    first = load(channel, weights, digest(0, a, sent=True), digest(1, b, sent=True))
    before = received_bytes(server, "LoadModel")
    changed = {**weights, "b.bias": bias + 1}
    second = load(channel, changed, digest(0, a), digest(1, b), skip=(0, 1))
    assert received_bytes(server, "LoadModel") - before < 2048
    assert scrape(server.metrics_address)["convserve_model_bytes"] == 2 * LARGE_BYTES + 512
    call(channel, "UnloadModel", pb2.UnloadModelRequest(model_id=first.id))
    (by_model,) = call(channel, "RunInline", inline(second.id, {"input": X}))
    (at_once,) = call(channel, "RunInline", inline(LAYERS, {"input": X, **changed}))
    np.testing.assert_allclose(
        arrays_of(by_model)["b"], arrays_of(at_once)["b"], rtol=1e-5, atol=1e-4
    )
    call(channel, "UnloadModel", pb2.UnloadModelRequest(model_id=second.id))
    metrics = scrape(server.metrics_address)
    assert metrics["convserve_model_bytes"] == 0
    assert metrics["convserve_unused_tensor_bytes"] == 2 * LARGE_BYTES + 256


def test_what_lacks_is_one_error_before_anything_is_reserved(channel, server):
    weights = new_weights(2)
    a, b, bias = weights.values()
    before = scrape(server.metrics_address)["convserve_tensor_bytes_in_flight"]
    with pytest.raises(errors.TensorMissingError) as caught:
        load(channel, weights, digest(0, a), digest(2, bias), digest(1, b), skip=(0, 1, 2))
    assert caught.value.metadata == {"missing": "0-2", "count": "3"}
    assert scrape(server.metrics_address)["convserve_tensor_bytes_in_flight"] == before


def test_values_must_be_what_their_digest_says(channel):
    weights = new_weights(3)
    a, b, _ = weights.values()
    with pytest.raises(errors.ChecksumError, match="SHA-256") as caught:
        load(channel, weights, digest(0, b, sent=True))
    assert caught.value.field == "tensors['a.weight']"
    with pytest.raises(errors.TensorMissingError):  # neither is known now
        load(channel, weights, digest(0, a), digest(1, b), skip=(0, 1))


def test_a_tensor_that_is_not_sent_has_no_chunks(channel):
    weights = new_weights(4)
    a, b, _ = weights.values()
    load(channel, weights, digest(0, a, sent=True))
    with pytest.raises(errors.ByteCountError, match=r"a\.weight"):
        load(channel, weights, digest(0, a))
    with pytest.raises(errors.ByteCountError, match=r"b\.weight"):  # one that is sent has them all
        load(channel, weights, digest(0, a), digest(1, b, sent=True), skip=(0, 1))


def named_run(weights, *, sent):
    """A header of Run that names both large weights."""
    header = header_of(LAYERS, {"input": X, **weights})
    large = list(weights.values())[:2]
    header.digests.extend(digest(n, array, sent=sent) for n, array in enumerate(large, 1))
    return header


def test_a_run_names_its_weights(channel, server):
    weights = new_weights(5)
    with pytest.raises(errors.TensorMissingError, match="1-2"):
        call(channel, "Run", *stream(named_run(weights, sent=False), []))
    arrays = [X, *weights.values()]
    first = call(channel, "Run", *stream(named_run(weights, sent=True), arrays))
    before = received_bytes(server, "Run")
    rest = [
        pb2.RunRequest(chunk=chunk)
        for chunk in chunks([wire_bytes(array) for array in arrays])
        if chunk.tensor in (0, 3)
    ]
    header = named_run(weights, sent=False)
    second = call(channel, "Run", pb2.RunRequest(header=header), *rest)
    assert received_bytes(server, "Run") - before < 8192
    np.testing.assert_array_equal(arrays_of_stream(first)["b"], arrays_of_stream(second)["b"])


def test_an_inline_run_names_its_weights(channel):
    weights = new_weights(6)
    x, a, b, bias = (bytes(wire_bytes(array)) for array in (X, *weights.values()))
    first = pb2.RunInlineRequest(header=named_run(weights, sent=True), data=[x, a, b, bias])
    (whole,) = call(channel, "RunInline", first)
    second = pb2.RunInlineRequest(header=named_run(weights, sent=False), data=[x, b"", b"", bias])
    (named,) = call(channel, "RunInline", second)
    np.testing.assert_array_equal(arrays_of(whole)["b"], arrays_of(named)["b"])
    second.data[1] = a
    with pytest.raises(errors.ByteCountError, match="0 are declared"):
        call(channel, "RunInline", second)


def test_damaged_values_of_a_run_are_refused(channel):
    weights = new_weights(7)
    x, a, b, bias = (bytes(wire_bytes(array)) for array in (X, *weights.values()))
    request = pb2.RunInlineRequest(header=named_run(weights, sent=True), data=[x, b, a, bias])
    with pytest.raises(errors.ChecksumError):
        call(channel, "RunInline", request)


def test_equal_uploads_at_once_end_well(channel, server):
    weights = new_weights(8)
    a, b, _ = weights.values()
    digests = digest(0, a, sent=True), digest(1, b, sent=True)
    with ThreadPoolExecutor(4) as pool:
        models = list(pool.map(lambda _: load(channel, weights, *digests), range(4)))
    assert load(channel, weights, digest(0, a), digest(1, b), skip=(0, 1)).id
    for model in models:
        call(channel, "RunInline", inline(model.id, {"input": X}))


@pytest.mark.parametrize("kind", KINDS)
def test_a_client_sends_the_weights_of_a_model_once(server, kind):
    weights = new_weights(9 + KINDS.index(kind))
    with connected(kind, server.address) as client:
        with client.load(LAYERS, weights) as model:
            result = model(X)
        before = received_bytes(server, "LoadModel")
        with client.load(LAYERS, weights) as model:
            np.testing.assert_array_equal(model(X), result)
        assert received_bytes(server, "LoadModel") - before < 2048


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_that_was_lost_is_loaded_again_without_its_weights(server, kind):
    weights = new_weights(40 + KINDS.index(kind))
    with connected(kind, server.address) as client, client.load(LAYERS, weights) as model:
        result, lost = model(X), model.id
        unload_model(server.address, lost)
        before = received_bytes(server, "LoadModel")
        np.testing.assert_array_equal(model(X), result)
        assert model.id != lost
        assert received_bytes(server, "LoadModel") - before < 2048


@pytest.mark.parametrize("kind", KINDS)
def test_a_client_sends_the_weights_of_repeated_runs_once(server, kind):
    weights = new_weights(20 + KINDS.index(kind))
    with connected(kind, server.address) as client:
        first = client.run(LAYERS, X, weights)
        np.testing.assert_array_equal(client.run(LAYERS, X, weights), first)
        before = sum(received_bytes(server, rpc) for rpc in ("Run", "RunInline"))
        np.testing.assert_array_equal(client.run(LAYERS, X, weights), first)
        after = sum(received_bytes(server, rpc) for rpc in ("Run", "RunInline"))
        assert after - before < 8192


def test_a_call_that_needs_the_room_of_unused_weights_gets_it():
    weights = new_weights(30)
    image = np.ones((1, 2, 256, 511), np.float32)  # with its result nearly all of the pool
    tensors = {"input": image, "c.weight": np.ones((2, 1, 1, 1), np.float32)}
    header = header_of([Conv(2, 1, groups=2, bias=False, name="c")], tensors)
    with (
        start_server("--tensor-pool-bytes=2MiB", "--engine=reference") as small,
        grpc.insecure_channel(small.address) as channel,
    ):
        model = load(channel, weights, digest(0, weights["a.weight"], sent=True))
        call(channel, "UnloadModel", pb2.UnloadModelRequest(model_id=model.id))
        assert scrape(small.metrics_address)["convserve_unused_tensor_bytes"] > 0
        responses = call(channel, "Run", *stream(header, tensors.values()))
        np.testing.assert_array_equal(arrays_of_stream(responses)["c"], image)
        with pytest.raises(errors.TensorMissingError):
            load(channel, weights, digest(0, weights["a.weight"]), skip=(0,))
