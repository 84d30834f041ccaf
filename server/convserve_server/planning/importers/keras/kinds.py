"""The Keras layers that are read, by class name: the one list of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeAlias

from convserve.layers import Add, Mul, Sub

from convserve_server.planning.importers.keras import (
    activation,
    convolution,
    features,
    merging,
    pooling,
    shaping,
)
from convserve_server.planning.importers.keras.call import Call
from convserve_server.planning.importers.keras.values import Value

Translate: TypeAlias = Callable[[Call], Value]


def _same(*without_effect: str) -> Translate:
    """A layer that does nothing at inference; the fields tell only what it does in training."""

    def translate(call: Call) -> Value:
        call.fields.ignore(*without_effect)
        return call.input

    return translate


def _per_rank() -> Iterator[tuple[str, Translate]]:
    for rank in (1, 2, 3):
        yield f"Conv{rank}D", partial(convolution.convolve, rank=rank)
        yield f"Conv{rank}DTranspose", partial(convolution.convolve_transposed, rank=rank)
        for pooling_name in ("Pooling", "Pool"):
            yield f"Max{pooling_name}{rank}D", partial(pooling.pool_max, rank=rank)
            for short in ("Average", "Avg"):
                name = f"{short}{pooling_name}{rank}D"
                yield name, partial(pooling.pool_average, rank=rank)
                yield f"Global{name}", partial(pooling.pool_globally, rank=rank, largest=False)
            name = f"GlobalMax{pooling_name}{rank}D"
            yield name, partial(pooling.pool_globally, rank=rank, largest=True)
        name = f"Pooling{rank}D"
        yield f"AdaptiveMax{name}", partial(pooling.pool_adaptively, rank=rank, largest=True)
        yield f"AdaptiveAverage{name}", partial(pooling.pool_adaptively, rank=rank, largest=False)
        yield f"ZeroPadding{rank}D", partial(shaping.pad_zeros, rank=rank)
        yield f"Cropping{rank}D", partial(shaping.crop, rank=rank)
        yield f"UpSampling{rank}D", partial(shaping.upsample, rank=rank)
        yield f"SpatialDropout{rank}D", _same("rate", "seed", "noise_shape", "data_format")
    for rank in (1, 2):
        yield f"DepthwiseConv{rank}D", partial(convolution.convolve_depthwise, rank=rank)
        yield f"SeparableConv{rank}D", partial(convolution.convolve_separable, rank=rank)


KINDS: dict[str, Translate] = {
    **dict(_per_rank()),
    "Dense": features.connect,
    "BatchNormalization": features.normalize_batch,
    "LayerNormalization": features.normalize_layer,
    "GroupNormalization": features.normalize_group,
    "Normalization": features.normalize_data,
    "Rescaling": features.rescale,
    "LayerScale": features.scale_channels,
    "Activation": activation.named,
    "ReLU": activation.rectify,
    "LeakyReLU": activation.rectify_leakily,
    "PReLU": activation.rectify_learnt,
    "ELU": activation.elu,
    "Softmax": activation.softmax,
    "Flatten": shaping.flatten,
    "Reshape": shaping.reshape,
    "Permute": shaping.permute,
    "Add": partial(merging.merge, kind=Add),
    "Multiply": partial(merging.merge, kind=Mul),
    "Subtract": partial(merging.merge, kind=Sub),
    "Average": merging.average,
    "Concatenate": merging.concatenate,
    "CustomScaleLayer": merging.add_scaled,
    "Dropout": _same("rate", "seed", "noise_shape"),
    "GaussianNoise": _same("stddev", "seed"),
    "GaussianDropout": _same("rate", "seed"),
    "AlphaDropout": _same("rate", "seed", "noise_shape"),
    "ActivityRegularization": _same("l1", "l2"),
    "Identity": _same(),
}

# What operators between tensors record, by class name in keras.src.ops.
OPERATIONS: dict[str, Translate] = {
    "Add": partial(merging.compute, operator="add"),
    "Subtract": partial(merging.compute, operator="subtract"),
    "Multiply": partial(merging.compute, operator="multiply"),
    "TrueDivide": partial(merging.compute, operator="divide"),
    "Divide": partial(merging.compute, operator="divide"),
}
