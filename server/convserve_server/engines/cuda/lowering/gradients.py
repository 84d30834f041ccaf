"""The gradients of a convolution for its input and for its weight."""

from __future__ import annotations

from collections.abc import Mapping

from convserve.operations import ConvInputGradient, ConvWeightGradient, Operation
from convserve.tensors import Shape

from convserve_server.engines.cuda.graphs import INPUT, OUTPUT, WEIGHT
from convserve_server.engines.cuda.lowering.algorithms import compute
from convserve_server.engines.cuda.lowering.builder import Builder, OperationEmitter
from convserve_server.engines.cuda.lowering.integer_checks import check_operation
from convserve_server.engines.cuda.lowering.operands import laid_out
from convserve_server.engines.cuda.lowering.selection import Problem
from convserve_server.engines.cuda.lowering.windows import pairs
from convserve_server.planning.kernels import INPUT_GRADIENT, WEIGHT_GRADIENT, Convolution
from convserve_server.planning.program import OperationStep


def _for_input(builder: Builder, step: OperationStep) -> None:
    """From `grad_output` (N, K, *L') and `weight` to the input's (N, C, *L)."""
    operation = step.operation
    assert isinstance(operation, ConvInputGradient)
    grad, weight = step.operands
    shapes = {INPUT: step.output.shape, WEIGHT: weight.shape, OUTPUT: grad.shape}
    convolution = _convolution(INPUT_GRADIENT, step, operation, shapes)
    _compute(builder, step, convolution, {OUTPUT: grad.name, WEIGHT: weight.name})


def _for_weight(builder: Builder, step: OperationStep) -> None:
    """From `x` (N, C, *L) and `grad_output` (N, K, *L') to the weight's shape."""
    operation = step.operation
    assert isinstance(operation, ConvWeightGradient)
    x, grad = step.operands
    shapes = {INPUT: x.shape, WEIGHT: step.output.shape, OUTPUT: grad.shape}
    convolution = _convolution(WEIGHT_GRADIENT, step, operation, shapes)
    _compute(builder, step, convolution, {INPUT: x.name, OUTPUT: grad.name})


def _convolution(
    direction: str,
    step: OperationStep,
    operation: ConvInputGradient | ConvWeightGradient,
    shapes: Mapping[str, Shape],
) -> Convolution:
    return Convolution(
        direction,
        step.output.dtype,
        shapes[INPUT],
        shapes[WEIGHT],
        shapes[OUTPUT],
        operation.stride,
        pairs(operation.padding),
        operation.dilation,
    )


def _compute(
    builder: Builder, step: OperationStep, convolution: Convolution, names: Mapping[str, str]
) -> None:
    check_operation(builder, step)
    problem = Problem(convolution, is_gradient=True)
    tensors = {
        role: laid_out(builder, builder.value(name), step.output.dtype)
        for role, name in names.items()
    }
    tensors[problem.result] = builder.result(step.output)
    builder.record(step, compute(builder, problem, tensors))


TABLE: dict[type[Operation], OperationEmitter] = {
    ConvInputGradient: _for_input,
    ConvWeightGradient: _for_weight,
}
