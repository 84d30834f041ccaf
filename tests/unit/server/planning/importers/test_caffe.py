"""Caffe's prototxt: published networks, every layer that is read, refusals, hostile files."""

from __future__ import annotations

import numpy as np
import pytest
from convserve import layers
from convserve.errors import ConvserveError, InvalidNetworkError, TooLargeError, UnsupportedError
from convserve_server.engines.reference.engine import ReferenceEngine
from convserve_server.planning.importers.caffe import read_caffe

from tests import caffe_models as models
from tests.caffe_models import layer
from tests.planning import plan
from tests.running import run_once


def planned(text, **options):
    imported = read_caffe(text)
    return plan(imported.network, *(spec.shape for spec in imported.inputs), **options)


def one(text, *dims):
    """The layers of a network of one or a few, reading blobs of these shapes."""
    names = ("data", "other")
    inputs = "".join(
        f'input: "{name}" input_shape {{ {" ".join(f"dim: {n}" for n in shape)} }}\n'
        for name, shape in zip(names, dims or [(2, 4, 8, 8)], strict=False)
    )
    return (inputs + text).encode()


def lone(kind, **parameters):
    """One layer of this type that reads `data`."""
    return layer("l", kind, "data", **parameters)


def wrong_conv(**fields):
    return one(models.conv("c", "data", num_output=4, **fields))


def shape_of(text, *dims):
    return planned(one(text, *dims)).outputs[0].shape


@pytest.mark.parametrize(
    ("text", "parameters", "output"),
    [
        (models.LENET, 431_080, (64, 10)),
        (models.alexnet(), 60_965_224, (10, 1000)),
        (models.vgg16(), 138_357_544, (1, 1000)),
        (models.googlenet(), 6_998_552, (10, 1000)),
    ],
    ids=["lenet", "alexnet", "vgg16", "googlenet"],
)
def test_published_networks(text, parameters, output):
    result = planned(text)
    assert result.parameter_count == parameters
    assert result.outputs[0].shape == output


def test_shapes_within_alexnet_and_googlenet():
    shapes = {each.name: each.output.shape[1:] for each in planned(models.alexnet()).layers}
    assert shapes["conv1"] == (96, 55, 55)
    assert shapes["pool1"] == (96, 27, 27)
    assert shapes["pool5"] == (256, 6, 6)
    # Rounded up: PyTorch's floor would give 55 and 27.
    shapes = {each.name: each.output.shape[1:] for each in planned(models.googlenet()).layers}
    assert (shapes["pool1"], shapes["pool2"]) == ((64, 56, 56), (192, 28, 28))
    assert shapes["inception_5b/output"] == (1024, 7, 7)


def test_what_only_measures_is_left_out_with_a_note():
    imported = read_caffe(models.LENET)
    assert "accuracy" not in [each.name for each in imported.network.layers]
    assert imported.network.outputs == ("prob",)
    assert any(note.startswith("accuracy: Accuracy") for note in imported.notes)
    assert imported.inputs[0].shape == (64, 1, 28, 28)


def test_phases_stages_and_levels():
    rules = ["include { phase: TRAIN }", "exclude { phase: TEST }", 'include { stage: "deploy" }',
             "include { min_level: 1 }"]  # fmt: skip
    text = "".join(
        f'layer {{ name: "n{i}" type: "Nonsense" bottom: "data" top: "data" {rule} }}'
        for i, rule in enumerate(rules)
    )
    text += layer("relu", "ReLU", "data")
    text += 'layer { name: "t" type: "TanH" bottom: "relu" top: "t" include { phase: TEST } }'
    assert [each.name for each in read_caffe(one(text)).network.layers] == ["relu", "t"]


def test_layers_in_place_and_branches():
    text = models.conv("conv", "data", num_output=4, kernel_size=1)
    text += layer("sum", "Eltwise", "conv data")
    conv, relu, total = read_caffe(one(text)).network.layers
    assert (relu.inputs, total.inputs) == (("conv",), ("relu_conv", "data"))
    assert (conv.inputs, read_caffe(one(text)).network.outputs) == (("data",), ("sum",))


