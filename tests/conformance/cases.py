"""The cases, for every engine and for the wire: `for case in CASES: ...`."""

from __future__ import annotations

from tests.conformance.case import Case
from tests.conformance.conv_cases import conv_cases
from tests.conformance.glue_cases import glue_cases
from tests.conformance.graph_cases import graph_cases
from tests.conformance.layer_cases import layer_cases
from tests.conformance.norm_cases import norm_cases
from tests.conformance.operation_cases import operation_cases
from tests.conformance.pool_cases import pool_cases

CASES: tuple[Case, ...] = (
    *layer_cases(),
    *conv_cases(),
    *norm_cases(),
    *pool_cases(),
    *glue_cases(),
    *graph_cases(),
    *operation_cases(),
)
