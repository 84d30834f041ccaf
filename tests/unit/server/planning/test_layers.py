"""What each kind of layer gives: shapes, resolved numbers, weights and counts known by hand."""

from __future__ import annotations

import pytest
from convserve.layers import (
    ELU,
    GELU,
    KINDS,
    Add,
    AvgPool,
    BatchNorm,
    Concat,
    Conv,
    ConvTranspose,
    Dense,
    Flatten,
    GlobalAvgPool,
    GlobalMaxPool,
    Layer,
    LeakyReLU,
    MaxPool,
    Pad,
    PixelShuffle,
    PixelUnshuffle,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
    Upsample,
)
from convserve.networks import Network
from convserve_server.planning.layers import RULES
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.planning import plan, plan_layer


def test_every_kind_has_its_rules():
    assert set(RULES) == set(KINDS.values())


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (Conv(4, 3), (2, 3, 8), (2, 4, 6)),
        (Conv(4, (3, 5), stride=(1, 2)), (2, 3, 8, 9), (2, 4, 6, 3)),
        (Conv(4, 3, padding=((1, 2),)), (2, 3, 8), (2, 4, 9)),
        (Conv(4, 3, padding=(1, 0, 2)), (2, 3, 8, 8, 8), (2, 4, 8, 6, 10)),
        (Conv(4, 3, dilation=3, padding="full"), (2, 3, 8), (2, 4, 14)),
        (Conv(4, 3, padding="causal", dilation=2, stride=2), (2, 3, 7), (2, 4, 4)),
        (Conv(4, 7, stride=2, padding="same"), (2, 3, 224, 225), (2, 4, 112, 113)),
        (Conv(4, 3, padding=2, padding_mode="reflect"), (2, 3, 3), (2, 4, 5)),
        (Conv(4, 3, padding=3, padding_mode="circular"), (2, 3, 3), (2, 4, 7)),
        (Conv(4, 3, padding=9, padding_mode="replicate"), (2, 3, 1), (2, 4, 17)),
        (ConvTranspose(4, 3, stride=2), (2, 3, 5), (2, 4, 11)),
        (ConvTranspose(4, 3, stride=2, padding=1, output_padding=1), (2, 3, 5), (2, 4, 10)),
        (ConvTranspose(4, 3, dilation=2, output_padding=1), (2, 3, 5), (2, 4, 10)),
        (ConvTranspose(4, 3, stride=2, output_size=12), (2, 3, 5), (2, 4, 12)),
        (ConvTranspose(4, 2, stride=3, padding="same"), (2, 3, 5), (2, 4, 15)),
        (ConvTranspose(4, 5, stride=2, padding="same_lower"), (2, 3, 5, 6), (2, 4, 10, 12)),
        (ConvTranspose(4, 3, stride=2, padding="valid"), (2, 3, 5), (2, 4, 11)),
        (MaxPool(3, stride=2), (2, 3, 55, 55), (2, 3, 27, 27)),
        (MaxPool(2), (2, 3, 7), (2, 3, 3)),
        (MaxPool(2, ceil_mode=True), (2, 3, 7), (2, 3, 4)),
        (MaxPool(1, stride=2, ceil_mode=True), (2, 3, 2), (2, 3, 1)),  # clipped
        (MaxPool(3, stride=1, dilation=2), (2, 3, 7), (2, 3, 3)),
        (MaxPool(3, stride=2, padding="same", ceil_mode=True), (2, 3, 7), (2, 3, 4)),
        (AvgPool(3, stride=2, padding=1, ceil_mode=True), (2, 3, 6), (2, 3, 4)),
        (AvgPool((2, 3)), (2, 3, 6, 7), (2, 3, 3, 2)),
        (GlobalAvgPool(), (2, 3, 6, 7), (2, 3, 1, 1)),
        (GlobalMaxPool(), (2, 3, 6), (2, 3, 1)),
        (Softmax(), (2, 3), (2, 3)),
        (BatchNorm(), (2, 3, 4, 5, 6), (2, 3, 4, 5, 6)),
        (Dense(7), (2, 3), (2, 7)),
        (Flatten(), (2, 3, 4, 5), (2, 60)),
        (Flatten(), (2, 3), (2, 3)),
        (Pad(((1, 2), (3, 4))), (2, 3, 5, 6), (2, 3, 8, 13)),
        (Upsample((2, 3)), (2, 3, 5, 6), (2, 3, 10, 18)),
        (PixelShuffle(2), (2, 8, 3), (2, 4, 6)),
        (PixelShuffle(2), (2, 8, 3, 4, 5), (2, 1, 6, 8, 10)),
        (PixelUnshuffle(3), (2, 1, 6, 9), (2, 9, 2, 3)),
    ],
    ids=str,
)
@pytest.mark.parametrize("batch", [0, 2, -1])
def test_shape(layer, shape, expected, batch):
    assert plan_layer(layer, (batch, *shape[1:])).output.shape == (batch, *expected[1:])


