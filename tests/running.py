"""Run work on an engine, without a server."""

from __future__ import annotations

from collections.abc import Mapping

from convserve.layers import Layer
from convserve.networks import Network
from convserve.operations import Operation
from convserve.tensors import Array, empty, spec_of
from convserve_server.engines.base import Engine
from convserve_server.planning.planner import compile_network, plan_operation
from convserve_server.planning.program import work_outputs


def run_once(
    engine: Engine, work: Layer | Network | Operation, tensors: Mapping[str, Array]
) -> Array:
    """The only result of a layer, a network or an operation on `tensors` by name."""
    specs = [spec_of(name, array) for name, array in tensors.items()]
    network = Network([work]) if isinstance(work, Layer) else work
    planned = (
        compile_network(network, specs)
        if isinstance(network, Network)
        else plan_operation(network, specs)
    )
    (spec,) = work_outputs(planned)
    output = empty(spec)
    engine.run(planned, tensors, {spec.name: output})
    return output
