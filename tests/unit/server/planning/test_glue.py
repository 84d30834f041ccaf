"""Shapes, counts and errors of pools, resizing, joins, moves and reductions, known by hand."""

from __future__ import annotations

import pytest
from convserve import layers as cs
from convserve.errors import DTypeError, InvalidLayerError, InvalidNetworkError, ShapeError
from convserve.layers import Layer
from convserve.networks import Network
from convserve_server.planning.layers import RULES
from convserve_server.planning.layers.rule import Rule

from tests.planning import plan, plan_layer


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (cs.AvgPool(3, 1, dilation=2), (2, 3, 9), (2, 3, 5)),
        (cs.LpPool(3, 2, 1, ceil_mode=True), (2, 3, 6), (2, 3, 4)),
        (cs.GlobalLpPool(), (2, 3, 6, 7), (2, 3, 1, 1)),
        (cs.MaxPoolIndices(2), (2, 3, 6, 7), (2, 3, 3, 3)),
        (cs.AdaptiveAvgPool(7), (2, 3, 5, 9), (2, 3, 7, 7)),
        (cs.AdaptiveMaxPool((1, 4)), (2, 3, 5, 9), (2, 3, 1, 4)),
        (cs.PyramidPool((1, 2, 4)), (2, 3, 9, 13), (2, 3 * 21)),
        (cs.PyramidPool((1, 2)), (2, 3, 9), (2, 9)),
        (cs.Upsample((2, 3), "linear"), (2, 3, 5, 6), (2, 3, 10, 18)),
        (cs.Upsample(size=(7, 3), mode="cubic"), (2, 3, 5, 6), (2, 3, 7, 3)),
        (cs.Upsample(size=9), (2, 3, 5, 6), (2, 3, 9, 9)),
        (cs.Permute((2, 3, 1)), (2, 3, 5, 6), (2, 5, 6, 3)),
        (cs.Reshape((2, -1, 5)), (2, 6, 5, 4), (2, 2, 12, 5)),
        (cs.Reshape(-1), (2, 6, 5, 4), (2, 120)),
        (cs.Reshape((3, 2, 5, 2, 2)), (2, 6, 5, 4), (2, 3, 2, 5, 2, 2)),
        (cs.Slice(1, 2), (2, 6, 5), (2, 4, 5)),
        (cs.Slice(-1, -3, -1), (2, 6, 5), (2, 6, 2)),
        (cs.Slice(2, 0, 99, 3), (2, 6, 5), (2, 6, 2)),
        (cs.ReduceMean((2, 3)), (2, 6, 5, 4), (2, 6, 1, 1)),
        (cs.ReduceMax((-1, 1), keepdims=False), (2, 6, 5, 4), (2, 5)),
        (cs.ReduceSum(1), (2, 6, 5, 4), (2, 1, 5, 4)),
        (cs.Softmax(-1), (2, 6, 5), (2, 6, 5)),
        (cs.Dense(7), (2, 6, 5), (2, 6, 7)),
        (cs.PReLU(), (2, 6, 5), (2, 6, 5)),
    ],
    ids=str,
)
@pytest.mark.parametrize("batch", [0, 2, -1])
def test_shape(layer, shape, expected, batch):
    assert plan_layer(layer, (batch, *shape[1:])).output.shape == (batch, *expected[1:])


@pytest.mark.parametrize(
    ("layer", "shape", "fields"),
    [
        (cs.LpPool(2, padding="same"), (1, 1, 7), {"padding": ((0, 1),), "dilation": (1,)}),
        (cs.Upsample(2), (1, 1, 5), {"coordinates": "asymmetric", "rounding": "floor"}),
        (cs.Upsample(2, "linear"), (1, 1, 5), {"coordinates": "half_pixel"}),
        (cs.Upsample(2, "linear", True), (1, 1, 5), {"coordinates": "align_corners"}),
        (cs.AdaptiveAvgPool(3), (1, 1, 5, 5), {"output_size": (3, 3)}),
        (cs.Slice(-1, -3), (1, 2, 5), {"axis": 2, "start": 2, "stop": 5}),
        (cs.ReduceMax((-1, 1)), (1, 2, 5), {"axes": (1, 2)}),
        (cs.Reshape((-1, 5)), (1, 2, 5), {"shape": (2, 5)}),
        (cs.Softmax(-2), (1, 2, 5), {"axis": 1}),
    ],
    ids=str,
)
def test_resolved(layer, shape, fields):
    resolved = plan_layer(layer, shape).resolved
    assert {name: getattr(resolved, name) for name in fields} == fields
    assert plan([resolved], shape).layers[0].resolved == resolved


