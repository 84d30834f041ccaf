"""Layers in each framework's words: read, written, and refused with the field that is wrong."""

from __future__ import annotations

import random

import pytest
import torch
from attrs import evolve
from convserve.errors import ConvserveError, InvalidArgumentError, InvalidLayerError, ShapeError
from convserve.layers import (
    AvgPool,
    Conv,
    ConvTranspose,
    DepthwiseConv,
    GroupNorm,
    MaxPool,
    ReLU,
    SeparableConv,
)
from convserve_server.planning.dialects import DIALECTS, read_layer
from convserve_server.planning.dialects.comparing import render
from convserve_server.planning.dialects.dialect import InexpressibleError
from convserve_server.planning.dialects.native import read_native, write_native
from convserve_server.planning.dialects.words import POOLS

from tests.properties.random_words import random_words

STEM = Conv(64, 7, stride=2, padding=3)
READ = {
    "nn.Conv2d(3, 64, kernel_size=7, stride=2, padding=3)": STEM,
    "torch.nn.Conv2d(3, 64, 7, 2, 3)": STEM,
    "nn.Conv1d(3, 8, 4, padding='same', bias=False)": Conv(8, 4, padding="same", bias=False),
    "nn.Conv3d(3, 8, (1, 3, 3), groups=1, padding_mode='circular')": Conv(
        8, (1, 3, 3), padding_mode="circular"
    ),
    "nn.ConvTranspose2d(3, 8, 3, 2, 1, 1)": ConvTranspose(8, 3, 2, 1, 1),
    "nn.MaxPool2d(3, 2, 1, ceil_mode=True)": MaxPool(3, 2, 1, ceil_mode=True),
    "nn.AvgPool2d(2, count_include_pad=False)": AvgPool(2, 2, count_include_pad=False),
    'Conv2D(64, 7, strides=2, padding="same")': Conv(64, 7, stride=2, padding="same"),
    'layers.Conv1D(8, 3, padding="causal", activation="relu")': Conv(8, 3, padding="causal"),
    "DepthwiseConv2D(3, depth_multiplier=2)": DepthwiseConv(3, padding="valid", depth_multiplier=2),
    "SeparableConv2D(8, 3, use_bias=False)": SeparableConv(8, 3, padding="valid", bias=False),
    'Conv2DTranspose(8, 3, strides=2, padding="same")': ConvTranspose(
        8, 3, stride=2, padding=((0, 1), (0, 1)), output_padding=(0, 0)
    ),
    "Conv2DTranspose(8, 2, strides=3)": ConvTranspose(
        8, 2, stride=3, padding=((0, 0), (0, 0)), output_padding=(1, 1)
    ),
    'MaxPooling2D(3, strides=2, padding="same")': MaxPool(3, 2, padding="same"),
    "Conv(W=[64,3,7,7], kernel_shape=[7,7], strides=[2,2], pads=[3,3,3,3])": Conv(
        64, (7, 7), stride=(2, 2), padding=((3, 3), (3, 3))
    ),
    "MaxPool(kernel_shape=[3,3], strides=[2,2], ceil_mode=1)": MaxPool(
        (3, 3), (2, 2), ceil_mode=True
    ),
    "convolution_param { num_output: 64 kernel_size: 7 stride: 2 pad: 3 }": STEM,
    'layer { name: "c" type: "Convolution" convolution_param { num_output: 8 kernel_h: 3 '
    "kernel_w: 5 bias_term: false } }": Conv(8, (3, 5), stride=1, bias=False),
    "pooling_param { pool: AVE kernel_size: 3 stride: 2 }": AvgPool(3, 2, ceil_mode=True),
    "[convolutional] filters=64 size=7 stride=2 pad=1": Conv(64, 7, stride=(2, 2), padding=3),
    "[maxpool]\nsize=2\nstride=1": MaxPool(2, 1, padding=((0, 1),)),
    'convolution2dLayer(7,64,Stride=2,Padding="same")': Conv(64, 7, stride=2, padding="same"),
    "convolution2dLayer([3 5],8,'Stride',[2 1],'Padding',[1 2 3 4])": Conv(
        8, (3, 5), stride=(2, 1), padding=((1, 2), (3, 4))
    ),
    "maxPooling2dLayer(2)": MaxPool(2, 1),
    'groupedConvolution2dLayer(3,1,"channel-wise")': DepthwiseConv(3),
    'lax.conv_general_dilated(x, (64, 3, 7, 7), window_strides=(2, 2), padding="SAME")': Conv(
        64, (7, 7), stride=(2, 2), padding="same_upper", bias=False
    ),
    "lax.conv_transpose(x, (3, 8, 3), strides=(2,), padding=((1, 2),), transpose_kernel=True)": (
        ConvTranspose(8, 3, stride=2, padding=((1, 0),), output_padding=0, bias=False)
    ),
    'scipy.signal.convolve(a, (4,), mode="same")': Conv(1, 4, padding="same_lower", bias=False),
    "np.convolve([1, 2, 3], [4, 5])": Conv(1, 2, padding="full", bias=False),
    "cs.Conv(64, 7, stride=2, padding=3)": STEM,
    "cs.GroupNorm(4, eps=0.1)": GroupNorm(4, eps=0.1),
}


