import numpy as np
import pytest
from convserve.operations import Convolve, Correlate
from convserve_server.engines.reference.engine import ReferenceEngine

from tests.running import run_once


def run(operation, a, v, dtype=np.int64):
    tensors = {"a": np.array(a, dtype), "v": np.array(v, dtype)}
    return run_once(ReferenceEngine(), operation, tensors).tolist()


def test_same_is_centred_on_the_first_operand():
    """MATLAB, for which even lengths centre one later, documents 15, 5, -9, 7, 6, 7, -1 here."""
    a, v = [-1, 2, 3, -2, 0, 1, 2], [2, 4, -1, 1]
    assert run(Convolve(), a, v) == [-2, 0, 15, 5, -9, 7, 6, 7, -1, 2]
    assert run(Convolve("same"), a, v) == [0, 15, 5, -9, 7, 6, 7]
    assert run(Convolve("same"), v, a) == [5, -9, 7, 6]


def test_correlate_conjugates_the_second_operand():
    assert run(Correlate("valid"), [1j], [1j], np.complex128) == [1]
    assert run(Correlate(), [1, 2], [0, 1]) == [1, 2, 0]


def test_integers_wrap_and_bools_ask_whether_any():
    assert run(Convolve(), [200], [2], np.uint8) == [144]
    assert run(Convolve(), [True, True], [True, True], np.bool_) == [True, True, True]


@pytest.mark.parametrize("operation", [Convolve(), Correlate()])
def test_a_nan_reaches_only_the_windows_that_hold_it(operation):
    full = run(operation, [np.nan, 1, 1, 1], [1, 1], np.float64)
    assert np.isnan(full).tolist() == [True, True, False, False, False]
