"""Random cases: small windows with every number free. One generator, for hypothesis and by seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from attrs import frozen
from convserve import layers as cs
from convserve.layers.fields import Ints, Pairs
from convserve.operations import ConvInputGradient, Convolve, ConvWeightGradient, Correlate

from tests.conformance.builders import layer_case, operation_case
from tests.conformance.case import Case

LARGEST_KERNEL = {1: 7, 2: 4, 3: 3}
LARGEST_EXTRA = {1: 12, 2: 6, 3: 3}


@frozen
class Geometry:
    """A kernel that fits its input, per axis, and the windows that it makes."""

    sizes: Ints
    kernel_size: Ints
    stride: Ints
    padding: Pairs
    dilation: Ints

    @property
    def positions(self) -> Ints:
        """Windows per axis, counted one by one."""
        return tuple(
            len(range(-low, size + high - d * (k - 1), s))
            for size, k, s, (low, high), d in zip(
                self.sizes, self.kernel_size, self.stride, self.padding, self.dilation, strict=True
            )
        )

    @property
    def fields(self) -> dict[str, Any]:
        """What Conv and both gradients take."""
        return {"stride": self.stride, "padding": self.padding, "dilation": self.dilation}


def random_geometry(rng: random.Random) -> Geometry:
    rank = rng.randint(1, 3)
    axes = range(rank)
    kernel = tuple(rng.randint(1, LARGEST_KERNEL[rank]) for _ in axes)
    dilation = tuple(rng.randint(1, 3) for _ in axes)
    padding = tuple((rng.randint(0, 4), rng.randint(0, 4)) for _ in axes)
    sizes = tuple(
        max(1, d * (k - 1) + 1 - low - high) + rng.randint(0, LARGEST_EXTRA[rank])
        for k, d, (low, high) in zip(kernel, dilation, padding, strict=True)
    )
    return Geometry(sizes, kernel, tuple(rng.randint(1, 3) for _ in axes), padding, dilation)


@frozen
class Channels:
    """A batch, and channels that their groups divide."""

    batch: int
    groups: int
    inputs: int
    outputs: int


def random_channels(rng: random.Random) -> Channels:
    groups = rng.randint(1, 3)
    return Channels(
        rng.randint(1, 3), groups, groups * rng.randint(1, 4), groups * rng.randint(1, 4)
    )


def random_name(rng: random.Random) -> str:
    """The seed of the case's values."""
    return str(rng.randrange(2**32))


def random_conv(rng: random.Random, dtype: str) -> Case:
    window, channels = random_geometry(rng), random_channels(rng)
    layer = cs.Conv(
        channels.outputs,
        window.kernel_size,
        groups=channels.groups,
        bias=rng.random() < 0.5,
        **window.fields,
    )
    shape = (channels.batch, channels.inputs, *window.sizes)
    return layer_case(random_name(rng), layer, shape, dtype=dtype)


def random_conv_transpose(rng: random.Random, dtype: str) -> Case:
    window, channels = random_geometry(rng), random_channels(rng)
    sizes = tuple(rng.randint(1, 2 + LARGEST_EXTRA[len(window.sizes)]) for _ in window.sizes)
    extra = tuple(
        rng.randint(0, max(s, d) - 1) for s, d in zip(window.stride, window.dilation, strict=True)
    )
    full = [
        (size - 1) * s + d * (k - 1) + 1 + more
        for size, s, d, k, more in zip(
            sizes, window.stride, window.dilation, window.kernel_size, extra, strict=True
        )
    ]
    lows = [rng.randint(0, size - 1) for size in full]
    padding = tuple(
        (low, rng.randint(0, size - 1 - low)) for low, size in zip(lows, full, strict=True)
    )
    layer = cs.ConvTranspose(
        channels.outputs,
        window.kernel_size,
        window.stride,
        padding,
        extra,
        window.dilation,
        channels.groups,
        rng.random() < 0.5,
    )
    shape = (channels.batch, channels.inputs, *sizes)
    return layer_case(random_name(rng), layer, shape, dtype=dtype)


