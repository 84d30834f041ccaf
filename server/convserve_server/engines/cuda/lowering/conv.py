"""Layers that are one convolution, with the steps that are computed along with it."""

from __future__ import annotations

from collections.abc import Callable

from convserve.layers import Conv, ConvTranspose, Dense, Layer

from convserve_server.engines.cuda.graphs import BIAS, RESIDUAL, WEIGHT
from convserve_server.engines.cuda.lowering.algorithms import compute
from convserve_server.engines.cuda.lowering.builder import Builder
from convserve_server.engines.cuda.lowering.folding import read_weights
from convserve_server.engines.cuda.lowering.fusion import Run
from convserve_server.engines.cuda.lowering.integer_checks import check_step
from convserve_server.engines.cuda.lowering.operands import as_images, laid_out
from convserve_server.engines.cuda.lowering.pad import padded
from convserve_server.engines.cuda.lowering.selection import Problem
from convserve_server.engines.cuda.lowering.windows import pairs
from convserve_server.engines.cuda.views import View
from convserve_server.planning.kernels import FORWARD, INPUT_GRADIENT, Convolution
from convserve_server.planning.program import Step


def emit(builder: Builder, run: Run) -> None:
    """A convolution or a dense layer, and the normalisation, sum and activation behind it."""
    head, residual = run.head, run.residual
    is_matrix = isinstance(head.layer, Dense)
    check_step(builder, head)
    weights = read_weights(builder, head, run.norm)
    convolution, read = _READERS[type(head.layer)](builder, head)
    problem = Problem(convolution, weights.bias is not None, residual is not None, run.function)
    result = builder.result(run.output, last=not is_matrix)
    with builder.preparation():
        weight = as_images(weights.weight) if is_matrix else weights.weight
        tensors = {problem.operand: read, WEIGHT: laid_out(builder, weight, convolution.dtype)}
    tensors[problem.result] = as_images(result) if is_matrix else result
    if weights.bias is not None:
        tensors[BIAS] = weights.bias
    if residual is not None:
        tensors[RESIDUAL] = _read(builder, residual.name, residual.dtype, is_matrix=is_matrix)
    name = compute(builder, problem, tensors)
    for step in run.steps:
        builder.record(step, name)


def _conv(builder: Builder, step: Step) -> tuple[Convolution, View]:
    """A convolution and what it reads: padded before, where the borders are not zeros."""
    assert isinstance(step.layer, Conv)
    layer, padding = step.layer, pairs(step.layer.padding)
    x = builder.value(step.inputs[0].name)
    if layer.padding_mode != "zeros":
        x = padded(builder, x, padding, layer.padding_mode)
        padding = ((0, 0),) * len(padding)
    convolution = Convolution(
        FORWARD,
        step.output.dtype,
        x.shape,
        step.parameters[0].shape,
        step.output.shape,
        layer.stride,
        padding,
        layer.dilation,
    )
    return convolution, laid_out(builder, x, step.output.dtype)


def _transposed(builder: Builder, step: Step) -> tuple[Convolution, View]:
    """The convolution of which this is the gradient for the input, and what it reads."""
    assert isinstance(step.layer, ConvTranspose)
    layer, y = step.layer, builder.value(step.inputs[0].name)
    convolution = Convolution(
        INPUT_GRADIENT,
        step.output.dtype,
        step.output.shape,
        step.parameters[0].shape,
        y.shape,
        layer.stride,
        pairs(layer.padding),
        layer.dilation,
    )
    return convolution, laid_out(builder, y, step.output.dtype)


def _dense(builder: Builder, step: Step) -> tuple[Convolution, View]:
    """A matrix product, as a convolution of images of one element."""
    dtype, weight = step.output.dtype, (*step.parameters[0].shape, 1, 1)
    x = _read(builder, step.inputs[0].name, dtype, is_matrix=True)
    ones = (1, 1)
    output = (x.shape[0], weight[0], 1, 1)
    none = ((0, 0), (0, 0))
    return Convolution(FORWARD, dtype, x.shape, weight, output, ones, none, ones), x


def _read(builder: Builder, name: str, dtype: str, *, is_matrix: bool) -> View:
    """A value as a convolution reads it."""
    view = builder.value(name)
    if is_matrix:
        view = as_images(builder.contiguous(view, dtype))
    return laid_out(builder, view, dtype)


_READERS: dict[type[Layer], Callable[[Builder, Step], tuple[Convolution, View]]] = {
    Conv: _conv,
    ConvTranspose: _transposed,
    Dense: _dense,
}
