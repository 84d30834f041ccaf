"""Convolutions by their definition: for what cuDNN does not take, and where it has no plan."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from attrs import evolve, frozen
from convserve.tensors import dtype_of

from convserve_server.engines.cuda.graphs import BIAS, INPUT, OUTPUT, WEIGHT
from convserve_server.engines.cuda.lowering.builder import Builder, Plans
from convserve_server.engines.cuda.lowering.epilogue import finish
from convserve_server.engines.cuda.lowering.rows import part_count, sum_type
from convserve_server.engines.cuda.lowering.selection import Offer, Problem, rates_of
from convserve_server.engines.cuda.lowering.windows import Windows, lifted
from convserve_server.engines.cuda.views import View
from convserve_server.planning.kernels import FORWARD, INPUT_GRADIENT


@frozen
class Direct:
    """Our own kernels of every direction and element type. See `Algorithm`."""

    name: str = "direct"

    def refusal(self, problem: Problem) -> str:
        """See `Algorithm`. There is nothing that it cannot compute."""
        return ""

    def seconds(self, problem: Problem) -> float:
        """See `Algorithm`."""
        passes = 1 if problem.residual or problem.activation.kind else 0
        return rates_of(self.name).seconds(problem, passes=passes)

    def ask(self, problem: Problem, plans: Plans) -> Offer:
        """See `Algorithm`."""
        return Offer(self.name)

    def emit(self, builder: Builder, problem: Problem, tensors: Mapping[str, View]) -> None:
        """See `Algorithm`."""
        conv, result = problem.convolution, tensors[problem.result]
        windows = Windows(conv.stride, conv.padding, conv.dilation)
        bias = tensors.get(BIAS)
        if conv.direction == FORWARD:
            with builder.preparation():
                weight = outputs_last(builder, tensors[WEIGHT])
            forward(builder, result, tensors[INPUT], weight, windows, bias)
        elif conv.direction == INPUT_GRADIENT:
            weight = tensors[WEIGHT]
            if problem.is_gradient and dtype_of(weight.dtype).kind == "c":
                weight = conjugate(builder, weight)
            spread(builder, result, tensors[OUTPUT], weight, windows, bias)
        else:
            weight_gradient(builder, result, tensors[INPUT], tensors[OUTPUT], windows)
        finish(builder, evolve(problem, bias=False), tensors)


@frozen
class _Parts:
    """The sums of a result in `count` parts, one after the other along axis 0 of `view`.

    With one, they are the result. Each is over `length` of what is summed.
    """

    view: View
    count: int
    length: int

    @classmethod
    def of(cls, builder: Builder, result: View, total: int, terms: int = 1) -> _Parts:
        """Room for the sums over `total` channels or windows of so many terms each."""
        count = max(1, min(total, part_count(result.element_count, total * terms)))
        length = -(-total // count)
        if count == 1:
            return cls(result, count, length)
        shape = (count * result.shape[0], *result.shape[1:])
        return cls(builder.new(sum_type(result.dtype), shape), count, length)

    def add(self, builder: Builder, result: View) -> None:
        """Fill the result, if it is not the sums."""
        if self.count == 1:
            return
        size = result.shape[0]
        builder.launch(
            "AddParts",
            (result.dtype, self.view.dtype),
            *(result, self.view.sliced(0, 0, size), self.count, size * self.view.strides[0]),
            count=result.element_count,
        )


def forward(
    builder: Builder, y: View, x: View, weight: View, windows: Windows, bias: View | None = None
) -> None:
    """Fill `y` (N, K, *L') from `x` (N, C, *L) and `weight` (K, C / groups, *kernel).

    `x` and `weight` have one type, whose sums that of `y` holds; `bias` (K) stays. Fastest with the
    weights of `outputs_last`.
    """
    outputs = weight.shape[0] // (x.shape[1] // weight.shape[1])
    parts = _Parts.of(builder, y, weight.shape[1], math.prod(weight.shape[2:]))
    _launch(builder, "DirectConv", parts, (x, weight, _added(builder, y, bias)), windows, outputs)
    parts.add(builder, y)


def spread(
    builder: Builder, x: View, y: View, weight: View, windows: Windows, bias: View | None = None
) -> None:
    """Fill `x` (N, C, *L) from `y` (N, K, *L'), the transpose of `forward`; `bias` is (C)."""
    outputs = weight.shape[0] // (x.shape[1] // weight.shape[1])
    parts = _Parts.of(builder, x, outputs, math.prod(weight.shape[2:]))
    _launch(builder, "DirectSpread", parts, (y, weight, _added(builder, x, bias)), windows, outputs)
    parts.add(builder, x)


def weight_gradient(builder: Builder, weight: View, x: View, y: View, windows: Windows) -> None:
    """Fill `weight` (K, C / groups, *kernel) from `x` (N, C, *L) and its result's gradient `y`."""
    groups, total = x.shape[1] // weight.shape[1], y.shape[0] * math.prod(y.shape[2:])
    parts = _Parts.of(builder, weight, total)
    outputs = weight.shape[0] // groups
    _launch(builder, "DirectWeight", parts, (x, y), windows, outputs, total)
    parts.add(builder, weight)


def outputs_last(builder: Builder, weight: View) -> View:
    """Weights (K, C / groups, *kernel) with K the fastest, as neighbouring results read them."""
    if weight.strides[0] == 1 or weight.shape[0] == 1:
        return weight
    outputs, inputs, *kernel = weight.shape
    made = builder.new(weight.dtype, (*kernel, inputs, outputs), last=False)
    last = len(kernel) + 1
    made = made.permuted((last, last - 1, *range(last - 1)))
    builder.copy(made, weight)
    return made


def conjugate(builder: Builder, view: View) -> View:
    """The complex conjugates."""
    made = builder.new(view.dtype, view.shape)
    builder.launch("Conjugate", (view.dtype,), made, view, count=made.element_count)
    return made


def _launch(
    builder: Builder,
    name: str,
    parts: _Parts,
    operands: Sequence[View],
    windows: Windows,
    outputs: int,
    *totals: int,
) -> None:
    """A kernel of direct.cuh that makes sums in parts, of operands of one type."""
    builder.launch(
        name,
        (parts.view.dtype, operands[0].dtype),
        *map(lifted, (parts.view, *operands)),
        *(outputs, parts.length, *totals),
        *windows.arguments,
        count=parts.view.element_count,
    )


def _added(builder: Builder, result: View, bias: View | None) -> View:
    """What the sums of a result (N, K, *L) begin with."""
    sums = sum_type(result.dtype)
    if bias is None:
        return builder.constant(sums, 0.0, result.shape)
    with builder.preparation():
        return builder.cast(bias, sums).along(1, result.shape)
