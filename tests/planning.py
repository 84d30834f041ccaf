"""Short ways to plan in tests: a list of layers, a shape, and an advisor that is a constant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import frozen
from convserve.layers import Layer
from convserve.networks import Network
from convserve.plans import LayerPlan, Plan
from convserve.tensors import TensorSpec
from convserve_server.planning.graph import Sample, walk
from convserve_server.planning.graph import steps_of as steps_of_nodes
from convserve_server.planning.planner import plan_network
from convserve_server.planning.program import Advice, Advisor, OperationStep, Step


@frozen
class FixedAdvisor(Advisor):
    """Every step runs on `reference` with the same workspace."""

    workspace_bytes: int = 0

    def advise(self, step: Step | OperationStep) -> Advice:
        """Always the same."""
        return Advice("reference", "direct", self.workspace_bytes, "fixed for tests")


def plan(
    layers: Network | Sequence[Layer],
    *shapes: tuple[int, ...],
    dtype: str = "float32",
    workspace_bytes: int = 0,
    **options: Any,
) -> Plan:
    """The plan of a network, or of a chain of layers, for inputs of these shapes."""
    network = layers if isinstance(layers, Network) else Network(layers)
    names = network.inputs if len(shapes) > 1 else ("",)
    specs = [TensorSpec(name, dtype, shape) for name, shape in zip(names, shapes, strict=True)]
    return plan_network(network, specs, advisor=FixedAdvisor(workspace_bytes), **options)


def plan_layer(layer: Layer, shape: tuple[int, ...], dtype: str = "float32") -> LayerPlan:
    """The plan of one layer."""
    return plan([layer], shape, dtype=dtype).layers[0]


def steps_of(
    layers: Network | Sequence[Layer], shape: tuple[int, ...], dtype: str = "float32"
) -> list[Step]:
    """The steps of a network with one input, or of a chain of layers."""
    network = layers if isinstance(layers, Network) else Network(layers)
    (name,) = network.inputs
    batch, *sample = shape
    nodes = walk(network, {name: Sample(name, dtype, tuple(sample))}, batch)
    return list(steps_of_nodes(nodes, batch))


def step_of(layer: Layer, shape: tuple[int, ...], dtype: str = "float32") -> Step:
    """The step of one layer."""
    return steps_of([layer], shape, dtype)[0]
