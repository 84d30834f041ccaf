"""Every engine gives what the reference engine gives, on every case."""

import pytest
from convserve.networks import Network
from convserve.operations import operation_kind
from convserve_server.engines import ENGINES, load_engine
from convserve_server.engines.reference.engine import ReferenceEngine

from tests.conformance.case import check_case, run_case
from tests.conformance.cases import CASES


@pytest.fixture(scope="module", params=[name for name in ENGINES if name != "reference"])
def engine(request):
    return load_engine(request.param)


def step_names(case):
    """What a run must record, in any order."""
    if isinstance(case.work, Network):
        return sorted(layer.name for layer in case.work.layers)
    return [operation_kind(case.work)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_engine_agrees_with_the_reference(engine, case):
    result = check_case(engine, case)
    assert sorted(record.name for record in result.records) == step_names(case)
    assert all(record.engine and record.algorithm for record in result.records)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_reference_records_its_steps(case):
    result = run_case(ReferenceEngine(), case)
    assert sorted(record.name for record in result.records) == step_names(case)
    assert {record.engine for record in result.records} == {"reference"}
