"""How far engines are from PyTorch and SciPy in double precision."""

from __future__ import annotations

from collections.abc import Sequence

from convserve.tensors import dtype_name
from convserve_server.engines.base import Engine

from tests.conformance.case import Case, run_case
from tests.conformance.tolerances import largest_error
from tests.conformance.torch_oracle import expected_result

LARGEST_ERROR = {"float64": 1e-12, "float32": 1e-5}  # of max|a - b| / max|b|


def relative_errors(engines: Sequence[Engine], case: Case) -> list[float]:
    """max|a - b| / max|b| of each engine; infinite for another shape or element type."""
    expected = expected_result(case.work, case.input_arrays() | case.weight_arrays())
    errors = []
    for engine in engines:
        (actual,) = run_case(engine, case).outputs.values()
        if actual.shape != expected.shape or dtype_name(actual.dtype) != case.dtype:
            errors.append(float("inf"))
        else:
            error, scale = largest_error(actual, expected)
            errors.append(error / scale if scale else error)
    return errors