@pytest.mark.parametrize("text", READ)
def test_reading(text):
    channels = 1 if text.startswith(("scipy", "np")) else 3
    reading = read_layer(text, "", channels)
    assert reading.layer == READ[text]
    assert reading.problem is None


def test_what_the_text_does_not_say_is_noted():
    reading = read_layer("Conv(kernel_shape=[7,7])", "", 3)
    assert reading.layer == Conv(1, (7, 7))
    assert "channels" in reading.notes[0]
    assert "flipped" in read_layer("np.convolve(a, (3,))", "", 1).notes[0]


@pytest.mark.parametrize("name", DIALECTS)
def test_what_is_written_reads_as_the_same_words(name):
    dialect, seen = DIALECTS[name], 0
    for seed in range(400):
        words, shape = random_words(random.Random(seed))
        words = evolve(words, bias=name == "darknet")  # which always has one
        try:
            text = dialect.write(words)
        except InexpressibleError:
            continue
        again = read_layer(text, name, shape[0]).words.spread(words.rank)
        if words.kind == "depthwise_conv" and again.kind == "conv":
            assert again.groups == words.in_channels  # many frameworks have it as groups alone
            continue
        told = ["kernel_size", "stride", "dilation", "groups", "result_channels"]
        told += ["bias"] if words.kind not in POOLS else []
        assert {n: getattr(again, n) for n in told} == {n: getattr(words, n) for n in told}
        assert dialect.write(again) == text
        seen += 1
    assert seen >= 10


@pytest.mark.parametrize(
    "layer",
    [
        STEM,
        ReLU(),
        Conv(8, (3, 5), padding=((0, 1), (2, 3)), name="first"),
        ConvTranspose(4, 3, output_size=(5, 6)),
        GroupNorm(4, affine=False),
        SeparableConv(8, 3, padding="same"),
    ],
)
def test_our_own_words_give_the_layer_back(layer):
    assert read_native(write_native(layer)) == layer


WRONG = [
    ("nn.Conv2d(3, 64)", "kernel_size"),
    ("nn.Conv2d(3, 64, 7, padding='causal')", "padding"),
    ("nn.Conv2d(3, 64, 7, stride=0)", "stride"),
    ("nn.Conv2d(3, 64, 7.5)", "kernel_size"),
    ("nn.Conv2d(3, 64, 7, kernel=3)", "kernel"),
    ("nn.Conv2d(3, 64, 7, out_channels=3)", "out_channels"),
    ("nn.Conv2d(3, 64, 7, 1, 0, 1, 1, True, 'zeros', 5)", "text"),
    ("nn.MaxPool2d(2, return_indices=True)", "return_indices"),
    ("nn.Conv2d(3, 64, 7", "text"),
    ("nn.Conv2d(3, 64, __import__('os').system('true'))", "text"),
    ("nn.Conv2d(3, 64, 9**9**9)", "text"),
    ("nn.Conv2d(3, 64, [*range(9)])", "text"),
    ("nn.Conv2d(3, 64, '\\x41')", "text"),
    ("nn.Conv2d(**{})", "text"),
    ("nn.Conv2d(3, 64, " + "(" * 300 + ")" * 300 + ")", "text"),
    ("nn.Conv2d(3, 64, " + "-" * 1500 + "1)", "text"),
    ("nn.Conv2d(3, 64, " + "9" * 1500 + ")", "kernel_size"),
    ("nn.Conv2d(3, 64, 7)" + " " * 3000, "text"),
    ("nn.Conv2d(3, 64, True)", "kernel_size"),
    ('Conv2D(64, 3, padding="full")', "padding"),
    ("Conv2D(3)", "kernel_size"),
    ("Conv(kernel_shape=[3], pads=[1,1,1])", "pads"),
    ("Conv(kernel_shape=[3], auto_pad='SAME')", "auto_pad"),
    ("Conv(kernel_shape=[3], colour=1)", "colour"),
    ("convolution_param { kernel_size: 3 }", "num_output"),
    ("convolution_param { num_output: 3 kernel_size: 3 kernel_h: 3 }", "kernel_size"),
    ("convolution_param { num_output: 3", "text"),
    ("convolution_param } {", "text"),
    ("convolution_param " + "{ a " * 200, "text"),
    ('layer { type: "InnerProduct" }', "type"),
    ("[convolutional] filters=64 size=x", "size"),
    ("[convolutional] filters=64 x", "text"),
    ("[yolo] mask=0,1,2", "text"),
    ("convolution2dLayer(7,64,'Stride')", "Stride"),
    ("convolution2dLayer(7,64,Colour=1)", "Colour"),
    ('lax.conv_general_dilated(x, w, (1, 1), "SAME")', "rhs"),
    ("lax.conv_general_dilated(x, (3, 3), (1, 1), 'SAME')", "rhs"),
    ("lax.conv_general_dilated(x, (1, 1, 3), (1,), ((1, 1), (2, 2)))", "padding"),
    ("scipy.signal.convolve(a, v)", "in2"),
    ("scipy.signal.convolve(a, (3,), mode='wrap')", "mode"),
    ("cs.Conv(64)", "text"),
    ("cs.Conv(64, x)", "text"),
    ("cs.Conv(64, 0)", "kernel_size"),
]


