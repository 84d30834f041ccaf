"""The kinds of layers, and the one list of them."""

from convserve.errors import InvalidLayerError
from convserve.layers.activations import (
    ELU,
    GELU,
    LeakyReLU,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
from convserve.layers.conv import Conv
from convserve.layers.conv_transpose import ConvTranspose
from convserve.layers.dense import BatchNorm, Dense, Flatten
from convserve.layers.fields import Layer
from convserve.layers.merge import Add, Concat
from convserve.layers.pool import AvgPool, GlobalAvgPool, GlobalMaxPool, MaxPool
from convserve.layers.rearrange import Pad, PixelShuffle, PixelUnshuffle, Upsample

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
    "Add",
    "AvgPool",
    "BatchNorm",
    "Concat",
    "Conv",
    "ConvTranspose",
    "Dense",
    "Flatten",
    "GlobalAvgPool",
    "GlobalMaxPool",
    "Layer",
    "LeakyReLU",
    "MaxPool",
    "Pad",
    "PixelShuffle",
    "PixelUnshuffle",
    "ReLU",
    "ReLU6",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Tanh",
    "Upsample",
]
