"""Published counts and receptive fields of well-known networks."""

from __future__ import annotations

from fractions import Fraction

import pytest
from convserve.layers import Add, BatchNorm, Conv, MaxPool
from convserve.networks import Network

from tests.networks import alexnet, resnet50, vgg16
from tests.planning import plan

IMAGE = (-1, 3, 224, 224)


# torchvision's tables of weights; its "GFLOPS" are multiply-accumulates.
@pytest.mark.parametrize(
    ("network", "parameters", "macs"),
    [
        (alexnet(), 61_100_840, 714_188_480),
        (vgg16(), 138_357_544, 15_470_264_320),
        (resnet50(), 25_557_032, 4_089_184_256),
    ],
    ids=["alexnet", "vgg16", "resnet50"],
)
def test_published_counts(network, parameters, macs):
    planned = plan(network, IMAGE)
    assert planned.output_shape == ("N", 1000)
    assert planned.parameter_count == parameters
    assert planned.mac_count == macs


def test_statistics_are_weights_but_not_parameters():
    planned = plan(resnet50(), IMAGE)
    assert planned.weight_bytes == 4 * (25_557_032 + 53_120)


# google-research/receptive_field: size, stride and padding of the last feature map. The padding is
# minus our start; where it depends on the input's size (SAME under stride), 224 leaves it so.
def slim_alexnet_v2() -> Network:
    return Network(
        [
            *(Conv(64, 11, stride=4), MaxPool(3, stride=2)),
            *(Conv(192, 5, padding="same"), MaxPool(3, stride=2)),
            *(Conv(384, 3, padding="same"), Conv(384, 3, padding="same")),
            *(Conv(256, 3, padding="same"), MaxPool(3, stride=2)),
        ]
    )


def slim_vgg16() -> Network:
    layers = []
    for depth in (2, 2, 3, 3, 3):
        layers += [Conv(8, 3, padding="same")] * depth + [MaxPool(2)]
    return Network(layers)


def slim_resnet_v1_50() -> Network:
    """Blocks reduced to their 3x3 convolutions, which alone widen the field.

    The last unit of a block strides. Its convolutions pad by hand, the pool by the size: at 112
    only after the end.
    """
    layers = [Conv(8, 7, stride=2, padding=3), MaxPool(3, stride=2, padding="same")]
    for depth, stride in ((3, 2), (4, 2), (6, 2), (3, 1)):
        layers += [Conv(8, 3, padding=1)] * (depth - 1) + [Conv(8, 3, stride=stride, padding=1)]
    return Network(layers)


@pytest.mark.parametrize(
    ("network", "size", "jump", "padding"),
    [
        (slim_alexnet_v2(), 195, 32, 64),
        (slim_vgg16(), 212, 32, 90),
        (slim_resnet_v1_50(), 483, 32, 239),
    ],
    ids=["alexnet_v2", "vgg_16", "resnet_v1_50"],
)
def test_published_receptive_fields(network, size, jump, padding):
    field = plan(network, IMAGE).receptive_field
    assert field is not None
    assert field.size == (size, size)
    assert field.jump == (Fraction(jump),) * 2
    assert field.start == (Fraction(-padding),) * 2


def test_a_residual_block_sees_what_its_longest_branch_sees():
    network = Network(
        [
            Conv(4, 3, padding=1, name="a"),
            BatchNorm(name="b"),
            Conv(4, 3, padding=1, name="c"),
            Add(inputs=("a", "c")),
        ]
    )
    field = plan(network, (1, 4, 9)).receptive_field
    assert field is not None
    assert (field.size, field.start) == ((5,), (Fraction(-2),))
