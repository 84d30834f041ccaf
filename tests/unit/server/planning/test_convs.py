"""Convolutions in other words, norms and columns: what each gives, refuses, sees and explains."""

from __future__ import annotations

from fractions import Fraction

import pytest
from convserve.errors import (
    DTypeError,
    InvalidLayerError,
    InvalidNetworkError,
    ShapeError,
)
from convserve.layers import (
    Conv,
    DeformConv,
    DepthwiseConv,
    Fold,
    GraphConv,
    GroupNorm,
    InstanceNorm,
    IntegerConv,
    LayerNorm,
    LocalResponseNorm,
    PixelShuffle,
    QuantizedConv,
    Scale,
    SeparableConv,
    SubPixelConv,
    Unfold,
)
from convserve.networks import Network
from convserve.tensors import TensorSpec
from convserve_server.planning.planner import compile_network

from tests.planning import plan, plan_layer

DEFORMED = DeformConv(4, 3, padding=1, inputs=("x", "o"))
MASKED = DeformConv(4, 3, padding=1, inputs=("x", "o", "m"))


def plan_deformed(layer, *shapes, **options):
    """The plan of one layer with several inputs."""
    return plan(Network([layer], inputs=layer.inputs), *shapes, **options).layers[0]


@pytest.mark.parametrize(
    ("layer", "shape", "output", "parameters", "macs"),
    [
        (DepthwiseConv(3, padding=1), (2, 32, 8, 8), (2, 32, 8, 8), 320, 32 * 64 * 9),
        (DepthwiseConv(3, depth_multiplier=2, bias=False), (1, 3, 9), (1, 6, 7), 18, 6 * 7 * 3),
        # MobileNet's first block: 3x3 depthwise of 32 and 1x1 to 64 at 112x112
        (
            SeparableConv(64, 3, padding="same", bias=False),
            (1, 32, 112, 112),
            (1, 64, 112, 112),
            32 * 9 + 32 * 64,
            112 * 112 * (32 * 9 + 32 * 64),
        ),
        # ESPCN's last layer, three times as fine
        (SubPixelConv(1, 3, 3, padding=1), (1, 32, 8, 8), (1, 1, 24, 24), 9 * 289, 9 * 64 * 288),
        (IntegerConv(8, 3), (1, 4, 5, 5), (1, 8, 3, 3), 288, 8 * 9 * 36),
        (QuantizedConv(8, 3), (1, 4, 5, 5), (1, 8, 3, 3), 296, 8 * 9 * 36),
        (LocalResponseNorm(5), (1, 96, 55, 55), (1, 96, 55, 55), 0, 0),
        (LayerNorm(), (1, 4, 5, 6), (1, 4, 5, 6), 12, 0),
        (LayerNorm(3), (1, 4, 5, 6), (1, 4, 5, 6), 240, 0),
        (LayerNorm(affine=False), (1, 4), (1, 4), 0, 0),
        (GroupNorm(2), (1, 4, 5), (1, 4, 5), 8, 0),
        (InstanceNorm(), (1, 4, 5), (1, 4, 5), 0, 0),
        (InstanceNorm(affine=True), (1, 4, 5), (1, 4, 5), 8, 0),
        # Cora: 2708 papers of 1433 words, one filter, 16 features
        (GraphConv(16), (1, 2708, 1433), (1, 2708, 16), 22944, 2708 * 16 * (2708 + 1433)),
        (GraphConv(5, 2, bias=False), (2, 7, 4), (2, 7, 5), 40, 2 * 7 * 4 * (7 + 5)),
        (Unfold((2, 3)), (2, 5, 3, 4), (2, 30, 4), 0, 0),  # the example of PyTorch's nn.Unfold
        (Fold((4, 5), (2, 2)), (1, 12, 12), (1, 3, 4, 5), 0, 0),  # that of nn.Fold
        (Scale(), (1, 4, 5), (1, 4, 5), 8, 0),
        (Scale(bias=False), (1, 4), (1, 4), 4, 0),
        (Scale(axis=-1), (1, 4, 5), (1, 4, 5), 10, 0),
    ],
    ids=str,
)
def test_shape_parameters_and_macs(layer, shape, output, parameters, macs):
    dtype = "uint8" if isinstance(layer, IntegerConv | QuantizedConv) else "float32"
    planned = plan_layer(layer, shape, dtype)
    assert planned.output.shape == output
    assert planned.parameter_count == parameters
    assert planned.mac_count == macs * shape[0]


