"""Convolutions by Fourier transforms on a host device, whatever a model would choose."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from attrs import evolve
from convserve import layers as cs
from convserve.layers import Layer
from convserve.networks import Network
from convserve.operations import Convolve, Correlate
from convserve.tensors import DTYPES
from convserve_server.engines.cuda.advice import CudaAdvisor
from convserve_server.engines.cuda.checks import FINITE
from convserve_server.engines.cuda.engine import CudaEngine
from convserve_server.engines.cuda.lowering import algorithms, blocks, fft, lower, signals
from convserve_server.engines.cuda.lowering.algorithms import verdicts
from convserve_server.engines.cuda.lowering.blocks import Bank, Span, best_cut, costs
from convserve_server.engines.cuda.lowering.direct import Direct
from convserve_server.engines.cuda.lowering.fft import Fft
from convserve_server.engines.cuda.lowering.selection import Rates
from convserve_server.engines.cuda.recipe import OnHost, Recipe, Transform

from tests.conformance.builders import layer_case, operation_case
from tests.conformance.case import Case, check_case, reference_results, run_case
from tests.conformance.cases import CASES
from tests.conformance.tolerances import assert_agree
from tests.fakes.host_device import HostDevice, HostPlans
from tests.recipes import RecipeEngine, structs_of

COSTS = costs()
FLOATS = ("float16", "bfloat16", "float32", "float64", "complex64", "complex128")
SIGNALS = [case for case in CASES if case.name.startswith(("convolve-", "correlate-"))]
LAYERS = [
    case
    for case in CASES
    if case.name.startswith(("conv-", "depthwise_conv-")) and case.name.endswith(FLOATS)
]


@pytest.fixture(scope="module")
def engine() -> RecipeEngine:
    plans = HostPlans()
    plans.workspace_limit_bytes = 1 << 30
    return RecipeEngine(plans)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As if transforms were the fastest, in short blocks, a few at a time."""
    told = evolve(COSTS, launch_seconds=0.0, bytes_per_second=1e30, shortest=1, least_taps=1)
    told = evolve(told, group_bytes=1 << 9)
    for module in (blocks, fft, signals):
        monkeypatch.setattr(module, "costs", lambda: told)
    monkeypatch.setattr(signals, "rates_of", lambda name: Rates(0.0, 1.0, _Slow()))
    monkeypatch.setattr(algorithms, "ALGORITHMS", (Direct(), Fft()))
    _forget()
    yield
    _forget()


class _Slow(dict[str, float]):
    def __missing__(self, key: str) -> float:
        return 1.0


def _forget() -> None:
    best_cut.cache_clear()
    verdicts.cache_clear()


def check(engine: RecipeEngine, case: Case) -> tuple[str, ...]:
    """Against the reference; returns the algorithms."""
    return tuple(record.algorithm for record in check_case(engine, case).records)


def recipe_of(case: Case, engine: RecipeEngine) -> Recipe:
    return lower(case.compile(), engine.plans, {})


def test_no_signal_of_the_suite_is_left_to_the_host(engine: RecipeEngine) -> None:
    assert len(SIGNALS) > 400
    for case in SIGNALS:
        recipe = recipe_of(case, engine)
        assert not any(isinstance(command, OnHost) for command in recipe.commands)
        assert {record.engine for record in recipe.records} == {"cuda"}


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("case", LAYERS, ids=lambda case: case.name)
def test_layers_agree_with_the_reference(engine: RecipeEngine, case: Case) -> None:
    check(engine, case)


@pytest.mark.usefixtures("quick")
def test_most_of_these_layers_are_transformed(engine: RecipeEngine) -> None:
    algorithms = [
        recipe_of(case, engine).records[0].algorithm
        for case in LAYERS
        if "stride" not in case.name and "dilation" not in case.name
    ]
    count = sum(algorithm in ("fft", "overlap_save") for algorithm in algorithms)
    assert "overlap_save" in algorithms
    assert count > len(algorithms) / 2


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "layer",
    [
        cs.Conv(6, (5, 4), 1, ((4, 5), (3, 1)), groups=2),
        cs.Conv(4, (5, 4), 1, 9, groups=4, bias=False),
        cs.Conv(4, (15, 12), 1, ((8, 7), (9, 9)), bias=True),  # larger than its input
        cs.Conv(3, (3, 3), 1, 1, padding_mode="reflect"),
    ],
    ids=["groups", "far_beyond", "larger_kernel", "reflect"],
)
@pytest.mark.parametrize("dtype", ["float16", "float32", "complex128"])
def test_shapes_of_layers(engine: RecipeEngine, layer: Layer, dtype: str) -> None:
    case = layer_case("shape", layer, (3, 4, 9, 8), dtype=dtype)
    assert check(engine, case)[0] in ("fft", "overlap_save")


