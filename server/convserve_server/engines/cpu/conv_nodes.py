"""What convolutions with places or neighbours of their own are in ONNX. See `nodes`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from convserve import layers
from convserve.layers import Layer

from convserve_server.engines.cpu.nodes import flat_pads, reshaped
from convserve_server.engines.cpu.windows import pairs
from convserve_server.engines.cpu.writer import Writer
from convserve_server.planning.program import Step


def _deform_conv(writer: Writer, step: Step, x: list[str], weights: list[str]) -> str:
    layer = step.layer
    assert isinstance(layer, layers.DeformConv)
    source, offset, *mask = x
    weight, *bias = weights
    return writer.add(
        "DeformConv",
        source,
        weight,
        offset,
        *(bias or [""] if mask else bias),
        *mask,
        kernel_shape=layer.kernel_size,
        strides=layer.stride,
        dilations=layer.dilation,
        group=layer.groups,
        offset_group=layer.offset_groups,
        pads=flat_pads(pairs(layer.padding)),
    )


def _graph_conv(writer: Writer, step: Step, x: list[str], weights: list[str]) -> str:
    """The filters are applied to the fewer features, before or after the product with `weight`."""
    assert isinstance(step.layer, layers.GraphConv)
    filters, weight, *bias = weights
    count, (nodes, features) = step.layer.filters, step.inputs[0].shape[1:]
    source = reshaped(writer, x[0], (1, nodes, features))
    if step.layer.out_features < features:
        shape = np.array((count, features, -1), np.int64)
        matrices = writer.add("Reshape", weight, writer.constant(shape))
        mixed = writer.add("MatMul", filters, writer.add("MatMul", source, matrices))
        axis = writer.constant(np.array([1], np.int64))
        product = writer.add("ReduceSum", mixed, axis, keepdims=0)
    else:
        filtered = writer.add("MatMul", filters, source)  # (N, K, M, F)
        beside = writer.add("Transpose", filtered, perm=[0, 2, 1, 3])
        rows = reshaped(writer, beside, (nodes, count * features))
        product = writer.add("MatMul", rows, weight)
    return writer.add("Add", product, *bias) if bias else product


EMITTERS: dict[type[Layer], Callable[[Writer, Step, list[str], list[str]], str]] = {
    layers.DeformConv: _deform_conv,
    layers.GraphConv: _graph_conv,
}
