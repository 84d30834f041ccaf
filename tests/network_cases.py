"""Cases of whole networks, whose weights are those that planning finds."""

from __future__ import annotations

from collections.abc import Sequence

from convserve.layers import Layer
from convserve.networks import Network
from convserve.tensors import Shape, TensorSpec
from convserve_server.planning.graph import steps_of, walk
from convserve_server.planning.inputs import name_inputs, read_inputs
from convserve_server.planning.program import Program, Step

from tests.conformance.case import Case


def network_case(layers: Sequence[Layer], shape: Shape, dtype: str = "float32") -> Case:
    """A network on one input, channels first, with all tensors of one type."""
    network = Network(list(layers))
    steps = network_steps(network, shape, dtype)
    weights = {spec.name: spec.shape for step in steps for spec in step.parameters}
    return Case(
        name=f"{'-'.join(type(layer).__name__ for layer in layers)}-{dtype}",
        work=network,
        inputs={"input": shape},
        weights=weights,
        dtype=dtype,
    )


def network_steps(network: Network, shape: Shape, dtype: str = "float32") -> tuple[Step, ...]:
    """The steps of a network on its input."""
    inputs = name_inputs(network, [TensorSpec("input", dtype, shape)])
    nodes = walk(network, read_inputs(inputs, "channels_first", "inputs").samples, shape[0])
    return tuple(steps_of(nodes, shape[0]))


def network_program(network: Network, shape: Shape, dtype: str = "float32") -> Program:
    """The network with its last layer as the only result."""
    steps = network_steps(network, shape, dtype)
    return Program((TensorSpec("input", dtype, shape),), steps, (steps[-1].output.name,))
