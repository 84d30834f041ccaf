"""What is measured: the inputs of each benchmark, made once and alike in every process."""

from __future__ import annotations

import convserve_client as cs
import numpy as np
from convserve.networks import Network
from convserve.tensors import Array
from convserve.v1 import compute_service_pb2 as pb2

from tests.networks import resnet50
from tests.planning import plan
from tests.wire import inline


def large() -> tuple[Array, Array]:
    """64 MiB and the weight of the identity: (1, 1, 4096, 4096) and (1, 1, 1, 1), float32."""
    x = np.random.default_rng(0).random((1, 1, 4096, 4096), np.float32)
    return x, np.ones((1, 1, 1, 1), np.float32)


def small() -> tuple[Array, Array]:
    """A 1x3x32x32 input and 8 filters of 3x3, float32; used with padding 1."""
    generator = np.random.default_rng(0)
    return generator.random((1, 3, 32, 32), np.float32), generator.random((8, 3, 3, 3), np.float32)


def small_message_sizes() -> tuple[int, int]:
    """Bytes of the small convolution's request and response as messages."""
    x, weight = small()
    layer = cs.Conv(8, 3, padding=1, bias=False, name="conv")
    request = inline([layer], {"input": x, "conv.weight": weight})
    response = pb2.RunInlineResponse(data=[bytes(4 * 8 * 32 * 32)])
    return request.ByteSize(), response.ByteSize()


def heavy() -> tuple[Network, dict[str, Array], Array]:
    """A 3x3 convolution of 1,024 channels at 7x7 between two 1x1 ones that keep messages small.

    466 million multiply-adds, 6 KiB each way.
    """
    generator = np.random.default_rng(0)
    layers = [
        cs.Conv(1024, 1, bias=False, name="wide"),
        cs.Conv(1024, 3, padding=1, bias=False, name="conv"),
        cs.Conv(32, 1, bias=False, name="narrow"),
    ]
    shapes = {"wide": (1024, 32, 1, 1), "conv": (1024, 1024, 3, 3), "narrow": (32, 1024, 1, 1)}
    weights = {
        f"{name}.weight": generator.random(shape, np.float32) / 64 for name, shape in shapes.items()
    }
    return cs.Network(layers), weights, generator.random((1, 32, 7, 7), np.float32)


def residual() -> tuple[Network, dict[str, Array], Array]:
    """ResNet-50, weights that keep values in range, and one 3x224x224 picture."""
    generator = np.random.default_rng(0)
    network = resnet50()
    layers = plan(network, (1, 3, 224, 224)).layers
    weights = {}
    for spec in (spec for layer in layers for spec in layer.parameters):
        fan_in = max(1, spec.element_count // spec.shape[0])
        scale = (2 / fan_in) ** 0.5 if len(spec.shape) > 1 else 0.1
        values = generator.standard_normal(spec.shape).astype(np.float32) * np.float32(scale)
        weights[spec.name] = values if len(spec.shape) > 1 else 1 + values
    return network, weights, generator.random((1, 3, 224, 224), np.float32)


def signals() -> tuple[Array, Array]:
    """2**20 samples and 4,096 taps, float32."""
    generator = np.random.default_rng(0)
    return (
        generator.standard_normal(1 << 20, np.float32),
        generator.standard_normal(4096, np.float32),
    )
