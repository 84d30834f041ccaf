"""Every call of the client, blocking and awaiting, against a live server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import convserve_client as cs
import ml_dtypes
import numpy as np
import pytest
import scipy.signal
import torch
from torch.nn import functional

from tests.clients import KINDS, connected, unload_model
from tests.server import RunningServer, start_server


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with start_server() as running:
        yield running


@pytest.fixture(params=KINDS)
def client(request: pytest.FixtureRequest, server: RunningServer) -> Iterator[Any]:
    with connected(request.param, server.address) as connection:
        yield connection


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20)


def torch_conv(x: np.ndarray, weight: np.ndarray, *args: Any, **kwargs: Any) -> np.ndarray:
    return functional.conv2d(torch.from_numpy(x), torch.from_numpy(weight), *args, **kwargs).numpy()


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
def test_conv(client, rng, dtype) -> None:
    x = rng.standard_normal((2, 4, 9, 8)).astype(dtype)
    weight = rng.standard_normal((6, 2, 3, 2)).astype(dtype)
    y = client.conv(x, weight, stride=2, padding=1, groups=2)
    expected = torch_conv(x, weight, None, 2, 1, 1, 2)
    assert y.dtype == dtype
    assert y.flags.owndata
    assert y.flags.writeable
    assert y.flags.c_contiguous
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


def test_conv_of_integers_is_exact(client, rng) -> None:
    x = rng.integers(-128, 128, (1, 3, 6, 6), np.int8)
    weight = rng.integers(-128, 128, (2, 3, 3, 3), np.int8)
    y = client.conv(x, weight)
    assert y.dtype == np.int32
    expected = torch_conv(x.astype(np.float64), weight.astype(np.float64))
    np.testing.assert_array_equal(y, expected.astype(np.int32))


def test_conv_of_bfloat16(client, rng) -> None:
    x = rng.integers(-4, 5, (1, 2, 5, 5)).astype(ml_dtypes.bfloat16)
    weight = rng.integers(-1, 2, (2, 2, 3, 3)).astype(ml_dtypes.bfloat16)
    y = client.conv(x, weight)
    assert y.dtype == ml_dtypes.bfloat16
    expected = torch_conv(x.astype(np.float32), weight.astype(np.float32))
    np.testing.assert_array_equal(y.astype(np.float32), expected)


def test_conv_takes_what_numpy_and_dlpack_take(client) -> None:
    y = client.conv([[[1.0, 2.0, 3.0]]], torch.ones(1, 1, 2, dtype=torch.float64))
    np.testing.assert_array_equal(y, [[[3.0, 5.0]]])


def test_conv_takes_arrays_of_any_memory_order(client, rng) -> None:
    x = rng.random((2, 3, 7, 7), np.float32)
    weight = rng.random((4, 3, 3, 3), np.float32)
    expected = torch_conv(x, weight)
    for other in (np.asfortranarray(x), x.astype(">f4"), np.repeat(x, 2, 3)[..., ::2]):
        np.testing.assert_allclose(client.conv(other, weight), expected, rtol=1e-5)


def test_conv_without_a_batch(client, rng) -> None:
    x = rng.random((3, 6, 6), np.float32)
    weight = rng.random((4, 3, 3, 3), np.float32)
    y = client.conv(x, weight)
    assert y.shape == (4, 4, 4)
    np.testing.assert_allclose(y, torch_conv(x[None], weight)[0], rtol=1e-5)


def test_conv_of_an_empty_batch(client) -> None:
    y = client.conv(np.ones((0, 3, 6, 6), np.float32), np.ones((4, 3, 3, 3), np.float32))
    assert y.shape == (0, 4, 4, 4)


def test_conv_into_an_array(client, rng) -> None:
    x = rng.random((1, 3, 6, 6), np.float32)
    weight = rng.random((4, 3, 3, 3), np.float32)
    out = np.empty((1, 4, 4, 4), np.float32)
    assert client.conv(x, weight, out=out) is out
    np.testing.assert_allclose(out, torch_conv(x, weight), rtol=1e-5)


def test_conv_with_channels_last(client, rng) -> None:
    x = rng.random((2, 5, 6, 3), np.float32)
    weight = rng.random((4, 3, 3, 3), np.float32)
    y = client.conv(x, weight, layout="channels_last")
    expected = torch_conv(np.ascontiguousarray(x.transpose(0, 3, 1, 2)), weight)
    np.testing.assert_allclose(y, expected.transpose(0, 2, 3, 1), rtol=1e-5)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_conv_with_a_padding_mode(client, rng, mode) -> None:
    x = rng.random((1, 2, 6, 6), np.float32)
    weight = rng.random((3, 2, 3, 3), np.float32)
    padded = functional.pad(torch.from_numpy(x), (1, 1, 1, 1), mode=mode).numpy()
    y = client.conv(x, weight, padding=1, padding_mode=mode)
    np.testing.assert_allclose(y, torch_conv(padded, weight), rtol=1e-5)


@pytest.mark.parametrize("activation", ["relu", "gelu", "silu", "tanh"])
def test_conv_with_bias_and_activation(client, rng, activation) -> None:
    x = rng.standard_normal((1, 2, 6, 6)).astype(np.float32)
    weight = rng.standard_normal((3, 2, 3, 3)).astype(np.float32)
    bias = rng.standard_normal(3).astype(np.float32)
    y = client.conv(x, weight, bias, activation=activation)
    before = torch.from_numpy(torch_conv(x, weight, torch.from_numpy(bias)))
    expected = getattr(torch, activation, None) or getattr(functional, activation)
    np.testing.assert_allclose(y, expected(before).numpy(), rtol=1e-4, atol=1e-5)


def test_conv_transpose(client, rng) -> None:
    x = rng.random((4, 5), np.float32)
    weight = rng.random((4, 3, 3), np.float32)
    y = client.conv_transpose(x, weight, stride=2, padding=1, output_size=10)
    expected = functional.conv_transpose1d(
        torch.from_numpy(x), torch.from_numpy(weight), None, 2, 1, 1
    )
    assert y.shape == (3, 10)
    np.testing.assert_allclose(y, expected.numpy(), rtol=1e-5)


@pytest.mark.parametrize("kind", ["max", "avg"])
def test_pool(client, rng, kind) -> None:
    x = rng.random((1, 2, 7, 7), np.float32)
    y = client.pool(x, kind, 3, 2, 1, ceil_mode=True)
    expected = getattr(functional, f"{kind}_pool2d")(torch.from_numpy(x), 3, 2, 1, ceil_mode=True)
    np.testing.assert_allclose(y, expected.numpy(), rtol=1e-6)


def test_gradients(client, rng) -> None:
    x = torch.from_numpy(rng.random((2, 3, 6, 6))).requires_grad_()
    weight = torch.from_numpy(rng.random((4, 3, 3, 3))).requires_grad_()
    y = functional.conv2d(x, weight, None, 2, 1)
    grad = torch.from_numpy(rng.random(tuple(y.shape)))
    y.backward(grad)
    assert x.grad is not None
    assert weight.grad is not None
    gx = client.conv_input_gradient(grad, weight.detach(), (2, 3, 6, 6), stride=2, padding=1)
    gw = client.conv_weight_gradient(x.detach(), grad, 3, stride=2, padding=1)
    np.testing.assert_allclose(gx, x.grad.numpy())
    np.testing.assert_allclose(gw, weight.grad.numpy())
    unbatched = client.conv_input_gradient(grad[0], weight.detach(), (3, 6, 6), stride=2, padding=1)
    np.testing.assert_allclose(unbatched, gx[0])


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
def test_signals(client, rng, mode) -> None:
    a = rng.standard_normal((9, 7)) + 1j * rng.standard_normal((9, 7))
    v = rng.standard_normal((4, 3))
    np.testing.assert_allclose(client.convolve(a, v, mode), scipy.signal.convolve(a, v, mode))
    np.testing.assert_allclose(client.correlate(a, v, mode), scipy.signal.correlate(a, v, mode))


def test_plan(client) -> None:
    plan = client.plan([cs.Conv(8, 3, padding="same"), cs.ReLU(), cs.MaxPool(2)], ("N", 3, 32, 32))
    assert plan.output_shape == ("N", 8, 16, 16)
    assert plan.parameter_count == 8 * 3 * 9 + 8
    assert plan.mac_count == 8 * 3 * 9 * 32 * 32
    assert plan.receptive_field.size == (4, 4)
    assert plan.layers[0].explanation
    assert "conv1" in str(plan)
    assert plan.symbolic_batch


def test_a_plan_of_sizes_beyond_64_bits_is_refused(client) -> None:
    with pytest.raises(cs.TooLargeError):
        client.plan(cs.ReLU(), (2**31 - 1, 2**31 - 1, 2**31 - 1))


def test_a_graph_with_two_outputs(client, rng) -> None:
    network = cs.Network(
        [
            cs.Conv(2, 3, name="stem", bias=False),
            cs.ReLU(name="left", inputs="stem"),
            cs.Tanh(name="right", inputs="stem"),
        ]
    )
    x = rng.standard_normal((1, 2, 5, 5)).astype(np.float32)
    weight = rng.standard_normal((2, 2, 3, 3)).astype(np.float32)
    outputs = client.run(network, x, {"stem.weight": weight})
    before = torch_conv(x, weight)
    assert list(outputs) == ["left", "right"]
    np.testing.assert_allclose(outputs["left"], before.clip(0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(outputs["right"], np.tanh(before), rtol=1e-4, atol=1e-6)


def test_a_graph_with_two_inputs(client) -> None:
    network = cs.Network([cs.Add(inputs=("a", "b"))], inputs=("a", "b"))
    ones = np.ones((1, 2, 3), np.float32)
    np.testing.assert_array_equal(client.run(network, {"a": ones, "b": ones}), ones + ones)


def test_large_tensors_travel_in_streams(client, rng) -> None:
    x = rng.random((2, 1, 1024, 1024), np.float32)
    out = np.empty_like(x)
    assert client.conv(x, np.full((1, 1, 1, 1), 2, np.float32), out=out) is out
    np.testing.assert_array_equal(out, 2 * x)
    np.testing.assert_array_equal(client.conv(x, np.full((1, 1, 1, 1), 2, np.float32)), 2 * x)


def test_small_inputs_with_large_results(client) -> None:
    y = client.run(cs.Upsample(64), np.ones((1, 1, 16, 16), np.float32))
    assert y.shape == (1, 1, 1024, 1024)
    assert y.all()


def test_a_model_is_loaded_called_and_closed(client, rng) -> None:
    x = rng.random((1, 2, 5, 5), np.float32)
    weight = rng.random((3, 2, 3, 3), np.float32)
    with client.load(cs.Conv(3, 3, bias=False), {"conv1.weight": weight}) as model:
        np.testing.assert_allclose(model(x), torch_conv(x, weight), rtol=1e-5)
        assert model.id in [each.id for each in client.models()]
    assert client.models() == ()
    model.close()
    with pytest.raises(cs.FailedPreconditionError, match="closed"):
        model(x)


def test_a_model_is_called_by_its_id_in_the_layout_it_was_loaded_with(client, rng) -> None:
    x = rng.random((2, 7, 6, 4), np.float32)
    weight = rng.random((3, 4, 3, 3), np.float32)
    layer = cs.Conv(3, 3, bias=False)
    with client.load(layer, {"conv1.weight": weight}, layout="channels_last") as loaded:
        y = client.model(loaded.id)(x)
    expected = torch_conv(np.ascontiguousarray(np.moveaxis(x, -1, 1)), weight)
    np.testing.assert_allclose(y, np.moveaxis(expected, 1, -1), rtol=1e-5)


def test_a_model_unloaded_behind_its_back_is_loaded_again(client, server, rng) -> None:
    x = rng.random((1, 2, 5, 5), np.float32)
    weight = rng.random((3, 2, 3, 3), np.float32)
    with client.load(cs.Conv(3, 3, bias=False), {"conv1.weight": weight}) as model:
        first, expected = model.id, model(x)
        unload_model(server.address, first)
        np.testing.assert_array_equal(model(x), expected)
        assert model.id != first
        unload_model(server.address, model.id)


def test_a_trace_collects_the_calls_of_its_context(client) -> None:
    x, weight = np.ones((1, 1, 4), np.float32), np.ones((1, 1, 2), np.float32)
    with client.trace() as calls:
        client.conv(x, weight, activation="relu")
        client.convolve([1.0, 2.0], [1.0])
    client.conv(x, weight)
    assert [[step.name for step in call.steps] for call in calls] == [
        ["conv1", "relu1"],
        ["convolve"],
    ]
    assert all(call.steps[0].algorithm and call.device == "cpu" for call in calls)
    assert len({call.request_id for call in calls}) == 2


def test_info_and_devices(client) -> None:
    info = client.info()
    assert info.version == cs.__version__
    assert info.limits.max_inline_bytes == 1 << 20
    here, others = client.devices()[: len(info.devices)], client.devices()[len(info.devices) :]
    assert here == info.devices
    assert {"h200", "l4"} <= {device.name for device in others}
    assert not any(device.available for device in others)
    assert info.devices[0].name == "cpu"


WRONG: dict[str, tuple[Any, type[cs.ConvserveError], str]] = {
    "groups": (
        lambda c: c.conv(np.ones((1, 3, 5, 5)), np.ones((2, 1, 3, 3)), groups=2),
        cs.InvalidArgumentError,
        "conv.groups",
    ),
    "kernel": (
        lambda c: c.conv(np.ones((1, 1, 2, 2)), np.ones((1, 1, 3, 3))),
        cs.InvalidArgumentError,
        "conv",
    ),
    "weights": (
        lambda c: c.run(cs.Conv(1, 1), np.ones((1, 1, 2)), {"conv1.wait": np.ones((1, 1, 1))}),
        cs.InvalidNetworkError,
        "",
    ),
    "rank": (lambda c: c.convolve([1.0], [[1.0]]), cs.ShapeError, ""),
    "device": (
        lambda c: c.pool(np.ones((1, 1, 4)), device="abacus"),
        cs.DeviceNotFoundError,
        "device",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_errors_of_the_server_have_their_class_and_field(client, name) -> None:
    call, kind, field = WRONG[name]
    with pytest.raises(kind) as caught:
        call(client)
    assert field in caught.value.field
    assert caught.value.__cause__ is not None


def test_an_out_that_does_not_fit_a_stream(client) -> None:
    x = np.zeros((1, 1, 600, 600), np.float32)
    with pytest.raises(cs.ShapeError, match=r"\(1, 1, 600, 600\)"):
        client.pool(x, out=x)
    np.testing.assert_array_equal(client.pool(x), np.zeros((1, 1, 300, 300)))


def test_100_threads_share_one_client(server, rng) -> None:
    weight = rng.random((2, 1, 3), np.float32)
    inputs = [rng.random((1, 1, 20), np.float32) for _ in range(100)]
    with (
        cs.connect(server.address) as client,
        client.load(cs.Conv(2, 3, bias=False), {"conv1.weight": weight}) as model,
        ThreadPoolExecutor(100) as pool,
    ):
        from_calls = list(pool.map(lambda x: client.conv(x, weight), inputs))
        from_model = list(pool.map(model, inputs))
    for x, y, z in zip(inputs, from_calls, from_model, strict=True):
        expected = functional.conv1d(torch.from_numpy(x), torch.from_numpy(weight)).numpy()
        np.testing.assert_allclose(y, expected, rtol=1e-5)
        np.testing.assert_array_equal(y, z)


def test_64_threads_send_small_and_large_calls(server, rng) -> None:
    sizes = [4, 6, 8, 600] * 32  # the last of them travel in streams
    inputs = [rng.random((1, 1, size, size), np.float32) for size in sizes]
    with cs.connect(server.address) as client, ThreadPoolExecutor(64) as pool:
        results = list(pool.map(client.pool, inputs))
    for x, y in zip(inputs, results, strict=True):
        np.testing.assert_array_equal(y, functional.max_pool2d(torch.from_numpy(x), 2).numpy())


def test_closing_a_client_ends_the_calls_of_its_threads(server) -> None:
    called = threading.Barrier(9)

    def call_until_closed(client: cs.Client) -> cs.ConvserveError:
        client.pool(np.ones((1, 1, 2, 2)))
        called.wait(timeout=60)
        while True:
            try:
                client.pool(np.ones((1, 1, 2, 2)))
            except cs.ConvserveError as error:
                return error

    with cs.connect(server.address) as client, ThreadPoolExecutor(8) as pool:
        ends = [pool.submit(call_until_closed, client) for _ in range(8)]
        called.wait(timeout=60)
        client.close()
        errors = [end.result(timeout=60) for end in ends]
    kinds = (cs.FailedPreconditionError, cs.CallCancelledError)
    assert [error for error in errors if not isinstance(error, kinds)] == []
