"""Calls that move windows over spatial axes: convolutions, pooling, unfolding."""

from __future__ import annotations

from itertools import cycle
from typing import Any, TypeAlias

import torch
from convserve.layers import (
    AdaptiveAvgPool,
    AdaptiveMaxPool,
    AvgPool,
    Conv,
    ConvTranspose,
    Fold,
    GlobalAvgPool,
    GlobalMaxPool,
    LpPool,
    MaxPool,
    MaxPoolIndices,
    MaxUnpool,
    Unfold,
)
from convserve.tensors import Shape

from convserve_client._torch.site import Signal, Site, check_constant, check_signal, refuse

Ints: TypeAlias = Any  # one int, or a sequence of them, as torch takes both


def conv(
    site: Site,
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Ints = 1,
    padding: Any = 0,
    dilation: Ints = 1,
    groups: int = 1,
    padding_mode: str = "zeros",
) -> Signal:
    """`conv1d` to `conv3d`. torch's `same` pads the odd element behind, as `same_upper` does."""
    channels, _, *kernel = check_constant(weight, "weight").shape
    check_signal(x, len(kernel) + 2)
    layer = Conv(
        channels,
        kernel,
        stride,
        padding,
        dilation,
        groups,
        bias is not None,
        padding_mode=padding_mode,
    )
    return site.add(layer, x, weight=weight, bias=bias)


def conv_transpose(
    site: Site,
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Ints = 1,
    padding: Ints = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation: Ints = 1,
    output_size: Ints | None = None,
) -> Signal:
    """`conv_transpose1d` to `conv_transpose3d`."""
    _, channels, *kernel = check_constant(weight, "weight").shape
    check_signal(x, len(kernel) + 2)
    layer = ConvTranspose(
        channels * groups,
        kernel,
        stride,
        padding,
        0 if output_size else output_padding,
        dilation,
        groups,
        bias is not None,
        site.shape[2:] if output_size else None,
    )
    return site.add(layer, x, weight=weight, bias=bias)


def max_pool(
    site: Site,
    x: Any,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """`max_pool1d` to `max_pool3d`, with the indices as a second result if asked for."""
    fields = (kernel_size, stride or None, padding, dilation, ceil_mode)
    values = site.add(MaxPool(*fields), x)
    if not return_indices:
        return values
    return values, site.add(MaxPoolIndices(*fields), x, dtype=torch.int64)


def max_pool_with_indices(site: Site, *args: Any, **kwargs: Any) -> Any:
    """`max_pool2d_with_indices`: both results, always."""
    return max_pool(site, *args, **{**kwargs, "return_indices": True})


def max_unpool(
    site: Site,
    x: Any,
    indices: Any,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    output_size: Ints | None = None,
) -> Signal:
    """`max_unpool1d` to `max_unpool3d`."""
    size = site.shape[2:] if output_size else None
    return site.add(MaxUnpool(kernel_size, stride or None, padding, size), x, indices)


def aten_max_unpool(
    site: Site, x: Any, indices: Any, output_size: Ints, stride: Ints = None, padding: Ints = 0
) -> Signal:
    """ATen's, which has no kernel: one that leads to the output size stands for it."""
    sizes = zip(site.shape[2:], check_signal(x).shape[2:], strict=True)
    return max_unpool(
        site, x, indices, [-(-new // old) for new, old in sizes], None, 0, output_size
    )


def avg_pool(
    site: Site,
    x: Any,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Signal:
    """`avg_pool1d` to `avg_pool3d`."""
    refuse(divisor_override is not None, f"divisor_override={divisor_override} is not supported")
    layer = AvgPool(kernel_size, stride or None, padding, ceil_mode, count_include_pad)
    return site.add(layer, x)


def lp_pool(
    site: Site,
    x: Any,
    norm_type: float,
    kernel_size: Ints,
    stride: Ints | None = None,
    ceil_mode: bool = False,
) -> Signal:
    """`lp_pool1d` to `lp_pool3d`.

    They take no absolute value, so odd norms differ from ours, and are a mean times the kernel's
    size: a window that the input's end cuts has its mean over fewer elements, and weighs more.
    """
    refuse(norm_type % 2 != 0, f"norm_type={norm_type} is not supported, only even numbers")
    layer = LpPool(kernel_size, stride or None, 0, 1, ceil_mode, int(norm_type))
    refuse(
        ceil_mode and _is_cut(layer, check_signal(x).shape[2:], site.shape[2:]),
        f"ceil_mode=True cuts the last window of an input of {check_signal(x).shape}, which torch "
        "scales by the elements that it lacks; use an input that whole windows fit",
    )
    return site.add(layer, x)


def _is_cut(layer: LpPool, sizes: Shape, counts: Shape) -> bool:
    """Whether the last of so many windows goes beyond the input along any axis."""
    kernels = cycle(layer.kernel_size)  # one for all axes, or one each
    strides = cycle(layer.stride or layer.kernel_size)
    axes = zip(sizes, counts, kernels, strides, strict=False)
    return any((count - 1) * stride + kernel > size for size, count, kernel, stride in axes)


def adaptive_avg_pool(site: Site, x: Any, output_size: Ints) -> Signal:
    """`adaptive_avg_pool1d` to `adaptive_avg_pool3d`; to 1 everywhere it is a global pool."""
    sizes = site.shape[2:]
    return site.add(AdaptiveAvgPool(sizes) if set(sizes) != {1} else GlobalAvgPool(), x)


def adaptive_max_pool(
    site: Site, x: Any, output_size: Ints, return_indices: bool = False
) -> Signal:
    """`adaptive_max_pool1d` to `adaptive_max_pool3d`."""
    refuse(return_indices, "the indices of adaptive_max_pool are not supported")
    sizes = site.shape[2:]
    return site.add(AdaptiveMaxPool(sizes) if set(sizes) != {1} else GlobalMaxPool(), x)


def aten_adaptive_max_pool(site: Site, x: Any, output_size: Ints) -> tuple[Signal, None]:
    """ATen's, which has the indices as a second result."""
    return adaptive_max_pool(site, x, output_size), None


def unfold(
    site: Site,
    x: Any,
    kernel_size: Ints,
    dilation: Ints = 1,
    padding: Ints = 0,
    stride: Ints = 1,
) -> Signal:
    """`unfold`, also called im2col."""
    return site.add(Unfold(_pair(kernel_size), stride, padding, dilation), x)


def fold(
    site: Site,
    x: Any,
    output_size: Ints,
    kernel_size: Ints,
    dilation: Ints = 1,
    padding: Ints = 0,
    stride: Ints = 1,
) -> Signal:
    """`fold`, also called col2im."""
    return site.add(Fold(site.shape[2:], _pair(kernel_size), stride, padding, dilation), x)


def _pair(value: Ints) -> Ints:
    """PyTorch folds over two spatial axes only, ours over any: then one number does not tell."""
    return (value, value) if isinstance(value, int) else value
