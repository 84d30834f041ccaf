"""What a plan costs: as many operations for a layer of a long network as for one of a short one."""

from __future__ import annotations

from collections.abc import Callable
from cProfile import Profile

import pytest
from convserve.codec import network_to_message
from convserve.networks import Network
from convserve.tensors import TensorSpec, spec_to_message
from convserve.v1.planning_service_pb2 import PlanRequest, PlanResponse
from convserve_server.services.plans import Host, make_plan

from tests.networks import chain, residual

HOST = Host("cpu", "cpu", 2, 1 << 34)


def count_calls(network: Network) -> int:
    """Functions that are called for a plan, Python's own among them."""
    request = PlanRequest(
        network=network_to_message(network),
        inputs=[spec_to_message(TensorSpec("", "float32", (1, 8, 6, 6)))],
    ).SerializeToString()
    profile = Profile()
    response = profile.runcall(lambda: make_plan(PlanRequest.FromString(request), HOST, None))
    assert len(PlanResponse.FromString(response).plan.layers) == len(network.layers)
    return sum(entry.callcount for entry in profile.getstats())  # type: ignore[attr-defined]


@pytest.mark.parametrize("build", [chain, residual])
def test_the_cost_of_a_layer_does_not_grow_with_the_network(build: Callable[[int], Network]):
    count_calls(build(100))  # what is done once is done
    short, long = count_calls(build(400)), count_calls(build(4_000))
    assert short > 400 * 50  # calls are counted at all
    assert long < 10 * short * 1.05
