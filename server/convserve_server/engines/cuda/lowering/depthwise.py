"""Depthwise convolutions by a kernel of their own, with bias and activation in the same pass."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from convserve_server.engines.cuda.graphs import BIAS, INPUT, WEIGHT
from convserve_server.engines.cuda.kernels.table import TEMPLATES
from convserve_server.engines.cuda.lowering.builder import Builder, Plans
from convserve_server.engines.cuda.lowering.direct import outputs_last
from convserve_server.engines.cuda.lowering.packs import may_pack
from convserve_server.engines.cuda.lowering.selection import Offer, Problem, rates_of
from convserve_server.engines.cuda.lowering.windows import Windows, lifted
from convserve_server.engines.cuda.views import View
from convserve_server.planning.kernels import FORWARD

RUN = 4  # windows along the last axis that one index computes: `kRun` of depthwise.cuh
PACK = 4  # channels that it computes, where they can be read at once


@frozen
class Depthwise:
    """Each channel with its own kernels, in one pass. See `Algorithm`."""

    name: str = "depthwise"

    def refusal(self, problem: Problem) -> str:
        """See `Algorithm`."""
        conv = problem.convolution
        if conv.direction != FORWARD:
            return "it computes no gradients"
        if not problem.is_depthwise:
            return "the convolution mixes channels"
        if (conv.dtype,) not in TEMPLATES["Depthwise"].types:
            return f"it has no {conv.dtype}"
        if problem.residual:
            return "it adds no other value"
        return ""

    def seconds(self, problem: Problem) -> float:
        """See `Algorithm`."""
        return rates_of(self.name).seconds(problem)

    def ask(self, problem: Problem, plans: Plans) -> Offer:
        """See `Algorithm`."""
        return Offer(self.name)

    def emit(self, builder: Builder, problem: Problem, tensors: Mapping[str, View]) -> None:
        """See `Algorithm`."""
        conv, function = problem.convolution, problem.activation
        y, x = lifted(tensors[problem.result]), lifted(tensors[INPUT])
        bias = tensors.get(BIAS) or builder.constant(y.dtype, 0.0, (y.shape[1],))
        with builder.preparation():
            weight = lifted(outputs_last(builder, tensors[WEIGHT]))
        packed = _can_pack(y, x, weight)
        pack = PACK if packed else 1
        runs = -(-y.shape[-1] // RUN)
        builder.launch(
            "DepthwisePacked" if packed else "Depthwise",
            (conv.dtype,),
            *(y, x, weight, bias),
            *(y.shape[1] // x.shape[1], function.code, function.alpha, function.beta),
            *Windows(conv.stride, conv.padding, conv.dilation).arguments,
            count=y.element_count // y.shape[-1] * runs // pack,
        )


def _can_pack(y: View, x: View, weight: View) -> bool:
    """Whether the channels of all can be read in packs."""
    views = ((y, 1), (x, 1), (weight, 0))
    return y.shape[1] == x.shape[1] and all(may_pack(view, axis, PACK) for view, axis in views)
