"""Calls that come while the worker is busy: which are computed together, and what each gets."""

import numpy as np
import pytest
from convserve import errors
from convserve.codec import network_to_message
from convserve.layers import Add, Conv, MaxPool, ReLU
from convserve.networks import Network
from convserve.v1 import compute_service_pb2 as pb2
from convserve_server.engines.reference.engine import ReferenceEngine

from tests.holding import held_server
from tests.running import run_once
from tests.wire import (
    arrays_of,
    arrays_of_stream,
    call,
    header_of,
    inline,
    load_messages,
    method,
    stream,
)

CONV = Conv(6, 3, padding=1, bias=False, name="c")
REFERENCE = ReferenceEngine()


@pytest.fixture(scope="module")
def held(tmp_path_factory):
    with held_server(tmp_path_factory.mktemp("held"), "--threads=2") as made:
        yield made


@pytest.fixture(autouse=True)
def _nothing_is_left(held):
    yield
    held.wait_until_free()


def numbers(*shape, seed=0, dtype=np.float32):
    """Small whole numbers, so that sums are exact in any order."""
    return np.random.default_rng(seed).integers(-9, 10, shape).astype(dtype)


WEIGHT = numbers(6, 4, 3, 3, seed=100)


def expected(x, weight=WEIGHT):
    return run_once(REFERENCE, CONV, {"input": x, "c.weight": weight})


def together(held, *requests, waiting=None):
    """The responses to calls of RunInline that all wait while the worker is held.

    Of those that cannot be joined the first is sent ahead: then one less is `waiting`.
    """
    with held.held():
        calls = [held.start("RunInline", request) for request in requests]
        held.wait_for_queue(len(requests) if waiting is None else waiting)
    return [each.result()[0] for each in calls]


def sizes(responses):
    return [response.summary.batch_size for response in responses]


def test_calls_of_one_kind_are_one_batch_and_each_gets_its_own(held):
    inputs = [numbers(1, 4, 8, 8, seed=seed) for seed in range(8)]
    requests = [inline([CONV], {"input": x, "c.weight": WEIGHT}) for x in inputs]
    responses = together(held, *requests)
    assert sizes(responses) == [8] * 8
    for x, response in zip(inputs, responses, strict=True):
        np.testing.assert_array_equal(arrays_of(response)["c"], expected(x))
        assert [step.name for step in response.summary.steps] == ["c"]
        assert response.summary.tile_count == 1


def test_calls_that_differ_in_their_rows_are_one_batch(held):
    inputs = [numbers(rows, 4, 8, 8, seed=rows) for rows in (1, 2, 3, 5)]
    requests = [inline([CONV], {"input": x, "c.weight": WEIGHT}) for x in inputs]
    responses = together(held, *requests)
    assert sizes(responses) == [11] * 4
    for x, response in zip(inputs, responses, strict=True):
        np.testing.assert_array_equal(arrays_of(response)["c"], expected(x))


def test_streams_and_single_messages_are_one_batch(held):
    inputs = [numbers(1, 4, 8, 8, seed=seed) for seed in range(4)]
    with held.held():
        calls = []
        for x in inputs:
            tensors = {"input": x, "c.weight": WEIGHT}
            streamed = stream(header_of([CONV], tensors), tensors.values())
            calls.append(
                (
                    held.start("Run", *streamed),
                    held.start("RunInline", inline([CONV], tensors)),
                )
            )
        held.wait_for_queue(8)
    for x, (streamed, single) in zip(inputs, calls, strict=True):
        responses, (response,) = streamed.result(), single.result()
        assert responses[-1].summary.batch_size == response.summary.batch_size == 8
        for result in (arrays_of_stream(responses), arrays_of(response)):
            np.testing.assert_array_equal(result["c"], expected(x))