@pytest.mark.parametrize(
    ("layer", "shape", "fields"),
    [
        (Conv(4, 4, padding="same"), (1, 1, 9), {"padding": ((1, 2),)}),
        (Conv(4, 4, padding="same_upper"), (1, 1, 9), {"padding": ((1, 2),)}),
        (Conv(4, 4, padding="same_lower"), (1, 1, 9), {"padding": ((2, 1),)}),
        (Conv(4, 7, stride=2, padding="same"), (1, 1, 224), {"padding": ((2, 3),)}),
        (Conv(4, 1, stride=3, padding="same"), (1, 1, 7), {"padding": ((0, 0),)}),
        (Conv(4, 3, padding="full", dilation=2), (1, 1, 7), {"padding": ((4, 4),)}),
        (Conv(4, 3, padding="causal", dilation=2), (1, 1, 7), {"padding": ((4, 0),)}),
        (Conv(4, 3, padding="valid"), (1, 1, 7, 7), {"padding": ((0, 0),) * 2, "stride": (1, 1)}),
        (
            ConvTranspose(4, 4, stride=1, padding="same"),
            (1, 1, 5),
            {"padding": ((1, 2),), "output_padding": (0,)},
        ),
        (
            ConvTranspose(4, 4, stride=1, padding="same_lower"),
            (1, 1, 5),
            {"padding": ((2, 1),), "output_padding": (0,)},
        ),
        (
            ConvTranspose(4, 2, stride=5, padding="same"),
            (1, 1, 5),
            {"padding": ((0, 0),), "output_padding": (3,)},
        ),
        (
            ConvTranspose(4, 3, stride=2, output_size=(12, 11)),
            (1, 1, 5, 5),
            {"output_padding": (1, 0), "output_size": None},
        ),
        (MaxPool((2, 3)), (1, 1, 9, 9), {"stride": (2, 3), "dilation": (1, 1)}),
        (AvgPool(3, padding="same", ceil_mode=True), (1, 1, 7), {"ceil_mode": False}),
        (Pad(1), (1, 1, 5, 5), {"padding": ((1, 1), (1, 1))}),
        (Upsample(2), (1, 1, 5, 5), {"scale": (2, 2)}),
    ],
    ids=str,
)
def test_resolved(layer, shape, fields):
    resolved = plan_layer(layer, shape).resolved
    assert {name: getattr(resolved, name) for name in fields} == fields
    assert plan([resolved], shape).layers[0].resolved == resolved


numbers = st.integers(1, 5)
convs = st.builds(
    Conv,
    st.just(1),
    numbers,
    stride=numbers,
    padding=st.tuples(st.tuples(st.integers(0, 4), st.integers(0, 4))),
    dilation=numbers,
)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(convs, st.integers(25, 40))
def test_conv_transpose_gives_the_shape_that_conv_came_from(conv, length):
    shrunk = plan_layer(conv, (1, 1, length)).output.shape
    back = ConvTranspose(
        1,
        conv.kernel_size,
        stride=conv.stride,
        padding=conv.padding,
        dilation=conv.dilation,
        output_size=length,
    )
    assert plan_layer(back, shrunk).output.shape == (1, 1, length)


