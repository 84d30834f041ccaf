"""Operations that are not layers: signals as scipy.signal does them, and the gradients of Conv."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve
from convserve.errors import ShapeError, error_at
from convserve.layers import Conv
from convserve.operations import (
    OPERANDS,
    ConvInputGradient,
    Convolve,
    ConvWeightGradient,
    Correlate,
    Operation,
    operation_kind,
)
from convserve.tensors import Shape, TensorSpec

from convserve_server.planning.axes import per_axis
from convserve_server.planning.dtypes import accumulate, promote
from convserve_server.planning.layers.conv import ConvRule
from convserve_server.planning.limits import check_tensor
from convserve_server.planning.program import OperationStep
from convserve_server.planning.weights import check_names

OUTPUT = "output"
_CONV = ConvRule()


def plan_operation(operation: Operation, tensors: Sequence[TensorSpec]) -> OperationStep:
    """The operation with every field explicit, and its result for operands of such shapes.

    Raises InvalidNetworkError for operands that are missing, extra or given twice, and
    InvalidLayerError, ShapeError, DTypeError, TooLargeError.
    """
    kind = operation_kind(operation)
    names = OPERANDS[kind]
    check_names(names, tensors, "tensors")
    by_name = {spec.name: spec for spec in tensors}
    first, second = (by_name[name] for name in names)
    for spec in (first, second):
        with error_at(f"tensors[{spec.name!r}]"):
            spec.check()
            _check_known(spec)
    step = _plan(operation, first, second)
    with error_at(kind):
        check_tensor(step.output)
    return step


def _plan(operation: Operation, first: TensorSpec, second: TensorSpec) -> OperationStep:
    if isinstance(operation, ConvInputGradient):
        return _plan_input_gradient(operation, first, second)
    if isinstance(operation, ConvWeightGradient):
        return _plan_weight_gradient(operation, first, second)
    return _plan_signal(operation, first, second)


def _check_known(spec: TensorSpec) -> None:
    if spec.is_symbolic:
        raise ShapeError(
            f"the size is {spec.shape[0]}, which is unknown; an operation needs it",
            field="shape[0]",
            metadata={"value": spec.shape[0], "limit": 0},
        )


def _plan_signal(operation: Convolve | Correlate, a: TensorSpec, v: TensorSpec) -> OperationStep:
    _check_signals(a, v)
    with error_at(operation_kind(operation)):
        shape = _signal_shape(operation.mode, a.shape, v.shape)
        output = TensorSpec(OUTPUT, promote([a.dtype, v.dtype]), shape)
    return OperationStep(operation, (a, v), output)


def _check_signals(a: TensorSpec, v: TensorSpec) -> None:
    if len(a.shape) != len(v.shape) or not a.shape:
        raise ShapeError(
            f"a has {len(a.shape)} axes and v has {len(v.shape)}; both need the same number, at "
            "least 1",
            field=_shape_field(a if not a.shape else v),
            metadata={"a": len(a.shape), "v": len(v.shape), "limit": 1},
        )
    for spec in (a, v):
        if 0 in spec.shape:
            raise ShapeError(
                f"{spec.name} has shape {spec.shape}, in which axis {spec.shape.index(0)} is 0; "
                "every axis must be at least 1",
                field=_shape_field(spec),
                metadata={"value": 0, "limit": 1},
            )


def _signal_shape(mode: str, a: Shape, v: Shape) -> Shape:
    """Sizes per axis: full a + v - 1, same a, valid max - min + 1."""
    if mode == "same":
        return a
    if mode == "full":
        return tuple(m + n - 1 for m, n in zip(a, v, strict=True))
    pairs = list(zip(a, v, strict=True))
    if not (all(m >= n for m, n in pairs) or all(m <= n for m, n in pairs)):
        raise ShapeError(
            f"mode 'valid' needs one operand to cover the other in every axis, but a is {a} and "
            f"v is {v}; use mode 'full' or 'same'",
            field="mode",
            metadata={"a": a, "v": v},
        )
    return tuple(max(pair) - min(pair) + 1 for pair in pairs)


def _plan_input_gradient(
    operation: ConvInputGradient, grad_output: TensorSpec, weight: TensorSpec
) -> OperationStep:
    shape = operation.input_shape
    _check_sizes("conv_input_gradient.input_shape", shape[1:])
    _check_rank(weight, len(shape))
    _check_sizes(_shape_field(weight), weight.shape)
    conv = _conv(operation, weight.shape[0], weight.shape[2:], shape)
    _check(weight, _CONV.weight_shapes(conv, (shape[1:],))[0])
    _check(grad_output, (shape[0], *_CONV.output_shape(conv, (shape[1:],))))
    resolved = evolve(operation, stride=conv.stride, padding=conv.padding, dilation=conv.dilation)
    with error_at(operation_kind(operation)):
        dtype = accumulate([grad_output.dtype, weight.dtype])
    return OperationStep(resolved, (grad_output, weight), TensorSpec(OUTPUT, dtype, shape))


def _plan_weight_gradient(
    operation: ConvWeightGradient, x: TensorSpec, grad_output: TensorSpec
) -> OperationStep:
    _check_rank(x, 3, 4, 5)
    _check_sizes(_shape_field(x), x.shape[1:])
    _check_rank(grad_output, len(x.shape))
    _check_sizes(_shape_field(grad_output), grad_output.shape[1:])
    with error_at(operation_kind(operation)):
        kernel_size = per_axis(operation.kernel_size, len(x.shape) - 2, "kernel_size")
    conv = _conv(operation, grad_output.shape[1], kernel_size, x.shape)
    _check(grad_output, (x.shape[0], *_CONV.output_shape(conv, (x.shape[1:],))))
    resolved = evolve(
        operation,
        kernel_size=conv.kernel_size,
        stride=conv.stride,
        padding=conv.padding,
        dilation=conv.dilation,
    )
    with error_at(operation_kind(operation)):
        dtype = accumulate([x.dtype, grad_output.dtype])
    shape = _CONV.weight_shapes(conv, (x.shape[1:],))[0]
    return OperationStep(resolved, (x, grad_output), TensorSpec(OUTPUT, dtype, shape))


def _conv(
    operation: ConvInputGradient | ConvWeightGradient,
    out_channels: int,
    kernel_size: Shape,
    input_shape: Shape,
) -> Conv:
    """The convolution whose gradient is taken, resolved for its input."""
    with error_at(operation_kind(operation)):
        conv = Conv(
            out_channels,
            kernel_size,
            stride=operation.stride,
            padding=operation.padding,
            dilation=operation.dilation,
            groups=operation.groups,
            bias=False,
        )
        return _CONV.resolve(conv, (input_shape[1:],))


def _shape_field(spec: TensorSpec) -> str:
    return f"tensors[{spec.name!r}].shape"


def _check_sizes(field: str, sizes: Shape) -> None:
    if min(sizes) < 1:
        raise ShapeError(
            f"a size of {min(sizes)} is below 1; only the batch may be 0",
            field=field,
            metadata={"value": min(sizes), "limit": 1},
        )


def _check_rank(spec: TensorSpec, *ranks: int) -> None:
    if len(spec.shape) not in ranks:
        raise ShapeError(
            f"{spec.name} has rank {len(spec.shape)}, but must have {' or '.join(map(str, ranks))}",
            field=_shape_field(spec),
            metadata={"value": len(spec.shape), "limit": ranks[-1]},
        )


def _check(spec: TensorSpec, expected: Shape) -> None:
    if spec.shape != expected:
        raise ShapeError(
            f"the shape is {spec.shape}, but this convolution has {expected} there",
            field=_shape_field(spec),
            metadata={"value": spec.shape, "want": expected},
        )
