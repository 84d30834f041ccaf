"""Plans for other programs and pages: plain data, JSON, CSV, Markdown and HTML."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from html import escape
from io import StringIO
from typing import Any

import attrs

from convserve.layers import Layer, kind_of
from convserve.plans import LayerPlan, Plan, shown_shape
from convserve.tables import Column, plan_columns, plan_totals
from convserve.tensors import TensorSpec

MAX_HTML_ROWS = 1000  # a notebook keeps each table for ever
_TABLE_STYLE = "border-collapse:collapse;font-variant-numeric:tabular-nums"


def as_document(value: Any) -> Any:
    """Dicts, lists, strings and numbers for a value of this package, such as a plan.

    Layers carry their kind, an unknown batch is "N", and a fraction that is not whole is a string
    such as "1/2". Fields that hold nothing are left out.
    """
    if isinstance(value, TensorSpec):
        shape = list(shown_shape(value.shape))
        return {"name": value.name, "dtype": value.dtype, "shape": shape}
    if attrs.has(type(value)):
        kind = {"kind": kind_of(value)} if isinstance(value, Layer) else {}
        fields = attrs.asdict(value, recurse=False)
        return kind | {name: as_document(each) for name, each in fields.items() if each is not None}
    if isinstance(value, Fraction):
        return value.numerator if value.denominator == 1 else str(value)
    if isinstance(value, Mapping):
        return {name: as_document(each) for name, each in value.items()}
    return [as_document(each) for each in value] if isinstance(value, list | tuple) else value


def plan_json(plan: Plan, indent: int | None = None) -> str:
    """Everything that the plan has, as one JSON object."""
    return json.dumps(as_document(plan), indent=indent)


def plan_csv(plan: Plan) -> str:
    """The layers, a line each, with exact numbers under a line of headings.

    Shapes are such as `Nx64x112x112`, and what the layer reads is separated by spaces. Counts and
    `activation_bytes` are per sample if the batch is not known.
    """
    file = StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(_CSV)
    writer.writerows([read(layer) for read in _CSV.values()] for layer in plan.layers)
    return file.getvalue()


def plan_markdown(plan: Plan) -> str:
    """The plan's table and totals, as Markdown's tables."""
    columns = plan_columns(plan)
    totals = [f"- {name}: {_cell(value)}" for name, value in plan_totals(plan)]
    return "\n".join([*_markdown_table(columns), "", *totals])


def plan_html(plan: Plan) -> str:
    """The plan's table and totals for a notebook; of a long plan the first layers."""
    columns = plan_columns(plan)
    count = len(columns[0].cells)
    rows = ["".join(_html_cell(column, row) for column in columns) for row in range(count)]
    head = "".join(f"<th>{escape(column.heading)}</th>" for column in columns)
    body = "".join(f"<tr>{row}</tr>" for row in rows[:MAX_HTML_ROWS])
    more = f"<p>… and {count - MAX_HTML_ROWS:,} more layers</p>" if count > MAX_HTML_ROWS else ""
    totals = "".join(
        f"<tr><th style='text-align:left'>{escape(name)}</th>"
        f"<td style='text-align:left'>{escape(value)}</td></tr>"
        for name, value in plan_totals(plan)
    )
    return (
        f"<table style='{_TABLE_STYLE}'><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        f"{more}<table style='{_TABLE_STYLE}'>{totals}</table>"
    )


# name -> the plan in that format, as text without an end of line
FORMATS: dict[str, Callable[[Plan], str]] = {
    "json": lambda plan: plan_json(plan, indent=2),
    "csv": lambda plan: plan_csv(plan).rstrip("\n"),
    "markdown": plan_markdown,
}


def _html_cell(column: Column, row: int) -> str:
    align = "right" if column.is_number else "left"
    return f"<td style='text-align:{align}'>{escape(column.cells[row])}</td>"


def _markdown_table(columns: Sequence[Column]) -> list[str]:
    rule = ["---:" if column.is_number else ":---" for column in columns]
    rows = zip(*(column.cells for column in columns), strict=True)
    return [_line(column.heading for column in columns), _line(rule), *map(_line, rows)]


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(map(_cell, cells))} |"


def _cell(text: str) -> str:
    """The text without what Markdown would take for a cell's end or for emphasis."""
    return text.replace("|", "\\|").replace("_", "\\_").replace("*", "\\*")


def _shape(layer: LayerPlan) -> str:
    return "x".join(map(str, layer.output_shape))


def _fields(layer: LayerPlan, name: str) -> str:
    """One of the receptive field's numbers per axis, such as `11x11`; nothing where it has none."""
    found = layer.receptive_field
    return "" if found is None else "x".join(map(str, getattr(found, name)))


# heading -> the cell of a layer
_CSV: dict[str, Callable[[LayerPlan], object]] = {
    "layer": lambda layer: layer.name,
    "kind": lambda layer: layer.kind,
    "inputs": lambda layer: " ".join(layer.inputs),
    "output_shape": _shape,
    "dtype": lambda layer: layer.output.dtype,
    "parameter_count": lambda layer: layer.parameter_count,
    "mac_count": lambda layer: layer.mac_count,
    "flop_count": lambda layer: layer.flop_count,
    "activation_bytes": lambda layer: layer.activation_bytes,
    "weight_bytes": lambda layer: layer.weight_bytes,
    "workspace_bytes": lambda layer: layer.workspace_bytes,
    "receptive_field": lambda layer: _fields(layer, "size"),
    "jump": lambda layer: _fields(layer, "jump"),
    "start": lambda layer: _fields(layer, "start"),
    "engine": lambda layer: layer.engine,
    "algorithm": lambda layer: layer.algorithm,
    "seconds": lambda layer: "" if layer.time is None else layer.time.seconds,
}
