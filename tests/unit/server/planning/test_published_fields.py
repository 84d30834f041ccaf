"""Receptive fields against the published table: size, stride and padding of each end point.

Where the table has no padding, it depends on the size of the input.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from convserve.plans import ReceptiveField

from tests.planning import plan
from tests.slim import SLIM

TABLE = json.loads(Path("tests/data/known_tables.json").read_text())["receptive_field"]
SIZES = (224, 321)  # an even one and an odd one


@cache
def fields_of(name: str, size: int) -> Mapping[str, ReceptiveField | None]:
    """The field of each layer of a network, by name."""
    planned = plan(SLIM[name](), (1, 1, size, size))
    return {layer.name: layer.receptive_field for layer in planned.layers}


def field_of(row: Mapping[str, Any], size: int) -> ReceptiveField:
    field = fields_of(row["cnn"], size)[row["end_point"]]
    assert field is not None
    return field


def padding_of(field: ReceptiveField) -> int:
    assert field.start[0] == field.start[1]
    return int(-field.start[0])


def test_every_network_of_the_table_is_built():
    assert {row["cnn"] for row in TABLE["rows"]} <= set(SLIM)
    assert set(TABLE["readme_summary"]) <= set(SLIM)


@pytest.mark.parametrize("name", SLIM)
def test_rows(name):
    rows = [row for row in TABLE["rows"] if row["cnn"] == name]
    for row in rows:
        for size in SIZES if row["resolution"] is None else (row["resolution"],):
            field = field_of(row, size)
            assert field.size == (row["rf"],) * 2, row
            assert field.jump == (row["effective_stride"],) * 2, row
            assert field.aligned, row
            if row["effective_padding"] is not None:
                assert padding_of(field) == row["effective_padding"], row
    assert rows


@pytest.mark.parametrize("name", SLIM)
def test_a_padding_that_is_not_told_varies_with_the_size(name):
    open_rows = [row for row in TABLE["rows"] if row["cnn"] == name and row["resolution"] is None]
    for row in open_rows:
        even, odd = (field_of(row, size) for size in SIZES)
        varies = row["effective_padding"] is None
        assert even.start_varies == odd.start_varies == (varies, varies), row
        assert (even.start != odd.start) == varies, row


@pytest.mark.parametrize("name", TABLE["readme_summary"])
def test_summary(name):
    size, stride, padding, _ = TABLE["readme_summary"][name]
    field = list(fields_of(name, 224).values())[-1]
    assert field is not None
    assert (field.size, field.jump) == ((size,) * 2, (stride,) * 2)
    assert padding_of(field) == padding
