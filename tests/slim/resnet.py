"""ResNet v1 and v2, which see the same: a block's last unit has its stride."""

from __future__ import annotations

from collections.abc import Sequence

from convserve.layers import Add, Conv, Layer, MaxPool
from convserve.networks import Network


def resnet(name: str, units: Sequence[int]) -> Network:
    """He et al., 2015 and 2016, with so many units in each of the four blocks."""
    layers: list[Layer] = [
        _conv_same(7, 2, "conv1", "input"),
        MaxPool(3, 2, "same", name="pool1", inputs="conv1"),
    ]
    for block, count in enumerate(units, 1):
        for unit in range(1, count + 1):
            is_last = unit == count
            own = f"{name}/block{block}" if is_last else f"{name}/block{block}/unit_{unit}"
            layers += _unit(own, str(layers[-1].name), 2 if is_last and block < 4 else 1)
    return Network(layers)


def _unit(name: str, source: str, stride: int) -> list[Layer]:
    """A bottleneck; where it has a stride, the shortcut takes every other element."""
    return [
        MaxPool(1, stride, name=f"{name}/shortcut", inputs=source),
        Conv(1, 1, name=f"{name}/conv1", inputs=source),
        _conv_same(3, stride, f"{name}/conv2", f"{name}/conv1"),
        Conv(1, 1, name=f"{name}/conv3", inputs=f"{name}/conv2"),
        Add(name=name, inputs=(f"{name}/shortcut", f"{name}/conv3")),
    ]


def _conv_same(kernel_size: int, stride: int, name: str, source: str) -> Layer:
    """A padding of (k - 1) / 2 on both sides, which no input size changes."""
    return Conv(1, kernel_size, stride, kernel_size // 2, name=name, inputs=source)
