"""Elements around the spatial axes."""

from __future__ import annotations

from convserve.layers import Layer, Pad
from convserve.layers.fields import BORDER_MODES, Pairs

from convserve_server.engines.cuda.lowering.builder import Builder, Emitter
from convserve_server.engines.cuda.lowering.windows import RANK, lifted, pairs
from convserve_server.engines.cuda.views import View
from convserve_server.planning.program import Step


def padded(
    builder: Builder, view: View, padding: Pairs, mode: str = "zeros", value: float = 0.0
) -> View:
    """`view` (N, C, *L) with (low, high) elements around each spatial axis; itself without any.

    `mode` is one of `BORDER_MODES`; `value` is what `zeros` puts there. No padding is longer than
    what reflect and circular can take from the input.
    """
    if not any(low or high for low, high in padding):
        return view
    sizes = (low + size + high for size, (low, high) in zip(view.shape[2:], padding, strict=True))
    made = builder.new(view.dtype, (*view.shape[:2], *sizes))
    lows = [0] * (RANK - len(padding)) + [low for low, _ in padding]
    target, source = lifted(made), lifted(view)
    builder.launch(
        "Pad",
        (view.dtype,),
        *(target, source),
        *(*lows, BORDER_MODES.index(mode), float(value)),
        count=made.element_count,
    )
    return made


def _pad(builder: Builder, step: Step) -> None:
    layer = step.layer
    assert isinstance(layer, Pad)
    x = builder.value(step.inputs[0].name)
    y = padded(builder, x, pairs(layer.padding), layer.mode, layer.value)
    builder.bind(step.output.name, y)
    builder.record(step, "pad")


TABLE: dict[type[Layer], Emitter] = {Pad: _pad}
