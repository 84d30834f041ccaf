"""That integer results are exact: what the bound of `engines/integers.py` is made from.

The device finds the numbers; they are read back and judged when the results are there.
"""

from __future__ import annotations

import math
from contextlib import nullcontext

import numpy as np
from attrs import evolve
from convserve.layers import ConvTranspose
from convserve.layers.fields import Ints
from convserve.operations import ConvInputGradient
from convserve.tensors import dtype_of

from convserve_server.engines.cuda.checks import INTEGER_BOUND
from convserve_server.engines.cuda.lowering.builder import Builder
from convserve_server.engines.cuda.recipe import Check
from convserve_server.engines.cuda.views import View, collapse
from convserve_server.planning.program import OperationStep, Step

_FEW = 256  # numbers that are read back as they are
_MANY = 1 << 16  # numbers that are made at once, of more than some times as many
_LEAST_TERMS = 4096  # of a part of a sum


def check_step(builder: Builder, step: Step) -> None:
    """Check the bound of a convolution, a transposed one or a dense layer, if of integers."""
    if dtype_of(step.output.dtype).kind != "i":
        return
    x = builder.value(step.inputs[0].name)
    weight, *others = (builder.value(spec.name) for spec in step.parameters)
    bias, field = others[0] if others else None, f"tensors['{step.parameters[0].name}']"
    kept: Ints = (0,)
    if isinstance(step.layer, ConvTranspose):
        weight, kept = _in_groups(weight, step.layer.groups)
    check_bound(builder, x, weight, bias, step.output.dtype, kept=kept, field=field)


def check_operation(builder: Builder, step: OperationStep) -> None:
    """Check the bound of a gradient of a convolution, if of integers."""
    if dtype_of(step.output.dtype).kind != "i":
        return
    x, weight = (builder.value(spec.name) for spec in step.operands)
    kept: Ints = (1,)
    if isinstance(step.operation, ConvInputGradient):
        weight, kept = _in_groups(weight, step.operation.groups)
    dtype, field = step.output.dtype, f"tensors['{step.operands[1].name}']"
    check_bound(builder, x, weight, None, dtype, kept=kept, field=field, stays=False)


def check_bound(
    builder: Builder,
    x: View,
    weight: View,
    bias: View | None,
    dtype: str,
    *,
    kept: Ints,
    field: str,
    stays: bool = True,
) -> None:
    """As `integers.check_integer_bound`; nothing where the types leave no doubt.

    `kept` are the axes of `weight` that are not summed. Weights that stay (with their bias) are
    looked at once.
    """
    if _is_certain(x, weight, bias, dtype, kept):
        return
    values = [extremes(builder, x)]
    with builder.preparation() if stays else nullcontext():
        values.append(_largest_sums(builder, weight, kept))
        if bias is not None:
            values.append(extremes(builder, bias))
    builder.checks.append(Check(INTEGER_BOUND, tuple(values), dtype, field))


def _is_certain(x: View, weight: View, bias: View | None, dtype: str, kept: Ints) -> bool:
    """Whether no values of these types can go beyond the result's."""
    terms = math.prod(size for axis, size in enumerate(weight.shape) if axis not in kept)
    bound = terms * _largest_of(x.dtype) * _largest_of(weight.dtype)
    return bound + (_largest_of(bias.dtype) if bias else 0) <= _largest_of(dtype) - 1


def _largest_of(dtype: str) -> int:
    """The largest absolute value."""
    if dtype == "bool":
        return 1
    limits = np.iinfo(dtype_of(dtype))
    return max(int(limits.max), -int(limits.min))


def _in_groups(weight: View, groups: int) -> tuple[View, Ints]:
    """(K, C / groups, *kernel) as (groups, K / groups, C / groups, *kernel); C is not summed."""
    return weight.split(0, (groups, weight.shape[0] // groups)), (0, 2)


def extremes(builder: Builder, view: View) -> View:
    """A few numbers, with the smallest and the largest of a view among them."""
    view = _as_number(view)
    while view.element_count > _FEW:
        (source,) = collapse(view)
        places = _MANY if source.element_count > 16 * _MANY else _FEW // 2
        view = builder.new(view.dtype, (2, places))
        arguments = (view, source, source.element_count)
        builder.launch("Extremes", (view.dtype,), *arguments, count=places)
    return builder.contiguous(view)


def _largest_sums(builder: Builder, weight: View, kept: Ints) -> View:
    """A few numbers in float64, with the largest sum|weight| over the axes not kept among them."""
    summed = [axis for axis in range(len(weight.shape)) if axis not in kept]
    rows = math.prod(weight.shape[axis] for axis in kept)
    terms = math.prod(weight.shape[axis] for axis in summed)
    view = _as_number(weight).permuted((*kept, *summed))
    while True:
        parts = max(1, min(_MANY // max(rows, 1), terms // _LEAST_TERMS))
        sums = builder.new("float64", (rows, parts))
        arguments = (sums, view, terms, -(-terms // parts))
        builder.launch("AbsoluteSums", (view.dtype,), *arguments, count=rows * parts)
        if parts == 1:
            return extremes(builder, sums)
        view, terms = sums, parts


def _as_number(view: View) -> View:
    """Bools as the bytes 0 and 1 that they are."""
    return evolve(view, dtype="uint8") if view.dtype == "bool" else view
