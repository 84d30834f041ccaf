"""Convolutions by cuDNN: with all that is done to their sums in one graph, or without."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen
from convserve.tensors import dtype_of

from convserve_server.engines.cuda.graphs import ConvGraph
from convserve_server.engines.cuda.kernels.table import FLOATS
from convserve_server.engines.cuda.lowering.builder import Builder, Plans
from convserve_server.engines.cuda.lowering.epilogue import finish
from convserve_server.engines.cuda.lowering.selection import Offer, Problem, rates_of
from convserve_server.engines.cuda.recipe import Convolve
from convserve_server.engines.cuda.views import View
from convserve_server.planning.kernels import MAX_IMAGE_ELEMENTS


@frozen
class Cudnn:
    """A graph of cuDNN with the convolution, and with all that follows if it `is_fused`.

    One that is not fused is followed by a pass of our own.
    """

    is_fused: bool

    @property
    def name(self) -> str:
        """See `Algorithm`."""
        return "cudnn_fused" if self.is_fused else "cudnn"

    def refusal(self, problem: Problem) -> str:
        """See `Algorithm`."""
        return _never(problem) or (_never_fuses(problem) if self.is_fused else "")

    def seconds(self, problem: Problem) -> float:
        """See `Algorithm`."""
        row = "cudnn_depthwise" if problem.is_depthwise else "cudnn"
        passes = 1 if problem.has_epilogue and not self.is_fused else 0
        return rates_of(row).seconds(problem, passes=passes)

    def ask(self, problem: Problem, plans: Plans) -> Offer:
        """See `Algorithm`. What cuDNN was not asked about yet, it is taken to have."""
        prepared = plans.find(self.graph(problem))
        if prepared is None:
            limit = plans.workspace_limit_bytes
            return Offer(self.name, limit, reason="cuDNN was not asked yet; workspace at its limit")
        if prepared.failure:
            return Offer(self.name, failure=prepared.failure)
        name = f"{self.name} {prepared.name.partition('_')[0]}"
        return Offer(name, prepared.workspace_bytes, prepared.notes, prepared.reason)

    def graph(self, problem: Problem) -> ConvGraph:
        """What cuDNN is asked to compute."""
        if not self.is_fused:
            return ConvGraph(problem.convolution)
        return ConvGraph(
            problem.convolution,
            problem.bias,
            problem.residual,
            problem.activation.kind,
            problem.activation.alpha,
        )

    def emit(self, builder: Builder, problem: Problem, tensors: Mapping[str, View]) -> None:
        """See `Algorithm`."""
        size = self.ask(problem, builder.plans).workspace_bytes
        workspace = builder.new("uint8", (size,)) if size else None
        operands = tensors if self.is_fused else {role: tensors[role] for role in problem.shapes}
        builder.give(Convolve(self.graph(problem), operands, workspace))
        if not self.is_fused:
            finish(builder, problem, tensors)


def is_too_large(problem: Problem) -> bool:
    """Whether cuDNN would compute the problem, were its images smaller."""
    conv = problem.convolution
    return conv.dtype in FLOATS and conv.image_elements >= MAX_IMAGE_ELEMENTS


def _never(problem: Problem) -> str:
    """What cuDNN has no plan for, or none that is worth it."""
    conv = problem.convolution
    if conv.dtype not in FLOATS:
        kind = "complex numbers" if dtype_of(conv.dtype).kind == "c" else "exact sums of integers"
        return f"it has no {kind}"
    if is_too_large(problem):
        return (
            f"an image has {conv.image_elements} elements, and from {MAX_IMAGE_ELEMENTS} on it has "
            "its slow universal engine alone"
        )
    if conv.output[2:] != _windows(problem):
        return "its output has as many places as the window has, and this one has others"
    return ""


def _never_fuses(problem: Problem) -> str:
    """What it is known not to fuse, so that it need not be asked.

    By the planner of cuDNN 9.19 for an H200 (tests/cuda/test_plans.py): a bias, a residual and ReLU
    it has in store; other activations are for engines that are compiled, which lack some types.
    """
    conv, function = problem.convolution, problem.activation
    if not problem.has_epilogue:
        return "there is nothing to fuse"
    if not function.is_known_to_cudnn:
        return f"it has no {function.kind} with these numbers"
    if function.kind in ("", "relu"):
        return ""
    if conv.dtype == "float64":
        return f"it fuses no {function.kind} in float64"
    if conv.dtype == "bfloat16" and problem.is_depthwise and len(conv.input) == 4:
        return f"it fuses no {function.kind} into depthwise 2-D convolutions of bfloat16"
    return ""


def _windows(problem: Problem) -> tuple[int, ...]:
    """How many places the window has along each axis."""
    conv = problem.convolution
    return tuple(
        (size + low + high - step * (taps - 1) - 1) // stride + 1
        for size, (low, high), step, taps, stride in zip(
            conv.input[2:], conv.padding, conv.dilation, conv.weight[2:], conv.stride, strict=True
        )
    )
