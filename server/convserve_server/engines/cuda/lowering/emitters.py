"""The lists of what computes each kind of layer and each operation on the device."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from convserve.layers import Layer
from convserve.operations import Operation

from convserve_server.engines.cuda.lowering.builder import Builder
from convserve_server.planning.program import OperationStep, Step

# Gives the commands of one step, binds its output, and records its algorithm.
Emitter: TypeAlias = Callable[[Builder, Step], None]
OperationEmitter: TypeAlias = Callable[[Builder, OperationStep], None]

LAYERS: dict[type[Layer], Emitter] = {}
OPERATIONS: dict[type[Operation], OperationEmitter] = {}


def emit(builder: Builder, step: Step) -> None:
    """One step: by its kind's emitter, or by the reference engine on the host."""
    LAYERS.get(type(step.layer), Builder.on_host)(builder, step)


def emit_operation(builder: Builder, step: OperationStep) -> None:
    """An operation: by its own emitter, or by the reference engine on the host."""
    OPERATIONS.get(type(step.operation), Builder.on_host)(builder, step)
