"""What cuDNN computes for a graph, by NumPy: sums in float64, rounded once."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Mapping
from itertools import product

import numpy as np
from convserve.tensors import Array, Shape, dtype_of
from convserve_server.engines.cuda.graphs import (
    BIAS,
    INPUT,
    OUTPUT,
    RESIDUAL,
    WEIGHT,
    ConvGraph,
)
from convserve_server.engines.cuda.views import channels_last
from convserve_server.planning.kernels import FORWARD, INPUT_GRADIENT, Convolution
from scipy.special import erf, expit

_ACTIVATIONS: dict[str, Callable[[Array, float], Array]] = {
    "": lambda y, alpha: y,
    "relu": lambda y, alpha: np.maximum(y, 0),
    "relu6": lambda y, alpha: np.clip(y, 0, 6),
    "leaky_relu": lambda y, alpha: np.where(y < 0, alpha * y, y),
    "gelu": lambda y, alpha: y * (1 + erf(y / np.sqrt(2))) / 2,
    "silu": lambda y, alpha: y * expit(y),
    "sigmoid": lambda y, alpha: expit(y),
    "tanh": lambda y, alpha: np.tanh(y),
    "elu": lambda y, alpha: np.where(y < 0, alpha * np.expm1(np.minimum(y, 0)), y),
    "softplus": lambda y, alpha: np.logaddexp(y, 0),
}


def compute_graph(graph: ConvGraph, operands: Mapping[str, int]) -> None:
    """Fill what the graph makes; operands are addresses by role."""
    conv = graph.convolution
    arrays = {
        role: array_at(operands[role], conv.dtype, shape, channels_last(shape))
        for role, shape in ((INPUT, conv.input), (WEIGHT, conv.weight), (OUTPUT, conv.output))
    }
    made = {FORWARD: OUTPUT, INPUT_GRADIENT: INPUT}.get(conv.direction, WEIGHT)
    with np.errstate(all="ignore"):
        sums = _sums(conv, {role: _wide(array) for role, array in arrays.items() if role != made})
        if graph.bias:
            channels = (sums.shape[1],)
            bias = array_at(operands[BIAS], conv.dtype, channels, (1,))
            sums += _wide(bias).reshape(-1, *[1] * (sums.ndim - 2))
        if graph.residual:
            shape = arrays[made].shape
            sums += _wide(array_at(operands[RESIDUAL], conv.dtype, shape, channels_last(shape)))
        arrays[made][...] = _ACTIVATIONS[graph.activation](sums, graph.alpha)


def array_at(address: int, dtype: str, shape: Shape, strides: Shape) -> Array:
    """The elements at an address; strides are in elements, and not negative."""
    kind = dtype_of(dtype)
    if 0 in shape:
        return np.empty(shape, kind)
    last = sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    memory = memoryview((ctypes.c_char * ((last + 1) * kind.itemsize)).from_address(address))
    return np.ndarray(shape, kind, memory, 0, [stride * kind.itemsize for stride in strides])


def _wide(array: Array) -> Array:
    return array.astype(np.float64)


def _sums(conv: Convolution, given: Mapping[str, Array]) -> Array:
    """The convolution in its direction, group by group and tap by tap."""
    groups = conv.input[1] // conv.weight[1]
    padding = ((0, 0), (0, 0), *conv.padding)
    full = [size + low + high for size, (low, high) in zip(conv.input, padding, strict=True)]
    inside = tuple(slice(low, low + n) for n, (low, _) in zip(conv.input, padding, strict=True))
    x = np.zeros(full)
    y, w = given.get(OUTPUT, np.zeros(conv.output)), given.get(WEIGHT, np.zeros(conv.weight))
    if INPUT in given:
        x[inside] = given[INPUT]
    for group, (tap, window) in product(range(groups), _taps(conv)):
        ins = slice(group * conv.weight[1], (group + 1) * conv.weight[1])
        outs = slice(group * w.shape[0] // groups, (group + 1) * w.shape[0] // groups)
        at = (slice(None), ins, *window)
        if conv.direction == FORWARD:
            y[:, outs] += _mixed(w[(outs, slice(None), *tap)], x[at])
        elif conv.direction == INPUT_GRADIENT:
            x[at] += _mixed(w[(outs, slice(None), *tap)].T, y[:, outs])
        else:
            axes = (0, *range(2, x.ndim))
            w[(outs, slice(None), *tap)] += np.tensordot(y[:, outs], x[at], (axes, axes))
    return {FORWARD: y, INPUT_GRADIENT: x[inside]}.get(conv.direction, w)


def _mixed(matrix: Array, x: Array) -> Array:
    return np.moveaxis(np.tensordot(matrix, x, (1, 1)), 0, 1)


def _taps(conv: Convolution) -> Iterator[tuple[Shape, tuple[slice, ...]]]:
    sizes = conv.output[2:]
    for tap in np.ndindex(*conv.weight[2:]):
        starts = [t * d for t, d in zip(tap, conv.dilation, strict=True)]
        yield (
            tap,
            tuple(
                slice(start, start + (n - 1) * step + 1, step)
                for start, n, step in zip(starts, sizes, conv.stride, strict=True)
            ),
        )
