"""Receptive fields against the set of inputs that each output really sees."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import pytest
from convserve.layers import (
    AvgPool,
    Concat,
    Conv,
    ConvTranspose,
    Dense,
    Flatten,
    GlobalAvgPool,
    MaxPool,
    Pad,
    PixelShuffle,
    PixelUnshuffle,
    ReLU,
    Upsample,
)
from convserve.networks import Network
from convserve_server.planning.receptive_field import AxisField, Reach
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.planning import plan

windows = st.builds(Reach, span=st.integers(1, 5), stride=st.integers(1, 3), low=st.integers(0, 3))
upsamplings = st.builds(lambda up: Reach(span=up, low=up - 1, up=up), st.integers(2, 4))


def seen(reaches: list[Reach], output: int) -> range:
    """Exactly the input elements of one output, walking back layer by layer."""
    first = last = output
    for reach in reversed(reaches):
        first = ceil(Fraction(first * reach.stride - reach.low, reach.up))
        last = (last * reach.stride - reach.low + reach.span - 1) // reach.up
    return range(first, last + 1)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.lists(windows, max_size=6))
def test_chains_of_windows_are_exact(reaches):
    field = AxisField()
    for reach in reaches:
        field = field.through(reach)
    for output in range(5):
        first = field.start + output * field.jump
        assert seen(reaches, output) == range(int(first), int(first) + field.size)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.lists(windows | upsamplings, max_size=6))
def test_after_upsampling_no_output_sees_more(reaches):
    field = AxisField()
    for reach in reaches:
        field = field.through(reach)
    for output in range(12):
        inputs = seen(reaches, output)
        assert len(inputs) <= field.size
        assert inputs.start >= field.start + output * field.jump
    inputs = seen(reaches, 0)
    assert not inputs or field.first <= inputs.start
    assert not inputs or inputs.stop <= field.first + field.size


@pytest.mark.parametrize(
    ("layers", "shape", "size", "jump", "start"),
    [
        ([Conv(1, 3, dilation=4, padding=4)], (1, 1, 20), 9, 1, -4),
        ([AvgPool(2), Conv(1, 3)], (1, 1, 20), 6, 2, 0),
        ([MaxPool(2), Upsample(2)], (1, 1, 20), 2, 1, 0),
        ([Conv(1, 2, stride=2, padding=1), Upsample(2)], (1, 1, 20), 2, 1, -1),
        ([MaxPool(2), Upsample(2), Conv(1, 3, padding=1)], (1, 1, 20), 4, 1, -2),
        ([ConvTranspose(1, 4, stride=2, padding=1)], (1, 1, 9), 2, Fraction(1, 2), -1),
        ([Upsample(2), Conv(1, 4, stride=2)], (1, 1, 9), 3, 1, 0),
        ([PixelShuffle(2), PixelUnshuffle(2)], (1, 4, 9), 2, 1, 0),
        ([Pad((2, 3)), ReLU()], (1, 1, 5, 5), 1, 1, -2),
        ([Conv(1, 3), GlobalAvgPool()], (1, 1, 20), 20, 0, 0),
        ([Conv(1, 3, stride=2), Flatten(), Dense(2)], (1, 1, 9), 9, 0, 0),
    ],
)
def test_of_layers(layers, shape, size, jump, start):
    field = plan(layers, shape).receptive_field
    assert field is not None
    assert (field.size[0], field.jump[0], field.start[0]) == (size, jump, start)


def test_is_absent_without_spatial_axes():
    assert plan([Dense(3), ReLU()], (2, 5)).receptive_field is None


def test_is_absent_where_branches_have_different_axes():
    network = Network(
        [
            Flatten(name="one", inputs="sound"),
            Flatten(name="two", inputs="image"),
            Concat(inputs=("one", "two")),
        ],
        inputs=("sound", "image"),
    )
    assert plan(network, (1, 1, 8), (1, 1, 4, 4)).receptive_field is None


def test_branches_of_different_strides_are_noted():
    network = Network(
        [
            Conv(1, 1, stride=2, name="a", inputs="input"),
            MaxPool(2, stride=1, name="b", inputs="input"),
            MaxPool(6, stride=1, name="c", inputs="b"),
            Concat(name="joined", inputs=("a", "c")),
        ]
    )
    planned = plan(network, (1, 1, 12))
    assert planned.receptive_field is not None
    assert planned.receptive_field.size == (7,)
    assert len(planned.notes) == 1
    assert "joined" in planned.notes[0]


def test_the_plan_shows_that_of_the_first_output():
    network = Network([Conv(1, 3, name="a"), Conv(1, 3, name="b", inputs="a")], outputs=("a", "b"))
    field = plan(network, (1, 1, 9)).receptive_field
    assert field is not None
    assert field.size == (3,)
