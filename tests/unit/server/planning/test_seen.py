"""What a receptive field is behind layers that move, join, split, resize and divide axes."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor

import pytest
from attrs import evolve
from convserve import layers as cs
from convserve.layers import Layer
from convserve.networks import Network
from convserve_server.planning.layers import rule_of
from convserve_server.planning.receptive_field import AxisField

from tests.planning import plan


def axis_field(layer: Layer, length: int) -> AxisField:
    """The field of one layer over one axis."""
    rule = rule_of(layer)
    shapes = ((1, length),)
    (reach,) = rule.reach(rule.resolve(layer, shapes), shapes)
    return AxisField().through(reach)


def assert_exact(field: AxisField, seen: list[range]) -> None:
    """No output sees more than the field says, the first one just that, and one its whole size."""
    assert max(map(len, seen)) == field.size
    for output, inputs in enumerate(seen):
        assert inputs.start >= field.start + output * field.jump
        assert inputs.stop <= field.start + output * field.jump + field.extent + 1 + 1
    assert field.first <= seen[0].start
    assert seen[0].stop <= field.first + field.size


@pytest.mark.parametrize("length", range(2, 12))
@pytest.mark.parametrize("parts", range(2, 12))
def test_adaptive_pools_are_exact(length, parts):
    seen = [range(i * length // parts, -(-(i + 1) * length // parts)) for i in range(parts)]
    assert_exact(axis_field(cs.AdaptiveAvgPool(parts), length), seen)


@pytest.mark.parametrize("size", range(2, 12))
@pytest.mark.parametrize("length", [2, 3, 4, 7])
@pytest.mark.parametrize("corners", [False, True])
def test_linear_resizing_is_exact(length, size, corners):
    def place(x: int) -> Fraction:
        if corners:
            return Fraction(x * (length - 1), size - 1)
        return Fraction((2 * x + 1) * length, 2 * size) - Fraction(1, 2)

    seen = [range(floor(place(x)), ceil(place(x)) + 1) for x in range(size)]
    field = axis_field(cs.Upsample(None, "linear", corners, size=size), length)
    assert max(map(len, seen)) <= field.size <= 2
    for output, inputs in enumerate(seen):
        assert inputs.start >= field.start + output * field.jump


@pytest.mark.parametrize(
    ("layers", "shape", "size", "jump", "start"),
    [
        ([cs.Slice(2, 3)], (1, 1, 20), 1, 1, 3),
        ([cs.Slice(2, 3, step=2), cs.Conv(1, 3)], (1, 1, 20), 5, 2, 3),
        ([cs.MaxPool(2), cs.Slice(-1, 2)], (1, 1, 20), 2, 2, 4),
        ([cs.Slice(1, 1)], (1, 4, 20), 1, 1, 0),
        ([cs.Conv(1, 3), cs.ReduceMean(2)], (1, 1, 20), 20, 0, 0),
        ([cs.Conv(1, 3), cs.ReduceMean(2, keepdims=False)], (1, 2, 20), 20, 0, 0),
        ([cs.Conv(1, 3), cs.ReduceMax(1)], (1, 2, 20), 3, 1, 0),
        ([cs.Conv(1, 3), cs.Reshape(-1), cs.Dense(3)], (1, 1, 20), 20, 0, 0),
        ([cs.Conv(1, 3), cs.PyramidPool((1, 2))], (1, 1, 20), 20, 0, 0),
        ([cs.Conv(2, 3), cs.Softmax(2)], (1, 1, 20), 20, 0, 0),
        ([cs.Conv(2, 3), cs.Softmax(1)], (1, 1, 20), 3, 1, 0),
        ([cs.Conv(2, 3), cs.Dense(3)], (1, 1, 20), 20, 0, 0),
        ([cs.AdaptiveAvgPool(5)], (1, 1, 20), 4, 4, 0),
        ([cs.AdaptiveAvgPool(1)], (1, 1, 20), 20, 0, 0),
        ([cs.Upsample(2, "linear"), cs.Conv(1, 2, 2)], (1, 1, 20), 3, 1, -1),
        ([cs.LpPool(3, 2, dilation=2)], (1, 1, 20), 5, 2, 0),
    ],
    ids=str,
)
def test_of_layers(layers, shape, size, jump, start):
    field = plan(layers, shape).receptive_field
    assert (field.size[0], field.jump[0], field.start[0]) == (size, jump, start)


def test_a_shuffle_of_channels_keeps_height_and_width():
    planned = plan(
        [
            cs.Conv(6, 3, 2, 1),
            cs.Reshape((2, 3, 8, 6)),
            cs.Permute((2, 1, 3, 4)),
            cs.Reshape((6, 8, 6)),
            cs.Conv(6, (3, 1), padding=((1, 1), (0, 0))),
        ],
        (1, 3, 16, 12),
    )
    assert planned.receptive_field.size == (7, 3)
    assert planned.receptive_field.jump == (2, 2)
    assert planned.notes == ()


def test_a_block_in_channels_last_keeps_height_and_width():
    network = Network(
        [
            cs.Conv(4, 3, padding=1, name="x"),
            cs.Permute((2, 3, 1)),
            cs.LayerNorm(),
            cs.Dense(16),
            cs.GELU(),
            cs.Dense(4),
            cs.Permute((3, 1, 2), name="back"),
            cs.Add(name="sum", inputs=("x", "back")),
            cs.Conv(4, 2, 2),
        ]
    )
    planned = plan(network, (1, 3, 8, 6))
    assert planned.receptive_field.size == (4, 4)
    assert planned.notes == ()


def test_a_transposed_image_has_its_fields_in_the_order_of_the_input():
    layers = [cs.Conv(2, (3, 1)), cs.Permute((1, 3, 2)), cs.Conv(2, (1, 5))]
    assert plan(layers, (1, 1, 20, 20)).receptive_field.size == (7, 1)


def test_what_mixes_the_axis_of_the_channels_sees_all_of_what_lies_there():
    layers = [cs.Conv(2, 3), cs.Permute((2, 1)), cs.Conv(5, 1)]
    field = plan(layers, (1, 1, 20)).receptive_field
    assert (field.size, field.jump) == ((20,), (0,))


@pytest.mark.parametrize(
    "layers",
    [
        [cs.Conv(2, 3), cs.Reshape((2, -1))],
        [cs.Conv(2, 3), cs.Reshape((2, 6, 3, 18)), cs.Permute((2, 1, 3, 4))],
    ],
    ids=["joined", "split"],
)
def test_none_is_told_of_axes_that_are_joined_or_split(layers):
    planned = plan([*layers, cs.ReLU(), cs.GlobalMaxPool()], (1, 1, 20, 20))
    assert planned.layers[0].receptive_field is not None
    assert planned.receptive_field is None
    (note,) = planned.notes
    assert note.startswith("reshape1 joins or splits spatial axes")


def test_none_is_told_along_an_axis_that_is_joined_to_another_input():
    network = Network(
        [
            cs.Conv(1, 3, name="a", inputs="input"),
            cs.MaxPool(2, name="b", inputs="input"),
            cs.Concat(axis=2, inputs=("a", "b"), name="both"),
        ]
    )
    planned = plan(network, (1, 1, 20))
    assert planned.receptive_field is None
    assert planned.notes[0].startswith("both joins or splits spatial axes")


def test_branches_are_united_where_one_has_none_left():
    network = Network(
        [
            cs.Reshape((1, 400), name="flat", inputs="input"),
            cs.Reshape((1, 20, 20), name="back"),
            cs.Add(name="sum", inputs=("input", "back")),
        ]
    )
    assert plan(network, (1, 1, 20, 20)).receptive_field is None


def test_axes_of_size_1_may_go():
    layers = [cs.Conv(2, 3), cs.GlobalAvgPool(), cs.Reshape((2, 1)), cs.Reshape(2), cs.Dense(3)]
    field = plan(layers, (1, 1, 20)).receptive_field
    assert (field.size, field.jump) == ((20,), (0,))
    squeezed = [cs.Conv(2, (1, 3)), cs.Reshape((2, 18)), cs.Conv(1, 2)]
    assert plan(squeezed, (1, 1, 1, 20)).receptive_field.size == (1, 4)


@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize("kernel_size", range(1, 7))
@pytest.mark.parametrize("stride", range(1, 5))
@pytest.mark.parametrize("padding", ["same", "same_lower"])
def test_the_start_varies_where_some_size_begins_elsewhere(kernel_size, stride, padding, rank):
    layers = [cs.Conv(1, kernel_size, stride, padding), cs.Conv(1, 3, padding="same")]
    fields = [
        plan(layers, (1, 1, *(length for _ in range(rank)))).receptive_field
        for length in range(12, 12 + stride)
    ]
    varies = len({field.start for field in fields}) > 1
    assert {field.start_varies for field in fields} == {(varies,) * rank}


@pytest.mark.parametrize(
    "layer",
    [
        cs.Conv(1, 3, 2, 1),
        cs.Conv(1, 3, 2, "valid"),
        cs.ConvTranspose(1, 3, 2, "same"),
        cs.MaxPool(2, 2, "same"),
        cs.Upsample(2),
    ],
    ids=str,
)
def test_the_start_is_the_same_for_all_sizes(layer):
    for length in (8, 9):
        field = plan([layer], (1, 1, length)).receptive_field
        assert field.start_varies == (False,)


def test_the_start_varies_along_the_axis_of_the_padding_alone():
    field = plan([cs.AvgPool((3, 3), (1, 2), "same")], (1, 1, 9, 9)).receptive_field
    assert field.start_varies == (False, True)


def test_the_explanation_tells_on_what_the_start_depends():
    layers = [cs.Conv(1, 3, 2, "same"), cs.Conv(1, 3)]
    first, second = plan(layers, (1, 1, 8), explain=True).layers
    assert first.explanation[-1].endswith(
        "low is 0 of what `same` pads, which depends on the size modulo the stride 2"
    )
    assert second.explanation[-1].endswith("as that of the layers before")
    fixed = plan([cs.Conv(1, 3, 2, 1)], (1, 1, 8), explain=True)
    assert not any("holds for this input size" in line for line in fixed.layers[0].explanation)


def _beside(*branches: Layer) -> Network:
    """The layers side by side, and one behind them."""
    names = tuple(f"branch{index}" for index in range(len(branches)))
    layers = [
        evolve(layer, name=name, inputs="input")
        for layer, name in zip(branches, names, strict=True)
    ]
    return Network([*layers, cs.Add(name="sum", inputs=names), cs.ReLU()])


@pytest.mark.parametrize(
    ("branches", "aligned"),
    [
        ((cs.Conv(1, 3, padding=1), cs.Conv(1, 1)), True),
        ((cs.Conv(1, 3, padding=2, dilation=2), cs.Conv(1, 5, padding=2)), True),
        ((cs.Conv(1, 3, 2, 1), cs.Conv(1, 1, 2)), True),
        ((cs.Conv(1, 3, padding=((0, 2),)), cs.Conv(1, 1)), False),
        ((cs.Conv(1, 2, 2), cs.Conv(1, 1, 2)), False),
        ((cs.ConvTranspose(1, 4, 2, 1), cs.Upsample(2)), False),
    ],
    ids=str,
)
def test_branches_are_aligned_where_their_centres_are_the_same(branches, aligned):
    planned = plan(_beside(*branches), (1, 1, 8))
    assert planned.receptive_field.aligned == aligned
    assert len(planned.notes) == (not aligned)
    if not aligned:
        assert planned.notes[0].startswith("sum joins branches that look at different places")