@pytest.mark.parametrize(
    ("layer", "shape", "flops"),
    [
        (cs.LpPool(2), (1, 3, 12), 3 * 6 * 2 * 2),
        (cs.GlobalLpPool(), (1, 3, 12), 2 * 36),
        (cs.MaxPoolIndices(2), (1, 3, 12), 3 * 6),
        # parts of 5: 0-2, 1-4, 3-5: 7 elements, one more than there are for each shared place
        (cs.AdaptiveAvgPool(3), (1, 3, 5), 3 * 7),
        (cs.AdaptiveMaxPool(3), (1, 3, 6), 3 * 6),
        (cs.PyramidPool((1, 3)), (1, 2, 5, 5), 2 * (25 + 49)),
        (cs.Upsample(2, "linear"), (1, 1, 4, 4), 64 * 7),
        (cs.Upsample(2), (1, 1, 4, 4), 0),
        (cs.Permute((2, 1)), (1, 3, 4), 0),
        (cs.ReduceMean(2), (1, 3, 4), 12),
        (cs.Dense(5), (1, 3, 4), 2 * (3 * 4 * 5) + 15),
        (cs.Clip(0), (1, 3, 4), 24),
    ],
    ids=str,
)
def test_flops(layer, shape, flops):
    assert plan_layer(layer, shape).flop_count == flops


def join(layer: Layer, *shapes: tuple[int, ...], **options: object):
    return plan(Network([layer], inputs=tuple("abc"[: len(shapes)])), *shapes, **options)


def test_joins_repeat_axes_of_size_1():
    gated = join(cs.Mul(inputs=("a", "b")), (2, 3, 4, 5), (2, 3, 1, 1), explain=True)
    assert (gated.output_shape, gated.flop_count) == ((2, 3, 4, 5), 2 * 60)
    assert gated.layers[0].explanation[0] == (
        "axes of size 1 are repeated: (N, 3, 4, 5) with (N, 3, 1, 1) = (N, 3, 4, 5)"
    )
    both = join(cs.Add(inputs=("a", "b", "c")), (2, 3, 1), (2, 1, 4), (2, 1, 1))
    assert (both.output_shape, both.flop_count) == ((2, 3, 4), 2 * 2 * 12)


def test_any_axis_is_joined():
    joined = join(cs.Concat(axis=-1, inputs=("a", "b")), (2, 3, 4), (2, 3, 5))
    assert joined.output_shape == (2, 3, 9)


@pytest.mark.parametrize(
    ("length", "output_size", "expected"), [(7, None, 7), (8, None, 7), (8, 8, 8)]
)
def test_unpooling_is_the_inverse_of_pooling(length, output_size, expected):
    network = unpooling(cs.MaxUnpool(3, 2, 1, output_size, inputs=("v", "i")))
    assert plan(network, (2, 3, length)).output_shape == (2, 3, expected)


def unpooling(layer: Layer) -> Network:
    pool = cs.MaxPool(3, 2, 1, name="v", inputs="input")
    return Network([pool, cs.MaxPoolIndices(3, 2, 1, name="i", inputs="input"), layer])


def test_types():
    assert plan_layer(cs.MaxPoolIndices(2), (1, 1, 4), "float16").output.dtype == "int64"
    assert plan_layer(cs.ReduceSum(2), (1, 1, 4), "int8").output.dtype == "int64"
    assert plan_layer(cs.ReduceMax(2), (1, 1, 4), "int8").output.dtype == "int8"
    unpooled = plan(unpooling(cs.MaxUnpool(3, 2, 1, inputs=("v", "i"))), (1, 1, 4), dtype="int8")
    assert unpooled.outputs[0].dtype == "int8"


