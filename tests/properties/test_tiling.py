"""Work in pieces gives what the whole gives, bit by bit where values are exact."""

from __future__ import annotations

import random

import numpy as np
import pytest
from attrs import frozen
from convserve.layers import KINDS, kind_of
from convserve.networks import Network
from convserve.tensors import Array, Shape, spec_of
from convserve_server.engines import load_advisor, load_engine
from convserve_server.planning.memory import working_bytes
from convserve_server.planning.planner import compile_network
from convserve_server.planning.program import Advisor, Program
from convserve_server.planning.tiling import Split, is_row_separable, rebatched, split
from convserve_server.planning.tiling.grid import Grid, find_cut, tile_bytes

from tests.conformance.case import Case
from tests.conformance.cases import CASES
from tests.planning import plan
from tests.properties.random_networks import random_network
from tests.tiling import run_pieces, run_whole

SEEDS = range(200)
CPU_SEEDS = range(25)
SEVERAL_AXES_SEEDS = range(40)
EIGHT_BITS = {"integer_conv", "quantized_conv"}  # kinds that take no floating numbers
SHARES = (2, 3, 5, 9, 20)  # of the memory that the whole needs


@frozen
class Draw:
    """A random program, its tensors, and a budget that it cannot run in at once."""

    program: Program
    tensors: dict[str, Array]
    budget: int

    def split(self, advisor: Advisor) -> Split:
        """For the budget, or for what was the least where that is more."""
        found = split(self.program, advisor, self.budget)
        return found if found.pieces else split(self.program, advisor, found.working_bytes)


def draw(seed: int, advisor: Advisor, dtype: str) -> Draw:
    rng = random.Random(seed)
    network, shape = random_network(rng)
    tensors = random_tensors(network, shape, seed, dtype)
    program = compile_network(network, [spec_of(name, x) for name, x in tensors.items()])
    return Draw(program, tensors, working_bytes(program, advisor) // rng.choice(SHARES))


def random_tensors(network: Network, shape: Shape, seed: int, dtype: str) -> dict[str, Array]:
    """Integers: the input, and weights that are -1, 0 and 1."""
    rng = np.random.default_rng(seed)
    specs = [spec for layer in plan(network, shape).layers for spec in layer.parameters]
    tensors = {spec.name: rng.integers(-1, 2, spec.shape).astype(dtype) for spec in specs}
    for name, weight in tensors.items():
        if name.endswith("running_var"):
            np.abs(weight, out=weight)
    return {"input": rng.integers(-9, 10, shape).astype(dtype), **tensors}


def is_tiled(found: Split) -> bool:
    return any(any(piece.kept.values()) for piece in found.pieces)


@pytest.fixture(scope="module")
def draws() -> list[Draw]:
    return [draw(seed, load_advisor("reference"), "float64") for seed in SEEDS]


def test_pieces_make_up_exactly_what_the_whole_is(draws):
    engine, advisor = load_engine("reference"), load_advisor("reference")
    tiled = 0
    for seed, case in zip(SEEDS, draws, strict=True):
        found = case.split(advisor)
        tiled += is_tiled(found)
        made = run_pieces(engine, case.program, found.pieces, case.tensors)
        for name, whole in run_whole(engine, case.program, case.tensors).items():
            np.testing.assert_array_equal(made.writes[name], 1, err_msg=f"seed {seed}")
            np.testing.assert_array_equal(made.outputs[name], whole, err_msg=f"seed {seed}")
    assert tiled > len(SEEDS) // 2


def test_pieces_fit_the_budget_or_nothing_does(draws):
    advisor = load_advisor("reference")
    successes = 0
    for case in draws:
        found = split(case.program, advisor, case.budget)
        needed = [working_bytes(piece.program, advisor) for piece in found.pieces]
        successes += bool(needed)
        assert max(needed, default=0) <= case.budget
        assert (found.working_bytes <= case.budget) == bool(needed)
    assert successes > len(SEEDS) // 3


def test_pieces_of_several_axes_make_up_exactly_what_the_whole_is():
    """Where no single axis is enough: half of what the smallest tiles along one axis need."""
    engine, advisor = load_engine("reference"), load_advisor("reference")
    cut = 0
    for seed in SEVERAL_AXES_SEEDS:
        case = draw(seed, advisor, "float64")
        row = rebatched(case.program, 1)
        cuts = [find_cut(row, axis) for axis in range(2, len(row.inputs[0].shape))]
        tiles = [Grid(row, (each,)).tile((each.most_tiles,)) for each in cuts if each]
        if len(tiles) < 2:
            continue
        budget = min(tile_bytes(tile, advisor) for tile in tiles) // 2
        found = split(case.program, advisor, budget)
        cut += any(len(slices) > 2 for piece in found.pieces for slices in piece.inputs.values())
        if found.pieces:
            made = run_pieces(engine, case.program, found.pieces, case.tensors)
            for name, whole in run_whole(engine, case.program, case.tensors).items():
                np.testing.assert_array_equal(made.writes[name], 1, err_msg=f"seed {seed}")
                np.testing.assert_array_equal(made.outputs[name], whole, err_msg=f"seed {seed}")
    assert cut > len(SEVERAL_AXES_SEEDS) // 4


def test_pieces_on_the_cpu_engine():
    engine, advisor = load_engine("cpu", threads=1), load_advisor("cpu", 1)
    tiled = 0
    for seed in CPU_SEEDS:
        case = draw(seed, advisor, "float32")
        found = case.split(advisor)
        tiled += is_tiled(found)
        made = run_pieces(engine, case.program, found.pieces, case.tensors)
        for name, whole in run_whole(engine, case.program, case.tensors).items():
            np.testing.assert_allclose(made.outputs[name], whole, rtol=1e-5, atol=1e-4)
    assert tiled > len(CPU_SEEDS) // 4


def test_every_kind_computes_each_row_alone():
    engine, seen = load_engine("reference"), set()
    for case in CASES:
        work = case.compile()
        if not isinstance(work, Program) or work.inputs[0].shape[0] < 2 or not is_plain(case):
            continue
        kinds = {kind_of(step.layer) for step in work.steps}
        assert is_row_separable(work) == ("max_unpool" not in kinds)  # a wrong index refuses all
        seen |= kinds
        tensors = case.input_arrays() | case.weight_arrays()
        whole = run_whole(engine, work, tensors)
        for row in range(work.inputs[0].shape[0]):
            inputs = {spec.name: tensors[spec.name][row : row + 1] for spec in work.inputs}
            alone = run_whole(engine, rebatched(work, 1), tensors | inputs)
            for name, result in alone.items():
                np.testing.assert_allclose(whole[name][row : row + 1], result, rtol=1e-6)
    assert seen == set(KINDS) - EIGHT_BITS


def is_plain(case: Case) -> bool:
    return case.dtype == "float32" and not case.dtypes and case.layout == "channels_first"
