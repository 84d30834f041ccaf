"""Two ways to compute one thing, on every engine. The names are those of `seed_cases.json`."""

import numpy as np
import pytest
from convserve.layers import Conv, ConvTranspose, Dense
from convserve_server.engines import ENGINES, load_engine

from tests.running import run_once

rng = np.random.default_rng(20)


@pytest.fixture(scope="module", params=ENGINES)
def run(request):
    """Runs a layer on integers, whose results are exact: `run(layer, x, weight, bias)`."""
    engine = load_engine(request.param)

    def run_layer(layer, x, *weights):
        names = (f"{layer.name}.weight", f"{layer.name}.bias")
        return run_once(engine, layer, {"input": x, **dict(zip(names, weights, strict=False))})

    return run_layer


def integers(*shape):
    return rng.integers(-9, 10, shape).astype(np.float64)


def test_s0_10_causal_is_padding_both_ends_and_dropping_the_last_outputs(run):
    x, weight = integers(2, 1, 10), integers(1, 1, 3)
    causal = run(Conv(1, 3, padding="causal", bias=False, name="c"), x, weight)
    padded = run(Conv(1, 3, padding=2, bias=False, name="c"), x, weight)
    np.testing.assert_array_equal(causal, padded[:, :, :-2])


def test_s0_14_transposed_is_a_flipped_kernel_over_an_input_with_gaps(run):
    x, weight = integers(2, 1, 5), integers(1, 1, 3)
    gaps = np.zeros((2, 1, 9))
    gaps[:, :, ::2] = x
    transposed = run(ConvTranspose(1, 3, stride=2, padding=1, bias=False, name="t"), x, weight)
    plain = run(Conv(1, 3, padding=3 - 1 - 1, bias=False, name="c"), gaps, np.flip(weight))
    np.testing.assert_array_equal(transposed, plain)


def test_s0_33_a_kernel_of_1_is_a_dense_layer_at_each_position(run):
    x, weight, bias = integers(2, 8, 5), integers(4, 8), integers(4)
    conv = run(Conv(4, 1, name="c"), x, weight[:, :, None], bias)
    positions = np.moveaxis(x, 1, -1).reshape(-1, 8)
    dense = run(Dense(4, name="d"), positions, weight, bias)
    np.testing.assert_array_equal(np.moveaxis(conv, 1, -1).reshape(-1, 4), dense)


def test_s2_01_a_flat_kernel_in_3d_is_a_2d_convolution_of_each_frame(run):
    x, weight, bias = integers(2, 1, 5, 12, 11), integers(6, 1, 1, 3, 3), integers(6)
    whole = run(Conv(6, (1, 3, 3), name="c"), x, weight, bias)
    frames = run(Conv(6, 3, name="c"), x.reshape(10, 1, 12, 11), weight[:, :, 0], bias)
    np.testing.assert_array_equal(np.moveaxis(whole, 1, 2).reshape(frames.shape), frames)


def test_s4_04_a_kernel_of_ones_is_a_moving_sum_over_all_features(run):
    x = integers(1, 9, 128)
    ones = run(Conv(1, 3, bias=False, name="c"), x, np.ones((1, 9, 3)))
    features = x.sum(axis=1, keepdims=True)
    moving = features[:, :, :-2] + features[:, :, 1:-1] + features[:, :, 2:]
    np.testing.assert_array_equal(ones, moving)
