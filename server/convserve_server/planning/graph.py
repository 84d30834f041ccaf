"""The walk over a network: every layer resolved, with its shapes, types, weights and counts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from convserve.errors import InvalidNetworkError, error_at
from convserve.layers import Layer, kind_of
from convserve.layers.fields import settle
from convserve.networks import Network
from convserve.tensors import Shape, TensorSpec, dtype_of

from convserve_server.planning.axes import batched, likeness
from convserve_server.planning.dtypes import check_takes
from convserve_server.planning.layers import rule_of
from convserve_server.planning.layers.rule import Rule, Work
from convserve_server.planning.limits import check_counts, check_tensor
from convserve_server.planning.program import Step
from convserve_server.planning.receptive_field import Reach
from convserve_server.planning.weights import check_shape


class Sample(msgspec.Struct, frozen=True):
    """One sample of a tensor within a network: its spec without the batch axis."""

    name: str
    dtype: str
    shape: Shape

    @property
    def byte_count(self) -> int:
        """Bytes of one sample."""
        return math.prod(self.shape) * dtype_of(self.dtype).itemsize

    def spec(self, batch: int) -> TensorSpec:
        """The tensor with its batch axis."""
        return TensorSpec(self.name, self.dtype, (batch, *self.shape))


class Node(msgspec.Struct, frozen=True):
    """One layer in its place: `given` as the caller wrote it, `layer` resolved. Counts per sample.

    `shapes` are those of `inputs`; `parameter_count` has the elements of `trained` parameters;
    `weight_bytes` are those of all, statistics included.
    """

    given: Layer
    layer: Layer
    rule: Rule[Any]
    inputs: tuple[Sample, ...]
    shapes: tuple[Shape, ...]
    parameters: tuple[TensorSpec, ...]
    output: Sample
    mac_count: int
    work: Work
    reaches: tuple[Reach, ...]
    parameter_count: int
    weight_bytes: int

    @property
    def trained(self) -> tuple[TensorSpec, ...]:
        """Those of `parameters` that count as parameters: all but statistics."""
        return _trained(self.layer, self.rule, self.parameters)

    @property
    def flop_count(self) -> int:
        """2 per multiply-accumulate, and the elementwise work. Per sample."""
        return 2 * self.mac_count + self.work.count


def walk(
    network: Network,
    inputs: Mapping[str, Sample],
    batch: int,
    weights: Mapping[str, TensorSpec] | None = None,
) -> tuple[Node, ...]:
    """Every layer of the network in execution order, for `batch` samples.

    A weight's element type is that in `weights`, or, where `weights` is None, the one that its
    layer's rule gives it: mostly that of the layer's first input.

    Raises InvalidLayerError, ShapeError, DTypeError, InvalidNetworkError, TooLargeError; the field
    begins with the layer's position in `Network.layers`.
    """
    known = dict(inputs)
    models: dict[object, Node] = {}  # most layers of a network are like an earlier one
    nodes = []
    for index in network.order:
        layer = network.layers[index]
        sources = tuple(map(known.__getitem__, layer.inputs or ()))
        key = (likeness(layer), *[(sample.shape, sample.dtype) for sample in sources])
        model = models.get(key) if weights is None else None
        if model is not None:
            node = _repeat(model, layer, sources)
        else:
            node = models[key] = _visit(f"layers[{index}]", layer, sources, weights)
            with error_at(f"layers[{index}]"):
                _check_size(node, batch)
        known[node.output.name] = node.output
        nodes.append(node)
    return tuple(nodes)


def steps_of(nodes: Sequence[Node], batch: int) -> tuple[Step, ...]:
    """The layers as an engine reads them."""
    samples = {sample.name: sample for node in nodes for sample in (*node.inputs, node.output)}
    specs = {name: sample.spec(batch) for name, sample in samples.items()}  # one for all readers
    return tuple(
        Step(
            layer=node.layer,
            inputs=tuple(map(specs.__getitem__, node.layer.inputs or ())),
            parameters=node.parameters,
            output=specs[node.output.name],
        )
        for node in nodes
    )


def _repeat(model: Node, given: Layer, inputs: tuple[Sample, ...]) -> Node:
    """The node of a layer that differs from that of `model` in name and inputs alone."""
    own = {"name": given.name, "inputs": given.inputs}
    prefix = len(model.output.name)
    parameters = tuple(
        TensorSpec(f"{given.name}{spec.name[prefix:]}", spec.dtype, spec.shape)
        for spec in model.parameters
    )
    return Node(
        given=given,
        layer=given if model.layer is model.given else settle(model.layer, **own),
        rule=model.rule,
        inputs=inputs,
        shapes=model.shapes,
        parameters=parameters,
        output=Sample(str(given.name), model.output.dtype, model.output.shape),
        mac_count=model.mac_count,
        work=model.work,
        reaches=model.reaches,
        parameter_count=model.parameter_count,
        weight_bytes=model.weight_bytes,
    )


def _visit(
    path: str,
    given: Layer,
    inputs: tuple[Sample, ...],
    weights: Mapping[str, TensorSpec] | None,
) -> Node:
    rule = rule_of(given)
    kind = kind_of(given)
    shapes = tuple(sample.shape for sample in inputs)
    with error_at(path):
        _check_input_count(kind, rule, len(inputs))
        with error_at(kind):
            check_takes(rule.takes, {sample.name: sample.dtype for sample in inputs})
            layer = rule.resolve(given, shapes)
    parameters = _parameters(layer, rule, inputs, weights, path)
    with error_at(path), error_at(kind):
        check_takes(rule.takes, {spec.name: spec.dtype for spec in parameters})
        dtypes = [sample.dtype for sample in inputs] + [spec.dtype for spec in parameters]
        dtype = rule.output_dtype(layer, dtypes)
    return Node(
        given=given,
        layer=layer,
        rule=rule,
        inputs=inputs,
        shapes=shapes,
        parameters=parameters,
        output=Sample(str(layer.name), dtype, rule.output_shape(layer, shapes)),
        mac_count=rule.mac_count(layer, shapes),
        work=rule.work(layer, shapes),
        reaches=rule.reach(layer, shapes),
        parameter_count=sum(spec.element_count for spec in _trained(layer, rule, parameters)),
        weight_bytes=sum(spec.byte_count for spec in parameters),
    )


def _parameters(
    layer: Layer,
    rule: Rule[Any],
    inputs: tuple[Sample, ...],
    weights: Mapping[str, TensorSpec] | None,
    path: str,
) -> tuple[TensorSpec, ...]:
    shapes = rule.weight_shapes(layer, tuple(sample.shape for sample in inputs))
    specs = []
    for role, shape in zip(rule.weight_names(layer), shapes, strict=True):
        spec = TensorSpec(f"{layer.name}.{role}", rule.weight_dtype(role, inputs[0].dtype), shape)
        if weights is not None:
            check_shape(weights[spec.name], shape, f"{path} reads {batched(inputs[0].shape)}")
            spec = weights[spec.name]
        specs.append(spec)
    return tuple(specs)


def _trained(
    layer: Layer, rule: Rule[Any], parameters: tuple[TensorSpec, ...]
) -> tuple[TensorSpec, ...]:
    if not rule.statistics:
        return parameters
    statistics = {f"{layer.name}.{role}" for role in rule.statistics}
    return tuple(spec for spec in parameters if spec.name not in statistics)


def _check_input_count(kind: str, rule: Rule[Any], count: int) -> None:
    least, most = rule.least_inputs, rule.most_inputs
    if count < least:
        wanted, limit = f"at least {least} inputs", least
        fix = "name the layers or inputs that it reads"
    elif most is not None and count > most:
        wanted, limit = _at_most(least, most), most
        fix = "join them by add or concat" if most == 1 else "leave out the others"
    else:
        return
    raise InvalidNetworkError(
        f"{kind} reads {wanted}, but {count} {'is' if count == 1 else 'are'} given; {fix}",
        field="inputs",
        metadata={"value": count, "limit": limit},
    )


def _at_most(least: int, most: int) -> str:
    bound = "exactly" if least == most else "at most"
    return f"{bound} {most} {'input' if most == 1 else 'inputs'}"


def _check_size(node: Node, batch: int) -> None:
    check_tensor(node.output.spec(max(batch, 1)))
    for spec in node.parameters:
        check_tensor(spec)
    check_counts("FLOPs", node.flop_count * max(batch, 1))
