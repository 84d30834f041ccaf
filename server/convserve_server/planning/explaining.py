"""One layer explained: planned, compared with other frameworks, or changed until it is possible."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from attrs import evolve
from convserve.errors import ConvserveError, InvalidArgumentError, ShapeError
from convserve.explanations import Change, Explanation
from convserve.layers import AvgPool, Conv, DepthwiseConv, Layer, MaxPool, SeparableConv, kind_of
from convserve.layers.fields import Ints
from convserve.networks import Network
from convserve.plans import LayerPlan
from convserve.tensors import Shape, TensorSpec

from convserve_server.planning.axes import axis_names, per_axis, windows_of
from convserve_server.planning.changes import nearest_changes, shown_sizes
from convserve_server.planning.dialects import DIALECTS, NATIVE, Reading, read_layer, reading_of
from convserve_server.planning.dialects.comparing import is_taken, render
from convserve_server.planning.dialects.native import write_native
from convserve_server.planning.inverse import inputs_of
from convserve_server.planning.planner import plan_network
from convserve_server.planning.program import Advisor

_TENSORFLOW = "TensorFlow's rule, the odd element at the end (Keras, JAX, ONNX SAME_UPPER)"
_RULES = {
    "same": _TENSORFLOW,
    "same_upper": _TENSORFLOW,
    "same_lower": "ONNX's SAME_LOWER, the odd element at the start (SciPy's same)",
    "causal": "Keras's rule, dilation * (kernel_size - 1) before and nothing after",
    "full": "SciPy's full, every window that touches the input",
}
WINDOWED = Conv | DepthwiseConv | SeparableConv | MaxPool | AvgPool


def explain_layer(
    subject: Layer | str,
    inputs: Sequence[TensorSpec],
    *,
    advisor: Advisor,
    dialect: str = "",
    wanted: Ints = (),
    compare: bool = False,
    **options: Any,
) -> Explanation:
    """What is to be said of a layer, ours or a text in a dialect, for inputs (N, C, *L).

    `wanted` are the result's spatial sizes, if it matters; `compare` lists every runtime; `options`
    are those of `plan_network`. A layer that is impossible is explained too.

    Raises InvalidLayerError for a text that cannot be read, and ShapeError for inputs that are no
    shapes or that the text contradicts.
    """
    shape = _sample(inputs)
    reading = _read(subject, dialect, shape)
    explanation = Explanation(
        dialect=reading.dialect,
        text=write_native(reading.layer) if reading.layer else str(subject),
        inputs=tuple(inputs),
        layer=reading.layer,
        notes=reading.notes,
        renderings=render(
            reading.layer, reading.words, shape, inputs[0].shape[0], everyone=compare
        ),
    )
    if reading.layer is None:
        return _with_problem(explanation, reading.problem)
    try:
        plan = _plan(reading.layer, inputs, advisor=advisor, **options)
    except InvalidArgumentError as error:
        if not error.field.startswith("layers["):
            raise
        explanation = _with_problem(explanation, error)
        changes = _changes(reading.layer, reading.dialect, shape, wanted)
        return evolve(explanation, changes=changes)
    sizes = per_axis(wanted, len(shape) - 1, "wanted_size") if wanted else ()
    return _with_plan(explanation, reading.layer, plan, shape, sizes)


def _sample(inputs: Sequence[TensorSpec]) -> Shape:
    """One sample of the first input."""
    if not inputs or len(inputs[0].shape) < 2:
        given = inputs[0].shape if inputs else "none"
        raise ShapeError(
            f"the input is {given}; give the shape (batch, channels, spatial axes...) that the "
            "layer reads, such as (1, 3, 224, 224)",
            field="inputs",
        )
    return inputs[0].shape[1:]


def _read(subject: Layer | str, dialect: str, shape: Shape) -> Reading:
    if isinstance(subject, str):
        return read_layer(subject, dialect, shape[0], shape[1:])
    if dialect not in ("", NATIVE):
        raise InvalidArgumentError(
            f"the layer is one of ours, in no dialect such as {dialect[:40]!r}", field="dialect"
        )
    return reading_of(subject, shape[0])


def _with_problem(explanation: Explanation, error: ConvserveError | None) -> Explanation:
    if error is None:
        return explanation
    field = error.field.removeprefix("layers[0].")
    return evolve(explanation, problem=error.message, problem_field=field)


def _plan(layer: Layer, inputs: Sequence[TensorSpec], **options: Any) -> LayerPlan:
    """The layer alone, as the only one of a network."""
    names = tuple(spec.name or ("input" if not i else f"input{i}") for i, spec in enumerate(inputs))
    layer = evolve(layer, name=layer.name or f"{kind_of(layer)}1", inputs=names)
    specs = [evolve(spec, name=name) for spec, name in zip(inputs, names, strict=True)]
    return plan_network(Network([layer], names), specs, explain=True, **options).layers[0]


def _with_plan(
    explanation: Explanation, layer: Layer, plan: LayerPlan, shape: Shape, sizes: Ints
) -> Explanation:
    """`sizes` are the wanted ones, one per spatial axis; none if it does not matter."""
    is_missed = sizes and plan.output.shape[2:] != sizes
    changes = _changes(layer, explanation.dialect, shape, sizes) if is_missed else ()
    notes = (
        *explanation.notes,
        *_refusal_notes(explanation),
        *_padding_notes(layer, plan),
        *_wanted_notes(plan, sizes),
        *_collapse_notes(plan, shape),
    )
    return evolve(explanation, plan=plan, changes=changes, notes=notes)


def _changes(layer: Layer, dialect: str, shape: Shape, sizes: Ints) -> tuple[Change, ...]:
    return nearest_changes(layer, shape, sizes or None, partial(is_taken, dialect))


def _refusal_notes(explanation: Explanation) -> Iterator[str]:
    """That the framework whose words they are refuses what we run."""
    rows = [row for row in explanation.renderings if row.dialect == explanation.dialect]
    if rows and rows[0].outcome == "refused":
        yield f"{DIALECTS[explanation.dialect].title} refuses it: {rows[0].message}"


def _padding_notes(layer: Layer, plan: LayerPlan) -> Iterator[str]:
    """The numbers of a mode, and whose rule gave them."""
    mode = getattr(layer, "padding", None)
    if mode in _RULES:
        pairs = " × ".join(map(str, getattr(plan.resolved, "padding", ())))
        yield f"padding {mode!r} is {pairs}: {_RULES[mode]}"


def _wanted_notes(plan: LayerPlan, sizes: Ints) -> Iterator[str]:
    given = plan.output.shape[2:]
    if sizes and given != sizes:
        yield f"it gives {shown_sizes(given)}, not {shown_sizes(sizes)}"


def _collapse_notes(plan: LayerPlan, shape: Shape) -> Iterator[str]:
    """The inputs that a stride takes to one output: why transposed layers have output_padding."""
    layer = plan.resolved
    if not isinstance(layer, WINDOWED) or getattr(layer, "ceil_mode", False):
        return
    windows = windows_of(layer, shape)
    for axis, window in zip(axis_names(len(windows)), windows, strict=True):
        if window.stride > 1:
            total = window.low + window.high
            first, last = inputs_of(window.count, window.span, window.stride, total)
            yield f"{axis}: inputs from {max(first, 1)} to {last} give {window.count}"
