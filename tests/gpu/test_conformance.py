"""The GPU gives what the reference gives: given, recorded and replayed, in dirty memory."""

import numpy as np
import pytest
from convserve_server.engines.base import Views
from convserve_server.engines.cuda.cuda_device import CudaDevice
from convserve_server.engines.cuda.engine import CudaEngine
from convserve_server.planning.program import work_outputs

from tests.conformance.case import Case, reference_results, run_case
from tests.conformance.cases import CASES
from tests.conformance.test_engines import step_names
from tests.conformance.tolerances import assert_agree
from tests.gpu.machine import poison, relative_error

pytestmark = pytest.mark.gpu

# The least precision that a call allows -> what results may be off, as a share of the largest.
ERRORS = {"tf32": 1e-3, "bfloat16": 2e-2, "float16": 3e-3}
CONVOLUTIONS = [case for case in CASES if case.dtype == "float32" and case.name.startswith("conv-")]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_gpu_agrees_with_the_reference(
    engine: CudaEngine, device: CudaDevice, case: Case
) -> None:
    expected = reference_results(case)
    for _ in range(3):
        poison(device)
        result = run_case(engine, case)
        for name in expected:
            assert_agree(result.outputs[name], expected[name])
    assert sorted(record.name for record in result.records) == step_names(case)
    assert engine.free_bytes == device.byte_count


@pytest.mark.parametrize("precision", ERRORS)
@pytest.mark.parametrize("case", CONVOLUTIONS[::3], ids=lambda case: case.name)
def test_less_precision_is_off_by_as_much_as_it_may_be(
    engine: CudaEngine, case: Case, precision: str
) -> None:
    work = case.compile()
    tensors = case.input_arrays() | case.weight_arrays()
    (spec,) = work_outputs(work)
    output = np.full(spec.shape, np.nan, np.float32)
    engine.begin(work, [Views(tensors, {spec.name: output})], "", precision).finish()
    (expected,) = reference_results(case).values()
    assert relative_error(output, expected) <= ERRORS[precision]


@pytest.mark.parametrize("case", CONVOLUTIONS[::7], ids=lambda case: case.name)
def test_equal_calls_give_equal_bits(engine: CudaEngine, case: Case) -> None:
    (first,), (second,) = (run_case(engine, case).outputs.values() for _ in range(2))
    np.testing.assert_array_equal(first, second)