@pytest.mark.parametrize(("text", "field"), WRONG)
def test_what_cannot_be_read_names_its_field(text, field):
    dialect = next((d for d in DIALECTS if DIALECTS[d].reads(text)), "convserve")
    with pytest.raises(InvalidLayerError) as caught:
        read_layer(text, dialect, 3)
    assert caught.value.field == (f"text.{field}" if field != "text" else field)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("text", ["", "x", "Dense(10)", "Conv(64, 7)", "[", "nn.Linear(3, 4)"])
def test_what_looks_like_nothing_is_asked_for_its_dialect(text):
    with pytest.raises(ConvserveError) as caught:
        read_layer(text, "", 3)
    assert isinstance(caught.value, InvalidArgumentError)


def test_an_unknown_dialect_lists_the_known_ones():
    with pytest.raises(InvalidArgumentError, match="pytorch"):
        read_layer("nn.Conv2d(3, 64, 7)", "flux", 3)


def test_channels_that_contradict_the_input_are_refused():
    with pytest.raises(ShapeError, match="3 channels, but the input has 4"):
        read_layer("nn.Conv2d(3, 64, 7)", "", 4)


def test_what_no_layer_of_ours_says_is_compared_all_the_same():
    reading = read_layer('Conv(W=[1,1,3], auto_pad="SAME_UPPER", pads=[1,1])', "", 1)
    assert reading.layer is None
    rows = render(None, reading.words, (1, 9), 1, everyone=True)
    outcomes = {row.runtime: row.outcome for row in rows}
    assert (outcomes["onnxruntime"], outcomes["openvino"]) == ("refused", "accepted")


EXACT = {
    "nn.Sequential(nn.ZeroPad2d((2, 3, 2, 3)), nn.Conv2d(3, 64, 7, stride=2))": "torch",
    "Conv2D(64, 7, strides=2, padding='same')": "keras",
    "Conv(W=[64, 3, 7, 7], kernel_shape=[7, 7], strides=[2, 2], auto_pad='SAME_UPPER')": "onnx",
    'convolution2dLayer(7, 64, Stride=2, Padding="same")': "matlab",
}


def test_a_layer_that_one_framework_cannot_say_has_another_spelling():
    reading = read_layer('Conv2D(64, 7, strides=2, padding="same")', "", 3)
    rows = render(reading.layer, reading.words, (3, 224, 224), 1, everyone=False)
    told = {row.spelling for row in rows} | {row.exact for row in rows}
    assert EXACT.keys() <= told


def test_an_exact_spelling_is_the_same_layer():
    reading = read_layer('Conv2DTranspose(2, 3, strides=2, padding="same")', "", 1)
    rows = render(reading.layer, reading.words, (1, 5, 5), 1, everyone=False)
    [row] = [row for row in rows if row.dialect == "pytorch"]
    module = eval(row.exact, {"nn": torch.nn})
    assert tuple(module(torch.zeros(1, 1, 5, 5)).shape) == (1, 2, 10, 10)
