"""How far an engine is from PyTorch and SciPy in double precision, on one case."""

from __future__ import annotations

from convserve_server.engines.base import Engine

from tests.conformance.case import Case, run_case
from tests.conformance.tolerances import largest_error
from tests.conformance.torch_oracle import expected_result

LARGEST_ERROR = {"float64": 1e-12, "float32": 1e-5}  # of max|a - b| / max|b|


def relative_error(engine: Engine, case: Case) -> float:
    """max|a - b| / max|b|; infinite where the shapes differ."""
    expected = expected_result(case.compile(), case.input_arrays() | case.weight_arrays())
    (actual,) = run_case(engine, case).outputs.values()
    if actual.shape != expected.shape:
        return float("inf")
    error, scale = largest_error(actual, expected)
    return error / scale if scale else error