def random_pool_fields(rng: random.Random, dilation: Ints) -> tuple[Ints, dict[str, Any]]:
    """The sizes and the fields of a pool; padding is symmetric where `ceil_mode` rounds up."""
    rank, ceil_mode = len(dilation), rng.random() < 0.5
    kernel = tuple(rng.randint(1, LARGEST_KERNEL[rank]) for _ in range(rank))
    lows = [rng.randint(0, k // 2) for k in kernel]
    highs = lows if ceil_mode else [rng.randint(0, k // 2) for k in kernel]
    sizes = tuple(  # PyTorch's avg_pool3d wants a whole window inside the input
        max(k, d * (k - 1) + 1 - low - high) + rng.randint(0, LARGEST_EXTRA[rank])
        for k, d, low, high in zip(kernel, dilation, lows, highs, strict=True)
    )
    fields = {
        "kernel_size": kernel,
        "stride": tuple(rng.randint(1, 4) for _ in range(rank)),
        "padding": tuple(zip(lows, highs, strict=True)),
        "ceil_mode": ceil_mode,
    }
    return sizes, fields


def random_max_pool(rng: random.Random, dtype: str) -> Case:
    dilation = tuple(rng.randint(1, 3) for _ in range(rng.randint(1, 3)))
    sizes, fields = random_pool_fields(rng, dilation)
    shape = (rng.randint(1, 2), rng.randint(1, 3), *sizes)
    layer = cs.MaxPool(**fields, dilation=dilation)
    return layer_case(random_name(rng), layer, shape, dtype=dtype)


def random_avg_pool(rng: random.Random, dtype: str) -> Case:
    sizes, fields = random_pool_fields(rng, (1,) * rng.randint(1, 3))
    shape = (rng.randint(1, 2), rng.randint(1, 3), *sizes)
    layer = cs.AvgPool(**fields, count_include_pad=rng.random() < 0.5)
    return layer_case(random_name(rng), layer, shape, dtype=dtype)


def random_input_gradient(rng: random.Random, dtype: str) -> Case:
    window, channels = random_geometry(rng), random_channels(rng)
    shape = (channels.batch, channels.inputs, *window.sizes)
    operation = ConvInputGradient(input_shape=shape, groups=channels.groups, **window.fields)
    grad = (channels.batch, channels.outputs, *window.positions)
    weight = (channels.outputs, channels.inputs // channels.groups, *window.kernel_size)
    return operation_case(random_name(rng), operation, grad, weight, dtype=dtype)


def random_weight_gradient(rng: random.Random, dtype: str) -> Case:
    window, channels = random_geometry(rng), random_channels(rng)
    operation = ConvWeightGradient(
        kernel_size=window.kernel_size, groups=channels.groups, **window.fields
    )
    x = (channels.batch, channels.inputs, *window.sizes)
    grad = (channels.batch, channels.outputs, *window.positions)
    return operation_case(random_name(rng), operation, x, grad, dtype=dtype)


def random_signal(rng: random.Random, dtype: str) -> Case:
    kind = rng.choice((Convolve, Correlate))
    mode = rng.choice(("full", "same", "valid"))
    largest = {1: 600, 2: 24, 3: 8}[rank := rng.randint(1, 3)]
    a = tuple(rng.randint(1, largest) for _ in range(rank))
    v = tuple(rng.randint(1, size) for size in a)
    if rng.random() < 0.25:
        a, v = v, a
    return operation_case(random_name(rng), kind(mode), a, v, dtype=dtype)


# what is drawn -> (random source, dtype) -> case
GENERATORS: dict[str, Callable[[random.Random, str], Case]] = {
    "conv": random_conv,
    "conv_transpose": random_conv_transpose,
    "max_pool": random_max_pool,
    "avg_pool": random_avg_pool,
    "conv_input_gradient": random_input_gradient,
    "conv_weight_gradient": random_weight_gradient,
    "signal": random_signal,
}
