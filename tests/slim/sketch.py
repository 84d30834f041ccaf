"""A network as it is drawn: chains of layers, and branches that are joined."""

from __future__ import annotations

from typing import TypeAlias

from attrs import evolve
from convserve.layers import Add, AvgPool, Concat, Conv, Layer, MaxPool
from convserve.networks import Network

Size: TypeAlias = int | tuple[int, int]
Branch: TypeAlias = tuple[Layer, ...]


def conv(kernel_size: Size, stride: int = 1, padding: str = "same") -> Layer:
    """A convolution to one channel."""
    return Conv(1, kernel_size, stride, padding)


def max_pool(kernel_size: int, stride: int, padding: str = "same") -> Layer:
    """A maximum."""
    return MaxPool(kernel_size, stride, padding)


def avg_pool(kernel_size: int) -> Layer:
    """A mean, with the stride 1."""
    return AvgPool(kernel_size, 1, "same")


class Sketch:
    """Layers in the order in which they are drawn; each method returns the last one's name."""

    def __init__(self) -> None:
        self._layers: list[Layer] = []
        self._channels = {"input": 1}

    def chain(self, source: str, *layers: Layer, name: str = "") -> str:
        """The layers one behind the other; the last one is called `name`."""
        for index, layer in enumerate(layers, 1):
            own = name if name and index == len(layers) else f"layer{len(self._layers)}"
            count = layer.out_channels if isinstance(layer, Conv) else self._channels[source]
            source = self._put(evolve(layer, name=own, inputs=(source,)), count)
        return source

    def join(self, source: str, *branches: Branch, name: str = "") -> str:
        """Branches from one source, side by side as channels. () is the source itself."""
        ends = tuple(self.chain(source, *branch) for branch in branches)
        own = name or f"layer{len(self._layers)}"
        return self._put(Concat(name=own, inputs=ends), sum(self._channels[end] for end in ends))

    def add(self, source: str, end: str, name: str = "") -> str:
        """A block's sum of what it reads and what it makes of it, by a 1x1 convolution."""
        count = self._channels[source]
        widened = self.chain(end, Conv(count, 1))
        own = name or f"layer{len(self._layers)}"
        return self._put(Add(name=own, inputs=(source, widened)), count)

    def network(self) -> Network:
        """What was drawn; the last layer is its output."""
        return Network(self._layers)

    def _put(self, layer: Layer, channels: int) -> str:
        self._layers.append(layer)
        name = str(layer.name)
        self._channels[name] = channels
        return name
