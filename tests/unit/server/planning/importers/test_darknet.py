"""Darknet's cfg: published networks, every section that is read, refusals, hostile files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from convserve import layers
from convserve.errors import ConvserveError, InvalidNetworkError, TooLargeError, UnsupportedError
from convserve_server.engines.reference.engine import ReferenceEngine
from convserve_server.planning.importers.darknet import read_darknet
from convserve_server.planning.importers.darknet.windows import LOWEST

from tests.planning import plan
from tests.running import run_once

FILES = Path("tests/data/darknet")
ACTIVATIONS = {
    "linear": [], "leaky": [layers.LeakyReLU], "relu": [layers.ReLU], "relu6": [layers.ReLU6],
    "relie": [layers.LeakyReLU], "logistic": [layers.Sigmoid], "tanh": [layers.Tanh],
    "loggy": [layers.Sigmoid, layers.Rescale], "elu": [layers.ELU], "hardtan": [layers.Clip],
    "selu": [layers.ELU, layers.Rescale], "mish": [layers.Mish], "swish": [layers.SiLU],
}  # fmt: skip


def net(*sections, c=4, h=8, w=8):
    head = f"[net]\nbatch=64\nchannels={c}\nheight={h}\nwidth={w}\n"
    return (head + "".join(sections)).encode()


def section(name, **options):
    lines = "".join(f"{key}={value}\n" for key, value in options.items())
    return f"[{name}]\n{lines}"


def conv(**options):
    return section("convolutional", **{"filters": 4, "activation": "linear", **options})


def planned(text):
    imported = read_darknet(text)
    return plan(imported.network, (1, *imported.inputs[0].shape[1:]))


def run(text, x):
    return run_once(ReferenceEngine(), read_darknet(text).network, {"input": x})


def values(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def all_weights(result):
    return sum(spec.element_count for layer in result.layers for spec in layer.parameters)


def test_yolov3_tiny_has_the_weights_of_the_published_file():
    result = planned((FILES / "yolov3-tiny.cfg").read_bytes())
    # yolov3-tiny.weights has 35,434,956 bytes: 20 of header, the rest float32.
    assert all_weights(result) == (35_434_956 - 20) // 4 == 8_858_734
    assert [output.shape for output in result.outputs] == [(1, 255, 13, 13), (1, 255, 26, 26)]
    shapes = {layer.name: layer.output.shape[1:] for layer in result.layers}
    assert shapes["maxpool11"] == (512, 13, 13)  # size 2, stride 1: one element of padding behind
    assert shapes["route20"] == (384, 26, 26)
    assert round(2 * result.mac_count / 1e9, 2) == 5.56  # published as 5.56 billion operations


def test_darknet19_has_the_operations_of_the_paper():
    result = planned((FILES / "darknet19.cfg").read_bytes())
    assert result.outputs[0].shape == (1, 1000, 1, 1)
    assert result.parameter_count == 20_842_376
    assert round(2 * result.mac_count / 1e9, 2) == 5.58  # Redmon and Farhadi 2016, section 3


def test_heads_are_left_out_with_a_note():
    imported = read_darknet((FILES / "yolov3-tiny.cfg").read_bytes())
    assert imported.network.outputs == ("conv15", "conv22")
    assert sum("[yolo]" in note for note in imported.notes) == 2
    assert imported.inputs[0].shape == (-1, 3, 416, 416)


def test_layers_are_named_after_their_section():
    text = net(
        conv(size=3, pad=1, batch_normalize=1, activation="leaky"), section("dropout"), conv(size=1)
    )
    network = read_darknet(text).network
    assert [layer.name for layer in network.layers] == [
        "conv0",
        "conv0/batch_norm",
        "conv0/leaky",
        "conv2",
    ]


@pytest.mark.parametrize(
    ("options", "padding"),
    [
        ({"size": 3, "pad": 1}, 1),
        ({"size": 5, "pad": 1, "padding": 7}, 2),  # pad=1 is size / 2, whatever padding says
        ({"size": 4, "pad": 1}, 2),
        ({"size": 3, "padding": 2}, 2),
        ({"size": 3}, 0),
        ({"size": 3, "pad": 1, "dilation": 2}, 2),
        ({"size": 1, "pad": 1, "dilation": 2}, 0),
    ],
)
def test_padding_of_convolutions(options, padding):
    (layer,) = read_darknet(net(conv(**options))).network.layers
    assert layer.padding == ((padding, padding),)


def test_strides_and_groups():
    (layer,) = read_darknet(net(conv(size=3, stride=2, stride_x=1, groups=2))).network.layers
    assert (layer.stride, layer.groups) == ((2, 1), 2)
    result = planned(net(section("deconvolutional", filters=2, size=4, stride=2, padding=1)))
    assert result.outputs[0].shape == (1, 2, 16, 16)


def darknet_pool_max(x, size, stride, padding):
    """maxpool_layer.c, forward: the window starts at -padding / 2."""
    count = (len(x) + padding - size) // stride + 1
    starts = [i * stride - padding // 2 for i in range(count)]
    return [max([LOWEST, *x[max(start, 0) : max(start + size, 0)]]) for start in starts]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_max_pools_are_darknets_for_every_size_and_padding(size, stride):
    for length in range(size, 10):
        for padding in (None, *range(2 * size)):
            options = {} if padding is None else {"padding": padding}
            x = values(1, 1, length, length)
            y = run(
                net(
                    section("maxpool", size=size, stride=stride, **options), c=1, h=length, w=length
                ),
                x,
            )
            total = size - 1 if padding is None else padding
            rows = [darknet_pool_max(row, size, stride, total) for row in x[0, 0].tolist()]
            expected = [
                darknet_pool_max(list(row), size, stride, total) for row in zip(*rows, strict=True)
            ]
            np.testing.assert_array_equal(y[0, 0].T, np.array(expected, np.float32))


def test_an_average_counts_what_is_inside():
    y = run(net(section("local_avgpool", size=3, stride=1), c=1), np.ones((1, 1, 8, 8), np.float32))
    np.testing.assert_array_equal(y, np.ones((1, 1, 8, 8), np.float32))


def reorg_cpu(x, stride):
    """blas.c, as [reorg] calls it: every index of the output by its address."""
    c, h, w = x.shape
    flat, out, small = x.ravel(), np.empty(x.size, x.dtype), c // stride**2
    for k in range(c):
        for j in range(h):
            for i in range(w):
                place = k // small
                w2, h2 = i * stride + place % stride, j * stride + place // stride
                address = w2 + w * stride * (h2 + h * stride * (k % small))
                out[i + w * (j + h * k)] = flat[address]
    return out.reshape(c * stride**2, h // stride, w // stride)


def test_reorg_is_darknets_own():
    x = values(2, 8, 6, 4)
    y = run(net(section("reorg", stride=2), c=8, h=6, w=4), x)
    np.testing.assert_array_equal(y[1], reorg_cpu(x[1], 2))


def test_reorg3d_is_space_to_depth():
    x = values(1, 2, 4, 6)
    y = run(net(section("reorg3d", stride=2), c=2, h=4, w=6), x)
    blocks = [x[0, :, dy::2, dx::2] for dy in (0, 1) for dx in (0, 1)]
    np.testing.assert_array_equal(y[0], np.concatenate(blocks))


def test_routes_shortcuts_and_groups():
    text = net(
        conv(size=1, filters=6),
        section("route", layers=-1, groups=3, group_id=1),
        conv(size=1, filters=6),
        section("shortcut", **{"from": -3}, activation="relu"),
        section("route", layers="-1, 1,0"),
    )
    shapes = {layer.name: layer.output.shape[1] for layer in planned(text).layers}
    assert shapes == {
        "conv0": 6,
        "route1": 2,
        "conv2": 6,
        "shortcut3": 6,
        "shortcut3/relu": 6,
        "route4": 14,
    }
    (part,) = [each for each in read_darknet(text).network.layers if each.name == "route1"]
    assert (part.start, part.stop) == (2, 4)


def test_squeeze_and_attention():
    text = net(
        conv(size=1),
        section("avgpool"),
        conv(size=1, activation="logistic"),
        section("scale_channels", **{"from": -3}),
        section("sam", **{"from": 0}),
    )
    result = planned(text)
    assert [layer.kind for layer in result.layers][-2:] == ["mul", "mul"]
    assert result.outputs[0].shape == (1, 4, 8, 8)


def test_connected_reads_all_elements():
    result = planned(net(section("connected", output=5, activation="relu", batch_normalize=1)))
    assert [layer.kind for layer in result.layers] == ["flatten", "dense", "batch_norm", "relu"]
    assert all_weights(result) == 256 * 5 + 4 * 5
    assert planned(b"[net]\ninputs=7\n[connected]\noutput=2\n").outputs[0].shape == (1, 2)


def test_softmax_crop_upsample_and_batchnorm():
    text = net(
        section("crop", crop_height=6, crop_width=4),
        section("upsample", stride=2, scale=0.5),
        section("batchnorm"),
        section("activation", activation="tanh"),
        section("softmax", groups=1),
    )
    kinds = [layer.kind for layer in planned(text).layers]
    assert kinds == ["slice", "slice", "rescale", "upsample", "rescale", "batch_norm", "tanh",
                     "flatten", "softmax"]  # fmt: skip
    x = values(1, 4, 8, 8)
    y = run(net(section("crop", crop_height=6, crop_width=4)), x)
    np.testing.assert_array_equal(y, x[:, :, 1:7, 2:6] * 2 - 1)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name):
    network = read_darknet(net(conv(size=1, activation=name))).network
    assert [type(layer) for layer in network.layers] == [layers.Conv, *ACTIVATIONS[name]]


def test_activation_without_a_word_is_logistic():
    network = read_darknet(net(section("convolutional", filters=2, size=1))).network
    assert isinstance(network.layers[-1], layers.Sigmoid)


def test_comments_blanks_and_the_first_of_two_options():
    text = (
        b"# c\n; c\n\n[net]\n width = 8\nheight=8 \r\nchannels=3\nchannels=4\n[maxpool]\nstride=2\n"
    )
    imported = read_darknet(text)
    assert imported.inputs[0].shape == (-1, 3, 8, 8)


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        (b"", InvalidNetworkError, "begins with the section [net]"),
        (b"width=3", InvalidNetworkError, "line 1: 'width=3' stands before"),
        (b"[net]\nnonsense", InvalidNetworkError, "line 2: 'nonsense'"),
        (b"[net", InvalidNetworkError, "no [section]"),
        (b"[net]\n\xff=1", InvalidNetworkError, "line 2: this is not UTF-8"),
        (b"[net]\nwidth=8", InvalidNetworkError, "must say width, height and channels"),
        (net(), InvalidNetworkError, "no layer that computes"),
        (net(section("gru", output=3)), UnsupportedError, "line 6: the section [gru]"),
        (net(conv(size=3, stride=0)), InvalidNetworkError, "stride is 0"),
        (net(conv(size="9" * 30)), InvalidNetworkError, "size is 1e+30"),
        (net(conv(size=99)), ConvserveError, "layer 'conv0': kernel 99"),
        (net(conv(size=3, filters=-1)), InvalidNetworkError, "filters is -1"),
        (net(conv(size=3, xnor=1)), UnsupportedError, "xnor = 1"),
        (net(conv(size=3, dilation=2)), UnsupportedError, "dilation = 2"),
        (net(conv(size=3, activation="stair")), UnsupportedError, "activation = 'stair'"),
        (net(conv(size=3, novelty=2)), UnsupportedError, "novelty = 2"),
        (net(section("maxpool", size=2, maxpool_depth=1)), UnsupportedError, "maxpool_depth"),
        (net(section("route", layers=-1)), InvalidNetworkError, "reads section -1"),
        (net(section("route", layers=0)), InvalidNetworkError, "the 0 before it"),
        (net(conv(), section("route")), InvalidNetworkError, "layers is None"),
        (
            net(conv(), conv(filters=2), section("shortcut", **{"from": -2})),
            UnsupportedError,
            "equal sizes",
        ),
        (net(conv(), section("route", layers=-1, groups=3)), UnsupportedError, "no group"),
        (net(conv(), section("yolo"), conv()), UnsupportedError, "a head that is not computed"),
        (net(section("reorg", stride=3)), UnsupportedError, "does not divide"),
        (net(section("softmax", tree="9k.tree")), UnsupportedError, "no tree"),
        (net(section("normalization")), UnsupportedError, "[normalization]"),
        (b"[net]\n" + b"[dropout]\n" * 5000, TooLargeError, "4096 sections"),
        (
            b"[net]\n" + b"".join(b"k%d=1\n" % n for n in range(300)),
            InvalidNetworkError,
            "256 options",
        ),
        (b"\n" * ((1 << 18) + 1), TooLargeError, "limit"),
    ],
    ids=lambda value: value[-40:].decode(errors="replace") if isinstance(value, bytes) else None,
)
def test_refusals_name_the_section_and_what_is_wrong(text, error, says):
    with pytest.raises(error) as caught:
        read_darknet(text)
    assert says in str(caught.value)
    assert len(str(caught.value)) < 2000
