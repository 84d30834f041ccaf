"""The cases, for every engine and for the wire: `for case in CASES: ...`."""

from __future__ import annotations

from tests.conformance.case import Case
from tests.conformance.graph_cases import graph_cases
from tests.conformance.layer_cases import layer_cases
from tests.conformance.operation_cases import operation_cases

CASES: tuple[Case, ...] = (*layer_cases(), *graph_cases(), *operation_cases())
