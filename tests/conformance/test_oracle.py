"""The reference engine against PyTorch and SciPy in double precision: an oracle needs one too."""

import attrs
import pytest
from convserve.networks import Network
from convserve_server.engines.reference.engine import ReferenceEngine

from tests.conformance import torch_oracle
from tests.conformance.case import channels_first, run_case
from tests.conformance.cases import CASES
from tests.conformance.tolerances import assert_agree

KNOWN = torch_oracle.LAYERS.keys() | torch_oracle.OPERATIONS.keys()


def kinds(case):
    """The classes of its layers, or of its operation."""
    steps = case.work.layers if isinstance(case.work, Network) else (case.work,)
    return [type(step) for step in steps]


def has_oracle(case):
    """Whether it is one step that the oracle knows, on floating or complex tensors of one type."""
    known = len(kinds(case)) == 1 and kinds(case)[0] in KNOWN
    return known and not case.dtypes and case.dtype in ("float32", "complex64")


def in_double(case):
    """The same case in float64 or complex128."""
    return attrs.evolve(case, dtype="complex128" if case.dtype == "complex64" else "float64")


DOUBLE_CASES = [in_double(case) for case in CASES if has_oracle(case)]


@pytest.mark.parametrize("case", DOUBLE_CASES, ids=lambda case: case.name)
def test_reference_agrees_with_the_oracle(case):
    inputs = {name: channels_first(case, array) for name, array in case.input_arrays().items()}
    expected = torch_oracle.expected_result(case.work, inputs | case.weight_arrays())
    (actual,) = run_case(ReferenceEngine(), case).outputs.values()
    assert_agree(channels_first(case, actual), expected)


def test_all_that_the_oracle_knows_is_asked():
    assert {kind for case in DOUBLE_CASES for kind in kinds(case)} == KNOWN
