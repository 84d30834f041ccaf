"""Convolution and correlation of signals against NumPy and SciPy, on every engine."""

import numpy as np
import pytest
from convserve.operations import Convolve, operation_kind
from convserve.tensors import DTYPES
from convserve_server.engines import ENGINES, load_engine
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal

from tests.conformance.builders import operation_case
from tests.conformance.case import run_case
from tests.conformance.tolerances import assert_agree
from tests.properties.random_cases import random_name, random_signal

randoms = st.randoms(use_true_random=False)
INTEGERS = [name for name in DTYPES if "int" in name]
WHOLE_RANGE = (-(2**63), 2**63 - 1)


@pytest.fixture(scope="module", params=ENGINES)
def engine(request):
    return load_engine(request.param)


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@given(rng=randoms)
def test_numpy_convolve(engine, mode, rng):
    v = rng.randint(1, 300)
    a = v + rng.randint(0, 300)  # NumPy's `same` is the longer one's length, SciPy's the first's
    case = operation_case(random_name(rng), Convolve(mode), (a,), (v,), dtype="float64")
    expected = np.convolve(*case.input_arrays().values(), mode)
    assert_agree(run_case(engine, case).outputs["output"], expected)


@pytest.mark.parametrize("dtype", [*INTEGERS, "complex64", "complex128"])
@given(rng=randoms)
def test_scipy_direct(engine, dtype, rng):
    """Integers wrap around as SciPy's do, so that they are equal over their whole range."""
    case = random_signal(rng, dtype)
    case = operation_case(
        case.name, case.work, *case.inputs.values(), dtype=dtype, integers=WHOLE_RANGE
    )
    function = getattr(signal, operation_kind(case.work))
    expected = function(*case.input_arrays().values(), case.work.mode, "direct")
    assert_agree(run_case(engine, case).outputs["output"], expected)
