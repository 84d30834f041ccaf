"""Convolution on a graph."""

from __future__ import annotations

import numpy as np
from convserve.layers import GraphConv
from convserve.tensors import Array, TensorSpec

from convserve_server.engines.reference.accumulation import widen


def graph_conv(
    _: GraphConv,
    output: TensorSpec,
    x: Array,
    filters: Array,
    weight: Array,
    bias: Array | None = None,
) -> Array:
    """The sum over k of filters[k] @ x @ weight[k], plus bias.

    `x` is (N, M, F), `filters` (K, M, M), `weight` (K * F, out_features).
    """
    x = widen(x, output)
    matrices = widen(weight, output).reshape(len(filters), x.shape[2], -1)
    y = np.zeros(output.shape, x.dtype)
    for each, matrix in zip(widen(filters, output), matrices, strict=True):
        y += each @ x @ matrix
    return y if bias is None else y + widen(bias, output)
