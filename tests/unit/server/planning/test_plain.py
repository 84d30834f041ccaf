"""Layers as the convolutions that a library computes."""

import pytest
from convserve.layers import (
    Conv,
    ConvTranspose,
    DepthwiseConv,
    Flatten,
    MaxPool,
    SeparableConv,
    SubPixelConv,
)
from convserve_server.planning.plain import plain_convs

from tests.planning import step_of


def shapes(conv):
    return conv.input.shape, conv.weight.shape, conv.output.shape


def test_a_convolution_is_itself():
    layer = Conv(8, (3, 5), stride=2, padding=((0, 1), (2, 3)), dilation=2, groups=2)
    (conv,) = plain_convs(step_of(layer, (4, 6, 20, 20)))
    assert shapes(conv) == ((4, 6, 20, 20), (8, 3, 3, 5), (4, 8, 9, 9))
    assert (conv.stride, conv.dilation, conv.padding) == ((2, 2), (2, 2), ((0, 1), (2, 3)))
    assert (conv.groups, conv.transposed, conv.copied_bytes) == (2, False, 0)
    assert (conv.read, conv.result) == (conv.input, conv.output)


def test_a_transposed_one_leads_back():
    layer = ConvTranspose(6, 3, stride=2, padding=1, output_padding=1)
    (conv,) = plain_convs(step_of(layer, (2, 4, 5)))
    assert shapes(conv) == ((2, 6, 10), (4, 6, 3), (2, 4, 5))
    assert conv.transposed
    assert (conv.read.shape, conv.result.shape) == ((2, 4, 5), (2, 6, 10))


def test_a_depthwise_one_has_a_group_per_channel():
    (conv,) = plain_convs(step_of(DepthwiseConv(3, depth_multiplier=2), (1, 5, 8, 8)))
    assert shapes(conv) == ((1, 5, 8, 8), (10, 1, 3, 3), (1, 10, 6, 6))
    assert conv.groups == 5


def test_a_separable_one_is_two():
    layer = SeparableConv(7, 3, stride=2, depth_multiplier=2)
    first, second = plain_convs(step_of(layer, (1, 5, 9, 9)))
    assert shapes(first) == ((1, 5, 9, 9), (10, 1, 3, 3), (1, 10, 4, 4))
    assert shapes(second) == ((1, 10, 4, 4), (7, 10, 1, 1), (1, 7, 4, 4))
    assert (first.stride, second.stride, second.padding) == ((2, 2), (1, 1), ((0, 0), (0, 0)))


def test_a_sub_pixel_one_ends_before_the_shuffle():
    (conv,) = plain_convs(step_of(SubPixelConv(3, 3, 2, padding=1), (2, 5, 8, 8)))
    assert shapes(conv) == ((2, 5, 8, 8), (12, 5, 3, 3), (2, 12, 8, 8))


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_borders_that_are_not_zero_are_a_copy(mode):
    layer = Conv(8, 3, padding=((1, 2), (0, 0)), padding_mode=mode)
    (conv,) = plain_convs(step_of(layer, (2, 4, 6, 6), "float16"))
    assert shapes(conv) == ((2, 4, 9, 6), (8, 4, 3, 3), (2, 8, 7, 4))
    assert conv.padding == ((0, 0), (0, 0))
    assert conv.copied_bytes == 2 * 4 * 9 * 6 * 2


def test_without_padding_nothing_is_copied():
    (conv,) = plain_convs(step_of(Conv(8, 3, padding_mode="circular"), (2, 4, 6, 6)))
    assert conv.copied_bytes == 0


def test_an_empty_batch_is_nothing_to_compute():
    (conv,) = plain_convs(step_of(Conv(8, 3), (0, 4, 6, 6)))
    assert conv.is_empty


@pytest.mark.parametrize("layer", [MaxPool(2), Flatten()])
def test_other_layers_are_none(layer):
    assert plain_convs(step_of(layer, (2, 4, 6, 6))) == ()
