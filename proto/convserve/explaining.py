"""Explanations as people read them: plain text, aligned, without colour."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from convserve.explanations import Explanation, FoundLayer, FoundLayers, Rendering
from convserve.plans import Count, LayerPlan, Plan, shown_shape
from convserve.tables import Column, shape_text, table_text

# outcome -> what the table says of it
_OUTCOMES = {
    "same": "same",
    "shifted": "same shape, shifted",
    "other_values": "same shape, other values",
    "other_shape": "other shape",
    "refused": "refused",
    "accepted": "runs",
    "inexpressible": "no words",
}


def plan_explanation_text(plan: Plan) -> str:
    """Every layer of a plan with its formulas; `layer_text` has other tools' counts too."""
    return "\n\n".join("\n".join(_formula_lines(layer)) for layer in plan.layers)


def layer_text(layer: LayerPlan) -> str:
    """A planned layer with its formulas, why its algorithm was picked, and its counts."""
    counts = (f"  {line}" for line in _count_lines(layer.counts))
    return "\n".join([*_formula_lines(layer), *counts])


def layer_explanation_text(explanation: Explanation) -> str:
    """The layer, what it does or why it cannot, the nearest that can, and its other spellings."""
    blocks = ["\n".join(_head(explanation))]
    if explanation.plan is not None:
        blocks.append(layer_text(explanation.plan))
    if explanation.changes:
        lines = [f"  {change.edit} gives {change.gives}" for change in explanation.changes]
        blocks.append("\n".join(["Nearest changes:", *lines]))
    if len(explanation.renderings) > 1:
        blocks.append(_renderings_text(explanation.renderings))
    return "\n\n".join(blocks)


def found_table(found: FoundLayers) -> str:
    """The layers, one in a line, and how many there are."""
    if not found.layers:
        return "No layer within these bounds gives that size."
    columns = [
        _numbers("Kernel", found, lambda layer: str(layer.kernel_size)),
        _numbers("Stride", found, lambda layer: str(layer.stride)),
        _numbers("Padding", found, _padding),
        _numbers("Dilation", found, lambda layer: _unless_default(layer.dilation, 1)),
        _numbers("Output padding", found, lambda layer: _unless_default(layer.output_padding, 0)),
        _numbers("Inputs with this output", found, _inputs),
    ]
    left = found.count - len(found.layers)
    more = f"\n{left} more within these bounds" if left else ""
    return table_text([column for column in columns if not column.is_empty]) + more


def _head(explanation: Explanation) -> Iterator[str]:
    yield explanation.text
    for spec in explanation.inputs:
        yield f"  reads {shape_text(spec.shape)} {spec.dtype}"
    if explanation.problem:
        field = f"{explanation.problem_field}: " if explanation.problem_field else ""
        yield f"  impossible: {field}{explanation.problem}"
    for note in explanation.notes:
        yield f"  {note}"


def _formula_lines(layer: LayerPlan) -> Iterator[str]:
    reads, gives = ", ".join(layer.inputs), shape_text(layer.output.shape)
    yield f"{layer.name} ({layer.kind}) reads {reads}, gives {gives} {layer.output.dtype}"
    yield from (f"  {line}" for line in layer.explanation)
    if layer.algorithm_reason:
        algorithm = f"{layer.engine} {layer.algorithm}".rstrip()
        yield f"  {algorithm}: {layer.algorithm_reason}"


def _count_lines(counts: Sequence[Count]) -> Iterator[str]:
    if not counts:
        return
    width = max(len(count.convention) for count in counts)
    yield "as tools count it:"
    for count in counts:
        tools = f" [{', '.join(count.tools)}]" if count.tools else ""
        yield f"  {count.convention.ljust(width)}  {count.value:,}: {count.meaning}{tools}"


def _renderings_text(renderings: Sequence[Rendering]) -> str:
    """A table of outcomes, and below it what each framework would have to write."""
    rows = [row for row in renderings if row.outcome]
    columns = [
        Column("Dialect", tuple(row.dialect for row in rows)),
        Column("Runtime", tuple(_runtime(row) for row in rows)),
        Column("Outcome", tuple(_OUTCOMES.get(row.outcome, row.outcome) for row in rows)),
        Column("Shape there", tuple(_shape(row) for row in rows)),
        Column("Because", tuple(row.message for row in rows)),
    ]
    table = table_text([column for column in columns if not column.is_empty])
    return "\n".join([table, *_spelling_lines(renderings)])


def _spelling_lines(renderings: Sequence[Rendering]) -> Iterator[str]:
    width = max(len(row.dialect) for row in renderings)
    told: set[str] = set()
    for row in renderings:
        for spelling, mark in ((row.spelling, ""), (row.exact, "exactly: ")):
            if spelling and spelling not in told:
                told.add(spelling)
                yield f"{row.dialect.ljust(width)}  {mark}{spelling}"


def _runtime(row: Rendering) -> str:
    return "" if row.runtime == row.dialect else row.runtime


def _shape(row: Rendering) -> str:
    """Only the batch may be unknown: shape inference gives sizes below 0."""
    batch, sizes = shown_shape(row.output_shape[:1]), row.output_shape[1:]
    return f"({', '.join(map(str, (*batch, *sizes)))})" if batch else ""


def _numbers(heading: str, found: FoundLayers, show: Callable[[FoundLayer], str]) -> Column:
    return Column(heading, tuple(show(layer) for layer in found.layers), True)


def _padding(layer: FoundLayer) -> str:
    [(low, high)] = layer.padding
    return str(low) if low == high else f"{low}, {high}"


def _unless_default(value: int, default: int) -> str:
    return "" if value == default else str(value)


def _inputs(layer: FoundLayer) -> str:
    ranges = zip(layer.input_low, layer.input_high, strict=True)
    return " × ".join(f"{low}" if low == high else f"{low} to {high}" for low, high in ranges)