@pytest.mark.parametrize(
    ("layer", "shape", "weights", "parameters", "macs"),
    [
        (Conv(8, 3), (5, 4, 9), {"weight": (8, 4, 3), "bias": (8,)}, 104, 5 * 672),
        (Conv(8, 3, groups=4, bias=False), (5, 4, 9), {"weight": (8, 1, 3)}, 24, 5 * 168),
        (Conv(1, 3, padding=100), (1, 1, 1, 1), {"weight": (1, 1, 3, 3), "bias": (1,)}, 10, 356409),
        (
            ConvTranspose(4, 3, stride=2, groups=2),
            (5, 8, 10),
            {"weight": (8, 2, 3), "bias": (4,)},
            52,
            5 * 480,
        ),
        (Dense(7), (5, 3), {"weight": (7, 3), "bias": (7,)}, 28, 5 * 21),
        (Dense(7, bias=False), (5, 3), {"weight": (7, 3)}, 21, 5 * 21),
        (
            BatchNorm(),
            (5, 3, 4),
            dict.fromkeys(("weight", "bias", "running_mean", "running_var"), (3,)),
            6,
            0,
        ),
        (MaxPool(2), (5, 3, 4), {}, 0, 0),
    ],
    ids=str,
)
def test_weights_and_counts(layer, shape, weights, parameters, macs):
    planned = plan_layer(layer, shape)
    named = {f"{planned.name}.{role}": size for role, size in weights.items()}
    assert {spec.name: spec.shape for spec in planned.parameters} == named
    assert (planned.parameter_count, planned.mac_count) == (parameters, macs)


@pytest.mark.parametrize(
    ("layer", "flops"),
    [
        (Conv(4, 3, padding=1), 2 * 2 * (2 * 4 * 6 * 3 * 3 + 4 * 6)),
        (Conv(4, 3, padding=1, bias=False), 2 * 2 * 2 * 4 * 6 * 3 * 3),
        (ReLU(), 36 * 2),
        (ReLU6(), 72 * 2),
        (LeakyReLU(), 72 * 2),
        (GELU(), 180 * 2),
        (SiLU(), 180 * 2),
        (Sigmoid(), 144 * 2),
        (Tanh(), 36 * 2),
        (ELU(), 144 * 2),
        (Softplus(), 180 * 2),
        (Softmax(), 180 * 2),
        (BatchNorm(), 72 * 2),
        (MaxPool(2), 18 * 2),
        (AvgPool(2), 36 * 2),
        (GlobalAvgPool(), 36 * 2),
        (GlobalMaxPool(), 3 * 11 * 2),
        (Flatten(), 0),
    ],
    ids=str,
)
def test_flops(layer, flops):
    shape = (2, 3, 12)
    if isinstance(layer, Conv):
        shape, flops = (2, 3, 6), flops // 2
    assert plan_layer(layer, shape).flop_count == flops


def test_flops_of_dense():
    assert plan_layer(Dense(5), (2, 7)).flop_count == 2 * (2 * 5 * 7 + 5)
    assert plan_layer(Dense(5, bias=False), (2, 7)).flop_count == 2 * 2 * 5 * 7


def test_flops_of_conv_transpose():
    layer = ConvTranspose(4, 3, stride=2)  # 6 positions to 13: 6 * 3 taps, and a bias each
    assert plan_layer(layer, (1, 2, 6)).flop_count == 2 * (6 * 2 * 4 * 3) + 4 * 13


def join(layer: Layer, *shapes: tuple[int, ...]):
    names = tuple("abc"[: len(shapes)])
    return plan(Network([layer], inputs=names), *shapes)


def test_merge_layers():
    assert join(Add(inputs=("a", "b")), (2, 3, 4), (2, 3, 4)).output_shape == (2, 3, 4)
    assert join(Add(inputs=("a", "b", "c")), *[(2, 3, 4)] * 3).flop_count == 2 * 2 * 12
    joined = join(Concat(inputs=("a", "b")), (2, 3, 4), (2, 5, 4))
    assert joined.output_shape == (2, 8, 4)


def test_one_input_may_be_joined_with_itself():
    assert plan([Add(inputs=("input", "input"))], (2, 3)).output_shape == (2, 3)
