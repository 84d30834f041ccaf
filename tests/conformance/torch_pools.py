"""The oracle of pools beyond maxima and means of equal windows, and of resizing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import torch
from convserve import layers
from onnx import helper
from onnx.reference import ReferenceEvaluator
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  # as everyone writes it

from tests.conformance.torch_common import by_rank, pad

MODES = {1: "linear", 2: "bilinear", 3: "trilinear"}


def window_sums(layer: layers.AvgPool | layers.LpPool, x: Tensor) -> Tensor:
    """By a convolution with ones; under ceil_mode as many windows as PyTorch's max pool has."""
    y = pad(x, layer.padding)
    if layer.ceil_mode:
        y = pad(y, tuple((0, s) for s in layer.stride))
    ones = torch.ones(x.shape[1], 1, *layer.kernel_size, dtype=x.dtype)
    sums = by_rank("conv", x)(y, ones, None, layer.stride, 0, layer.dilation, x.shape[1])
    if not layer.ceil_mode:
        return sums
    padding: Any = [low for low, _ in layer.padding]
    pool = by_rank("max_pool", x)
    wanted = pool(x, layer.kernel_size, layer.stride, padding, layer.dilation, True).shape[2:]
    inside: Any = [slice(size) for size in wanted]
    return sums[:, :, *inside]


def lp_pool(layer: layers.LpPool, x: Tensor) -> Tensor:
    return window_sums(layer, x.abs() ** layer.p) ** (1 / layer.p)


def dilated_avg_pool(layer: layers.AvgPool, x: Tensor) -> Tensor:
    counted = torch.ones_like(x)
    if not layer.count_include_pad:
        return window_sums(layer, x) / window_sums(layer, counted)
    framed = pad(counted, layer.padding, value=1.0)
    bare = layers.AvgPool(
        layer.kernel_size,
        layer.stride,
        ((0, 0),) * (x.ndim - 2),
        layer.ceil_mode,
        dilation=layer.dilation,
    )
    sums, counts = window_sums(layer, x), window_sums(bare, framed)
    inside: Any = [slice(size) for size in sums.shape[2:]]
    return sums / counts[:, :, *inside]


def global_lp_pool(layer: layers.GlobalLpPool, x: Tensor) -> Tensor:
    return torch.linalg.vector_norm(x, layer.p, tuple(range(2, x.ndim)), keepdim=True)


def max_pool_indices(layer: layers.MaxPoolIndices, x: Tensor) -> Tensor:
    assert layer.scope == "plane"
    padding: Any = [low for low, _ in layer.padding]
    pool = by_rank("max_pool", x)
    arguments = (layer.kernel_size, layer.stride, padding, layer.dilation, layer.ceil_mode)
    indices: Tensor = pool(x, *arguments, return_indices=True)[1]
    return indices


def adaptive(name: str) -> Callable[..., Tensor]:
    def pool(layer: layers.AdaptiveAvgPool | layers.AdaptiveMaxPool, x: Tensor) -> Tensor:
        sizes = layer.output_size * (x.ndim - 2)
        return by_rank(name, x)(x, sizes[: x.ndim - 2])

    return pool


def pyramid_pool(layer: layers.PyramidPool, x: Tensor) -> Tensor:
    pool = by_rank(f"adaptive_{layer.mode}_pool", x)
    return torch.cat([pool(x, level).flatten(1) for level in layer.levels], dim=1)


def upsample(layer: layers.Upsample, x: Tensor) -> Tensor:
    """PyTorch's, or ONNX's own where PyTorch does not have the option."""
    rank = x.ndim - 2
    if layer.coordinates or layer.rounding:
        return torch.from_numpy(onnx_resize(layer, x.numpy()))
    if x.is_complex():
        return torch.complex(upsample(layer, x.real), upsample(layer, x.imag))
    if layer.mode == "cubic" and rank == 1:  # PyTorch has it for two axes only
        scale, size = (layer.scale and (1, *layer.scale)), (layer.size and (1, *layer.size))
        flat = layers.Upsample(scale, "cubic", layer.align_corners, size=size)
        return upsample(flat, x[:, :, None])[:, :, 0]
    mode = {"nearest": "nearest", "cubic": "bicubic", "linear": MODES[rank]}[layer.mode]
    corners = None if layer.mode == "nearest" else layer.align_corners
    scale = None if layer.scale is None else tuple(map(float, layer.scale))
    size = layer.size and (layer.size * rank)[:rank]
    return F.interpolate(x, size, scale, mode, corners)


def onnx_resize(layer: layers.Upsample, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """What ONNX's reference implementation gives."""
    rank = x.ndim - 2
    sizes = (layer.size or ()) * rank
    if layer.scale is not None:
        sizes = tuple(n * s for n, s in zip(x.shape[2:], layer.scale, strict=True))
    centres = "align_corners" if layer.align_corners else "half_pixel"
    default = "asymmetric" if layer.mode == "nearest" else centres
    node = helper.make_node(
        "Resize",
        ["x", "", "", "sizes"],
        ["y"],
        mode=layer.mode,
        coordinate_transformation_mode=layer.coordinates or default,
        nearest_mode=layer.rounding or "floor",
    )
    kind = onnx.TensorProto.DOUBLE
    inputs = [
        helper.make_tensor_value_info("x", kind, None),
        helper.make_tensor_value_info("sizes", onnx.TensorProto.INT64, None),
    ]
    output = helper.make_tensor_value_info("y", kind, None)
    model = helper.make_model(helper.make_graph([node], "resize", inputs, [output]))
    wanted = np.array((*x.shape[:2], *sizes[:rank]), np.int64)
    return np.asarray(ReferenceEvaluator(model).run(None, {"x": x, "sizes": wanted})[0])


LAYERS: dict[type[layers.Layer], Callable[..., Tensor]] = {
    layers.LpPool: lp_pool,
    layers.GlobalLpPool: global_lp_pool,
    layers.MaxPoolIndices: max_pool_indices,
    layers.AdaptiveAvgPool: adaptive("adaptive_avg_pool"),
    layers.AdaptiveMaxPool: adaptive("adaptive_max_pool"),
    layers.PyramidPool: pyramid_pool,
    layers.Upsample: upsample,
}
