"""Convolution of 8-bit integers: exact sums by BLAS, in blocks of columns."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from convserve.layers import IntegerConv, QuantizedConv
from convserve.tensors import Array

from convserve_server.engines.cpu import columns
from convserve_server.engines.cpu.team import Team
from convserve_server.engines.cpu.windows import Geometry
from convserve_server.engines.integers import check_integer_bound, exact_type
from convserve_server.engines.quantization import Quantizer
from convserve_server.planning.equivalents import grouped
from convserve_server.planning.program import Step


def integer_conv(
    step: Step, layer: IntegerConv, values: Mapping[str, Array], out: Array, team: Team
) -> None:
    """Fill `out` with the int32 sums. Raises InvalidArgumentError where they could overflow."""
    weights = _by_role(step, values)
    x, weight = _without_zeros(values[step.inputs[0].name], weights)
    bound = _bound(step, x, weight, None, "int32")
    geometry = Geometry.of(grouped(layer))
    columns.conv(x, weight, None, out, geometry, exact_type(bound), team)


def quantized_conv(
    step: Step, layer: QuantizedConv, values: Mapping[str, Array], out: Array, team: Team
) -> None:
    """Fill `out` sample by sample, from float64 sums, which are exact: they are below 2^53."""
    weights = _by_role(step, values)
    quantizer = Quantizer.of(weights, step.output.name, step.output.dtype)
    x, weight = _without_zeros(values[step.inputs[0].name], weights)
    bias = weights.get("bias")
    compute = exact_type(_bound(step, x, weight, bias, "int64"))
    geometry, sums = Geometry.of(grouped(layer)), np.empty((1, *out.shape[1:]))
    for sample, place in zip(x, out, strict=True):
        columns.conv(sample[None], weight, bias, sums, geometry, compute, team)
        place[...] = quantizer.quantize(sums)[0]


def _by_role(step: Step, values: Mapping[str, Array]) -> dict[str, Array]:
    return {role: values[spec.name] for role, spec in step.weights.items()}


def _without_zeros(x: Array, weights: Mapping[str, Array]) -> tuple[Array, Array]:
    """Both less their zero points, in int16, which holds every difference of 8-bit numbers."""
    weight, zeros = (weights[role].astype(np.int16) for role in ("weight", "weight_zero_point"))
    x = x.astype(np.int16) - weights["input_zero_point"].astype(np.int16)
    return x, weight - zeros.reshape(-1, *[1] * (weight.ndim - 1))


def _bound(step: Step, x: Array, weight: Array, bias: Array | None, dtype: str) -> int:
    field = f"tensors['{step.output.name}.weight']"
    axes = tuple(range(1, weight.ndim))
    return check_integer_bound(x, weight, bias, dtype, summed_axes=axes, field=field)
