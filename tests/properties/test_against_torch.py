"""Random layers and operations, on every engine, against PyTorch and SciPy in double precision."""

import pytest
from convserve_server.engines import ENGINES, load_engine
from hypothesis import given
from hypothesis import strategies as st

from tests.properties.measure import LARGEST_ERROR, relative_error
from tests.properties.profile import ci
from tests.properties.random_cases import GENERATORS


@pytest.fixture(scope="module", params=ENGINES)
def engine(request):
    return load_engine(request.param)


@pytest.mark.parametrize("dtype", LARGEST_ERROR)
@pytest.mark.parametrize("kind", GENERATORS)
@ci
@given(rng=st.randoms(use_true_random=False))
def test_engine_agrees_in_shape_and_value(engine, kind, dtype, rng):
    case = GENERATORS[kind](rng, dtype)
    assert relative_error(engine, case) <= LARGEST_ERROR[dtype]