def caffe_pool_max(x, kernel, stride, pad, count):
    """pooling_layer.cpp, forward: windows clipped to the input."""
    starts = [i * stride - pad for i in range(count)]
    return [max(x[max(start, 0) : start + kernel]) for start in starts]


@pytest.mark.parametrize("kernel", [1, 2, 3, 4])
@pytest.mark.parametrize("stride", [1, 2, 3, 5])
def test_max_pools_are_caffes_for_every_size_or_refused(kernel, stride):
    refused = 0
    for length in range(kernel, 12):
        for pad in range(kernel):
            text = models.pool(
                "p", "data", pool="MAX", kernel_h=kernel, kernel_w=1, stride_h=stride, stride_w=1,
                pad_h=pad, pad_w=0,
            )  # fmt: skip
            count = -(-(length + 2 * pad - kernel) // stride) + 1
            if pad and (count - 1) * stride >= length + pad:
                count -= 1
            if not pad and (count - 1) * stride >= length:
                with pytest.raises(UnsupportedError, match="behind the"):
                    read_caffe(one(text, (1, 1, length, 1)))
                refused += 1
                continue
            x = np.random.default_rng(length).standard_normal(length).astype(np.float32)
            network = read_caffe(one(text, (1, 1, length, 1))).network
            y = run_once(ReferenceEngine(), network, {"data": x.reshape(1, 1, -1, 1)})
            expected = caffe_pool_max(x.tolist(), kernel, stride, pad, count)
            np.testing.assert_array_equal(y.ravel(), np.array(expected, np.float32))
    assert bool(refused) == (stride > kernel)


def test_an_average_divides_by_what_lies_in_the_padded_input():
    text = models.pool("p", "data", pool="AVE", kernel_size=3, stride=2, pad=1)
    x = np.ones((1, 1, 6, 6), np.float32)
    y = run_once(ReferenceEngine(), read_caffe(one(text, x.shape)).network, {"data": x})
    # The last window begins at 5: its padded part ends at 7, so it has 2 of 3 places.
    np.testing.assert_allclose(
        y[0, 0, 0], np.array([2 / 3, 1, 1, 0.5]) * [2 / 3, 2 / 3, 2 / 3, 2 / 3]
    )


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        (lone("ReLU", relu_param="negative_slope: 0.1"), [layers.LeakyReLU]),
        (lone("PReLU"), [layers.PReLU]),
        (lone("ELU", elu_param="alpha: 0.5"), [layers.ELU]),
        (lone("Sigmoid"), [layers.Sigmoid]),
        (lone("AbsVal"), [layers.Abs]),
        (lone("BNLL"), [layers.Softplus]),
        (lone("Swish"), [layers.SiLU]),
        (lone("Power", power_param="scale: 2 shift: 1"), [layers.Rescale]),
        (lone("Power", power_param="power: 2"), [layers.Power]),
        (lone("Exp"), [layers.Exp]),
        (lone("Exp", exp_param="base: 2"), [layers.Rescale, layers.Exp]),
        (lone("Log"), [layers.Log]),
        (lone("Log", log_param="base: 2"), [layers.Log, layers.Rescale]),
        (lone("BatchNorm"), [layers.BatchNorm]),
        (lone("Scale", scale_param="bias_term: true"), [layers.Scale]),
        (lone("LRN", lrn_param="local_size: 3"), [layers.LocalResponseNorm]),
        (lone("Flatten"), [layers.Flatten]),
        (lone("Flatten", flatten_param="axis: 2"), [layers.Reshape]),
        (
            lone("Reshape", reshape_param="shape { dim: 0 dim: 2 dim: -1 }"),
            [layers.Reshape],
        ),
        (
            lone("Permute", permute_param="order: [0, 2, 3, 1]"),
            [layers.Permute],
        ),
        (lone("SPP", spp_param="pyramid_height: 3"), [layers.PyramidPool]),
        (
            lone("Deconvolution", convolution_param="num_output: 2 kernel_size: 4 stride: 2"),
            [layers.ConvTranspose],
        ),
        (models.pool("l", "data", pool="AVE", global_pooling="true"), [layers.GlobalAvgPool]),
        (layer("l", "Eltwise", "data data", eltwise_param="operation: PROD"), [layers.Mul]),
        (
            layer("l", "Eltwise", "data data", eltwise_param="coeff: 1 coeff: -1"),
            [layers.Rescale, layers.Add],
        ),
    ],
)
def test_layers(text, kinds):
    network = read_caffe(one(text)).network
    assert [type(each) for each in network.layers] == kinds
    assert network.outputs == ("l",)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (lone("Exp", exp_param="base: 3 scale: 2 shift: 1"), lambda x: 3 ** (1 + 2 * x)),
        (lone("Log", log_param="base: 10 shift: 5"), lambda x: np.log10(x + 5)),
        (lone("Power", power_param="power: 3 scale: 2 shift: 4"), lambda x: (4 + 2 * x) ** 3),
        (
            layer("l", "Eltwise", "data data", eltwise_param="coeff: 2 coeff: -0.5"),
            lambda x: 1.5 * x,
        ),
    ],
)
def test_values(text, expected):
    x = np.random.default_rng(0).uniform(-1, 1, (2, 4, 8, 8)).astype(np.float32)
    y = run_once(ReferenceEngine(), read_caffe(one(text)).network, {"data": x})
    np.testing.assert_allclose(y, expected(x.astype(np.float64)), rtol=1e-5)


