"""How a case is stated in one line."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from convserve import layers as cs
from convserve.layers import Layer, kind_of
from convserve.networks import Network
from convserve.operations import OPERANDS, Operation, operation_kind
from convserve.tensors import Shape

from tests.conformance.case import Case
from tests.conformance.weights import weights_of_conv, weights_of_norm


def layer_case(name: str, layer: Layer, *shapes: Shape, **options: Any) -> Case:
    """A network of one layer, on inputs `x1`, `x2`... if it joins several."""
    names = ("input",) if len(shapes) == 1 else tuple(f"x{i + 1}" for i in range(len(shapes)))
    if len(shapes) > 1:
        layer = evolve(layer, name=kind_of(layer), inputs=names)
    network = Network([layer], inputs=names)
    sample = shapes[0][1:]
    if options.get("layout") == "channels_last":
        sample = (sample[-1], *sample[:-1])
    return Case(
        name=f"{kind_of(layer)}-{name}-{options.get('dtype', 'float32')}",
        work=network,
        inputs=dict(zip(names, shapes, strict=True)),
        weights=weight_shapes(network.layers[0], sample),
        **options,
    )


def weight_shapes(layer: Layer, sample: Shape) -> dict[str, Shape]:
    """The weights of a named layer that reads samples (C, *L)."""
    channels, rank = sample[0], len(sample) - 1
    shapes = weights_of_conv(layer, sample) | weights_of_norm(layer, sample)
    match layer:
        case cs.Conv():
            kernel = _per_axis(layer.kernel_size, rank)
            shapes["weight"] = (layer.out_channels, channels // layer.groups, *kernel)
        case cs.ConvTranspose():
            kernel = _per_axis(layer.kernel_size, rank)
            shapes["weight"] = (channels, layer.out_channels // layer.groups, *kernel)
        case cs.Dense():
            shapes["weight"] = (layer.out_features, sample[-1])
        case cs.PReLU():
            shapes["weight"] = (channels,)
        case cs.BatchNorm():
            trained = ["weight"] * layer.weight + ["bias"] * layer.bias
            shapes = dict.fromkeys([*trained, "running_mean", "running_var"], (channels,))
    if isinstance(layer, cs.Conv | cs.ConvTranspose) and layer.bias:
        shapes["bias"] = (layer.out_channels,)
    if isinstance(layer, cs.Dense) and layer.bias:
        shapes["bias"] = (layer.out_features,)
    return {f"{layer.name}.{name}": shape for name, shape in shapes.items()}


def operation_case(name: str, operation: Operation, a: Shape, b: Shape, **options: Any) -> Case:
    """An operation on its two operands."""
    kind = operation_kind(operation)
    return Case(
        name=f"{kind}-{name}-{options.get('dtype', 'float32')}",
        work=operation,
        inputs=dict(zip(OPERANDS[kind], (a, b), strict=True)),
        **options,
    )


def _per_axis(values: Shape, rank: int) -> Shape:
    return values * rank if len(values) == 1 else values
