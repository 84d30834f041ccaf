"""The reference engine against PyTorch and SciPy in double precision: an oracle needs one too."""

import attrs
import pytest
from convserve.layers import KINDS
from convserve.networks import Network
from convserve.operations import OPERATIONS
from convserve_server.engines.reference.engine import ReferenceEngine

from tests.conformance import torch_oracle
from tests.conformance.case import channels_first, run_case
from tests.conformance.cases import CASES
from tests.conformance.tolerances import assert_agree


def has_oracle(case):
    """Whether it is one step on floating or complex tensors of one type."""
    one_step = not isinstance(case.work, Network) or len(case.work.layers) == 1
    return one_step and not case.dtypes and case.dtype in ("float32", "complex64")


def in_double(case):
    """The same case in float64 or complex128."""
    return attrs.evolve(case, dtype="complex128" if case.dtype == "complex64" else "float64")


DOUBLE_CASES = [in_double(case) for case in CASES if has_oracle(case)]


@pytest.mark.parametrize("case", DOUBLE_CASES, ids=lambda case: case.name)
def test_reference_agrees_with_the_oracle(case):
    inputs = {name: channels_first(case, array) for name, array in case.input_arrays().items()}
    expected = torch_oracle.expected_result(case.compile(), inputs | case.weight_arrays())
    (actual,) = run_case(ReferenceEngine(), case).outputs.values()
    assert_agree(channels_first(case, actual), expected)


def test_the_oracle_knows_every_kind():
    assert set(torch_oracle.LAYERS) == set(KINDS.values())
    assert set(torch_oracle.OPERATIONS) == set(OPERATIONS.values())
