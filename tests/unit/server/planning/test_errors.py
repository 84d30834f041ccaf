"""Every refusal: its class, the field that it names, and the numbers in its message."""

from __future__ import annotations

import pytest
from convserve.errors import (
    DTypeError,
    InvalidLayerError,
    InvalidNetworkError,
    ShapeError,
    TooLargeError,
)
from convserve.layers import (
    Add,
    AvgPool,
    BatchNorm,
    Concat,
    Conv,
    ConvTranspose,
    GlobalAvgPool,
    GlobalMaxPool,
    MaxPool,
    Pad,
    PixelShuffle,
    PixelUnshuffle,
    ReLU,
    Sigmoid,
    Softmax,
    Upsample,
)
from convserve.networks import Network

from tests.planning import plan

MIB3 = 2**21


@pytest.mark.parametrize(
    ("layer", "shape", "error", "field", "numbers"),
    [
        (Conv(4, 3, groups=2), (1, 3, 8), ShapeError, "conv.groups", "3 2"),
        (Conv(3, 3, groups=2), (1, 4, 8), InvalidLayerError, "conv.groups", "3 2"),
        (Conv(4, 9), (1, 3, 8), ShapeError, "conv.kernel_size", "9 8"),
        (Conv(4, 3, dilation=4), (1, 3, 8), ShapeError, "conv.kernel_size", "9 8"),
        (Conv(4, (3, 3)), (1, 3, 8), InvalidLayerError, "conv.kernel_size", "2 1"),
        (Conv(4, 3, stride=(1, 1)), (1, 3, 8), InvalidLayerError, "conv.stride", "2 1"),
        (Conv(4, 3, dilation=(1, 1)), (1, 3, 8), InvalidLayerError, "conv.dilation", "2 1"),
        (Conv(4, 3, padding=(1, 1)), (1, 3, 8), InvalidLayerError, "conv.padding", "2 1"),
        (Conv(4, 3, padding="causal"), (1, 3, 8, 8), InvalidLayerError, "conv.padding", "1 2"),
        (
            Conv(4, 3, padding=8, padding_mode="reflect"),
            (1, 3, 8),
            ShapeError,
            "conv.padding",
            "8 7",
        ),
        (
            Conv(4, 3, padding=9, padding_mode="circular"),
            (1, 3, 8),
            ShapeError,
            "conv.padding",
            "9 8",
        ),
        (Conv(4, 3), (1, 3), ShapeError, "conv", "0 1 3"),
        (ConvTranspose(4, 3, groups=2), (1, 3, 8), ShapeError, "conv_transpose.groups", "3 2"),
        (
            ConvTranspose(4, 3, stride=2, output_padding=2),
            (1, 3, 8),
            InvalidLayerError,
            "conv_transpose.output_padding",
            "2 1",
        ),
        (
            ConvTranspose(4, 3, stride=2, padding="same", output_padding=1),
            (1, 3, 8),
            InvalidLayerError,
            "conv_transpose.output_padding",
            "1 0",
        ),
        (
            ConvTranspose(4, 3, stride=2, output_size=19),
            (1, 3, 8),
            ShapeError,
            "conv_transpose.output_size",
            "17 18 19",
        ),
        (
            ConvTranspose(4, 3, stride=2, output_padding=1, output_size=17),
            (1, 3, 8),
            InvalidLayerError,
            "conv_transpose.output_size",
            "17 18",
        ),
        (
            ConvTranspose(4, 3, stride=2, padding="same", output_size=17),
            (1, 3, 8),
            ShapeError,
            "conv_transpose.output_size",
            "17 16",
        ),
        (ConvTranspose(4, 2, padding=2), (1, 3, 2), ShapeError, "conv_transpose.padding", "-1 1"),
        (MaxPool(3, padding=3), (1, 3, 8), InvalidLayerError, "max_pool.padding", "3 2"),
        (AvgPool(4, padding=4), (1, 3, 8), InvalidLayerError, "avg_pool.padding", "4 3"),
        (MaxPool(9), (1, 3, 8), ShapeError, "max_pool.kernel_size", "9 8"),
        (MaxPool(3, stride=2, ceil_mode=True), (1, 3, 2), ShapeError, "max_pool.kernel_size", "3"),
        (AvgPool((2, 2)), (1, 3, 8), InvalidLayerError, "avg_pool.kernel_size", "2 1"),
        (GlobalAvgPool(), (1, 3), ShapeError, "global_avg_pool", "0 1 3"),
        (Pad(8, mode="reflect"), (1, 3, 8), ShapeError, "pad.padding", "8 7"),
        (Pad((1, 1)), (1, 3, 8), InvalidLayerError, "pad.padding", "2 1"),
        (Upsample((2, 2)), (1, 3, 8), InvalidLayerError, "upsample.scale", "2 1"),
        (PixelShuffle(2), (1, 6, 8, 8), ShapeError, "pixel_shuffle.factor", "6 4"),
        (PixelUnshuffle(3), (1, 6, 8), ShapeError, "pixel_unshuffle.factor", "8 3"),
        (Add(inputs="input"), (1, 3), InvalidNetworkError, "inputs", "1 2"),
        (ReLU(inputs=("input", "input")), (1, 3), InvalidNetworkError, "inputs", "2 1"),
        (Upsample(2**30), (1, 3, 8), TooLargeError, "", f"{2**33} {2**31 - 1}"),
        (Upsample(MIB3), (1, 4, 512, 512, 512), TooLargeError, "", f"{2**90 * 16} {2**63 - 1}"),
    ],
    ids=str,
)
def test_refusal(layer, shape, error, field, numbers):
    with pytest.raises(error) as caught:
        plan([ReLU(), layer] if layer.inputs is None else [layer], shape)
    index = 1 if layer.inputs is None else 0
    assert type(caught.value) is error
    assert caught.value.field == f"layers[{index}]" + (f".{field}" if field else "")
    for number in numbers.split():
        assert number in caught.value.message.replace("(", " ").replace(",", " ")
    assert caught.value.metadata


