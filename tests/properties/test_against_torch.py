"""2,000 random layers and operations, on every engine, against PyTorch and SciPy in float64."""

import pytest
from convserve_server.engines import ENGINES, load_engine

from tests.properties.measure import LARGEST_ERROR
from tests.properties.random_cases import GENERATORS
from tests.properties.run_many import run_many

COUNT = 2000


@pytest.mark.parametrize("engine", ENGINES)
def test_2000_random_specs_agree_in_shape_and_value(engine, record_testsuite_property):
    findings = run_many(range(COUNT), [load_engine(engine)])
    for (kind, dtype, name), error in findings.worst.items():
        record_testsuite_property(f"worst error of {kind} in {dtype} on {name}", error)
    print(*findings.lines(), sep="\n")
    assert findings.failures == []
    assert findings.worst.keys() == {
        (kind, dtype, engine) for kind in GENERATORS for dtype in LARGEST_ERROR
    }
