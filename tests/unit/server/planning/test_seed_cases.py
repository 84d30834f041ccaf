"""98 statements that people made about convolutions, each with its exact numbers.

`status` says what they are worth: `ok`; `ambiguous`, where a size had to be assumed; `wrong` or
`wrong-incomplete`, where the case has the right numbers in their place. `why` says what was amiss.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from convserve.errors import BY_REASON, ConvserveError
from convserve.networks import Network
from convserve.operations import OPERATIONS
from convserve.plans import LayerPlan, Plan
from convserve.tensors import TensorSpec, empty, spec_of
from convserve_server.engines import load_engine
from convserve_server.planning.operations import plan_operation
from convserve_server.planning.windows import Window, same_total

from tests.planning import plan

CASES = json.loads((Path(__file__).parents[3] / "data" / "seed_cases.json").read_text())
STATUSES = {"ok", "ambiguous", "wrong", "wrong-incomplete"}
ERRORS = {error.__name__: error for error in BY_REASON.values()}
NO_PLAN = {
    "S0-27": "where FFT beats direct is measured by an engine, not planned",
    "S1-24": "a fact about a data set, not a computation",
}
CHECKS = [
    pytest.param(check, id=f"{case['id']}-{number}")
    for case in CASES
    for number, check in enumerate(case["checks"])
]


def test_every_case_is_run_or_has_a_reason():
    run = {case["id"] for case in CASES if case["checks"]}
    assert len(CASES) == len({case["id"] for case in CASES}) == 98
    assert run | NO_PLAN.keys() == {case["id"] for case in CASES}
    assert run.isdisjoint(NO_PLAN)


def test_every_status_is_of_the_set_and_every_flaw_has_its_reason():
    assert {case["status"] for case in CASES} == STATUSES
    assert [case["id"] for case in CASES if case["status"] != "ok" and not case["why"]] == []


def test_every_check_expects_something():
    assert [case["id"] for case in CASES if not all(c["expect"] for c in case["checks"])] == []


@pytest.mark.parametrize("check", CHECKS)
def test_case(check):
    if "network" in check:
        check_network(check)
    elif "operation" in check:
        check_operation(check)
    else:
        check_window(check["window"], check["expect"])


def check_network(check):
    network = Network.from_dict(check["network"])
    options = {"layout": check.get("layout", "channels_first")}
    expect = dict(check["expect"])
    if "error" in expect:
        with pytest.raises(ConvserveError) as caught:
            plan(network, tuple(check["input"]), **options)
        assert type(caught.value) is ERRORS[expect["error"]]
        assert caught.value.field == expect["field"]
        return
    planned = plan(network, tuple(check["input"]), **options)
    assert {name: fact(planned, name, value) for name, value in expect.items()} == expect


def fact(planned: Plan, name: str, expected):
    """What the plan says about a name of the cases' vocabulary, in the form of JSON."""
    last = planned.layers[-1]
    if name in ("shapes", "parameters"):
        return {layer: layer_fact(planned.layer(layer), name) for layer in expected}
    if name == "output_shape":
        return list(planned.outputs[0].shape)
    if name in ("receptive_field", "jump"):
        assert planned.receptive_field is not None
        return list(getattr(planned.receptive_field, name.replace("receptive_field", "size")))
    if name == "input_bytes":
        return planned.inputs[0].byte_count
    if name in ("parameter_count", "mac_count"):
        return getattr(planned, name)
    return last_layer_fact(last, name)


def layer_fact(layer: LayerPlan, name: str):
    return list(layer.output.shape) if name == "shapes" else layer.parameter_count


def last_layer_fact(layer: LayerPlan, name: str):
    weight = layer.parameters[0]
    return {
        "padding": lambda: [list(pair) for pair in layer.resolved.padding],
        "element_count": lambda: layer.output.element_count,
        "weight_shape": lambda: list(weight.shape),
        "weight_count": lambda: weight.element_count,
        "kernel_count": lambda: math.prod(weight.shape[:2]),
    }[name]()


def check_operation(check):
    fields = dict(check["operation"])
    operation = OPERATIONS[fields.pop("kind")](**fields)
    step = plan_operation(
        operation, [TensorSpec(name, "int64", tuple(check[name])) for name in ("a", "v")]
    )
    assert list(step.output.shape) == check["expect"]["output_shape"]
    if "values" in check:
        check_values(step, check["values"])


def check_values(step, values):
    arrays = {name: np.array(values[name]) for name in ("a", "v")}
    assert [spec_of(name, array) for name, array in arrays.items()] == list(step.operands)
    output = empty(step.output)
    load_engine("reference").run(step, arrays, {"output": output})
    assert output.tolist() == values["output"]


def check_window(numbers, expect):
    window = Window(**numbers)
    known = {
        "count": window.count,
        "transposed_length": window.transposed_length,
        "same_total": same_total(window.length, window.span, window.stride),
    }
    assert {name: known[name] for name in expect} == expect