def test_a_separable_convolution_is_its_two_steps():
    shape = (1, 6, 20, 30)
    whole = plan_layer(SeparableConv(8, (3, 5), 2, "same", depth_multiplier=2), shape)
    steps = plan([DepthwiseConv((3, 5), 2, "same", 1, 2, bias=False), Conv(8, 1)], shape)
    assert whole.output.shape == steps.outputs[0].shape
    assert whole.parameter_count == steps.parameter_count
    assert (whole.mac_count, whole.flop_count) == (steps.mac_count, steps.flop_count)
    assert whole.receptive_field == steps.receptive_field


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("factor", [1, 2, 3])
def test_a_sub_pixel_convolution_sees_what_its_two_steps_see(stride, factor):
    shape = (1, 4, 30)
    whole = plan_layer(SubPixelConv(2, 3, factor, stride, 1), shape)
    steps = plan([Conv(2 * factor, 3, stride, 1), PixelShuffle(factor)], shape)
    assert whole.output.shape == steps.outputs[0].shape
    assert whole.receptive_field == steps.receptive_field


def test_offsets_and_masks_do_not_make_the_field():
    network = Network(
        [
            Conv(18, 7, stride=2, padding=3, name="o", inputs="x"),
            DeformConv(4, 3, stride=2, padding=1, name="y", inputs=("x", "o")),
        ],
        inputs=("x",),
    )
    (field,) = (layer.receptive_field for layer in plan(network, (1, 2, 9, 9)).layers[1:])
    assert (field.size, field.jump) == ((3, 3), (Fraction(2), Fraction(2)))


def test_columns_of_one_axis_have_a_field_and_those_of_more_have_none():
    assert plan_layer(Unfold(3, 2), (1, 2, 9)).receptive_field.size == (3,)
    assert plan_layer(Unfold(3, 2), (1, 2, 9, 9)).receptive_field is None
    assert plan_layer(Fold((4, 5), 2), (1, 12, 12)).receptive_field is None


def test_statistics_do_not_widen_the_field():
    for layer in (LayerNorm(2), GroupNorm(2), InstanceNorm()):
        assert plan([Conv(4, 3), layer], (1, 2, 9, 9)).receptive_field.size == (3, 3)


def test_weights_of_a_quantized_convolution_have_their_own_types():
    planned = plan_layer(QuantizedConv(8, 3), (1, 4, 5, 5), "int8")
    types = {spec.name.rpartition(".")[2]: spec.dtype for spec in planned.parameters}
    assert types == {
        "weight": "int8", "bias": "int32", "input_scale": "float32", "input_zero_point": "int8",
        "weight_scale": "float32", "weight_zero_point": "int8", "output_scale": "float32",
        "output_zero_point": "int8",
    }  # fmt: skip
    assert planned.output.dtype == "int8"
    assert plan_layer(IntegerConv(8, 3), (1, 4, 5, 5), "uint8").output.dtype == "int32"


