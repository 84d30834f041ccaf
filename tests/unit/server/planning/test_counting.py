"""Counts under named conventions: every cell of what thirteen layers were counted as by tools."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import torch
from convserve.layers import AvgPool, Conv, ConvTranspose, Dense, DepthwiseConv, MaxPool, ReLU
from convserve_server.planning.counting import _hits
from torch.utils.flop_counter import FlopCounterMode

from tests.planning import plan

DATA = Path(__file__).parents[3] / "data" / "mac_counter_disagreements.json"
CASES = {case["case"]: case for case in json.loads(DATA.read_text())}

X = (2, 8, 10, 10)
THREE = {"kernel_size": 3, "padding": 1, "bias": False}
UP = {"kernel_size": 3, "stride": 2, "bias": False}
# case -> (layer, input)
LAYERS = {
    "dense": (Conv(8, **THREE), X),
    "dense+bias": (Conv(8, 3, padding=1), X),
    "groups4": (Conv(8, groups=4, **THREE), X),
    "depthwise": (Conv(8, groups=8, **THREE), X),
    "dilated2": (Conv(8, 3, padding=2, dilation=2, bias=False), X),
    "same k4": (Conv(8, 4, padding="same", bias=False), X),
    "convT s2 k3": (ConvTranspose(4, **UP), X),
    "convT s2 g4": (ConvTranspose(4, groups=4, **UP), X),
    "conv1d 9->100 k10": (Conv(100, 10), (1, 9, 128)),
    "conv3d (1,3,3)": (Conv(4, (1, 3, 3), bias=False), (2, 3, 5, 8, 8)),
    "functional": (Conv(8, **THREE), X),
    "shared x2": (Conv(8, **THREE), X),
    "maxpool": (MaxPool(2), X),
}
TOOLS = {
    "torch.flop_counter/2": "torch.utils.flop_counter",
    "torchinfo": "torchinfo",
    "thop": "thop",
    "fvcore": "fvcore",
    "ptflops(b=1)*N": "ptflops",
    "ptflops aten*N": "ptflops (aten)",
    "calflops conv formula": "calflops",
}
FORWARD = ("backward_flop", "backward_flop_dense", "mac_of_a_function")


def counts(layer, shape):
    return plan([layer], shape, explain=True).layers[0].counts


def told(layer, shape, tool):
    """What a tool prints for the layer: in products, and 0 for a layer that it is silent on."""
    found = [
        count.value // (2 if tool == "torch.utils.flop_counter" else 1)
        for count in counts(layer, shape)
        if tool in count.tools and count.convention not in FORWARD
    ]
    assert len(found) <= 1
    return found[0] if found else None


CELLS = [
    pytest.param(name, column, value, id=f"{name}-{column}")
    for name, case in CASES.items()
    for column, value in case.items()
    if column in TOOLS and value != "n/a"
]


def test_every_case_has_its_layer():
    assert CASES.keys() == LAYERS.keys()


@pytest.mark.parametrize(("name", "column", "value"), CELLS)
def test_cell(name, column, value):
    layer, shape = LAYERS[name]
    tool = TOOLS[column]
    found = told(layer, shape, tool)
    if found is None and tool == "ptflops (aten)":  # the same as its other mode, but for a bias
        found = told(layer, shape, "ptflops") if name != "maxpool" else 0
    if name == "functional" and tool in by_function(layer, shape):
        found = 0
    assert (found or 0) * (2 if name == "shared x2" else 1) == value


def by_function(layer, shape):
    [count] = [c for c in counts(layer, shape) if c.convention == "mac_of_a_function"]
    assert count.value == 0
    return count.tools


@pytest.mark.parametrize("name", CASES)
def test_the_exact_count(name):
    layer, shape = LAYERS[name]
    by_name = {count.convention: count.value for count in counts(layer, shape)}
    repeats = 2 if name == "shared x2" else 1
    assert by_name.get("mac", 0) * repeats == CASES[name]["exact_macs"]
    assert by_name.get("flop", 0) == 2 * by_name.get("mac", 0)


def value(layer, shape, convention):
    [found] = [c.value for c in counts(layer, shape) if c.convention == convention]
    return found


def test_taps_on_padding_are_told_from_those_on_elements():
    layer = Conv(1, 3, padding=100, bias=False)
    assert value(layer, (1, 1, 1, 1), "mac") == 356_409
    assert value(layer, (1, 1, 1, 1), "mac_without_padding") == 9


def test_what_a_transposed_layer_cuts_is_not_touched():
    layer = ConvTranspose(1, 3, stride=2, padding=1, bias=False)
    assert value(layer, (1, 1, 2), "mac") == 6
    assert value(layer, (1, 1, 2), "mac_without_padding") == 4


def test_grouped_backward_is_told_right_and_as_torch_prints_it():
    layer = Conv(8, 3, groups=8, padding=1, bias=False)
    shape = (1, 8, 14, 14)
    assert value(layer, shape, "backward_flop") == 2 * value(layer, shape, "flop")
    assert value(layer, shape, "backward_flop_dense") == 9 * value(layer, shape, "flop")


@pytest.mark.parametrize("groups", [1, 8])
@pytest.mark.parametrize("transposed", [False, True])
def test_backward_is_what_torch_counts(groups, transposed):
    kind = torch.nn.ConvTranspose2d if transposed else torch.nn.Conv2d
    module = kind(8, 8, 3, groups=groups, bias=False)
    x = torch.zeros(1, 8, 6, 6, requires_grad=True)
    with FlopCounterMode(display=False) as forward:
        y = module(x)
    with FlopCounterMode(display=False) as backward:
        y.sum().backward()
    layer = (ConvTranspose if transposed else Conv)(8, 3, groups=groups, bias=False)
    found = [c for c in counts(layer, (1, 8, 6, 6)) if "torch.utils.flop_counter" in c.tools]
    assert {c.value for c in found} == {forward.get_total_flops(), backward.get_total_flops()}


def test_pairs_are_counted_as_by_hand():
    rng = random.Random(1)
    for _ in range(300):
        count, stride, kernel, dilation = (rng.randint(1, 6) for _ in range(4))
        low, length = rng.randint(0, 9), rng.randint(1, 9)
        by_hand = sum(
            0 <= o * stride + t * dilation - low < length
            for o in range(count)
            for t in range(kernel)
        )
        assert _hits(count, stride, kernel, dilation, low, length) == by_hand


def test_the_largest_numbers_are_counted_at_once():
    assert _hits(2**31, 3, 2**31 - 1, 7, 2**30, 2**31) > 2**57


@pytest.mark.parametrize("layer", [Dense(10), DepthwiseConv(3), AvgPool(2)])
def test_other_kinds_have_counts_too(layer):
    shape = (2, 8) if isinstance(layer, Dense) else X
    assert counts(layer, shape)


def test_a_layer_without_products_has_none():
    assert counts(ReLU(), X) == ()


def test_counts_come_with_explanations_only():
    assert plan([Conv(8, 3)], X).layers[0].counts == ()
