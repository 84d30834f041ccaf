"""The ends of the scale, where formulas overflow."""

import math

import numpy as np
import pytest
from convserve import layers
from convserve_server.engines.reference.engine import ReferenceEngine

from tests.running import run_once

INF, NAN = math.inf, math.nan


@pytest.mark.parametrize(
    ("layer", "x", "expected"),
    [
        (layers.ReLU(), [-INF, -1, 0, 1, INF, NAN], [0, 0, 0, 1, INF, NAN]),
        (layers.ReLU6(), [-1, 3, 7, INF, NAN], [0, 3, 6, 6, NAN]),
        (layers.LeakyReLU(0.5), [-INF, -2, 2, NAN], [-INF, -1, 2, NAN]),
        (layers.Sigmoid(), [-INF, -1000, 0, 1000, NAN], [0, 0, 0.5, 1, NAN]),
        (layers.SiLU(), [-1000, 0, 1000, NAN], [0, 0, 1000, NAN]),
        (layers.Tanh(), [-1000, 0, 1000, NAN], [-1, 0, 1, NAN]),
        (layers.GELU(), [-1000, 0, 1000, NAN], [0, 0, 1000, NAN]),
        (layers.ELU(2.0), [-1000, 0, 1000, NAN], [-2, 0, 1000, NAN]),
        (layers.Softplus(2.0), [-1000, 0, 1000, NAN], [0, math.log(2) / 2, 1000, NAN]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_extremes(layer, x, expected):
    y = run_once(ReferenceEngine(), layer, {"input": np.array([[x]], np.float64)})
    np.testing.assert_array_equal(y, [[expected]])


def test_softmax_of_large_values():
    y = run_once(ReferenceEngine(), layers.Softmax(), {"input": np.array([[1000.0, 1000.0]])})
    np.testing.assert_array_equal(y, [[0.5, 0.5]])