@pytest.mark.parametrize(
    ("layer", "shape", "error", "field", "words"),
    [
        (DepthwiseConv(3, depth_multiplier=2**30), (1, 3, 9), InvalidLayerError,
         "depthwise_conv.depth_multiplier", "3 * 1073741824"),
        (DepthwiseConv(10), (1, 3, 9), ShapeError, "depthwise_conv.kernel_size", "spans 10"),
        (DepthwiseConv(3), (1, 3), ShapeError, "depthwise_conv", "0 spatial axes"),
        (SeparableConv(2, (3, 3)), (1, 3, 9), InvalidLayerError, "separable_conv.kernel_size",
         "1 spatial axis"),
        (SubPixelConv(2, 3, 2**16), (1, 3, 9, 9), InvalidLayerError, "sub_pixel_conv.factor",
         "2 * 65536^2"),
        (SubPixelConv(3, 3, 2, groups=2), (1, 3, 9), ShapeError, "sub_pixel_conv.groups",
         "in_channels 3"),
        (LayerNorm(3), (1, 3, 9), InvalidLayerError, "layer_norm.axes", "at most so many"),
        (GroupNorm(2), (1, 3, 9), ShapeError, "group_norm.groups", "3 channels"),
        (LocalResponseNorm(3, before=3), (1, 3, 9), InvalidLayerError, "local_response_norm.before",
         "from 0 to size - 1 = 2"),
        (InstanceNorm(), (1, 3), ShapeError, "instance_norm", "0 spatial axes"),
        (GraphConv(2), (1, 3, 4, 5), ShapeError, "graph_conv", "reads rank 3"),
        (Unfold(10), (1, 3, 9), ShapeError, "unfold.kernel_size", "spans 10"),
        (Fold((4, 5), 2), (1, 12, 11), ShapeError, "fold.output_size", "12 windows"),
        (Fold((4, 5), 2), (1, 10, 12), ShapeError, "fold.kernel_size", "10 rows"),
        (Fold((4, 5), 2), (1, 3, 4, 5), ShapeError, "fold", "reads rank 3"),
        (Fold((4, 5), (2, 2, 2)), (1, 12, 12), InvalidLayerError, "fold.kernel_size", "3 values"),
        (IntegerConv(4, 3), (1, 3, 9), DTypeError, "integer_conv", "'input' is float32"),
        (QuantizedConv(4, 3), (1, 3, 9), DTypeError, "quantized_conv", "int8 or uint8"),
    ],
    ids=str,
)  # fmt: skip
def test_refusals_name_the_field(layer, shape, error, field, words):
    with pytest.raises(error) as caught:
        plan([layer], shape)
    assert caught.value.field == f"layers[0].{field}"
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("layer", "shapes", "error", "field", "words"),
    [
        (DeformConv(4, 3), [(1, 2, 5, 5)], InvalidNetworkError, "inputs", "at least 2 inputs"),
        (DeformConv(4, 3, inputs=("a", "b", "c", "d")), [(1, 2, 5, 5)] * 4, InvalidNetworkError,
         "inputs", "at most 3 inputs, but 4 are given"),
        (DEFORMED, [(1, 2, 5), (1, 18, 5)], ShapeError, "deform_conv", "exactly 2"),
        (DEFORMED, [(1, 2, 5, 5), (1, 9, 5, 5)], ShapeError, "deform_conv", "(N, 18, 5, 5)"),
        (MASKED, [(1, 2, 5, 5), (1, 18, 5, 5), (1, 9, 5, 4)], ShapeError, "deform_conv",
         "the mask"),
        (DeformConv(4, 3, offset_groups=3, inputs=("x", "o")), [(1, 2, 5, 5), (1, 54, 3, 3)],
         InvalidLayerError, "deform_conv.offset_groups", "a divisor"),
    ],
    ids=str,
)  # fmt: skip
def test_refusals_of_several_inputs(layer, shapes, error, field, words):
    with pytest.raises(error) as caught:
        plan(Network([layer], inputs=layer.inputs or ("input",)), *shapes)
    assert caught.value.field == f"layers[0].{field}"
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("role", "dtype", "words"),
    [
        ("input_scale", "float64", "must be float32"),
        ("weight_zero_point", "uint8", "'weight_zero_point' is uint8, but must be int8"),
        ("bias", "int64", "must be int32"),
        ("output_zero_point", "int32", "must be int8 or uint8"),
        ("weight", "float32", "'weight' is float32"),
    ],
)
def test_quantized_weights_of_wrong_types_are_named(role, dtype, words):
    network = Network([QuantizedConv(8, 3, name="q")])
    (planned,) = plan(network, (1, 4, 5, 5), dtype="int8").layers
    types = {spec.name: spec.dtype for spec in planned.parameters} | {f"q.{role}": dtype}
    weights = [TensorSpec(spec.name, types[spec.name], spec.shape) for spec in planned.parameters]
    with pytest.raises(DTypeError, match=words):
        compile_network(network, [TensorSpec("input", "int8", (1, 4, 5, 5)), *weights])


def test_work_of_a_mask_is_one_product_more_for_each_element_read():
    shapes = [(1, 2, 5, 5), (1, 18, 5, 5), (1, 9, 5, 5)]
    masked, plain = plan_deformed(MASKED, *shapes), plan_deformed(DEFORMED, *shapes[:2])
    assert masked.flop_count - plain.flop_count == 2 * 9 * 25


def test_every_formula_is_followed_by_its_numbers():
    def explanation(layer, shape, dtype="float32"):
        return plan([layer], shape, dtype=dtype, explain=True).layers[0].explanation

    lines = explanation(SeparableConv(8, 3, bias=False), (1, 6, 9, 9))
    assert "depthwise: groups = C = 6, out_channels = C * depth_multiplier = 6 * 1 = 6" in lines
    assert "in all 102 parameters and 4998 MACs per sample" in lines
    lines = explanation(SubPixelConv(2, 3, 2), (1, 6, 9, 9))
    assert "the convolution has out_channels * factor^axes = 2 * 2^2 = 8 channels" in lines
    lines = explanation(GraphConv(5, 2), (1, 7, 3))
    assert "parameters = filters * F * out_features + out_features = 2 * 3 * 5 + 5 = 35" in lines
    lines = explanation(Unfold(3, padding="same"), (1, 6, 9))
    assert "rows = C * prod(kernel_size) = 6 * 3 = 18" in lines
    assert any(line.startswith("length: same: total") for line in lines)
    lines = explanation(Fold((4, 5), 2), (1, 12, 12))
    assert "windows = prod(L') = (3 * 4) = 12" in lines
    lines = explanation(GroupNorm(2), (1, 4, 5))
    assert lines[0] == "y = (x - mean) / sqrt(variance + 1e-05) * weight + bias"
    assert lines[1].startswith("20 / 10 = 2 means per sample, each of (2 * 5) = 10 elements")
    assert explanation(LocalResponseNorm(4), (1, 9, 5))[1] == (
        "the sum is over channels c - before = c - 2 to c + size - 1 - before = c + 1, of 9"
    )
