"""The lists of what computes each kind of layer and each operation on the device."""

from __future__ import annotations

from convserve.layers import Layer
from convserve.operations import Operation

from convserve_server.engines.cuda.lowering import (
    adaptive,
    conv,
    deform,
    elementwise,
    glue,
    gradients,
    graph_conv,
    merge,
    norm,
    pad,
    pool,
    quantized,
    reduce,
    resize,
    signals,
    unfold,
    unpool,
)
from convserve_server.engines.cuda.lowering.builder import Builder, Emitter, OperationEmitter
from convserve_server.engines.cuda.lowering.fusion import HEADS, Run
from convserve_server.planning.program import OperationStep

LAYERS: dict[type[Layer], Emitter] = {
    **adaptive.TABLE,
    **deform.TABLE,
    **elementwise.TABLE,
    **glue.TABLE,
    **graph_conv.TABLE,
    **merge.TABLE,
    **norm.TABLE,
    **pad.TABLE,
    **pool.TABLE,
    **quantized.TABLE,
    **reduce.TABLE,
    **resize.TABLE,
    **unfold.TABLE,
    **unpool.TABLE,
}
OPERATIONS: dict[type[Operation], OperationEmitter] = {**gradients.TABLE, **signals.TABLE}


def emit(builder: Builder, run: Run) -> None:
    """A run: a convolution with what follows, or a step by its kind's emitter, or on the host."""
    if isinstance(run.head.layer, HEADS):
        conv.emit(builder, run)
    else:
        LAYERS.get(type(run.head.layer), Builder.on_host)(builder, run.head)


def emit_operation(builder: Builder, step: OperationStep) -> None:
    """An operation: by its own emitter, or by the reference engine on the host."""
    OPERATIONS.get(type(step.operation), Builder.on_host)(builder, step)
