"""Where a resized tensor's elements lie: fractions, which kernels are given as whole numbers."""

import pytest
from convserve.layers import Upsample
from convserve.networks import Network
from convserve.tensors import MAX_DIMENSION, TensorSpec
from convserve_server.engines.cuda.lowering import lower
from convserve_server.engines.cuda.recipe import Launch
from convserve_server.planning.layers.resize import source_place
from convserve_server.planning.planner import compile_network

from tests.fakes.host_device import HostPlans


def axis_of(layer, old):
    """The step, the start and the number of parts of the last axis."""
    program = compile_network(Network([layer]), [TensorSpec("input", "float32", (1, 1, old))])
    (launch,) = (c for c in lower(program, HostPlans(), {}).commands if isinstance(c, Launch))
    return launch.arguments[4], launch.arguments[7], launch.arguments[10]


@pytest.mark.parametrize("old", [3, 3_000_000, MAX_DIMENSION])
@pytest.mark.parametrize("new", [2, 1_500_007, MAX_DIMENSION - 1])
def test_places_are_exact_and_64_bits_hold_them(old, new):
    step, start, parts = axis_of(Upsample(size=new, mode="linear"), old)
    for place in (0, 1, new - 1):
        number = place * step + start
        assert number == source_place("half_pixel", place, old, new) * parts
        assert -(1 << 63) <= number < 1 << 63
