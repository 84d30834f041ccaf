"""8-bit convolutions by hand, on every engine: zero points, rounding, saturation, overflow."""

import numpy as np
import pytest
from convserve.errors import InvalidArgumentError
from convserve.layers import IntegerConv, QuantizedConv
from convserve_server.engines import ENGINES, load_engine

from tests.running import run_once


@pytest.fixture(scope="module", params=ENGINES)
def engine(request):
    return load_engine(request.param)


def integer_tensors(x, weight, x_zero=0, weight_zero=(0,)):
    return {
        "input": np.array([[x]], np.uint8),
        "c.weight": np.array([[weight]], np.int8),
        "c.input_zero_point": np.array([x_zero], np.uint8),
        "c.weight_zero_point": np.array(weight_zero, np.int8),
    }


def quantized_tensors(values, multiplier, zero_point=0, dtype=np.int8, bias=0):
    """One weight of 1 and all scales 1, but that of the input."""
    return {
        "input": np.array([[values]], np.int8),
        "c.weight": np.ones((1, 1, 1), np.int8),
        "c.bias": np.array([bias], np.int32),
        "c.input_scale": np.full(1, multiplier, np.float32),
        "c.input_zero_point": np.zeros(1, np.int8),
        "c.weight_scale": np.ones(1, np.float32),
        "c.weight_zero_point": np.zeros(1, np.int8),
        "c.output_scale": np.ones(1, np.float32),
        "c.output_zero_point": np.array([zero_point], dtype),
    }


def test_onnx_example_of_conv_integer(engine):
    """The example `basic_convinteger` of ONNX: 2 to 10 less 1, and a window of ones."""
    tensors = {
        "input": np.arange(2, 11, dtype=np.uint8).reshape(1, 1, 3, 3),
        "c.weight": np.ones((1, 1, 2, 2), np.uint8),
        "c.input_zero_point": np.array([1], np.uint8),
        "c.weight_zero_point": np.array([0], np.uint8),
    }
    y = run_once(engine, IntegerConv(1, 2, name="c"), tensors)
    np.testing.assert_array_equal(y, np.array([[[[12, 16], [24, 28]]]], np.int32))
    padded = run_once(engine, IntegerConv(1, 2, padding=1, name="c"), tensors)
    assert padded[0, 0].tolist() == [[1, 3, 5, 3], [5, 12, 16, 9], [11, 24, 28, 15], [7, 15, 17, 9]]


def test_padding_is_the_input_s_zero_point(engine):
    tensors = integer_tensors([7, 7, 7], [1, 2, -3], x_zero=7, weight_zero=[5])
    assert not run_once(engine, IntegerConv(1, 3, padding=3, name="c"), tensors).any()


def test_the_extremes_of_both_types_are_exact(engine):
    tensors = integer_tensors([255] * 4, [-128] * 4, weight_zero=[127])
    y = run_once(engine, IntegerConv(1, 4, name="c"), tensors)
    assert y.tolist() == [[[4 * 255 * -255]]]


def test_sums_beyond_int32_are_refused(engine):
    count = 2**31 // 255**2 + 1
    tensors = integer_tensors([255] * count, [-128] * count, weight_zero=[127])
    with pytest.raises(InvalidArgumentError, match="integer overflow") as caught:
        run_once(engine, IntegerConv(1, count, name="c"), tensors)
    assert caught.value.field == "tensors['c.weight']"


def test_halves_round_to_even_and_results_are_cut(engine):
    layer = QuantizedConv(1, 1, name="c")
    y = run_once(engine, layer, quantized_tensors([1, 3, 5, -1, -3, 127, -128], 0.5))
    assert y[0, 0].tolist() == [0, 2, 2, 0, -2, 64, -64]
    y = run_once(engine, layer, quantized_tensors([1, 100, -100], 2, zero_point=3, bias=1))
    assert y[0, 0].tolist() == [2 * 2 + 3, 127, -128]


def test_the_output_has_the_type_of_its_zero_point(engine):
    tensors = quantized_tensors([1, 100, -100], 2, zero_point=100, dtype=np.uint8)
    y = run_once(engine, QuantizedConv(1, 1, name="c"), tensors)
    assert (y.dtype, y[0, 0].tolist()) == (np.uint8, [102, 255, 0])


def test_a_sum_beyond_float32_is_exact(engine):
    """(2^24 + 1) / 2^25 is above a half, and 2^24 / 2^25 is a half, which rounds to even."""
    tensors = quantized_tensors([0, -1], 2.0**-25, bias=2**24 + 1)
    assert run_once(engine, QuantizedConv(1, 1, name="c"), tensors)[0, 0].tolist() == [1, 0]


@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan, np.inf])
def test_a_scale_that_is_none_is_refused(engine, scale):
    tensors = quantized_tensors([1], 1)
    tensors["c.output_scale"] *= np.float32(scale)
    with pytest.raises(InvalidArgumentError, match="finite number above 0") as caught:
        run_once(engine, QuantizedConv(1, 1, name="c"), tensors)
    assert caught.value.field == "tensors['c.output_scale']"
