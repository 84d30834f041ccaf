"""What is measured on a GPU: networks with the shape of their input, and their least time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from attrs import evolve, frozen
from convserve.layers import Conv, Layer, ReLU
from convserve.networks import Network
from convserve.tensors import Array, Shape, TensorSpec, dtype_of
from convserve_server.planning.devices import profiles
from convserve_server.planning.graph import Node, Sample, walk
from convserve_server.planning.timing import cost_of, roofline

from tests.networks import resnet50, unet

BATCHES = (32, 256)
# What is computed in: element type, and the least precision that is allowed.
KINDS = (("bfloat16", "strict"), ("float32", "tf32"), ("float32", "strict"))
_POOL = 1 << 22


@frozen
class Work:
    """A network, and its one input. `count` says how often it comes in what it is taken from."""

    name: str
    network: Network
    input: Shape
    dtype: str = "float32"
    precision: str = "strict"
    count: int = 1

    @property
    def label(self) -> str:
        """What it is computed in."""
        return "tf32" if self.precision == "tf32" else self.dtype

    def nodes(self) -> Sequence[Node]:
        """The layers, resolved."""
        sample = Sample("input", self.dtype, self.input[1:])
        return walk(self.network, {"input": sample}, self.input[0])

    def specs(self) -> tuple[TensorSpec, ...]:
        """The input, and then the weights."""
        weights = (spec for node in self.nodes() for spec in node.parameters)
        return (TensorSpec("input", self.dtype, self.input), *weights)

    def tensors(self) -> dict[str, Array]:
        """Random values: a GPU is faster on zeros."""
        return {spec.name: _random(spec) for spec in self.specs()}

    def least_seconds(self, device: str) -> float | None:
        """The sum over the layers with arithmetic of the time that the roofline leaves them.

        What is between them may be computed with them.
        """
        line = roofline(profiles()[device], self.dtype, self.precision)
        if line is None:
            return None
        costs = (cost_of(node, self.input[0]) for node in self.nodes() if node.mac_count)
        return sum(line.layer(cost).seconds_low for cost in costs)


def resnet_layers(batch: int) -> Iterator[Work]:
    """Each different convolution of ResNet-50, in each kind."""
    network = resnet50()
    counts: Counter[tuple[Layer, Shape]] = Counter()
    for node in walk(network, {"input": Sample("input", "float32", (3, 224, 224))}, batch):
        if isinstance(node.layer, Conv):
            alone = evolve(node.layer, name="conv", inputs=("input",))
            counts[alone, (batch, *node.inputs[0].shape)] += 1
    for dtype, precision in KINDS:
        for (layer, shape), count in counts.items():
            yield Work(_title(layer, shape), Network([layer]), shape, dtype, precision, count)


def networks() -> Iterator[Work]:
    """Whole networks, with everything that is in them."""
    for batch in BATCHES:
        for dtype, precision in KINDS:
            shape = (batch, 3, 224, 224)
            yield Work(f"ResNet-50, batch {batch}", resnet50(), shape, dtype, precision)
    yield Work("U-Net, batch 8", unet(64), (8, 3, 256, 256), "bfloat16")
    stack: list[Layer] = []
    for number in range(4):
        stack += [Conv(64, 3, padding=1, name=f"conv{number}"), ReLU(name=f"relu{number}")]
    yield Work("3-D stack, batch 2", Network(stack), (2, 64, 64, 64, 64), "bfloat16")


def others() -> Iterator[Work]:
    """Convolutions that libraries are often slow at."""
    for size in (3, 7, 31):
        layer = Conv(256, size, padding=size // 2, groups=256, bias=False, name="conv")
        for dtype in ("bfloat16", "float32"):
            yield Work(f"depthwise {size}x{size}", Network([layer]), (32, 256, 56, 56), dtype)
    for taps in (129, 1025, 8193):
        layer = Conv(1, taps, padding=taps // 2, bias=False, name="conv")
        yield Work(f"1-D, {taps} taps, 2^20 samples", Network([layer]), (1, 1, 1 << 20))
        layer = Conv(64, taps, padding=taps // 2, groups=64, bias=False, name="conv")
        yield Work(f"1-D depthwise, {taps} taps", Network([layer]), (8, 64, 1 << 16))


def _title(layer: Layer, shape: Shape) -> str:
    assert isinstance(layer, Conv)
    size, stride = layer.kernel_size[0], layer.stride[0] if layer.stride else 1
    step = f"/{stride}" if stride > 1 else ""
    return f"{size}x{size}{step} {shape[1]}-{layer.out_channels} @{shape[2]}, batch {shape[0]}"


def _random(spec: TensorSpec) -> Array:
    """Values of the size that keeps results in range; large tensors repeat them."""
    rng = np.random.default_rng(0)
    values = rng.standard_normal(min(_POOL, max(spec.element_count, 1)))
    fan_in = spec.element_count // spec.shape[0] if len(spec.shape) > 1 else 1
    if spec.name == "input":
        fan_in = 1
    elif len(spec.shape) == 1:
        values = np.abs(values) + 0.5
    values = (values * fan_in**-0.5).astype(np.float32).astype(dtype_of(spec.dtype))
    return np.resize(values, spec.shape)
