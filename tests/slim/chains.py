"""AlexNet, VGG and MobileNet: one layer behind the other."""

from __future__ import annotations

from collections.abc import Sequence

from convserve.layers import DepthwiseConv
from convserve.networks import Network

from tests.slim.sketch import Sketch, conv, max_pool

MOBILENET_STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)


def alexnet_v2() -> Network:
    """Krizhevsky's "one weird trick", 2014."""
    sketch, name = Sketch(), "alexnet_v2"
    sketch.chain("input", conv(11, 4, "valid"), name=f"{name}/conv1")
    sketch.chain(f"{name}/conv1", max_pool(3, 2, "valid"), name=f"{name}/pool1")
    sketch.chain(f"{name}/pool1", conv(5), name=f"{name}/conv2")
    sketch.chain(f"{name}/conv2", max_pool(3, 2, "valid"), name=f"{name}/pool2")
    for index, source in enumerate(("pool2", "conv3", "conv4"), 3):
        sketch.chain(f"{name}/{source}", conv(3), name=f"{name}/conv{index}")
    sketch.chain(f"{name}/conv5", max_pool(3, 2, "valid"), name=f"{name}/pool5")
    return sketch.network()


def vgg(name: str, repeats: Sequence[int]) -> Network:
    """Simonyan and Zisserman, 2014: so many convolutions before each pool."""
    sketch, last = Sketch(), "input"
    for group, count in enumerate(repeats, 1):
        for index in range(1, count + 1):
            last = sketch.chain(last, conv(3), name=f"{name}/conv{group}/conv{group}_{index}")
        last = sketch.chain(last, max_pool(2, 2, "valid"), name=f"{name}/pool{group}")
    return sketch.network()


def mobilenet_v1() -> Network:
    """Howard et al., 2017."""
    sketch = Sketch()
    last = sketch.chain("input", conv(3, 2), name="Conv2d_0")
    for index, stride in enumerate(MOBILENET_STRIDES, 1):
        depthwise = DepthwiseConv(3, stride, "same")
        last = sketch.chain(last, depthwise, conv(1), name=f"Conv2d_{index}_pointwise")
    return sketch.network()
