"""Plans as JSON, CSV, Markdown and HTML."""

from __future__ import annotations

import csv
import json
from fractions import Fraction
from io import StringIO

import pytest
from attrs import evolve
from convserve.exports import FORMATS, MAX_HTML_ROWS, as_document
from convserve.layers import Conv, Dense, Flatten, MaxPool, Upsample
from convserve.plans import ReceptiveField, TimeEstimate
from convserve.tensors import TensorSpec

from tests.planning import plan

LAYERS = [Conv(8, (3, 5), padding=1), MaxPool(2), Upsample(2), Flatten(), Dense(10)]


@pytest.fixture
def planned():
    return plan(LAYERS, (-1, 3, 16, 16))


def test_json_has_everything(planned):
    document = json.loads(planned.to_json())
    assert document == as_document(planned)
    assert document["outputs"] == [{"name": "dense1", "dtype": "float32", "shape": ["N", 10]}]
    assert document["layers"][0]["resolved"]["kind"] == "conv"
    assert document["mac_count"] == planned.mac_count
    assert "\n" not in planned.to_json()
    assert planned.to_json(indent=2).startswith('{\n  "')


def test_fractions_and_what_is_not_there():
    field = ReceptiveField(size=(3,), jump=(Fraction(1, 2),), start=(Fraction(-1),))
    document = as_document(field)
    assert document["jump"] == ["1/2"]
    assert document["start"] == [-1]
    assert "time" not in as_document(plan(LAYERS, (1, 3, 16, 16)).layers[0])


def test_csv_has_exact_numbers(planned):
    first = evolve(
        planned.layers[0],
        time=TimeEstimate(seconds=1e-3, seconds_low=1e-4, seconds_high=1e-2, bound="memory"),
    )
    text = evolve(planned, layers=(first, *planned.layers[1:])).to_csv()
    rows = list(csv.DictReader(StringIO(text)))
    assert [row["layer"] for row in rows] == [layer.name for layer in planned.layers]
    assert rows[0] | {"flop_count": ""} == {
        "layer": "conv1",
        "kind": "conv",
        "inputs": "input",
        "output_shape": "Nx8x16x14",
        "dtype": "float32",
        "parameter_count": str(8 * 3 * 15 + 8),
        "mac_count": str(8 * 3 * 15 * 16 * 14),
        "flop_count": "",
        "activation_bytes": str(8 * 16 * 14 * 4),
        "weight_bytes": str((8 * 3 * 15 + 8) * 4),
        "workspace_bytes": "0",
        "receptive_field": "3x5",
        "jump": "1x1",
        "start": "-1x-1",
        "engine": "reference",
        "algorithm": "direct",
        "seconds": "0.001",
    }


def test_markdown_is_the_table(planned):
    heading, rule, *rows = planned.to_markdown().split("\n\n")[0].splitlines()
    assert heading.startswith("| Layer | Kind | Output shape | Parameters |")
    assert rule.startswith("| :--- | :--- | :--- | ---: |")
    assert len(rows) == 1 + len(LAYERS)
    assert all(row.count("|") == heading.count("|") for row in rows)
    assert "- Parameters: " in planned.to_markdown()


def test_markdown_is_not_misread():
    text = plan([Conv(4, 3, name="a_b")], (1, 3, 8, 8)).to_markdown()
    assert "| a\\_b |" in text


def test_html_is_escaped_and_cut(planned):
    name = TensorSpec("<b>", "float32", (1, 3, 16, 16))
    assert "<b>" not in evolve(planned, inputs=(name,))._repr_html_()
    layers, _, totals = planned._repr_html_().partition("</table>")
    assert layers.count("<tr>") == 1 + 1 + len(LAYERS)  # headings, the input, the layers
    assert "<th style='text-align:left'>Parameters</th>" in totals


def test_a_long_plan_is_cut_in_html(planned):
    layers = tuple(evolve(planned.layers[0], name=f"layer{i}") for i in range(MAX_HTML_ROWS + 7))
    page = evolve(planned, layers=layers)._repr_html_()
    assert "and 8 more layers" in page  # its input has a line too
    assert f"layer{MAX_HTML_ROWS - 2}<" in page
    assert f"layer{MAX_HTML_ROWS - 1}<" not in page


def test_formats_by_name(planned):
    assert json.loads(FORMATS["json"](planned)) == as_document(planned)
    assert FORMATS["csv"](planned) + "\n" == planned.to_csv()
    assert FORMATS["markdown"](planned) == planned.to_markdown()
