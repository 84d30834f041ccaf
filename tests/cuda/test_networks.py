"""Networks as the engine of GPUs lowers them: cuDNN has a plan for all that is left to it."""

from collections import Counter

import pytest
from convserve_server.engines.cuda.advice import CudaAdvisor
from convserve_server.engines.cuda.lowering import lower
from convserve_server.planning.devices.properties import device_properties
from convserve_server.planning.kernels import Policy

from tests.cuda.cases import LIMIT
from tests.network_cases import network_program
from tests.networks import resnet50, unet

pytestmark = pytest.mark.cuda
ROUNDS = 4  # in which what is wanted is asked for, and then known


class Library:
    """Plans of cuDNN for an H200, each made when it is learnt of."""

    workspace_limit_bytes = LIMIT

    def __init__(self, precision):
        from convserve_server.planners.cudnn.planner import CudnnPlanner

        self._planner = CudnnPlanner(device_properties("h200"))
        self._policy = Policy(precision, LIMIT)
        self._known = {}

    def find(self, graph):
        return self._known.get(graph)

    def learn(self, graphs):
        for graph in graphs:
            self._known[graph] = self._planner.prepare(graph, self._policy)


def planned(network, shape, dtype, precision):
    """The algorithms of a network's layers, once all that it wants is known."""
    program, plans = network_program(network, shape, dtype), Library(precision)
    advisor = CudaAdvisor(plans=plans)
    for _ in range(ROUNDS):
        plans.learn(advisor.wanted(program).graphs)
    assert not advisor.wanted(program).graphs
    recipe = lower(program, plans, {})
    assert not any(plans.find(graph).failure for graph in recipe.graphs)
    return Counter(record.algorithm for record in recipe.records), list(recipe.graphs)


@pytest.mark.parametrize(
    ("dtype", "precision"),
    [("bfloat16", "strict"), ("float16", "strict"), ("float32", "strict"), ("float32", "tf32")],
)
@pytest.mark.parametrize("batch", [1, 32])
def test_all_of_resnet50_is_fused_and_fast(dtype, precision, batch):
    algorithms, graphs = planned(resnet50(), (batch, 3, 224, 224), dtype, precision)
    assert len(graphs) == 54
    assert all(graph.bias for graph in graphs)
    assert sum(graph.residual for graph in graphs) == 16
    assert not any(name.endswith("eng0") for name in algorithms)


def test_a_unet_is_fused_but_for_what_follows_its_transposed_convolutions():
    _, graphs = planned(unet(depth=3), (2, 8, 64, 64), "float16", "strict")
    plain = [graph.convolution.direction for graph in graphs if not graph.is_fused]
    assert set(plain) <= {"input_gradient"}
    assert len(graphs) - len(plain) == 15
