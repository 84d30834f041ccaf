"""Plans as a server makes them, from bytes to bytes, for a process of its own."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from convserve.codec import network_to_message
from convserve.tensors import TensorSpec, spec_to_message
from convserve.v1.planning_service_pb2 import PlanRequest
from convserve_server.services.plans import Host, make_plan

from tests.benchmarks.rounds import seconds
from tests.networks import chain, residual, resnet50

HOST = Host("cpu", "cpu", 2, 1 << 34)


@contextmanager
def plans() -> Iterator[Callable[[str, int, Sequence[int]], float]]:
    """Seconds for a plan of `resnet50`, or of a `chain` or `residual` network of so many layers.

    Without the collector, as in a planner process.
    """
    networks = {("resnet50", 0): network_to_message(resnet50())}
    gc.disable()

    def measure(kind: str, count: int, shape: Sequence[int]) -> float:
        if (kind, count) not in networks:
            network = {"chain": chain, "residual": residual}[kind](count)
            networks[kind, count] = network_to_message(network)
        spec = spec_to_message(TensorSpec("", "float32", shape))
        request = PlanRequest(network=networks[kind, count], inputs=[spec]).SerializeToString()
        return seconds(lambda: make_plan(PlanRequest.FromString(request), HOST, None))

    yield measure
