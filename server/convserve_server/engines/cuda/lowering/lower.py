"""Lowers a whole program, or an operation."""

from __future__ import annotations

from collections.abc import Mapping

from convserve.tensors import TensorSpec

from convserve_server.engines.cuda.lowering.builder import Builder, Plans
from convserve_server.engines.cuda.lowering.emitters import emit, emit_operation
from convserve_server.engines.cuda.recipe import Recipe
from convserve_server.engines.cuda.views import View
from convserve_server.planning.inputs import CHANNELS_LAST
from convserve_server.planning.program import (
    Program,
    Work,
    work_outputs,
    work_parameters,
)


def lower(work: Work, plans: Plans, layouts: Mapping[str, str]) -> Recipe:
    """How the work is computed. `layouts` are of inputs and outputs as they lie on the host.

    What has none there lies with the channels first. `plans` say what cuDNN has.
    """
    builder = Builder(plans)
    given = work.inputs if isinstance(work, Program) else work.operands
    inputs = {spec.name: _stage(builder, spec, layouts) for spec in given}
    weights = {spec.name: _stage(builder, spec, {}) for spec in work_parameters(work)}
    if isinstance(work, Program):
        for step in work.steps:
            emit(builder, step)
    else:
        emit_operation(builder, work)
    outputs = {spec.name: _deliver(builder, spec, layouts) for spec in work_outputs(work)}
    return Recipe(
        inputs=inputs,
        weights=weights,
        outputs=outputs,
        buffers=builder.buffers,
        preparation=tuple(builder.prepared),
        commands=tuple(builder.commands),
        records=tuple(builder.records),
        checks=tuple(builder.checks),
    )


def _stage(builder: Builder, spec: TensorSpec, layouts: Mapping[str, str]) -> View:
    """A buffer in the host's order, bound to the tensor's name."""
    return builder.result(spec, last=layouts.get(spec.name) == CHANNELS_LAST)


def _deliver(builder: Builder, spec: TensorSpec, layouts: Mapping[str, str]) -> View:
    """The result as it is copied to the host: where it lies, or a copy in the host's order."""
    view = builder.value(spec.name)
    if layouts.get(spec.name) == CHANNELS_LAST:
        return builder.channels_last(view)
    return builder.contiguous(view)
