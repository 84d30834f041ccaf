"""Layers: every field is parsed once, at construction."""

from itertools import count

import numpy as np
import pytest
from convserve import layers as ly
from convserve.errors import InvalidLayerError


def test_what_people_write_becomes_tuples():
    conv = ly.Conv(np.int64(64), 7, stride=2, padding=3)
    assert (conv.out_channels, conv.kernel_size, conv.stride) == (64, (7,), (2,))
    assert conv.padding == ((3, 3),)
    assert ly.Conv(4, (3, 5), padding=(1, 2)).padding == ((1, 1), (2, 2))
    assert ly.Conv(4, 3, padding=((1, 2),)).padding == ((1, 2),)
    assert ly.Conv(4, [3, 5], padding=[[0, 1], [2, 3]]).padding == ((0, 1), (2, 3))
    assert ly.Conv(4, 3, padding="same").padding == "same"


@pytest.mark.parametrize(
    "sizes",
    [
        [1, 2],
        np.array([1, 2]),
        np.array([1, 2], np.uint8),
        iter((1, 2)),
        range(1, 3),
        (np.int8(1), 2),
    ],
    ids=["list", "array", "bytes", "iterator", "range", "mixed"],
)
def test_any_integers_in_an_order_are_taken(sizes):
    assert ly.Upsample(sizes).scale == (1, 2)


def test_arrays_and_numbers_of_numpy_are_taken():
    assert ly.Conv(4, np.array(3), padding=np.array([1, 2])).padding == ((1, 1), (2, 2))
    assert ly.Pad(np.array([[0, 1], [2, 3]])).padding == ((0, 1), (2, 3))
    assert ly.Dense(4, bias=np.False_).bias is False
    assert ly.LeakyReLU(np.float32(0.5)).negative_slope == 0.5
    assert type(ly.BatchNorm(np.float64(1)).eps) is float


def test_an_iterable_without_an_end_is_refused():
    with pytest.raises(InvalidLayerError) as caught:
        ly.Conv(4, 3, stride=count(1))
    assert caught.value.field == "stride"


def test_a_class_of_no_kind_is_refused():
    with pytest.raises(InvalidLayerError, match="Layer is not a kind of layer; use one of Conv, "):
        ly.kind_of(ly.Layer())


def test_layers_are_values():
    assert ly.Conv(4, 3, stride=1) == ly.Conv(4, (3,), 1)
    assert hash(ly.Conv(4, 3)) == hash(ly.Conv(4, (3,)))
    with pytest.raises(AttributeError):
        ly.ReLU().name = "x"  # type: ignore[misc]


