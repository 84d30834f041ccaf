"""Recipes of the GPU's engine, on a host device, give what the reference gives."""

import pytest

from tests.conformance.case import Case, check_case
from tests.conformance.cases import CASES
from tests.conformance.test_engines import step_names
from tests.recipes import RecipeEngine


@pytest.fixture(scope="module")
def engine() -> RecipeEngine:
    return RecipeEngine()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_recipe_agrees_with_the_reference(engine: RecipeEngine, case: Case) -> None:
    """All of it is computed on the device."""
    records = check_case(engine, case).records
    assert sorted(record.name for record in records) == step_names(case)
    assert {record.engine for record in records} == {"cuda"}
