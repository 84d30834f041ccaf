"""Convolution, its transpose and its two gradients: one sum over the taps of the kernel each.

For a tap t, an output position o reads the input position i = o * stride + t * dilation - low, and
channels meet in a matrix:

    conv             y[:, k, o] += weight[k, c, t] * x[:, c, i]
    conv transpose   x[:, c, i] += weight[k, c, t] * y[:, k, o]
    input gradient   x[:, c, i] += conj(weight[k, c, t]) * y[:, k, o]
    weight gradient  weight[k, c, t] += sum over n and o of y[n, k, o] * conj(x[n, c, i])

The gradients of complex tensors are those that PyTorch gives: the adjoints, hence the conjugates.
All positions of a tap are one strided slice, and all its channels one matrix product per group.
Definitions: V. Dumoulin and F. Visin, A guide to convolution arithmetic for deep learning (2016).
"""

from __future__ import annotations

import math

import numpy as np
from convserve.layers import Conv, ConvTranspose
from convserve.operations import ConvInputGradient, ConvWeightGradient
from convserve.tensors import Array, TensorSpec

from convserve_server.engines.integers import check_integer_bound
from convserve_server.engines.reference.accumulation import conjugate, is_integer, widen
from convserve_server.engines.reference.windows import pad_spatial, pairs, taps


def conv(
    layer: Conv,
    output: TensorSpec,
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    role: str = "weight",
) -> Array:
    """`x` (N, C, *L) with `weight` (K, C / groups, *kernel_size) and `bias` (K).

    Errors call the weight `<output's name>.<role>`.
    """
    if is_integer(output):
        axes = tuple(range(1, weight.ndim))
        field = f"tensors['{output.name}.{role}']"
        check_integer_bound(x, weight, bias, output.dtype, summed_axes=axes, field=field)
    padded = pad_spatial(widen(x, output), pairs(layer.padding), layer.padding_mode)
    padded = split_channels(padded, layer.groups)
    kernel = split_leading(widen(weight, output), layer.groups)
    positions = output.shape[2:]
    y = np.zeros((*padded.shape[:2], kernel.shape[1], *positions), kernel.dtype)
    for tap, window in taps(layer.kernel_size, layer.stride, layer.dilation, positions):
        y += mix_channels(kernel[tap], padded[window])
    return add_bias(y.reshape(output.shape), bias)


def conv_transpose(
    layer: ConvTranspose, output: TensorSpec, x: Array, weight: Array, bias: Array | None = None
) -> Array:
    """`x` (N, C, *L) with `weight` (C, K / groups, *kernel_size) and `bias` (K)."""
    if is_integer(output):
        field = f"tensors['{output.name}.weight']"
        _check_spread_bound(x, weight, bias, output, layer.groups, field)
    return add_bias(_spread(layer, output, x, weight), bias)


def conv_input_gradient(
    operation: ConvInputGradient, output: TensorSpec, grad_output: Array, weight: Array
) -> Array:
    """`grad_output` (N, K, *L') with `weight` (K, C / groups, *kernel_size), to (N, C, *L)."""
    if is_integer(output):
        field = "tensors['weight']"
        _check_spread_bound(grad_output, weight, None, output, operation.groups, field)
    return _spread(operation, output, grad_output, conjugate(weight))


def conv_weight_gradient(
    operation: ConvWeightGradient, output: TensorSpec, x: Array, grad_output: Array
) -> Array:
    """`x` (N, C, *L) with `grad_output` (N, K, *L'), to (K, C / groups, *kernel_size)."""
    if is_integer(output):
        axes = (0, *range(2, grad_output.ndim))
        field = "tensors['grad_output']"
        check_integer_bound(x, grad_output, None, output.dtype, summed_axes=axes, field=field)
    padded = pad_spatial(conjugate(widen(x, output)), pairs(operation.padding))
    padded = split_channels(padded, operation.groups)
    grad = split_channels(widen(grad_output, output), operation.groups)
    gradient = np.empty((*grad.shape[1:3], padded.shape[2], *operation.kernel_size), grad.dtype)
    positions = grad.shape[3:]
    for tap, window in taps(operation.kernel_size, operation.stride, operation.dilation, positions):
        products = flat_positions(grad) @ flat_positions(padded[window]).swapaxes(-1, -2)
        gradient[tap] = products.sum(axis=0)
    return gradient.reshape(output.shape)


def _spread(
    spec: ConvTranspose | ConvInputGradient, output: TensorSpec, x: Array, weight: Array
) -> Array:
    """The transpose of conv: each element of `x` adds its window to the result; the pads go."""
    x = split_channels(widen(x, output), spec.groups)
    kernel = split_leading(widen(weight, output), spec.groups).swapaxes(1, 2)
    positions = x.shape[3:]
    padding, sizes = pairs(spec.padding), output.shape[2:]
    full = [low + n + high for (low, high), n in zip(padding, sizes, strict=True)]
    inside = [slice(low, low + n) for (low, _), n in zip(padding, sizes, strict=True)]
    y = np.zeros((*x.shape[:2], kernel.shape[1], *full), x.dtype)
    for tap, window in taps(weight.shape[2:], spec.stride, spec.dilation, positions):
        y[window] += mix_channels(kernel[tap], x)
    return y[:, :, :, *inside].reshape(output.shape)


def _check_spread_bound(
    x: Array, weight: Array, bias: Array | None, output: TensorSpec, groups: int, field: str
) -> None:
    kernel = split_leading(weight, groups)
    axes = (1, *range(3, kernel.ndim))
    check_integer_bound(x, kernel, bias, output.dtype, summed_axes=axes, field=field)


def split_channels(x: Array, groups: int) -> Array:
    """(N, C, *L) to (N, groups, C / groups, *L)."""
    return x.reshape(x.shape[0], groups, x.shape[1] // groups, *x.shape[2:])


def split_leading(weight: Array, groups: int) -> Array:
    """(A, B, *kernel_size) to (groups, A / groups, B, *kernel_size)."""
    return weight.reshape(groups, weight.shape[0] // groups, *weight.shape[1:])


def flat_positions(x: Array) -> Array:
    """(N, groups, C, *L) to (N, groups, C, prod(L))."""
    return x.reshape(*x.shape[:3], math.prod(x.shape[3:]))


def mix_channels(matrix: Array, x: Array) -> Array:
    """`matrix` (groups, K, C) times `x` (N, groups, C, *L), to (N, groups, K, *L)."""
    mixed = matrix @ flat_positions(x)
    return mixed.reshape(*mixed.shape[:3], *x.shape[3:])


def add_bias(y: Array, bias: Array | None) -> Array:
    """`y` (N, K, ...) plus `bias` (K)."""
    return y if bias is None else y + per_channel(bias.astype(y.dtype, copy=False), y.ndim)


def per_channel(vector: Array, rank: int) -> Array:
    """(C) as (C, 1, ...), which broadcasts over arrays of `rank` axes with channels on axis 1."""
    return vector.reshape(-1, *[1] * (rank - 2))