@pytest.mark.parametrize(
    ("layer", "shape", "error", "field", "numbers"),
    [
        (cs.LpPool(3, padding=3), (1, 3, 8), InvalidLayerError, "lp_pool.padding", "3 2"),
        (cs.AdaptiveAvgPool((2, 2)), (1, 3, 8), InvalidLayerError, ".output_size", "2 1"),
        (cs.AdaptiveAvgPool(2), (1, 3), ShapeError, "adaptive_avg_pool", "0"),
        (cs.Upsample(2, "cubic"), (1, 3, 4, 4, 4), InvalidLayerError, "upsample.mode", "3 2"),
        (cs.Upsample(size=(2, 2)), (1, 3, 8), InvalidLayerError, "upsample.size", "2 1"),
        (cs.Permute((1, 3, 2)), (1, 3, 8), InvalidLayerError, "permute.order", "3 2"),
        (cs.Reshape((5, -1)), (1, 3, 8), ShapeError, "reshape.shape", "5 24"),
        (cs.Reshape((5, 5)), (1, 3, 8), ShapeError, "reshape.shape", "25 24"),
        (cs.Slice(3), (1, 3, 8), InvalidLayerError, "slice.axis", "3 2"),
        (cs.Slice(2, 8), (1, 3, 8), ShapeError, "slice.start", "8 7"),
        (cs.ReduceMean(3), (1, 3, 8), InvalidLayerError, "reduce_mean.axes", "3 2"),
        (cs.ReduceMean((1, 2), False), (1, 3, 8), InvalidLayerError, ".keepdims", ""),
        (cs.Softmax(-3), (1, 3, 8), InvalidLayerError, "softmax.axis", "-3 2"),
    ],
    ids=str,
)
def test_refusal(layer, shape, error, field, numbers):
    with pytest.raises(error) as caught:
        plan_layer(layer, shape)
    assert caught.value.field.endswith(field)
    assert all(number in caught.value.message for number in numbers.split())


@pytest.mark.parametrize(
    ("layer", "shapes", "error"),
    [
        (cs.Mul(inputs=("a", "b")), [(1, 3, 8), (1, 3, 7)], ShapeError),
        (cs.Add(inputs=("a", "b")), [(1, 3, 8), (1, 3)], ShapeError),
        (cs.Add(inputs=("a", "b", "c")), [(1, 3, 1), (1, 3, 7), (1, 3, 8)], ShapeError),
        (cs.Sub(inputs=("a", "b", "c")), [(1, 3, 8)] * 3, InvalidNetworkError),
        (cs.Div(inputs="a"), [(1, 3, 8)], InvalidNetworkError),
        (cs.Concat(axis=2, inputs=("a", "b")), [(1, 3, 8), (1, 4, 8)], ShapeError),
        (cs.MaxUnpool(2, inputs=("a", "b")), [(1, 3, 8), (1, 3, 7)], ShapeError),
        (cs.MaxUnpool(2, inputs=("a", "b")), [(1, 3, 8), (1, 3, 8)], DTypeError),
    ],
    ids=str,
)
def test_refusal_of_inputs(layer, shapes, error):
    with pytest.raises(error):
        join(layer, *shapes)


@pytest.mark.parametrize(
    ("layer", "dtype"),
    [
        (cs.Upsample(2, "linear"), "int8"),
        (cs.PyramidPool((1,), "avg"), "int8"),
        (cs.Clip(0.5), "int8"),
        (cs.Clip(high=300), "uint8"),
        (cs.AdaptiveAvgPool(1), "int32"),
        (cs.ReduceMean(1), "int64"),
        (cs.Sqrt(), "int32"),
        (cs.LpPool(1), "complex64"),
    ],
    ids=str,
)
def test_refusal_of_types(layer, dtype):
    with pytest.raises(DTypeError):
        plan_layer(layer, (1, 3, 8), dtype)


def test_huge_numbers_are_counted_at_once():
    pooled = plan_layer(cs.AdaptiveMaxPool(2**31 - 1), (1, 1, 2**31 - 2))
    assert pooled.flop_count == 2**31 - 1 + 2**31 - 2 - 1


def test_a_layer_tells_its_formula():
    (line, *_) = plan([cs.AdaptiveAvgPool(3)], (1, 1, 5), explain=True).layers[0].explanation
    assert line == (
        "length: L' = output_size = 3; part i is [floor(i * 5 / 3), ceil((i + 1) * 5 / 3)): at "
        "most 3 elements"
    )
    lines = (
        plan([cs.Upsample(size=7, mode="linear")], (1, 1, 5), explain=True).layers[0].explanation
    )
    assert lines[0] == "length: L' = size = 7"
    assert lines[1] == "length: element x lies at (x + 0.5) * 5 / 7 - 0.5, as half_pixel has it"


@pytest.mark.parametrize(
    ("layer", "formula"),
    [
        (cs.LeakyReLU(0.2), "y = x where x >= 0, else 0.2 * x"),
        (cs.Clip(high=6), "y = min(max(x, -inf), 6.0)"),
        (cs.Softmax(-1), "y = exp(x) / sum(exp(x)) along axis 2"),
        (cs.Rescale(2, offset=-1), "y = x * 2.0 + -1.0"),
    ],
)
def test_a_function_is_explained_by_its_formula(layer, formula):
    assert plan([layer], (1, 4, 5), explain=True).layers[0].explanation[0] == formula


def test_every_kind_is_explained():
    assert [kind for kind, rule in RULES.items() if type(rule).explain is Rule.explain] == []
