"""Recipes of the GPU's engine, on a host device, give what the reference gives."""

import pytest
from convserve_server.engines.cuda.kernels import all_instances

from tests.conformance.case import Case, reference_results, run_case
from tests.conformance.cases import CASES
from tests.conformance.test_engines import step_names
from tests.conformance.tolerances import assert_agree
from tests.recipes import RecipeEngine


@pytest.fixture(scope="module")
def engine() -> RecipeEngine:
    engine = RecipeEngine()
    engine.device.compile(all_instances())
    return engine


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_recipe_agrees_with_the_reference(engine: RecipeEngine, case: Case) -> None:
    result = run_case(engine, case)
    for name, expected in reference_results(case).items():
        assert_agree(result.outputs[name], expected)
    assert sorted(record.name for record in result.records) == step_names(case)
