"""The kinds of layers, and the one list of them."""

from convserve.errors import InvalidLayerError
from convserve.layers.activations import (
    ELU,
    GELU,
    HardSigmoid,
    HardSwish,
    LeakyReLU,
    Mish,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
from convserve.layers.adaptive import AdaptiveAvgPool, AdaptiveMaxPool, PyramidPool
from convserve.layers.conv import Conv
from convserve.layers.conv_transpose import ConvTranspose
from convserve.layers.deform import DeformConv
from convserve.layers.dense import BatchNorm, Dense, Flatten
from convserve.layers.elementwise import Abs, Clip, Erf, Exp, Log, Power, PReLU, Rescale, Sqrt
from convserve.layers.fields import Layer
from convserve.layers.glue import Permute, ReduceMax, ReduceMean, ReduceSum, Reshape, Slice
from convserve.layers.graph import GraphConv
from convserve.layers.merge import Add, Concat, Div, Mul, Sub
from convserve.layers.norm import GroupNorm, InstanceNorm, LayerNorm, LocalResponseNorm, Scale
from convserve.layers.pool import (
    AvgPool,
    GlobalAvgPool,
    GlobalLpPool,
    GlobalMaxPool,
    LpPool,
    MaxPool,
)
from convserve.layers.quantized import IntegerConv, QuantizedConv
from convserve.layers.rearrange import Pad, PixelShuffle, PixelUnshuffle
from convserve.layers.resize import Upsample
from convserve.layers.separable import DepthwiseConv, SeparableConv
from convserve.layers.sub_pixel import SubPixelConv
from convserve.layers.unfold import Fold, Unfold
from convserve.layers.unpool import MaxPoolIndices, MaxUnpool

# kind (the name of its field in the message Layer) -> class
KINDS: dict[str, type[Layer]] = {
    "conv": Conv,
    "conv_transpose": ConvTranspose,
    "max_pool": MaxPool,
    "avg_pool": AvgPool,
    "global_avg_pool": GlobalAvgPool,
    "global_max_pool": GlobalMaxPool,
    "relu": ReLU,
    "leaky_relu": LeakyReLU,
    "relu6": ReLU6,
    "gelu": GELU,
    "silu": SiLU,
    "sigmoid": Sigmoid,
    "tanh": Tanh,
    "elu": ELU,
    "softplus": Softplus,
    "batch_norm": BatchNorm,
    "dense": Dense,
    "flatten": Flatten,
    "add": Add,
    "concat": Concat,
    "softmax": Softmax,
    "pad": Pad,
    "upsample": Upsample,
    "pixel_shuffle": PixelShuffle,
    "pixel_unshuffle": PixelUnshuffle,
    "depthwise_conv": DepthwiseConv,
    "separable_conv": SeparableConv,
    "sub_pixel_conv": SubPixelConv,
    "deform_conv": DeformConv,
    "integer_conv": IntegerConv,
    "quantized_conv": QuantizedConv,
    "local_response_norm": LocalResponseNorm,
    "layer_norm": LayerNorm,
    "group_norm": GroupNorm,
    "instance_norm": InstanceNorm,
    "graph_conv": GraphConv,
    "unfold": Unfold,
    "fold": Fold,
    "scale": Scale,
    "lp_pool": LpPool,
    "global_lp_pool": GlobalLpPool,
    "max_pool_indices": MaxPoolIndices,
    "max_unpool": MaxUnpool,
    "adaptive_avg_pool": AdaptiveAvgPool,
    "adaptive_max_pool": AdaptiveMaxPool,
    "pyramid_pool": PyramidPool,
    "permute": Permute,
    "reshape": Reshape,
    "slice": Slice,
    "mul": Mul,
    "sub": Sub,
    "div": Div,
    "reduce_mean": ReduceMean,
    "reduce_max": ReduceMax,
    "reduce_sum": ReduceSum,
    "hard_sigmoid": HardSigmoid,
    "hard_swish": HardSwish,
    "mish": Mish,
    "prelu": PReLU,
    "clip": Clip,
    "exp": Exp,
    "sqrt": Sqrt,
    "power": Power,
    "abs": Abs,
    "log": Log,
    "erf": Erf,
    "rescale": Rescale,
}

_KIND_OF = {layer: kind for kind, layer in KINDS.items()}


def kind_of(layer: Layer) -> str:
    """The layer's kind, such as `conv`. Raises InvalidLayerError for a class of no kind."""
    try:
        return _KIND_OF[type(layer)]
    except KeyError:
        known = ", ".join(each.__name__ for each in _KIND_OF)
        raise InvalidLayerError(
            f"{type(layer).__name__} is not a kind of layer; use one of {known}", field="kind"
        ) from None


# The classes, which the client offers under the same names.
__all__ = [
    "ELU",
    "GELU",
    "Abs",
    "AdaptiveAvgPool",
    "AdaptiveMaxPool",
    "Add",
    "AvgPool",
    "BatchNorm",
    "Clip",
    "Concat",
    "Conv",
    "ConvTranspose",
    "DeformConv",
    "Dense",
    "DepthwiseConv",
    "Div",
    "Erf",
    "Exp",
    "Flatten",
    "Fold",
    "GlobalAvgPool",
    "GlobalLpPool",
    "GlobalMaxPool",
    "GraphConv",
    "GroupNorm",
    "HardSigmoid",
    "HardSwish",
    "InstanceNorm",
    "IntegerConv",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "LocalResponseNorm",
    "Log",
    "LpPool",
    "MaxPool",
    "MaxPoolIndices",
    "MaxUnpool",
    "Mish",
    "Mul",
    "PReLU",
    "Pad",
    "Permute",
    "PixelShuffle",
    "PixelUnshuffle",
    "Power",
    "PyramidPool",
    "QuantizedConv",
    "ReLU",
    "ReLU6",
    "ReduceMax",
    "ReduceMean",
    "ReduceSum",
    "Rescale",
    "Reshape",
    "Scale",
    "SeparableConv",
    "SiLU",
    "Sigmoid",
    "Slice",
    "Softmax",
    "Softplus",
    "Sqrt",
    "Sub",
    "SubPixelConv",
    "Tanh",
    "Unfold",
    "Upsample",
]
