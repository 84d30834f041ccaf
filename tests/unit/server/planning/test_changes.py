"""The nearest layers that are possible: each is planned here again."""

from __future__ import annotations

from functools import partial

import pytest
from convserve.errors import ConvserveError
from convserve.layers import AvgPool, Conv, ConvTranspose, MaxPool, ReLU
from convserve_server.planning.changes import nearest_changes
from convserve_server.planning.dialects.comparing import is_taken

from tests.planning import plan_layer


def changes_of(layer, shape, wanted=None, dialect="convserve"):
    return nearest_changes(layer, shape, wanted, partial(is_taken, dialect))


def told(*arguments):
    return {change.edit: change.gives for change in changes_of(*arguments)}


def test_a_wanted_size_is_reached_by_padding():
    changes = changes_of(Conv(64, 3), (3, 224, 224), (224, 224))
    assert (changes[0].edit, changes[0].gives) == ("padding=1", "224")
    assert {"kernel_size=1", "input 226", "padding='same'"} <= {c.edit for c in changes}


def test_a_wanted_size_is_reached_by_an_input():
    assert told(Conv(64, 7, stride=2, padding=3), (3, 226, 226), (112, 112))["input 224"] == "112"
    assert told(Conv(64, 7, stride=2, padding=3), (3, 220, 220), (112, 112))["input 223"] == "112"


STRIDED = Conv(64, 7, stride=2)


def test_what_the_dialect_refuses_is_no_help():
    wanted = ((3, 224, 224), (112, 112))
    assert "padding='same'" in told(STRIDED, *wanted)
    assert told(STRIDED, *wanted, "pytorch").keys() == {"padding=3", "kernel_size=2", "input 229"}
    assert "padding='same'" in told(Conv(64, 7), (3, 224, 224), (224, 224), "pytorch")


def test_what_the_dialect_has_no_words_for_is_no_help():
    assert "padding=3" not in told(STRIDED, (3, 224, 224), (112, 112), "keras")
    wanted = (Conv(1, 3), (1, 8, 9), (8, 8))
    assert "padding=((1, 1), (0, 1))" in told(*wanted, "onnx")
    assert "padding=((1, 1), (0, 1))" not in told(*wanted, "pytorch")


def test_axes_may_need_different_changes():
    changes = told(Conv(1, 3), (1, 8, 9), (8, 8))
    assert changes["padding=((1, 1), (0, 1))"] == "8"
    assert changes["input 10"] == "8"


@pytest.mark.parametrize("size", [1, 5])
def test_a_kernel_that_does_not_fit(size):
    changes = told(Conv(64, 7), (3, size, size))
    assert {f"kernel_size={size}", f"padding={(7 - size) // 2}", "input 7"} <= changes.keys()


def test_a_dilation_that_does_not_fit():
    assert told(Conv(64, 3, dilation=5), (3, 9, 9))["dilation=4"] == "1"


def test_groups_that_do_not_divide():
    changes = told(Conv(60, 3, groups=7), (12, 8, 8))
    assert changes == {"groups=6": "6", "groups=12": "6"}
    assert told(Conv(63, 3, groups=6), (12, 8, 8)).keys() >= {"out_channels=60", "groups=3"}
    assert "input channels 12" in told(Conv(60, 3, groups=6), (13, 8, 8))


def test_an_output_padding_that_is_too_large():
    changes = told(ConvTranspose(8, 3, stride=2, output_padding=2), (3, 5, 5))
    assert changes == {"output_padding=1": "12", "stride=3": "17", "dilation=3": "17"}


def test_a_transposed_size_that_is_missed():
    changes = told(ConvTranspose(8, 3, stride=2, padding=1), (3, 5, 5), (10, 10))
    assert {"output_padding=1", "kernel_size=4", "padding=((0, 1), (0, 1))"} <= changes.keys()
    assert set(changes.values()) == {"10"}


def test_an_output_size_that_cannot_be():
    changes = told(ConvTranspose(8, 3, stride=2, padding=1, output_size=12), (3, 5, 5))
    assert changes["output_size=10"] == "10"
    assert changes["kernel_size=6"] == "12"


def test_a_transposed_layer_that_cuts_everything():
    assert told(ConvTranspose(8, 3, padding=4), (3, 5, 5))["padding=3"] == "1"


def test_a_pool_rounds_up():
    assert told(MaxPool(3, stride=2), (3, 8, 8), (4, 4))["ceil_mode=True"] == "4"


def test_a_pool_of_too_much_padding():
    assert told(MaxPool(3, stride=2, padding=4), (3, 8, 8))["kernel_size=5"] == "6"
    assert told(AvgPool(3, stride=2, padding=4), (3, 8, 8))["padding=2"] == "5"


def test_a_border_that_mirrors_more_than_there_is():
    changes = told(Conv(8, 3, padding=9, padding_mode="reflect"), (3, 8, 8))
    assert {"padding_mode='replicate'", "padding=7"} <= changes.keys()


def test_a_layer_without_windows_has_none():
    assert told(ReLU(), (3, 8, 8)) == {}


@pytest.mark.parametrize(
    ("layer", "shape", "wanted"),
    [
        (Conv(64, 7), (3, 5, 9), None),
        (Conv(4, (3, 5), stride=(2, 3), padding=1), (3, 20, 30), (7, 9)),
        (Conv(4, 3, stride=2, dilation=2, padding="same"), (3, 21), (9,)),
        (ConvTranspose(4, 4, stride=3), (2, 6, 7), (20, 23)),
        (MaxPool(2), (3, 9, 9, 9), (5, 5, 5)),
    ],
)
def test_the_nearest_come_first_and_give_what_is_wanted(layer, shape, wanted):
    changes = changes_of(layer, shape, wanted)
    assert len(changes) >= 2
    assert [c.distance for c in changes] == sorted(c.distance for c in changes)
    if wanted:
        assert {change.gives for change in changes} == {"×".join(map(str, wanted))} or len(
            set(wanted)
        ) == 1


def test_present_layers_are_as_they_were_said_to_be():
    with pytest.raises(ConvserveError):
        plan_layer(Conv(64, 7), (1, 3, 5, 5))
    assert plan_layer(Conv(64, 7, padding=1), (1, 3, 5, 5)).output.shape == (1, 64, 1, 1)
