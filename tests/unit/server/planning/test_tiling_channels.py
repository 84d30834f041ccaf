"""Output channels in ranges: only where tiles do not fit, and with the results of the whole."""

from __future__ import annotations

import math

import numpy as np
import pytest
from convserve import layers as cs
from convserve.networks import Network
from convserve.tensors import Array, spec_of
from convserve_server.engines.reference.engine import ReferenceEngine
from convserve_server.planning.planner import compile_network
from convserve_server.planning.program import Program, Work, work_outputs, work_tensors
from convserve_server.planning.tiling import split
from convserve_server.planning.tiling.channels import may_cut_channels

from tests.network_cases import network_program
from tests.planning import FixedAdvisor
from tests.tiling import run_pieces, run_whole


class OwnMemory(FixedAdvisor):
    """As of a device that has all tensors of some work at once in memory of its own."""

    def working_bytes(self, work: Work) -> int:
        """Every tensor."""
        return sum(spec.byte_count for spec in (*work_tensors(work), *work_outputs(work)))


def arrays_of(shapes: dict[str, tuple[int, ...]], dtype: str) -> dict[str, Array]:
    """Small whole numbers, so that sums are exact in every type."""
    rng = np.random.default_rng(5)
    return {name: rng.integers(1, 5, shape).astype(dtype) for name, shape in shapes.items()}


def compiled(layers: list[cs.Layer], arrays: dict[str, Array]) -> Program:
    return compile_network(Network(layers), [spec_of(name, a) for name, a in arrays.items()])


CHAINS = {
    "conv": (
        [cs.Conv(7, 3, padding=1, name="c"), cs.ReLU()],
        {"input": (2, 5, 3, 3), "c.weight": (7, 5, 3, 3), "c.bias": (7,)},
    ),
    "transposed": (
        [cs.ConvTranspose(6, 2, stride=2, bias=False, name="c"), cs.LeakyReLU(0.5)],
        {"input": (2, 4, 2), "c.weight": (4, 6, 2)},
    ),
    "batch norm": (
        [cs.Conv(6, 1, name="c"), cs.BatchNorm(name="n"), cs.SiLU()],
        {
            "input": (2, 3, 1),
            "c.weight": (6, 3, 1),
            "c.bias": (6,),
            **dict.fromkeys(("n.weight", "n.bias", "n.running_mean", "n.running_var"), (6,)),
        },
    ),
    "dense": ([cs.Dense(9, name="c")], {"input": (3, 8), "c.weight": (9, 8), "c.bias": (9,)}),
    "normalised": (
        [cs.Conv(6, 1, name="c"), cs.PReLU(name="p")],
        {"input": (1, 3, 1, 1), "c.weight": (6, 3, 1, 1), "c.bias": (6,), "p.weight": (6,)},
    ),
}


@pytest.mark.parametrize("name", CHAINS)
def test_ranges_of_channels_give_the_whole(name: str) -> None:
    layers, shapes = CHAINS[name]
    arrays = arrays_of(shapes, "float64")
    program = compiled(layers, arrays)
    channels = program.steps[-1].output.shape[1]
    one_channel = math.prod(arrays["input"].shape[1:]) * 8 * 2 + 8 * channels
    found = split(program, OwnMemory(), one_channel + OwnMemory().working_bytes(program) // 4)
    cut = [piece for piece in found.pieces if piece.weights]
    assert cut == list(found.pieces)
    whole = run_pieces(ReferenceEngine(), program, found.pieces, arrays)
    expected = run_whole(ReferenceEngine(), program, arrays)
    for output, values in expected.items():
        np.testing.assert_array_equal(whole.outputs[output], values)
        assert np.all(whole.writes[output] == 1)


def test_tiles_come_before_channels() -> None:
    arrays = arrays_of({"input": (1, 2, 400), "c.weight": (4, 2, 3), "c.bias": (4,)}, "float64")
    program = compiled([cs.Conv(4, 3, name="c")], arrays)
    found = split(program, OwnMemory(), OwnMemory().working_bytes(program) // 2)
    assert found.pieces
    assert not any(piece.weights for piece in found.pieces)


MIXING = {
    "groups": [cs.Conv(4, 1, groups=2, name="c")],
    "softmax": [cs.Conv(4, 1, name="c"), cs.Softmax(1)],
    "two": [cs.Conv(4, 1, name="c"), cs.Conv(4, 1, name="d")],
    "group norm": [cs.Conv(4, 1, name="c"), cs.GroupNorm(2, name="d")],
    "layer norm": [cs.Conv(4, 1, name="c"), cs.LayerNorm(2, affine=False, name="d")],
    "permutation": [cs.Conv(4, 1, name="c"), cs.Permute((2, 1))],
    "response norm": [cs.Conv(4, 1, name="c"), cs.LocalResponseNorm(3)],
}


@pytest.mark.parametrize("name", MIXING)
def test_what_mixes_channels_is_not_cut(name: str) -> None:
    assert not may_cut_channels(network_program(Network(MIXING[name]), (1, 4, 4), "float64"))
