"""Values known from elsewhere, so that the oracle does not rest on its own formulas."""

import numpy as np
import pytest
from convserve.errors import InvalidArgumentError
from convserve.layers import Conv, ConvTranspose, Dense
from convserve.operations import ConvInputGradient, ConvWeightGradient
from convserve_server.engines.reference.engine import ReferenceEngine

from tests.running import run_once


def run(work, **tensors):
    arrays = {name.replace("__", "."): np.asarray(array) for name, array in tensors.items()}
    return run_once(ReferenceEngine(), work, arrays)


def row(*values, dtype=np.float64):
    """One batch, one channel."""
    return np.array([[values]], dtype)


def test_conv_does_not_flip_its_kernel():
    y = run(Conv(1, 2, bias=False), input=row(1, 2, 3), conv1__weight=row(10, 1))
    np.testing.assert_array_equal(y, row(12, 23))


def test_causal_conv_with_stride_starts_at_the_first_element():
    layer = Conv(1, 3, stride=2, padding="causal", bias=False)
    y = run(layer, input=row(*range(1, 7)), conv1__weight=row(1, 1, 1))
    np.testing.assert_array_equal(y, row(1, 6, 12))


@pytest.mark.parametrize(
    ("padding", "expected"),
    [("same_upper", (1, 2, 13, 20)), ("same_lower", (2, 13, 20, 30)), (0, (1, 2, 13, 20, 30))],
)
def test_same_transposed_conv_cuts_the_larger_half_as_it_is_named(padding, expected):
    layer = ConvTranspose(1, 3, stride=2, padding=padding, bias=False)
    y = run(layer, input=row(1, 10), conv_transpose1__weight=row(1, 2, 3))
    np.testing.assert_array_equal(y, row(*expected))


def test_groups_do_not_mix():
    x = np.arange(4.0).reshape(1, 4, 1)
    weight = np.array([[[1.0], [10.0]], [[100.0], [1000.0]]])  # two groups of two channels
    y = run(Conv(2, 1, groups=2, bias=False), input=x, conv1__weight=weight)
    np.testing.assert_array_equal(y.ravel(), [10, 3200])


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("reflect", (2, 1, 2, 3, 2)), ("replicate", (1, 1, 2, 3, 3)), ("circular", (3, 1, 2, 3, 1))],
)
def test_borders(mode, expected):
    layer = Conv(1, 1, padding=1, padding_mode=mode, bias=False)
    y = run(layer, input=row(1, 2, 3), conv1__weight=row(1))
    np.testing.assert_array_equal(y, row(*expected))


def test_half_types_round_once():
    """In float16 a sum of ones stops at 2048."""
    ones = row(*[1] * 4096, dtype=np.float16)
    y = run(Conv(1, 4096, bias=False), input=ones, conv1__weight=ones)
    assert y.dtype == np.float16
    assert y.item() == 4096


def test_gradients_of_complex_tensors_are_adjoint():
    weight, x, grad = (row(value, dtype=np.complex128) for value in (1 + 2j, 3 - 1j, 1j))
    by_input = ConvInputGradient(input_shape=(1, 1, 1))
    assert run(by_input, grad_output=grad, weight=weight).item() == 1j * (1 - 2j)
    by_weight = ConvWeightGradient(kernel_size=1)
    assert run(by_weight, x=x, grad_output=grad).item() == 1j * (3 + 1j)


def test_integers_are_exact_where_floats_are_not():
    x = np.array([[[2**53 + 1, 1]]], np.int64)
    y = run(Conv(1, 2, bias=False), input=x, conv1__weight=np.array([[[1, 1]]], np.int64))
    assert y.item() == 2**53 + 2


HUGE = np.full((1, 2, 3), 2**31, np.int64)


@pytest.mark.parametrize(
    ("work", "tensors", "field"),
    [
        (Conv(1, 1, bias=False), {"input": HUGE, "conv1.weight": HUGE[:, :, :1]}, "conv1.weight"),
        (
            ConvTranspose(1, 1, bias=False),
            {"input": HUGE, "conv_transpose1.weight": HUGE[:, :, :1].transpose(1, 0, 2)},
            "conv_transpose1.weight",
        ),
        (Dense(1, bias=False), {"input": HUGE[0], "dense1.weight": HUGE[0, :1]}, "dense1.weight"),
        (
            ConvInputGradient(input_shape=(1, 3, 3)),
            {"grad_output": HUGE, "weight": np.broadcast_to(HUGE[:, :1, :1], (2, 3, 1))},
            "weight",
        ),
        (ConvWeightGradient(kernel_size=1), {"x": HUGE, "grad_output": HUGE}, "grad_output"),
    ],
    ids=["conv", "conv_transpose", "dense", "input_gradient", "weight_gradient"],
)
def test_integer_sums_that_could_overflow_are_refused(work, tensors, field):
    with pytest.raises(InvalidArgumentError, match="integer overflow") as caught:
        run_once(ReferenceEngine(), work, tensors)
    assert caught.value.field == f"tensors['{field}']"
