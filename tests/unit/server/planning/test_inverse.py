"""Layers found for a size give that size, and nothing simpler is left out."""

from __future__ import annotations

import itertools

import pytest
from convserve.errors import ConvserveError, InvalidArgumentError, TooLargeError
from convserve.layers import Conv, ConvTranspose
from convserve_server.planning.inverse import Search, find_layers, inputs_of
from convserve_server.planning.windows import Window

from tests.planning import plan_layer


def output(layer, size):
    return plan_layer(layer, (1, 1, *size)).output.shape[2:]


def built(found, transposed):
    names = ("kernel_size", "stride", "padding", "dilation")
    fields = {name: getattr(found, name) for name in names}
    if transposed:
        return ConvTranspose(1, output_padding=found.output_padding, **fields)
    return Conv(1, **fields)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(
    ("before", "after"), [((224,), (112,)), ((5,), (10,)), ((9, 17), (5, 9)), ((6,), (6,))]
)
def test_each_gives_the_size_at_both_ends_of_its_inputs(before, after, transposed):
    search = Search(
        input_size=before, output_size=after, transposed=transposed, max_dilation=2, max_count=1000
    )
    found = find_layers(search)
    assert found.count == len(found.layers)
    for each in found:
        for size in (before, each.input_low, each.input_high):
            assert output(built(each, transposed), size) == after


def test_nothing_is_left_out():
    search = Search(input_size=(20,), output_size=(9,), max_dilation=3, max_count=1000)
    found = {(f.kernel_size, f.stride, f.padding, f.dilation) for f in find_layers(search)}
    bounds = (range(1, 8), range(1, 5), range(4), range(1, 4))
    expected = {
        (k, s, ((p, p),), d)
        for k, s, p, d in itertools.product(*bounds)
        if (d == 1 or k > 1) and Window(20, k, s, d, p, p).count == 9
    }
    assert {each for each in found if each[2][0][0] == each[2][0][1]} == expected


def test_the_simplest_comes_first():
    found = find_layers(Search(input_size=(224,), output_size=(112,)))
    first = found.layers[0]
    assert (first.kernel_size, first.stride, first.padding) == (1, 2, ((0, 0),))
    assert (3, 2, ((1, 1),)) in {(f.kernel_size, f.stride, f.padding) for f in found}


def test_an_even_kernel_is_padded_unevenly():
    search = Search(input_size=(224,), output_size=(224,), max_stride=1)
    by_kernel = {found.kernel_size: found.padding for found in find_layers(search)}
    assert by_kernel == {
        1: ((0, 0),),
        2: ((0, 1),),
        3: ((1, 1),),
        4: ((1, 2),),
        5: ((2, 2),),
        6: ((2, 3),),
        7: ((3, 3),),
    }


def test_several_inputs_collapse_to_one_output():
    assert inputs_of(112, 7, 2, 6) == (223, 224)
    assert [Window(n, 7, 2, 1, 3, 3).count for n in (222, 223, 224, 225)] == [111, 112, 112, 113]


def test_a_transposed_layer_needs_output_padding_for_the_collapsed_ones():
    search = Search(input_size=(112,), output_size=(224,), transposed=True, max_stride=2)
    by_kernel = {f.kernel_size: f for f in find_layers(search)}
    assert (by_kernel[3].padding, by_kernel[3].output_padding) == (((1, 1),), 1)
    assert (by_kernel[4].padding, by_kernel[4].output_padding) == (((1, 1),), 0)


def test_what_is_impossible_is_an_empty_answer():
    assert find_layers(Search(input_size=(10,), output_size=(1000,))).count == 0
    assert "No layer" in str(find_layers(Search(input_size=(10,), output_size=(1000,))))


@pytest.mark.parametrize(
    ("field", "fields", "error"),
    [
        ("input_size", {"input_size": ()}, InvalidArgumentError),
        ("input_size", {"input_size": (0,)}, InvalidArgumentError),
        ("output_size", {"output_size": (1, 2)}, InvalidArgumentError),
        ("max_stride", {"max_stride": 0}, InvalidArgumentError),
        ("max_padding", {"max_padding": -1}, InvalidArgumentError),
        ("max_count", {"max_count": 1001}, TooLargeError),
        ("the bounds", {"max_kernel_size": 2**31 - 1}, TooLargeError),
        ("the bounds", {"max_stride": 999, "max_padding": 999}, TooLargeError),
    ],
)
def test_bounds_are_checked_before_anything_is_tried(field, fields, error):
    search = Search(**{"input_size": (4,), "output_size": (2,), **fields})
    with pytest.raises(error) as caught:
        find_layers(search)
    assert isinstance(caught.value, ConvserveError)
    assert caught.value.field == field