@pytest.mark.parametrize(
    ("layer", "dtype", "cast"),
    [
        (AvgPool(2), "int8", "float32"),
        (GlobalAvgPool(), "int32", "float32"),
        (BatchNorm(), "complex64", "float32"),
        (Sigmoid(), "uint8", "float32"),
        (Softmax(), "bool", "float32"),
        (MaxPool(2), "complex64", "float32"),
        (GlobalMaxPool(), "bool", "int8"),
        (ReLU(), "complex128", "float32"),
    ],
    ids=str,
)
def test_refused_element_type(layer, dtype, cast):
    with pytest.raises(DTypeError) as caught:
        plan([layer], (1, 3, 8), dtype=dtype)
    assert caught.value.field.startswith("layers[0].")
    assert dtype in caught.value.message
    assert cast in caught.value.message


def test_every_input_is_looked_at():
    network = Network([Add(inputs=("a", "b"))], inputs=("a", "b"))
    with pytest.raises(DTypeError, match="'a' is bool"):
        plan(network, (1, 3), (1, 3), dtype="bool")


@pytest.mark.parametrize(
    ("value", "dtype"),
    [(0.5, "int8"), (2.0, "bool"), (200.0, "int8"), (-1.0, "uint8"), (1e6, "float16")],
)
def test_pad_value_must_be_an_element(value, dtype):
    with pytest.raises(DTypeError, match=f"{value} is not an element of {dtype}") as caught:
        plan([Pad(1, value=value)], (1, 1, 3), dtype=dtype)
    assert caught.value.field == "layers[0].pad.value"


@pytest.mark.parametrize("layer", [Add(inputs=("a", "b")), Concat(inputs=("a", "b"))])
def test_shapes_that_do_not_join(layer):
    with pytest.raises(ShapeError) as caught:
        plan(Network([layer], inputs=("a", "b")), (1, 3, 8), (1, 3, 9))
    assert caught.value.field in ("layers[0].add", "layers[0].concat")
    assert "9" in caught.value.message
    assert "8" in caught.value.message


def test_the_index_is_that_of_the_callers_list():
    network = Network([Conv(3, 9, name="last", inputs="first"), ReLU(name="first", inputs="input")])
    with pytest.raises(ShapeError) as caught:
        plan(network, (1, 3, 8))
    assert caught.value.field == "layers[0].conv.kernel_size"


@pytest.mark.parametrize(
    ("shape", "field", "numbers"),
    [
        ((3,), "shape", ("1", "2")),
        ((1, 2, 3, 4, 5, 6), "shape", ("6", "5")),
        ((1, 0, 3), "shape[1]", ("0", "1")),
        ((1, 3, 0), "shape[2]", ("0", "1")),
        ((1, 3, 2**31), "shape[2]", (str(2**31), str(2**31 - 1))),
        ((-2, 3, 4), "shape[0]", ("-2", "0")),
    ],
)
def test_refused_input_shape(shape, field, numbers):
    with pytest.raises(ShapeError) as caught:
        plan([ReLU()], shape)
    assert caught.value.field == f"inputs['input'].{field}"
    assert all(number in caught.value.message for number in numbers)


def test_inputs_share_one_batch():
    network = Network([Add(inputs=("a", "b"))], inputs=("a", "b"))
    with pytest.raises(ShapeError, match="batch 3 differs from batch N of 'a'") as caught:
        plan(network, (-1, 4), (3, 4))
    assert caught.value.field == "inputs['b'].shape[0]"


def test_totals_are_bounded_too():
    wide = [Conv(2**20, 1, bias=False) for _ in range(9)]
    with pytest.raises(TooLargeError, match="of all layers"):
        plan(wide, (1, 2**20, 2**10, 2**9, 2))
