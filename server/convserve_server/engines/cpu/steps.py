"""One step at a time, for what ONNX Runtime does not compute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from attrs import evolve, frozen
from convserve import layers
from convserve.operations import ConvInputGradient, ConvWeightGradient
from convserve.tensors import Array, TensorSpec, dtype_of
from numpy.typing import DTypeLike

from convserve_server.engines.cpu import columns, pool, quantized, unfold
from convserve_server.engines.cpu.team import Team
from convserve_server.engines.cpu.windows import Geometry
from convserve_server.engines.integers import check_integer_bound, exact_type
from convserve_server.engines.reference.accumulation import conjugate
from convserve_server.planning.program import OperationStep, Step

_PAD_MODES: dict[str, Any] = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def run_step(step: Step, values: Mapping[str, Array], out: Array, team: Team) -> None:
    """Fill `out` with what a convolution, dense, pooling or unfolding layer makes of its inputs.

    Raises InvalidArgumentError where integers could overflow.
    """
    x = values[step.inputs[0].name]
    weight, bias = ([values[spec.name] for spec in step.parameters] + [None, None])[:2]
    match step.layer:
        case layers.Conv() as layer if weight is not None:
            _conv(step, layer, _Operands(x, weight, bias), out, team)
        case layers.ConvTranspose() as layer if weight is not None:
            _conv_transpose(step, layer, _Operands(x, weight, bias), out, team)
        case layers.Dense() if weight is not None:
            _dense(step, _Operands(x, weight, bias), out, team)
        case layers.IntegerConv() as layer:
            quantized.integer_conv(step, layer, values, out, team)
        case layers.QuantizedConv() as layer:
            quantized.quantized_conv(step, layer, values, out, team)
        case layers.Unfold() as layer:
            unfold.unfold(layer, x, out)
        case layers.Fold() as layer:
            unfold.fold(layer, x, out)
        case layers.MaxPool() as layer:
            pool.max_pool(layer, x, out)
        case layers.AvgPool() as layer:
            pool.avg_pool(layer, x, out)


def run_gradient(step: OperationStep, first: Array, second: Array, out: Array, team: Team) -> None:
    """Fill `out` with a gradient; of complex tensors with the adjoint, as PyTorch has it.

    Raises InvalidArgumentError where integers could overflow.
    """
    operation = step.operation
    if isinstance(operation, ConvInputGradient):
        operands = _Operands(first, conjugate(second))
        compute = _transposed_type(step.output, operands, operation.groups, "weight")
        geometry = Geometry.of(operation)
        columns.conv_transpose(first, operands.weight, None, out, geometry, compute, team)
    elif isinstance(operation, ConvWeightGradient):
        axes = (0, *range(2, second.ndim))
        compute = _compute_type(step.output, _Operands(first, second), axes, "grad_output")
        geometry = Geometry.of(operation)
        columns.conv_weight_gradient(first, second, out, geometry, compute, team)


@frozen(eq=False)
class _Operands:
    x: Array
    weight: Array
    bias: Array | None = None


def _conv(step: Step, layer: layers.Conv, operands: _Operands, out: Array, team: Team) -> None:
    x, weight, geometry = operands.x, operands.weight, Geometry.of(layer)
    axes = tuple(range(1, weight.ndim))
    compute = _compute_type(step.output, operands, axes, step.parameters[0].name)
    if layer.padding_mode != "zeros":
        x = np.pad(x, [(0, 0), (0, 0), *geometry.padding], _PAD_MODES[layer.padding_mode])
        geometry = evolve(geometry, padding=((0, 0),) * len(geometry.padding))
    columns.conv(x, weight, operands.bias, out, geometry, compute, team)


def _conv_transpose(
    step: Step, layer: layers.ConvTranspose, operands: _Operands, out: Array, team: Team
) -> None:
    x, weight, bias = operands.x, operands.weight, operands.bias
    name = step.parameters[0].name
    compute = _transposed_type(step.output, operands, layer.groups, name)
    columns.conv_transpose(x, weight, bias, out, Geometry.of(layer), compute, team)


def _dense(step: Step, operands: _Operands, out: Array, team: Team) -> None:
    compute = _compute_type(step.output, operands, (1,), step.parameters[0].name)
    x = operands.x.astype(compute, copy=False)
    bias = None if operands.bias is None else operands.bias.astype(compute, copy=False)

    def multiply_rows(share: Sequence[slice]) -> None:
        for rows in share:
            product = x @ operands.weight[rows].astype(compute, copy=False).T
            out[..., rows] = product if bias is None else product + bias[rows]

    count = -(-out.shape[-1] // team.threads)
    team.share(multiply_rows, [slice(i, i + count) for i in range(0, out.shape[-1], count)])


def _transposed_type(output: TensorSpec, operands: _Operands, groups: int, name: str) -> DTypeLike:
    weight = operands.weight
    grouped = weight.reshape(groups, weight.shape[0] // groups, *weight.shape[1:])
    axes = (1, *range(3, grouped.ndim))
    return _compute_type(output, evolve(operands, weight=grouped), axes, name)


def _compute_type(
    output: TensorSpec, operands: _Operands, summed_axes: tuple[int, ...], name: str
) -> DTypeLike:
    """In which type to make sums of products with a weight over its `summed_axes`."""
    dtype = dtype_of(output.dtype)
    if dtype.kind not in "iub":
        return dtype if dtype.itemsize > 2 else np.float32
    bound = check_integer_bound(
        operands.x,
        operands.weight,
        operands.bias,
        output.dtype,
        summed_axes=summed_axes,
        field=f"tensors['{name}']",
    )
    return exact_type(bound)