def test_slices_concatenations_and_splits():
    text = 'layer { name: "cut" type: "Slice" bottom: "data" top: "a" top: "b" '
    text += "slice_param { slice_point: 1 } }"
    text += 'layer { name: "twice" type: "Split" bottom: "a" top: "a1" top: "a2" }'
    text += layer("join", "Concat", "b a1 a2", concat_param="axis: 1")
    result = planned(one(text))
    assert [each.output.shape[1] for each in result.layers] == [1, 3, 5]
    assert [output.name for output in result.outputs] == ["join"]


def test_crop_and_scale_read_two_blobs():
    text = layer("crop", "Crop", "data other", crop_param="axis: 2 offset: 1")
    assert shape_of(text, (1, 4, 8, 8), (1, 2, 5, 6)) == (1, 4, 5, 6)
    text = layer("gate", "Scale", "data other", scale_param="axis: 0")
    assert shape_of(text, (1, 4, 8, 8), (1, 4)) == (1, 4, 8, 8)


def test_a_side_without_padding_beside_one_with_it():
    text = models.conv("c", "data", num_output=4, kernel_size=3, pad_h=1)
    assert shape_of(text, (1, 3, 8, 8)) == (1, 4, 8, 6)


def test_a_pyramid_whose_bins_do_not_divide_the_input():
    text = layer("spp", "SPP", "data", spp_param="pyramid_height: 3")
    assert shape_of(text, (1, 4, 13, 13)) == (1, 4 * (1 + 4 + 16))
    assert shape_of(text, (1, 4, 8, 8)) == (1, 4 * (1 + 4 + 16))


