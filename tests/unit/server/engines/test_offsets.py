"""Deformable convolution by hand, on every engine, and with offsets that lead nowhere."""

import numpy as np
import pytest
from convserve.layers import Conv, DeformConv
from convserve.networks import Network
from convserve_server.engines import ENGINES, load_engine

from tests.running import run_once

X = np.arange(9, dtype=np.float32).reshape(1, 1, 3, 3)
ONE = np.ones((1, 1, 1, 1), np.float32)


@pytest.fixture(scope="module", params=ENGINES)
def engine(request):
    return load_engine(request.param)


def read_at(engine, rows, columns, mask=None):
    """What a kernel of size 1 reads where every output's offset is (rows, columns)."""
    offset = np.empty((1, 2, 3, 3), np.float32)
    offset[:, 0], offset[:, 1] = rows, columns
    inputs = {"x": X, "o": offset} | ({} if mask is None else {"m": mask})
    layer = DeformConv(1, 1, bias=False, name="d", inputs=tuple(inputs))
    network = Network([layer], inputs=tuple(inputs))
    return run_once(engine, network, {**inputs, "d.weight": ONE})[0, 0]


def test_offsets_are_rows_and_then_columns(engine):
    np.testing.assert_array_equal(read_at(engine, 1, 0), [[3, 4, 5], [6, 7, 8], [0, 0, 0]])
    np.testing.assert_array_equal(read_at(engine, 0, 1), [[1, 2, 0], [4, 5, 0], [7, 8, 0]])


def test_between_elements_it_interpolates_and_outside_are_zeros(engine):
    np.testing.assert_array_equal(
        read_at(engine, 0.5, 0.5), [[2, 3, 1.75], [5, 6, 3.25], [3.25, 3.75, 2]]
    )
    np.testing.assert_array_equal(
        read_at(engine, -0.5, 0), [[0, 0.5, 1], [1.5, 2.5, 3.5], [4.5, 5.5, 6.5]]
    )


def test_a_mask_multiplies_what_is_read(engine):
    mask = np.full((1, 1, 3, 3), 0.5, np.float32)
    np.testing.assert_array_equal(read_at(engine, 0, 0, mask), X[0, 0] / 2)


def test_without_offsets_it_is_a_convolution(engine):
    weight = np.arange(36, dtype=np.float32).reshape(2, 2, 3, 3) - 18
    x = np.concatenate([X, X[..., ::-1]], axis=1)
    layer = DeformConv(2, 3, padding=1, bias=False, name="d", inputs=("x", "o"))
    inputs = {"x": x, "o": np.zeros((1, 18, 3, 3), np.float32)}
    deformed = run_once(engine, Network([layer], inputs=("x", "o")), {**inputs, "d.weight": weight})
    plain = Conv(2, 3, padding=1, bias=False, name="c")
    expected = run_once(engine, plain, {"input": x, "c.weight": weight})
    np.testing.assert_array_equal(deformed, expected)


@pytest.mark.parametrize("offset", [np.nan, np.inf, -np.inf, 1e30, -1e30, 2.0**31, -(2.0**63)])
def test_offsets_that_lead_nowhere_read_zeros(engine, offset):
    assert not read_at(engine, offset, 0).any()
    assert not read_at(engine, 0, offset).any()