@pytest.mark.usefixtures("quick")
def test_an_epilogue_is_a_pass_of_its_own(engine: RecipeEngine) -> None:
    conv = cs.Conv(4, 5, padding=2, name="conv")
    case = Case(
        name="fft-epilogue",
        work=Network([conv, cs.ReLU()]),
        inputs={"input": (2, 4, 40)},
        weights={"conv.weight": (4, 4, 5), "conv.bias": (4,)},
    )
    assert "EpiloguePacked" in structs_of(recipe_of(case, engine))
    assert check(engine, case) == ("overlap_save",) * 2


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e36])
def test_a_layer_is_done_again_where_a_transform_would_spread_a_value(
    engine: RecipeEngine, value: float
) -> None:
    case = layer_case("spread", cs.Conv(4, 5), (2, 4, 40))
    plain = run_case(engine, case)
    assert plain.records[0].algorithm == "overlap_save"
    arrays = {**case.input_arrays(), **case.weight_arrays()}
    arrays["input"][1, 2, 7] = value
    results = {name: np.empty_like(array) for name, array in plain.outputs.items()}
    (record,) = engine.run(case.compile(), arrays, results)
    assert record.algorithm == "direct"
    (result,), (before,) = results.values(), plain.outputs.values()
    np.testing.assert_array_equal(result[0] - before[0] < 1e-4, True)
    assert not np.isclose(result[1, :, 3:8], before[1, :, 3:8]).any()


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("kind", [Convolve, Correlate])
@pytest.mark.parametrize("mode", ["full", "same", "valid"])
def test_signals_agree_with_the_reference(
    engine: RecipeEngine, kind: Any, mode: str, dtype: str
) -> None:
    for a, v in (((150,), (7,)), ((9, 8), (3, 4)), ((3, 2), (7, 6)), ((5, 6, 4), (2, 3, 4))):
        case = operation_case(f"quick-{mode}", kind(mode), a, v, dtype=dtype)
        assert check(engine, case)[0] in ("fft", "overlap_save")


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("dtype", FLOATS)
def test_signals_that_are_not_finite_are_summed_directly(engine: RecipeEngine, dtype: str) -> None:
    case = operation_case("spread", Convolve("same"), (300,), (7,), dtype=dtype, special=True)
    assert recipe_of(case, engine).records[0].algorithm == "overlap_save"
    assert check(engine, case) == ("direct",)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("is_special", [False, True])
def test_the_engine_begins_again_without_transforms(is_special: bool) -> None:
    operation = Correlate("full")
    case = operation_case("again", operation, (300,), (7,), special=is_special)
    plans = HostPlans()
    result = run_case(CudaEngine(HostDevice(), lambda precision: (plans,)), case)
    assert_agree(result.outputs["output"], reference_results(case)["output"])
    assert result.records[0].algorithm == ("direct" if is_special else "overlap_save")


@pytest.mark.parametrize("method", ["direct", "fft"])
@pytest.mark.parametrize("kind", [Convolve, Correlate])
def test_operands_and_results_in_any_order_of_memory(
    engine: RecipeEngine, kind: Any, method: str
) -> None:
    case = operation_case("order", kind("same", method), (5, 6, 4), (2, 3, 4), dtype="complex64")
    arrays = {name: np.asfortranarray(array) for name, array in case.input_arrays().items()}
    result = np.empty((5, 4, 6), np.complex64).transpose(0, 2, 1)
    engine.run(case.compile(), arrays, {"output": result})
    assert_agree(result, reference_results(case)["output"])


def test_a_transform_that_was_asked_for_spreads_what_is_not_finite(engine: RecipeEngine) -> None:
    operation = Convolve("same", "fft")
    case = operation_case("asked", operation, (300,), (7,), special=True)
    result = run_case(engine, case)
    assert not np.isfinite(result.outputs["output"]).any()
    assert not recipe_of(case, engine).checks


@pytest.mark.parametrize("dtype", [dtype for dtype in DTYPES if dtype != "bool"])
@pytest.mark.parametrize("kind", [Convolve, Correlate])
def test_long_signals_in_blocks(engine: RecipeEngine, kind: Any, dtype: str) -> None:
    case = operation_case("long", kind("same", "fft"), (20000,), (50,), dtype=dtype)
    assert check(engine, case) == ("overlap_save",)