def test_inner_product_over_the_last_axis_only():
    text = layer("fc", "InnerProduct", "data", inner_product_param="num_output: 3 axis: 2")
    assert shape_of(text, (5, 4, 6)) == (5, 4, 3)


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        (b"", InvalidNetworkError, "no layer that computes"),
        (b"\xff", InvalidNetworkError, "UTF-8"),
        (b"layer {", InvalidNetworkError, "line 1: the end of the file"),
        (b"}", InvalidNetworkError, "closes nothing"),
        (b"layer { name: }", InvalidNetworkError, "line 1: '}'"),
        (b"\n\nlayer ? {}", InvalidNetworkError, "line 3"),
        (b'name: "never closed', InvalidNetworkError, "no text format"),
        (b"a {" * 100_000, InvalidNetworkError, "nested more than 16"),
        (b"a: 1 " * 100_000, TooLargeError, "more than"),
        (b"layer: 3", InvalidNetworkError, "layer must be followed"),
        (b"layer { }", InvalidNetworkError, "exactly one name"),
        (b'layer { name: "a" type: "b" } layers { }', InvalidNetworkError, "not both"),
        (b'layers { layer { name: "old" } }', UnsupportedError, "upgrade_net_proto_text"),
        (b'input: "a"', InvalidNetworkError, "1 inputs have 0 shapes"),
        (b'input: "a" input_shape { dim: 0 dim: 1 }', InvalidNetworkError, "dim"),
        (one(layer("x", "Nonsense", "data")), UnsupportedError, "Nonsense 'x' (line 2)"),
        (one(layer("x", "ReLU", "nobody")), InvalidNetworkError, "no layer before it"),
        (wrong_conv(kernel_size=3, stride=0), InvalidNetworkError, "stride is 0"),
        (wrong_conv(), InvalidNetworkError, "kernel_size is None"),
        (wrong_conv(kernel_size=9), ConvserveError, "layer 'c': kernel 9"),
        (wrong_conv(kernel_size="1" * 5000), InvalidNetworkError, "kernel_size"),
        (wrong_conv(kernel_size=3, kernel_h=2), UnsupportedError, "kernel_size"),
        (wrong_conv(kernel_h=2), InvalidNetworkError, "kernel_w is None"),
        (wrong_conv(kernel_size=3, stride_w=2), InvalidNetworkError, "stride_h is None"),
        (
            one(models.pool("p", "data", pool="MAX", kernel_size=3, pad_h=1)),
            InvalidNetworkError,
            "pad_w is None",
        ),
        (wrong_conv(kernel_size=3, winograd=1), UnsupportedError, "winograd = 1"),
        (
            one(models.pool("p", "data", pool="STOCHASTIC", kernel_size=2)),
            UnsupportedError,
            "STOCHASTIC",
        ),
        (one(models.pool("p", "data", kernel_size=2, pad=2)), UnsupportedError, "pad < kernel"),
        (
            one(layer("x", "Eltwise", "data data", eltwise_param=f"coeff: 1 coeff: {'9' * 400}")),
            InvalidNetworkError,
            "a number for each",
        ),
        (
            one(lone("LRN", lrn_param="norm_region: WITHIN_CHANNEL")),
            UnsupportedError,
            "WITHIN_CHANNEL",
        ),
        (one(lone("LRN", lrn_param="local_size: 4")), UnsupportedError, "odd"),
        (
            one(layer("l", "Eltwise", "data data", eltwise_param="operation: MAX")),
            UnsupportedError,
            "MAX",
        ),
        (
            one(lone("Reshape", reshape_param="shape { dim: 1 dim: -1 }")),
            UnsupportedError,
            "the batch stays",
        ),
        (
            one(lone("PReLU", prelu_param="channel_shared: true")),
            UnsupportedError,
            "channel_shared",
        ),
        (
            one(layer("l", "Concat", "data data", concat_param="axis: 0")),
            UnsupportedError,
            "axis 0",
        ),
        (one(lone("ReLU", strange="1: 2")), InvalidNetworkError, "line 2"),
    ],
    ids=lambda value: value[-60:].decode(errors="replace") if isinstance(value, bytes) else None,
)
def test_refusals_name_the_layer_or_line_and_what_is_wrong(text, error, says):
    with pytest.raises(error) as caught:
        read_caffe(text)
    assert says in str(caught.value)
    assert len(str(caught.value)) < 2000


def test_a_database_does_not_say_its_shape():
    text = 'layer { name: "db" type: "Data" top: "data" top: "label" data_param { source: "x" } }'
    with pytest.raises(UnsupportedError, match=r"Data 'db' \(line 1\) delivers is not in the file"):
        read_caffe((text + layer("relu", "ReLU", "data")).encode())


def test_shared_weights_are_refused():
    text = "".join(
        f'layer {{ name: "{name}" type: "InnerProduct" bottom: "data" top: "{name}" '
        'param { name: "w" } inner_product_param { num_output: 2 } }'
        for name in ("left", "right")
    )
    with pytest.raises(UnsupportedError, match="shares its weights 'w'"):
        read_caffe(one(text))


def test_text_format():
    text = """
    # a comment
    input: 'da' "ta", input_shape: < dim: [2, 3]; dim: 0x8 >
    layer: { name: "l"; type: "Power" bottom: "data" top: "l"
             power_param { scale: -.5e1f shift: 1. } }
    """
    imported = read_caffe(text.encode())
    assert imported.inputs[0].shape == (2, 3, 8)
    assert imported.network.layers[0] == layers.Rescale(-5.0, 1.0, name="l", inputs="data")
