import numpy as np
import pytest
from convserve.layers import AvgPool, GlobalMaxPool, MaxPool
from convserve_server.engines.reference.engine import ReferenceEngine

from tests.running import run_once


def pool(layer, *values, dtype=np.float64):
    """The layer on one batch and one channel."""
    return run_once(ReferenceEngine(), layer, {"input": np.array([[values]], dtype)})[0, 0].tolist()


def test_padding_never_wins_a_maximum():
    assert pool(MaxPool(3, stride=1, padding=1), -5.0, -7.0, -6.0) == [-5, -5, -6]
    assert pool(MaxPool(2, stride=2, padding=1), -128, -3, dtype=np.int8) == [-128, -3]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_nan_wins_a_maximum(dtype):
    np.testing.assert_array_equal(pool(MaxPool(2), 1, np.nan, 3, 4, dtype=dtype), [np.nan, 4])
    np.testing.assert_array_equal(pool(GlobalMaxPool(), 1, np.nan, 3, dtype=dtype), [np.nan])


@pytest.mark.parametrize(
    ("include", "expected"), [(True, [1 / 2, 5 / 2, 9 / 2, 6 / 1]), (False, [1, 5 / 2, 9 / 2, 6])]
)
def test_the_divisor_of_a_mean(include, expected):
    """Padding counts if asked; what ceil_mode adds behind the padding never does."""
    layer = AvgPool(2, padding=((1, 0),), ceil_mode=True, count_include_pad=include)
    assert pool(layer, 1, 2, 3, 4, 5, 6) == expected


def test_a_mean_of_half_types_rounds_once():
    assert pool(AvgPool(4096), *[1.0] * 4096, dtype=np.float16) == [1]
