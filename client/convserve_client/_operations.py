"""One operation at a time: convolutions, pooling, gradients. Flows without I/O.

The six options that all have are written out in each signature, for a signature is what help(),
`inspect` and type checkers show: a shared `**options` would be shorter, and say nothing there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from attrs import evolve
from convserve.errors import InvalidArgumentError, ShapeError
from convserve.layers import KINDS, AvgPool, Conv, ConvTranspose, Layer, MaxPool, activations
from convserve.layers.fields import IntsLike, PaddingLike, as_ints
from convserve.networks import Network
from convserve.operations import ConvInputGradient, ConvWeightGradient
from convserve.tensors import Array

from convserve_client._checks import check_text
from convserve_client._flows import Flow
from convserve_client._remember import remembered
from convserve_client._run import ArrayLike, as_tensor, run_one, run_options
from convserve_client._session import Session

_input_gradient = remembered(ConvInputGradient)
_weight_gradient = remembered(ConvWeightGradient)

ACTIVATIONS = tuple(
    sorted(kind for kind, cls in KINDS.items() if cls.__module__ == activations.__name__)
)


def conv(
    session: Session,
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: IntsLike = 1,
    padding: PaddingLike = 0,
    dilation: IntsLike = 1,
    groups: int = 1,
    padding_mode: str = "zeros",
    activation: str | None = None,
    *,
    device: str | None = None,
    precision: str = "strict",
    layout: str = "channels_first",
    batch_invariant: bool = False,
    timeout: float | None = None,
    out: Array | None = None,
) -> Flow[Array]:
    """Convolution (cross-correlation) of `x` (N, C, *L) with `weight` (K, C / groups, *kernel).

    One, two or three spatial axes. Without N, the result has none either. `padding` is an int, one
    per axis, nested (low, high) pairs, or a mode such as "same"; `padding_mode` says what stands
    there: zeros, reflect, replicate or circular. `activation` is a layer's kind, such as "relu".
    `layout` "channels_last" concerns `x` and the result. `out` receives the result and is returned;
    after an error its values are undefined.

    Returns (N, K, *L'), fresh and C-contiguous. Raises InvalidArgumentError (with the field),
    ResourceExhaustedError, UnavailableError, DeadlineExceededError after `timeout` seconds.
    """
    kernel = _as_weight(weight)
    geometry = (kernel.shape[0], kernel.shape[2:], stride, padding, dilation, groups)
    layer, network = _conv_network(*geometry, bias is not None, padding_mode, activation)
    options = run_options(session, device, precision, layout, batch_invariant)
    tensors, unbatched = _as_tensors(network, x, kernel, bias)
    return run_one(
        session,
        network,
        tensors,
        options,
        timeout=timeout,
        out=out,
        unbatched=unbatched,
        result_bytes=_guess_bytes(layer, tensors["input"], kernel),
    )


def conv_transpose(
    session: Session,
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: IntsLike = 1,
    padding: PaddingLike = 0,
    output_padding: IntsLike = 0,
    dilation: IntsLike = 1,
    groups: int = 1,
    output_size: IntsLike | None = None,
    *,
    device: str | None = None,
    precision: str = "strict",
    layout: str = "channels_first",
    batch_invariant: bool = False,
    timeout: float | None = None,
    out: Array | None = None,
) -> Flow[Array]:
    """Transposed convolution of `x` (N, C, *L) with `weight` (C, K / groups, *kernel).

    `output_size` asks for the spatial sizes of the result instead of `output_padding`. The rest is
    as for `conv`.
    """
    kernel = _as_weight(weight)
    geometry = (kernel.shape[1], kernel.shape[2:], stride, padding, output_padding, dilation)
    network = _transpose_network(*geometry, groups, bias is not None, output_size)
    options = run_options(session, device, precision, layout, batch_invariant)
    tensors, unbatched = _as_tensors(network, x, kernel, bias)
    return run_one(
        session, network, tensors, options, timeout=timeout, out=out, unbatched=unbatched
    )


def pool(
    session: Session,
    x: ArrayLike,
    kind: str = "max",
    kernel_size: IntsLike = 2,
    stride: IntsLike | None = None,
    padding: PaddingLike = 0,
    dilation: IntsLike = 1,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    *,
    device: str | None = None,
    precision: str = "strict",
    layout: str = "channels_first",
    batch_invariant: bool = False,
    timeout: float | None = None,
    out: Array | None = None,
) -> Flow[Array]:
    """The maximum or the mean (`kind` "max" or "avg") of `x` (N, C, *L) over windows.

    `stride` None is the window. `count_include_pad` is for "avg". The rest is as for `conv`.
    """
    window = (kernel_size, stride, padding, dilation, ceil_mode, count_include_pad)
    network = _pool_network(kind, *window)
    options = run_options(session, device, precision, layout, batch_invariant)
    tensors = {"input": as_tensor("x", x)}
    return run_one(session, network, tensors, options, timeout=timeout, out=out)


def conv_input_gradient(
    session: Session,
    grad_output: ArrayLike,
    weight: ArrayLike,
    input_shape: Sequence[int],
    stride: IntsLike = 1,
    padding: PaddingLike = 0,
    dilation: IntsLike = 1,
    groups: int = 1,
    *,
    device: str | None = None,
    precision: str = "strict",
    layout: str = "channels_first",
    batch_invariant: bool = False,
    timeout: float | None = None,
    out: Array | None = None,
) -> Flow[Array]:
    """The gradient of `conv` for its input, from `grad_output` (N, K, *L') and `weight`.

    Returns the shape `input_shape`, (N, C, *L). Without N, leave it out of both. The rest is as for
    `conv`.
    """
    grad, kernel = as_tensor("grad_output", grad_output), _as_weight(weight)
    shape = as_ints(input_shape)
    unbatched = grad.ndim == kernel.ndim - 1
    if unbatched and len(shape) != grad.ndim:
        raise ShapeError(
            f"it has {len(shape)} axes, but grad_output has {grad.ndim}: give both or neither N",
            field="input_shape",
            metadata={"given": shape, "expected_axes": grad.ndim},
        )
    if unbatched:
        grad, shape = grad[None], (1, *shape)
    operation = _input_gradient(shape, stride, padding, dilation, groups)
    options = run_options(session, device, precision, layout, batch_invariant)
    tensors = {"grad_output": grad, "weight": kernel}
    return run_one(
        session, operation, tensors, options, timeout=timeout, out=out, unbatched=unbatched
    )


def conv_weight_gradient(
    session: Session,
    x: ArrayLike,
    grad_output: ArrayLike,
    kernel_size: IntsLike,
    stride: IntsLike = 1,
    padding: PaddingLike = 0,
    dilation: IntsLike = 1,
    groups: int = 1,
    *,
    device: str | None = None,
    precision: str = "strict",
    layout: str = "channels_first",
    batch_invariant: bool = False,
    timeout: float | None = None,
    out: Array | None = None,
) -> Flow[Array]:
    """The gradient of `conv` for its weight, from `x` (N, C, *L) and `grad_output` (N, K, *L').

    Returns (K, C / groups, *kernel_size). N may be missing from both where `kernel_size` has one
    number per axis, or there is one axis. The rest is as for `conv`.
    """
    operation = _weight_gradient(kernel_size, stride, padding, dilation, groups)
    tensors = {"x": as_tensor("x", x), "grad_output": as_tensor("grad_output", grad_output)}
    if all(array.ndim == len(operation.kernel_size) + 1 for array in tensors.values()):
        tensors = {name: array[None] for name, array in tensors.items()}
    options = run_options(session, device, precision, layout, batch_invariant)
    return run_one(session, operation, tensors, options, timeout=timeout, out=out)


def _as_weight(weight: ArrayLike) -> Array:
    array = as_tensor("weight", weight)
    if not 3 <= array.ndim <= 5:
        raise ShapeError(
            f"it has {array.ndim} axes; a weight has 3 to 5: two of channels and one to three of "
            "the kernel",
            field="weight",
            metadata={"given": array.shape},
        )
    if 0 in array.shape:
        raise ShapeError(
            f"its shape is {array.shape}; every axis of a weight has at least 1",
            field="weight",
            metadata={"given": array.shape},
        )
    return array


@remembered
def _conv_network(
    out_channels: int,
    kernel_size: IntsLike,
    stride: IntsLike,
    padding: PaddingLike,
    dilation: IntsLike,
    groups: int,
    bias: bool,
    padding_mode: str,
    activation: str | None,
) -> tuple[Conv, Network]:
    layer = Conv(
        out_channels,
        kernel_size,
        stride,
        padding,
        dilation,
        groups,
        bias=bias,
        padding_mode=padding_mode,
    )
    after = [] if activation is None else [_as_activation(activation)]
    return layer, Network([layer, *after])


def _as_activation(kind: object) -> Layer:
    if not isinstance(kind, str) or kind not in ACTIVATIONS:
        raise InvalidArgumentError(
            f"{kind!r} is not an activation; use one of {', '.join(ACTIVATIONS)}",
            field="activation",
            metadata={"value": kind},
        )
    return KINDS[kind]()


@remembered
def _transpose_network(
    group_channels: int,
    kernel_size: IntsLike,
    stride: IntsLike,
    padding: PaddingLike,
    output_padding: IntsLike,
    dilation: IntsLike,
    groups: int,
    bias: bool,
    output_size: IntsLike | None,
) -> Network:
    one_group = ConvTranspose(
        group_channels,
        kernel_size,
        stride,
        padding,
        output_padding,
        dilation,
        groups,
        bias=bias,
        output_size=output_size,
    )
    return Network([evolve(one_group, out_channels=group_channels * one_group.groups)])


def _as_tensors(
    network: Network, x: ArrayLike, weight: Array, bias: ArrayLike | None
) -> tuple[dict[str, Array], bool]:
    """The tensors of a network of one convolution, and whether `x` had no batch axis."""
    name, image = network.layers[0].name, as_tensor("x", x)
    unbatched = image.ndim == weight.ndim - 1
    tensors = {"input": image[np.newaxis] if unbatched else image, f"{name}.weight": weight}
    if bias is not None:
        tensors[f"{name}.bias"] = as_tensor("bias", bias)
    return tensors, unbatched


def _guess_bytes(layer: Conv, x: Array, weight: Array) -> int:
    """About the size of the result: the input's, for K channels instead of C, once per stride."""
    rank = weight.ndim - 2
    strides = math.prod(layer.stride * (rank // len(layer.stride)))
    guess: int = x.nbytes * layer.out_channels // (weight.shape[1] * layer.groups * strides)
    return guess


@remembered
def _pool_network(
    kind: str,
    kernel_size: IntsLike,
    stride: IntsLike | None,
    padding: PaddingLike,
    dilation: IntsLike,
    ceil_mode: bool,
    count_include_pad: bool,
) -> Network:
    layer = MaxPool(kernel_size, stride, padding, dilation, ceil_mode)
    if check_text(kind, "kind") == "max":
        return Network([layer])
    if kind != "avg":
        raise InvalidArgumentError(f"{kind!r} is not one of max, avg", field="kind")
    geometry = (layer.kernel_size, layer.stride, layer.padding, ceil_mode, count_include_pad)
    return Network([AvgPool(*geometry, dilation=layer.dilation)])