def test_a_bool_is_never_transformed(engine: RecipeEngine) -> None:
    case = operation_case("bool", Convolve("full", "fft"), (30,), (7,), dtype="bool")
    assert check(engine, case) == ("direct",)


@pytest.mark.parametrize("dtype", DTYPES)
def test_long_sums_are_made_in_parts(engine: RecipeEngine, dtype: str) -> None:
    operation = Correlate("valid", "direct")
    for a, v in (((5003,), (5000,)), ((61, 70), (60, 70))):
        case = operation_case("parts", operation, a, v, dtype=dtype, spread=0.1)
        assert "AddParts" in structs_of(recipe_of(case, engine))
        check(engine, case)


@pytest.mark.parametrize("method", ["direct", "fft"])
@pytest.mark.parametrize("dtype", ["int8", "float32", "complex64"])
def test_signals_of_as_many_axes_as_kernels_count(
    engine: RecipeEngine, dtype: str, method: str
) -> None:
    a, v = (2, 3, 2, 2, 3, 2, 2, 3), (2, 1, 2, 1, 2, 2, 1, 2)
    for shapes in ((a, v), ((1, *a, 1), (1, *v, 1))):  # and some of one element
        case = operation_case("axes", Correlate("same", method), *shapes, dtype=dtype)
        assert check(engine, case)[0] == ("direct" if method == "direct" else "fft")


def test_signals_of_more_axes_are_left_to_the_host(engine: RecipeEngine) -> None:
    case = operation_case("axes", Convolve(), (2,) * 9, (2,) * 9)
    assert recipe_of(case, engine).records[0].engine == "reference"
    check(engine, case)


def test_what_is_chosen_for_a_long_signal() -> None:
    taps = {450: "overlap_save", 9: "direct"}
    for count, algorithm in taps.items():
        case = operation_case("chosen", Convolve(), (1 << 20,), (count,))
        advice = CudaAdvisor().advise(case.compile())
        assert advice.algorithm == algorithm
        assert "times as long" in advice.reason


def test_blocks_above_the_limit_are_not_made() -> None:
    case = operation_case("limit", Convolve(), (1 << 20,), (450,))
    plans = HostPlans()
    recipe = lower(case.compile(), plans, {})
    assert recipe.records[0].algorithm == "direct"
    plans.workspace_limit_bytes = 1 << 24
    assert lower(case.compile(), plans, {}).records[0].algorithm == "overlap_save"


def test_the_bytes_of_blocks_are_those_of_the_recipe() -> None:
    case = operation_case("bytes", Convolve("full", "fft"), (20000,), (50,))
    recipe = lower(case.compile(), HostPlans(), {})
    bank = Bank(Span((20000,), (50,), (0,), (20049,)), "float32")
    cut = best_cut(bank)
    assert cut is not None
    tensors = 4 * (20000 + 50 + 20049 + 1)  # and a zero for a bias
    assert sum(recipe.buffers.values()) - tensors == bank.working_bytes(cut)
    for command in recipe.commands:
        if isinstance(command, Transform):
            data = max(command.source.byte_count, command.target.byte_count)
            assert command.workspace.byte_count == data


def test_what_is_wanted_is_also_for_values_that_may_not_be_transformed() -> None:
    case = operation_case("wanted", Convolve(), (1 << 20,), (450,))
    wanted = CudaAdvisor().wanted(case.compile())
    names = {instance.struct for instance in wanted.instances}
    assert {"CutBlocks", "JoinBlocks", "SignalSum"} <= names


def test_a_layer_with_a_long_kernel_is_transformed_by_the_model() -> None:
    case = layer_case("signal", cs.Conv(1, 4500), (1, 1, 1 << 20))
    advisor, work = CudaAdvisor(), case.compile()
    (step,) = work.steps  # type: ignore[union-attr]
    advice = advisor.advise(step)
    assert advice.algorithm == "overlap_save"
    assert "cudnn" in advice.reason
    names = {instance.struct for instance in advisor.wanted(work).instances}
    assert "DirectConv" in names  # what is taken where a value is not finite


def test_the_check_reads_the_peaks_of_both(engine: RecipeEngine) -> None:
    case = operation_case("peaks", Convolve(), (1 << 20,), (450,))
    recipe = lower(case.compile(), engine.plans, {})
    (found,) = recipe.checks
    assert found.kind == FINITE
    assert [view.element_count for view in found.values] == [256, 256]
    assert structs_of(recipe).count("Peaks") == 2
