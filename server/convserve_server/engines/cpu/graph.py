"""Steps as one ONNX graph, so that ONNX Runtime fuses them and keeps its own layout between them.

Every layer computes in float32 and rounds once, by a cast, to the type of its output; ONNX Runtime
keeps those casts. Batch and spatial sizes are symbolic: one graph serves all that resolve alike.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import field, frozen
from convserve.tensors import TensorSpec

from convserve_server.engines.cpu.emitters import EMITTERS
from convserve_server.engines.cpu.writer import Writer
from convserve_server.planning.program import Step


@frozen
class Graph:
    """A serialized ONNX model in two forms: with its weights as inputs, and as constants.

    Constants have no values in the model; a session is given them. `outputs` are the graph's names
    of the tensors that the caller calls by the names of steps; `probes` are names of scalars that
    are not finite if a max pool may be wrong (see `pool_nodes.pool_safely`).
    """

    with_inputs: bytes = field(repr=False)
    with_constants: bytes = field(repr=False)
    inputs: tuple[TensorSpec, ...]
    parameters: tuple[TensorSpec, ...]
    outputs: tuple[tuple[TensorSpec, str], ...]
    probes: tuple[str, ...]


def build_graph(
    steps: Sequence[Step], outputs: Sequence[TensorSpec], *, careful: bool = False
) -> Graph:
    """The graph of consecutive steps. `careful` pools values that are not finite rightly."""
    writer = Writer(careful)
    made = {step.output.name for step in steps}
    inputs = {spec.name: spec for step in steps for spec in step.inputs if spec.name not in made}
    parameters = tuple(spec for step in steps for spec in step.parameters)
    names = {name: name for name in (*inputs, *(spec.name for spec in parameters))}
    for step in steps:
        sources = [writer.cast(names[s.name], s.dtype, "float32") for s in step.inputs]
        weights = [writer.cast(names[s.name], s.dtype, "float32") for s in step.parameters]
        result = EMITTERS[type(step.layer)](writer, step, sources, weights)
        names[step.output.name] = writer.cast(result, "float32", step.output.dtype)
    returned = tuple((spec, names[spec.name]) for spec in outputs)
    return Graph(
        writer.model(tuple(inputs.values()), parameters, returned, constant=False),
        writer.model(tuple(inputs.values()), parameters, returned, constant=True),
        tuple(inputs.values()),
        parameters,
        returned,
        tuple(writer.probes),
    )
