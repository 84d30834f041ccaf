"""What PyTorch and SciPy compute in double precision for one step: the oracle's oracle.

Nothing here asks the planner: shapes are PyTorch's own, and modes are read in `resolution.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from convserve import layers, operations
from convserve.networks import Network
from convserve.operations import OPERANDS, operation_kind
from convserve.tensors import Array
from scipy import signal
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  # as everyone writes it

from tests.conformance import torch_convs, torch_glue, torch_pools
from tests.conformance.resolution import resolved
from tests.conformance.torch_common import by_rank, pad

torch.set_num_threads(1)  # the cases are small: a team of threads would only wait for each other


def expected_result(work: Network | operations.Operation, tensors: Mapping[str, Array]) -> Array:
    """The result of an operation, or of a network of one layer, in float64 or complex128."""
    wide = {name: widened(array) for name, array in tensors.items()}
    if not isinstance(work, Network):
        operands = [wide[name] for name in OPERANDS[operation_kind(work)]]
        return np.asarray(OPERATIONS[type(work)](work, *operands))
    (layer,) = work.layers
    inputs = [torch.from_numpy(wide.pop(name)) for name in layer.inputs]
    weights = {name.rpartition(".")[2]: torch.from_numpy(array) for name, array in wide.items()}
    layer = resolved(layer, tuple(inputs[0].shape[2:]))
    return np.asarray(LAYERS[type(layer)](layer, *inputs, **weights))


def widened(array: Array) -> Array:
    """A copy in float64 or complex128, which PyTorch may hold."""
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64, order="C")


def conv(layer: layers.Conv, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    x = pad(x, layer.padding, layer.padding_mode)
    return by_rank("conv", x)(x, weight, bias, layer.stride, 0, layer.dilation, layer.groups)


def conv_transpose(
    layer: layers.ConvTranspose, x: Tensor, weight: Tensor, bias: Tensor | None = None
) -> Tensor:
    full = by_rank("conv_transpose", x)(
        x, weight, bias, layer.stride, 0, layer.output_padding, layer.groups, layer.dilation
    )
    ends = zip(layer.padding, full.shape[2:], strict=True)
    inside: Any = [slice(low, size - high) for (low, high), size in ends]
    return full[:, :, *inside]


def takes(layer: layers.MaxPool | layers.AvgPool) -> bool:
    """Whether PyTorch's pooling can state the padding: symmetric, at most half of the window."""
    axes = zip(layer.padding, layer.kernel_size, strict=True)
    return all(low == high and 2 * low <= k for (low, high), k in axes)


def max_pool(layer: layers.MaxPool, x: Tensor) -> Tensor:
    padding: Any = [low for low, _ in layer.padding]
    if not takes(layer):
        assert not layer.ceil_mode
        x, padding = pad(x, layer.padding, value=-np.inf), 0
    pool = by_rank("max_pool", x)
    return pool(x, layer.kernel_size, layer.stride, padding, layer.dilation, layer.ceil_mode)


def avg_pool(layer: layers.AvgPool, x: Tensor) -> Tensor:
    pool = by_rank("avg_pool", x)
    if set(layer.dilation) != {1}:
        return torch_pools.dilated_avg_pool(layer, x)
    if takes(layer):
        padding = [low for low, _ in layer.padding]
        options = (layer.ceil_mode, layer.count_include_pad)
        return pool(x, layer.kernel_size, layer.stride, padding, *options)
    assert not layer.ceil_mode
    mean = pool(pad(x, layer.padding), layer.kernel_size, layer.stride)
    if layer.count_include_pad:
        return mean
    return mean / pool(pad(torch.ones_like(x), layer.padding), layer.kernel_size, layer.stride)


def places(factor: int, rank: int) -> Iterator[tuple[int, Any]]:
    """Each channel offset of a pixel shuffle, and the strided slices that it fills."""
    for offset, place in enumerate(np.ndindex(*[factor] * rank)):
        yield offset, (..., *(slice(first, None, factor) for first in place))


