"""Functions of each element: one launch, wherever the elements lie."""

from __future__ import annotations

from collections.abc import Sequence

from convserve import layers
from convserve.layers import Layer

from convserve_server.engines.cuda.kernels.table import INTEGERS, NUMBERS
from convserve_server.engines.cuda.lowering.activation import activation_of
from convserve_server.engines.cuda.lowering.builder import Builder, Emitter
from convserve_server.engines.cuda.lowering.folding import read_norm
from convserve_server.engines.cuda.lowering.rows import sum_type
from convserve_server.engines.cuda.recipe import Argument
from convserve_server.engines.cuda.views import View, collapse
from convserve_server.planning.program import Step

ALGORITHM = "elementwise"

# Their places here are their numbers in elementwise.cuh.
FUNCTIONS = (layers.Exp, layers.Sqrt, layers.Power, layers.Log, layers.Erf, layers.Rescale)


def _activate(builder: Builder, step: Step) -> None:
    found = activation_of(step.layer)
    assert found is not None
    if step.output.dtype in INTEGERS:
        _bound(builder, step, 0.0, 6.0 if found.kind == "relu6" else None)
    else:
        _apply(builder, step, "Activate", (), found.code, found.alpha, found.beta)


def _clip(builder: Builder, step: Step) -> None:
    assert isinstance(step.layer, layers.Clip)
    _bound(builder, step, step.layer.low, step.layer.high)


def _bound(builder: Builder, step: Step, low: float | None, high: float | None) -> None:
    given = int(low is not None), int(high is not None)
    _apply(builder, step, "Bound", (), *given, float(low or 0), float(high or 0))


def _absolute(builder: Builder, step: Step) -> None:
    _apply(builder, step, "Absolute", ())


def _function(builder: Builder, step: Step) -> None:
    layer, numbers = step.layer, (0.0, 0.0)
    if isinstance(layer, layers.Power):
        numbers = (layer.exponent, 0.0)
    elif isinstance(layer, layers.Rescale):
        numbers = (layer.factor, layer.offset)
    _apply(builder, step, "Function", (), FUNCTIONS.index(type(layer)), *numbers)


def _prelu(builder: Builder, step: Step) -> None:
    (slope,) = _vectors(builder, step, ("weight",))
    _apply(builder, step, "SlopedReLU", (slope,))


def _scale(builder: Builder, step: Step) -> None:
    assert isinstance(step.layer, layers.Scale)
    weight, *bias = _vectors(builder, step, list(step.weights))
    _affine(builder, step, weight, bias[0] if bias else None, step.layer.axis)


def _batch_norm(builder: Builder, step: Step) -> None:
    """As one factor and one shift per channel, made of the weights beforehand."""
    factor, shift = read_norm(builder, step, sum_type(step.output.dtype), None)
    _affine(builder, step, factor, shift, 1)


def _affine(builder: Builder, step: Step, factor: View, shift: View | None, axis: int) -> None:
    has_shift = shift is not None
    _apply(builder, step, "Affine", (factor, shift or factor), int(has_shift), axis=axis)


def _apply(
    builder: Builder,
    step: Step,
    name: str,
    vectors: Sequence[View],
    *arguments: Argument,
    axis: int = 1,
) -> None:
    """One launch for all elements; `vectors` have numbers along an axis of the input."""
    if step.output.dtype not in NUMBERS:
        builder.on_host(step)  # no kind takes any other, but rules may come to
        return
    dtype = step.output.dtype
    (x,) = builder.inputs_of(step)
    y = builder.result(step.output)
    spread = (vector.along(axis, y.shape) for vector in vectors)
    views = collapse(y, builder.cast(x, dtype), *spread)
    builder.launch(name, (dtype,), *views, *arguments, count=y.element_count)
    builder.record(step, ALGORITHM)


def _vectors(builder: Builder, step: Step, roles: Sequence[str]) -> list[View]:
    """Weights in the type of sums."""
    with builder.preparation():
        views = builder.weights_of(step)
        return [builder.contiguous(views[role], sum_type(step.output.dtype)) for role in roles]


TABLE: dict[type[Layer], Emitter] = {
    **dict.fromkeys(
        (
            layers.ReLU,
            layers.ReLU6,
            layers.LeakyReLU,
            layers.GELU,
            layers.SiLU,
            layers.Sigmoid,
            layers.Tanh,
            layers.ELU,
            layers.Softplus,
            layers.HardSigmoid,
            layers.HardSwish,
            layers.Mish,
        ),
        _activate,
    ),
    **dict.fromkeys(FUNCTIONS, _function),
    layers.Clip: _clip,
    layers.Abs: _absolute,
    layers.PReLU: _prelu,
    layers.Scale: _scale,
    layers.BatchNorm: _batch_norm,
}