def test_calls_of_one_model_are_one_batch(held):
    models = [
        call(held.channel, "LoadModel", *load_messages([CONV], {"c.weight": WEIGHT * sign}))[0]
        for sign in (1, -1)
    ]
    inputs = [numbers(1, 4, 8, 8, seed=seed) for seed in range(3)]
    requests = [inline(each.model.id, {"input": x}) for each in models for x in inputs]
    responses = together(held, *requests)
    assert sizes(responses) == [3] * 6
    for number, response in enumerate(responses):
        x, sign = inputs[number % 3], (1, -1)[number // 3]
        np.testing.assert_array_equal(arrays_of(response)["c"], sign * expected(x))
    for each in models:
        call(held.channel, "UnloadModel", pb2.UnloadModelRequest(model_id=each.model.id))


def test_calls_with_different_weights_are_never_joined(held):
    x = numbers(1, 4, 8, 8)
    weights = [numbers(6, 4, 3, 3, seed=seed) for seed in (1, 2)]
    requests = [inline([CONV], {"input": x, "c.weight": w}) for w in weights for _ in range(3)]
    responses = together(held, *requests)
    assert sizes(responses) == [3] * 6
    for number, response in enumerate(responses):
        np.testing.assert_array_equal(arrays_of(response)["c"], expected(x, weights[number // 3]))


def test_streams_are_joined_by_the_weights_that_came_and_not_by_what_lay_there_before(held):
    x = numbers(1, 4, 8, 8)
    weights = [numbers(6, 4, 3, 3, seed=seed) for seed in (1, 2, 1, 2)]
    with held.held():
        calls = []
        for weight in weights:
            tensors = {"input": x, "c.weight": weight}
            messages = stream(header_of([CONV], tensors), tensors.values())
            calls.append(held.start("Run", *messages))
        held.wait_for_queue(4)
    for weight, each in zip(weights, calls, strict=True):
        responses = each.result()
        assert responses[-1].summary.batch_size == 2
        np.testing.assert_array_equal(arrays_of_stream(responses)["c"], expected(x, weight))


def test_large_weights_are_not_compared_and_such_calls_not_joined(held):
    layer = Conv(80, 3, bias=False, name="c")
    weight, x = numbers(80, 32, 3, 3, seed=1), numbers(1, 32, 4, 4)  # 90 KiB
    requests = [inline([layer], {"input": x, "c.weight": weight}) for _ in range(3)]
    responses = together(held, *requests, waiting=2)
    assert sizes(responses) == [1] * 3


def test_other_shapes_layouts_and_networks_are_other_kinds(held):
    x, last = numbers(1, 4, 8, 8), numbers(1, 8, 8, 4)
    requests = [
        inline([CONV], {"input": x, "c.weight": WEIGHT}),
        inline([CONV], {"input": numbers(1, 4, 8, 9), "c.weight": WEIGHT}),
        inline([CONV], {"input": last, "c.weight": WEIGHT}, layout="LAYOUT_CHANNELS_LAST"),
        inline([CONV, ReLU()], {"input": x, "c.weight": WEIGHT}),
    ]
    responses = together(held, *[request for request in requests for _ in range(2)])
    assert sizes(responses) == [2] * 8


def test_channels_last_is_joined_like_any_other(held):
    inputs = [numbers(rows, 8, 9, 4, seed=rows) for rows in (1, 2)]
    requests = [
        inline([CONV], {"input": x, "c.weight": WEIGHT}, layout="LAYOUT_CHANNELS_LAST")
        for x in inputs
    ]
    responses = together(held, *requests)
    assert sizes(responses) == [3, 3]
    for x, response in zip(inputs, responses, strict=True):
        first = expected(np.ascontiguousarray(np.moveaxis(x, -1, 1)))
        np.testing.assert_array_equal(arrays_of(response)["c"], np.moveaxis(first, 1, -1))


def test_several_outputs_go_to_those_who_asked(held):
    layers = [ReLU(name="r"), MaxPool(2, inputs="r", name="p"), Add(inputs=("r", "input"))]
    network = network_to_message(Network(layers, outputs=("add1", "p")))
    inputs = [numbers(rows, 2, 6, 6, seed=rows) for rows in (1, 3, 2)]
    responses = together(held, *[inline(network, {"input": x}) for x in inputs])
    assert sizes(responses) == [6] * 3
    for x, response in zip(inputs, responses, strict=True):
        results, relu = arrays_of(response), np.maximum(x, 0)
        np.testing.assert_array_equal(results["add1"], relu + x)
        pooled = relu.reshape(*x.shape[:2], 3, 2, 3, 2).max((3, 5))
        np.testing.assert_array_equal(results["p"], pooled)


def test_convolutions_of_integers_are_computed_alone_since_one_could_refuse_the_others(held):
    small, large = (np.full((1, 4, 8, 8), value, np.int64) for value in (1, 1 << 61))
    weight = np.ones((6, 4, 3, 3), np.int64)
    requests = [inline([CONV], {"input": x, "c.weight": weight}) for x in (small, large, small)]
    with held.held():
        calls = [held.start("RunInline", request) for request in requests]
        held.wait_for_queue(2)
    with pytest.raises(errors.InvalidArgumentError, match="overflow"):
        calls[1].result()
    for each in (calls[0], calls[2]):
        (response,) = each.result()
        assert response.summary.batch_size == 1
        np.testing.assert_array_equal(arrays_of(response)["c"], expected(small, weight))


def test_a_batch_invariant_call_runs_alone_and_gives_the_bits_of_a_lone_call(held):
    rng = np.random.default_rng(0)
    tensors = {
        "input": rng.standard_normal((1, 4, 8, 8)).astype(np.float32),
        "c.weight": rng.standard_normal((6, 4, 3, 3)).astype(np.float32),
    }
    alone = inline([CONV], tensors, batch_invariant=True)
    (lone,) = call(held.channel, "RunInline", alone)
    with held.held():
        joined = [held.start("RunInline", inline([CONV], tensors)) for _ in range(3)]
        held.wait_for_queue(3)
        single = [held.start("RunInline", alone) for _ in range(2)]
        held.wait_for_queue(5)
    assert sizes(each.result()[0] for each in joined) == [3] * 3
    for each in single:
        (response,) = each.result()
        assert response.summary.batch_size == 1
        assert response.data == lone.data


def test_who_gives_up_while_he_waits_is_not_in_the_batch(held):
    inputs = [numbers(1, 4, 8, 8, seed=seed) for seed in range(3)]
    requests = [inline([CONV], {"input": x, "c.weight": WEIGHT}) for x in inputs]
    with held.held():
        calls = [method(held.channel, "RunInline").future(each, timeout=60) for each in requests]
        held.wait_for_queue(3)
        calls[1].cancel()
        held.wait_for_queue(2)
    for x, each in ((inputs[0], calls[0]), (inputs[2], calls[2])):
        response = each.result()
        assert response.summary.batch_size == 2
        np.testing.assert_array_equal(arrays_of(response)["c"], expected(x))


def test_one_row_turns_batches_off(tmp_path):
    inputs = [numbers(1, 4, 8, 8, seed=seed) for seed in range(4)]
    requests = [inline([CONV], {"input": x, "c.weight": WEIGHT}) for x in inputs]
    with held_server(tmp_path, "--batch-rows=1") as lonely:
        responses = together(lonely, *requests, waiting=3)
    assert sizes(responses) == [1] * 4
    for x, response in zip(inputs, responses, strict=True):
        np.testing.assert_array_equal(arrays_of(response)["c"], expected(x))
