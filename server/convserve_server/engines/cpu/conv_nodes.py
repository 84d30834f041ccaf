"""What convolutions with places or neighbours of their own are in ONNX. See `nodes`."""

from __future__ import annotations

from convserve import layers
from convserve.layers import Layer

from convserve_server.engines.cpu.nodes import Emit, flat_pads, reshaped
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
        matrices = writer.add("Reshape", weight, writer.integers((count, features, -1)))
        mixed = writer.add("MatMul", filters, writer.add("MatMul", source, matrices))
        product = writer.add("ReduceSum", mixed, writer.integers([1]), keepdims=0)
    else:
        filtered = writer.add("MatMul", filters, source)  # (N, K, M, F)
        beside = writer.add("Transpose", filtered, perm=[0, 2, 1, 3])
        rows = reshaped(writer, beside, (nodes, count * features))
        product = writer.add("MatMul", rows, weight)
    return writer.add("Add", product, *bias) if bias else product


EMITTERS: dict[type[Layer], Emit] = {
    layers.DeformConv: _deform_conv,
    layers.GraphConv: _graph_conv,
}
