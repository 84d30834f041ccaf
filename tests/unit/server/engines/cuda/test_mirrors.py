"""Numbers that Python gives to kernels mean there what they mean here."""

import re

import pytest
from convserve.layers.fields import BORDER_MODES
from convserve_server.engines.cuda.kernels import MAX_RANK, headers
from convserve_server.engines.cuda.lowering import activation, depthwise, elementwise, merge

CHOICES = {
    "activation.cuh": ["none", *activation.KINDS[1:]],
    "binary.cuh": [each.__name__ for each in merge.OPERATORS],
    "elementwise.cuh": [each.__name__ for each in elementwise.FUNCTIONS],
    "pad.cuh": list(BORDER_MODES),
}


def enumerated(header):
    """The names of a header's enum in their order, without the `k` before them."""
    (names,) = re.findall(r"enum \w+ : int64 \{([^}=]+)\}", headers()[header])
    return [name.strip().removeprefix("k").lower() for name in names.split(",")]


@pytest.mark.parametrize("header", CHOICES)
def test_enums_are_in_one_order(header):
    assert enumerated(header) == [name.replace("_", "").lower() for name in CHOICES[header]]


def test_every_enum_is_looked_at():
    assert {name for name, text in headers().items() if "enum " in text} == CHOICES.keys()


@pytest.mark.parametrize(
    ("header", "pattern", "number"),
    [
        ("common.cuh", r"kMaxRank = (\d+);", MAX_RANK),
        ("depthwise.cuh", r"kRun = (\d+);", depthwise.RUN),
        ("depthwise.cuh", r"DepthwisePacked : DepthwiseOf<T, (\d+)>", depthwise.PACK),
    ],
)
def test_sizes_are_the_same(header, pattern, number):
    assert re.findall(pattern, headers()[header]) == [str(number)]
