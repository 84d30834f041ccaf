"""The one list of what computes each kind, and how a step calls it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from convserve import layers, operations
from convserve.tensors import Array

from convserve_server.engines.reference import (
    activations,
    adaptive,
    conv,
    deform,
    dense,
    elementwise,
    glue,
    graph,
    merge,
    norm,
    pool,
    quantized,
    rearrange,
    resize,
    separable,
    signals,
    unfold,
    unpool,
)
from convserve_server.planning.program import OperationStep, Step

# (layer, output spec, *inputs, weights by name) -> array in the accumulation dtype
LAYERS: dict[type[layers.Layer], Callable[..., Array]] = {
    layers.Conv: conv.conv,
    layers.ConvTranspose: conv.conv_transpose,
    layers.MaxPool: pool.max_pool,
    layers.AvgPool: pool.avg_pool,
    layers.GlobalAvgPool: pool.global_avg_pool,
    layers.GlobalMaxPool: pool.global_max_pool,
    layers.ReLU: activations.relu,
    layers.LeakyReLU: activations.leaky_relu,
    layers.ReLU6: activations.relu6,
    layers.GELU: activations.gelu,
    layers.SiLU: activations.silu,
    layers.Sigmoid: activations.sigmoid,
    layers.Tanh: activations.tanh,
    layers.ELU: activations.elu,
    layers.Softplus: activations.softplus,
    layers.Softmax: activations.softmax,
    layers.BatchNorm: dense.batch_norm,
    layers.Dense: dense.dense,
    layers.Flatten: dense.flatten,
    layers.Add: merge.add,
    layers.Concat: merge.concat,
    layers.Pad: rearrange.pad,
    layers.Upsample: resize.upsample,
    layers.PixelShuffle: rearrange.pixel_shuffle,
    layers.PixelUnshuffle: rearrange.pixel_unshuffle,
    layers.DepthwiseConv: separable.depthwise_conv,
    layers.SeparableConv: separable.separable_conv,
    layers.SubPixelConv: separable.sub_pixel_conv,
    layers.DeformConv: deform.deform_conv,
    layers.IntegerConv: quantized.integer_conv,
    layers.QuantizedConv: quantized.quantized_conv,
    layers.LocalResponseNorm: norm.local_response_norm,
    layers.LayerNorm: norm.layer_norm,
    layers.GroupNorm: norm.group_norm,
    layers.InstanceNorm: norm.instance_norm,
    layers.GraphConv: graph.graph_conv,
    layers.Unfold: unfold.unfold,
    layers.Fold: unfold.fold,
    layers.Scale: norm.scale,
    layers.LpPool: pool.lp_pool,
    layers.GlobalLpPool: pool.global_lp_pool,
    layers.MaxPoolIndices: unpool.max_pool_indices,
    layers.MaxUnpool: unpool.max_unpool,
    layers.AdaptiveAvgPool: adaptive.adaptive_avg_pool,
    layers.AdaptiveMaxPool: adaptive.adaptive_max_pool,
    layers.PyramidPool: adaptive.pyramid_pool,
    layers.Permute: glue.permute,
    layers.Reshape: glue.reshape,
    layers.Slice: glue.slice_axis,
    layers.Mul: merge.mul,
    layers.Sub: merge.sub,
    layers.Div: merge.div,
    layers.ReduceMean: glue.reduce_mean,
    layers.ReduceMax: glue.reduce_max,
    layers.ReduceSum: glue.reduce_sum,
    layers.HardSigmoid: activations.hard_sigmoid,
    layers.HardSwish: activations.hard_swish,
    layers.Mish: activations.mish,
    layers.PReLU: elementwise.prelu,
    layers.Clip: elementwise.clip,
    layers.Exp: elementwise.exp,
    layers.Sqrt: elementwise.sqrt,
    layers.Power: elementwise.power,
    layers.Abs: elementwise.absolute,
    layers.Log: elementwise.log,
    layers.Erf: elementwise.erf,
    layers.Rescale: elementwise.rescale,
}

# (operation, output spec, first operand, second operand) -> array in the accumulation dtype
OPERATIONS: dict[type[operations.Operation], Callable[..., Array]] = {
    operations.Convolve: signals.convolve,
    operations.Correlate: signals.correlate,
    operations.ConvInputGradient: conv.conv_input_gradient,
    operations.ConvWeightGradient: conv.conv_weight_gradient,
}


def compute_step(step: Step, tensors: Mapping[str, Array]) -> Array:
    """The step's result on `tensors`, its inputs and weights by name, not yet rounded."""
    inputs = [tensors[spec.name] for spec in step.inputs]
    weights = {role: tensors[spec.name] for role, spec in step.weights.items()}
    with np.errstate(all="ignore"):  # inf and NaN are answers, not faults
        return LAYERS[type(step.layer)](step.layer, step.output, *inputs, **weights)


def compute_operation(step: OperationStep, tensors: Mapping[str, Array]) -> Array:
    """The operation's result on its operands by name, not yet rounded."""
    operands = [tensors[spec.name] for spec in step.operands]
    with np.errstate(all="ignore"):
        return OPERATIONS[type(step.operation)](step.operation, step.output, *operands)