def test_the_positional_order_is_the_promised_one():
    conv = ly.Conv(8, 3, 2, 1, 2, 4, False)
    assert (conv.stride, conv.dilation, conv.groups, conv.bias) == ((2,), (2,), 4, False)


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: ly.Conv(0, 3), "out_channels"),
        (lambda: ly.Conv(8, 0), "kernel_size"),
        (lambda: ly.Conv(8, ()), "kernel_size"),
        (lambda: ly.Conv(8, (1, 1, 1, 1)), "kernel_size"),
        (lambda: ly.Conv(8, 2**31), "kernel_size"),
        (lambda: ly.Conv(8, "3"), "kernel_size"),
        (lambda: ly.Conv(8, 2.5), "kernel_size"),
        (lambda: ly.Conv(8, 3, stride=0), "stride"),
        (lambda: ly.Conv(8, 3, stride=-1), "stride"),
        (lambda: ly.Conv(8, 3, dilation=(1, 0)), "dilation"),
        (lambda: ly.Conv(8, 3, padding=-1), "padding"),
        (lambda: ly.Conv(8, 3, padding="sme"), "padding"),
        (lambda: ly.Conv(8, 3, padding=((1, 2, 3),)), "padding"),
        (lambda: ly.Conv(8, 3, padding=()), "padding"),
        (lambda: ly.Conv(8, 3, groups=True), "groups"),
        (lambda: ly.Conv(8, 3, bias=1), "bias"),
        (lambda: ly.Conv(8, 3, padding_mode="mirror"), "padding_mode"),
        (lambda: ly.Conv(8, 3, name="input"), "name"),
        (lambda: ly.Conv(8, 3, name="a b"), "name"),
        (lambda: ly.Conv(8, 3, name="é"), "name"),
        (lambda: ly.Conv(8, 3, stride={1, 2}), "stride"),
        (lambda: ly.Conv(8, 3, stride=b"\1"), "stride"),
        (lambda: ly.Conv(8, 3, padding={1: 2}), "padding"),
        (lambda: ly.Conv(8, 3, padding_mode=np.array(["zeros"])), "padding_mode"),
        (lambda: ly.Conv(8, 3, inputs=()), "inputs"),
        (lambda: ly.Conv(8, 3, inputs=5), "inputs"),
        (lambda: ly.Pad(1, value=10**400), "value"),
        (lambda: ly.ELU("1"), "alpha"),
        (lambda: ly.ELU(True), "alpha"),
        (lambda: ly.ConvTranspose(8, 3, padding="causal"), "padding"),
        (lambda: ly.ConvTranspose(8, 3, output_padding=-1), "output_padding"),
        (lambda: ly.MaxPool(2, padding="full"), "padding"),
        (lambda: ly.Pad("same"), "padding"),
        (lambda: ly.Pad(1, value=float("nan")), "value"),
        (lambda: ly.Softplus(beta=0), "beta"),
        (lambda: ly.LeakyReLU(float("inf")), "negative_slope"),
        (lambda: ly.Dense(-1), "out_features"),
        (lambda: ly.Upsample(0), "scale"),
        (lambda: ly.Upsample(2, "bilinear"), "mode"),
        (lambda: ly.Upsample(2, coordinates="corner"), "coordinates"),
        (lambda: ly.Upsample(2, rounding="round"), "rounding"),
        (lambda: ly.Upsample(2, "cubic", cubic_coefficient=float("nan")), "cubic_coefficient"),
        (lambda: ly.LpPool(2, p=0), "p"),
        (lambda: ly.MaxPoolIndices(2, scope="batch"), "scope"),
        (lambda: ly.MaxUnpool(2, padding="same"), "padding"),
        (lambda: ly.AdaptiveAvgPool(0), "output_size"),
        (lambda: ly.PyramidPool(()), "levels"),
        (lambda: ly.PyramidPool(1, "sum"), "mode"),
        (lambda: ly.Permute((0, 1)), "order"),
        (lambda: ly.Permute((1, 1)), "order"),
        (lambda: ly.Permute((1, "2")), "order"),
        (lambda: ly.Reshape((-1, -1)), "shape"),
        (lambda: ly.Reshape((2, 0)), "shape"),
        (lambda: ly.Reshape((1,) * 8), "shape"),
        (lambda: ly.Slice(0), "axis"),
        (lambda: ly.Slice(8), "axis"),
        (lambda: ly.Slice(1, 2.5), "start"),
        (lambda: ly.Slice(1, 0, "2"), "stop"),
        (lambda: ly.Slice(1, step=-1), "step"),
        (lambda: ly.ReduceMean((1, 1)), "axes"),
        (lambda: ly.ReduceMax(0), "axes"),
        (lambda: ly.ReduceSum(1, keepdims=1), "keepdims"),
        (lambda: ly.Concat(axis=0), "axis"),
        (lambda: ly.Softmax("1"), "axis"),
        (lambda: ly.Clip("0"), "low"),
        (lambda: ly.Clip(high=float("inf")), "high"),
        (lambda: ly.Power(float("nan")), "exponent"),
        (lambda: ly.AvgPool(2, dilation=0), "dilation"),
    ],
)
def test_wrong_fields_are_refused_by_name(make, field):
    with pytest.raises(InvalidLayerError) as caught:
        make()
    assert caught.value.field == field
    assert " is not " in caught.value.message


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: ly.Upsample(), "size"),
        (lambda: ly.Upsample(2, size=3), "size"),
        (lambda: ly.Upsample(2, align_corners=True), "align_corners"),
        (lambda: ly.Upsample(2, "linear", True, coordinates="half_pixel"), "align_corners"),
        (lambda: ly.Clip(2, 1), "high"),
    ],
)
def test_fields_that_disagree_are_refused_by_name(make, field):
    with pytest.raises(InvalidLayerError) as caught:
        make()
    assert caught.value.field == field
