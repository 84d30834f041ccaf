"""Convolutions by their definition: for what cuDNN does not take, and where it has no plan."""

from __future__ import annotations

import math
from collections.abc import Mapping

from attrs import evolve, frozen
from convserve.tensors import dtype_of

from convserve_server.engines.cuda.graphs import BIAS, INPUT, OUTPUT, WEIGHT
from convserve_server.engines.cuda.lowering.builder import Builder, Plans
from convserve_server.engines.cuda.lowering.epilogue import finish, per_channel
from convserve_server.engines.cuda.lowering.rows import sum_type
from convserve_server.engines.cuda.lowering.selection import Offer, Problem, rates_of
from convserve_server.engines.cuda.lowering.windows import Windows, lifted
from convserve_server.engines.cuda.views import View
from convserve_server.planning.kernels import FORWARD, INPUT_GRADIENT

_THREADS = 1 << 17  # about what a large GPU runs at once
_LEAST_TERMS = 256  # of a part of a sum


@frozen
class Direct:
    """Our own kernels of every direction and element type. See `Algorithm`."""

    name: str = "direct kernel"

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
        threads = -(-_THREADS // max(result.element_count, 1))
        count = max(1, min(threads, total * terms // _LEAST_TERMS, total))
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
    groups = x.shape[1] // weight.shape[1]
    parts = _Parts.of(builder, y, weight.shape[1], math.prod(weight.shape[2:]))
    arguments = (parts.view, x, weight, _added(builder, y, bias))
    builder.launch(
        "DirectConv",
        (parts.view.dtype, x.dtype),
        *map(lifted, arguments),
        *(weight.shape[0] // groups, parts.length),
        *windows.arguments,
        count=parts.view.element_count,
    )
    parts.add(builder, y)


def spread(
    builder: Builder, x: View, y: View, weight: View, windows: Windows, bias: View | None = None
) -> None:
    """Fill `x` (N, C, *L) from `y` (N, K, *L'), the transpose of `forward`; `bias` is (C)."""
    outputs = weight.shape[0] // (x.shape[1] // weight.shape[1])
    parts = _Parts.of(builder, x, outputs, math.prod(weight.shape[2:]))
    arguments = (parts.view, y, weight, _added(builder, x, bias))
    builder.launch(
        "DirectSpread",
        (parts.view.dtype, y.dtype),
        *map(lifted, arguments),
        *(outputs, parts.length),
        *windows.arguments,
        count=parts.view.element_count,
    )
    parts.add(builder, x)


def weight_gradient(builder: Builder, weight: View, x: View, y: View, windows: Windows) -> None:
    """Fill `weight` (K, C / groups, *kernel) from `x` (N, C, *L) and its result's gradient `y`."""
    groups, total = x.shape[1] // weight.shape[1], y.shape[0] * math.prod(y.shape[2:])
    parts = _Parts.of(builder, weight, total)
    builder.launch(
        "DirectWeight",
        (parts.view.dtype, x.dtype),
        *map(lifted, (parts.view, x, y)),
        *(weight.shape[0] // groups, parts.length, total),
        *windows.arguments,
        count=parts.view.element_count,
    )
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


def constant(builder: Builder, dtype: str, value: float) -> View:
    """A buffer (1) with a number that stays."""
    with builder.preparation():
        view = builder.new(dtype, (1,))
        builder.fill(view, value)
    return view


def _added(builder: Builder, result: View, bias: View | None) -> View:
    """What the sums of a result (N, K, *L) begin with."""
    sums = sum_type(result.dtype)
    if bias is None:
        return constant(builder, sums, 0.0).expanded(result.shape)
    with builder.preparation():
        return per_channel(builder.cast(bias, sums), result)