def pixel_shuffle(layer: layers.PixelShuffle, x: Tensor) -> Tensor:
    rank, factor = x.ndim - 2, layer.factor
    sizes = [size * factor for size in x.shape[2:]]
    y = x.new_empty(x.shape[0], x.shape[1] // factor**rank, *sizes)
    for offset, place in places(factor, rank):
        y[place] = x[:, offset :: factor**rank]
    return y


def pixel_unshuffle(layer: layers.PixelUnshuffle, x: Tensor) -> Tensor:
    rank, factor = x.ndim - 2, layer.factor
    sizes = [size // factor for size in x.shape[2:]]
    y = x.new_empty(x.shape[0], x.shape[1] * factor**rank, *sizes)
    for offset, place in places(factor, rank):
        y[:, offset :: factor**rank] = x[place]
    return y


def batch_norm(
    layer: layers.BatchNorm,
    x: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
) -> Tensor:
    return F.batch_norm(x, running_mean, running_var, weight, bias, eps=layer.eps)


def spatial(x: Tensor) -> list[int]:
    return list(range(2, x.ndim))


LAYERS: dict[type[layers.Layer], Callable[..., Tensor]] = {
    layers.Conv: conv,
    layers.ConvTranspose: conv_transpose,
    layers.MaxPool: max_pool,
    layers.AvgPool: avg_pool,
    layers.GlobalAvgPool: lambda _, x: x.mean(spatial(x), keepdim=True),
    layers.GlobalMaxPool: lambda _, x: x.amax(spatial(x), keepdim=True),
    layers.ReLU: lambda _, x: F.relu(x),
    layers.LeakyReLU: lambda layer, x: F.leaky_relu(x, layer.negative_slope),
    layers.ReLU6: lambda _, x: F.relu6(x),
    layers.GELU: lambda _, x: F.gelu(x),
    layers.SiLU: lambda _, x: F.silu(x),
    layers.Sigmoid: lambda _, x: F.sigmoid(x),
    layers.Tanh: lambda _, x: F.tanh(x),
    layers.ELU: lambda layer, x: F.elu(x, layer.alpha),
    # PyTorch is linear above its threshold; the formula is not
    layers.Softplus: lambda layer, x: F.softplus(x, layer.beta, threshold=500),
    layers.BatchNorm: batch_norm,
    layers.Rescale: lambda layer, x: x * layer.factor + layer.offset,
    layers.Dense: lambda _, x, weight, bias=None: F.linear(x, weight, bias),
    layers.Flatten: lambda _, x: x.flatten(1),
    layers.Add: lambda _, *inputs: sum(inputs[1:], start=inputs[0]),
    layers.Pad: lambda layer, x: pad(x, layer.padding, layer.mode, layer.value),
    layers.PixelShuffle: pixel_shuffle,
    layers.PixelUnshuffle: pixel_unshuffle,
    **torch_convs.LAYERS,
    **torch_pools.LAYERS,
    **torch_glue.LAYERS,
}


def gradient(
    operation: operations.ConvInputGradient | operations.ConvWeightGradient,
    x: Tensor,
    weight: Tensor,
    grad_output: Array,
    wanted: Tensor,
) -> Array:
    """The gradient of Conv for `wanted`, one of `x` and `weight`, by automatic differentiation."""
    operation = resolved(operation, tuple(x.shape[2:]), tuple(weight.shape[2:]))
    wanted.requires_grad_(True)
    padded = pad(x, operation.padding)
    y = by_rank("conv", x)(
        padded, weight, None, operation.stride, 0, operation.dilation, operation.groups
    )
    return torch.autograd.grad(y, wanted, torch.from_numpy(grad_output))[0].numpy()


def input_gradient(
    operation: operations.ConvInputGradient, grad_output: Array, weight: Array
) -> Array:
    x = torch.zeros(operation.input_shape, dtype=torch.from_numpy(weight).dtype)
    return gradient(operation, x, torch.from_numpy(weight), grad_output, x)


def weight_gradient(
    operation: operations.ConvWeightGradient, x: Array, grad_output: Array
) -> Array:
    operation = resolved(operation, x.shape[2:])
    channels = x.shape[1] // operation.groups
    shape = (grad_output.shape[1], channels, *operation.kernel_size)
    weight = torch.zeros(shape, dtype=torch.from_numpy(x).dtype)
    return gradient(operation, torch.from_numpy(x), weight, grad_output, weight)


OPERATIONS: dict[type[operations.Operation], Callable[..., Array]] = {
    operations.Convolve: lambda op, a, v: signal.convolve(a, v, op.mode, "direct"),
    operations.Correlate: lambda op, a, v: signal.correlate(a, v, op.mode, "direct"),
    operations.ConvInputGradient: input_gradient,
    operations.ConvWeightGradient: weight_gradient,
}
