"""Lowers a whole program, or an operation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from convserve.operations import operation_kind
from convserve.runs import StepRecord
from convserve.tensors import TensorSpec

from convserve_server.engines.cuda.lowering.builder import Builder, Plans
from convserve_server.engines.cuda.lowering.emitters import emit, emit_operation
from convserve_server.engines.cuda.lowering.fusion import find_runs, layer_name
from convserve_server.engines.cuda.recipe import Recipe, Stretch
from convserve_server.engines.cuda.views import View
from convserve_server.engines.expansion import owner
from convserve_server.planning.inputs import CHANNELS_LAST
from convserve_server.planning.program import (
    Program,
    Work,
    work_outputs,
    work_parameters,
)


def lower(work: Work, plans: Plans, layouts: Mapping[str, str], *, fft: bool = True) -> Recipe:
    """How the work is computed. `layouts` are of inputs and outputs as they lie on the host.

    What has none there lies with the channels first. `plans` say what cuDNN has. Without `fft` no
    Fourier transform is used: what must be so where a check says that values are not finite.
    """
    builder = Builder(plans, fft=fft)
    given = work.inputs if isinstance(work, Program) else work.operands
    inputs = {spec.name: _stage(builder, spec, layouts) for spec in given}
    weights = {spec.name: _stage(builder, spec, {}) for spec in work_parameters(work)}
    stretches = _emit(builder, work)
    outputs = {spec.name: _deliver(builder, spec, layouts) for spec in work_outputs(work)}
    return Recipe(
        inputs=inputs,
        weights=weights,
        outputs=outputs,
        buffers=builder.buffers,
        preparation=tuple(builder.prepared),
        commands=tuple(builder.commands),
        records=_by_layer(builder.records),
        checks=tuple(builder.checks),
        stretches=stretches,
    )


def _emit(builder: Builder, work: Work) -> tuple[Stretch, ...]:
    if not isinstance(work, Program):
        kind = operation_kind(work.operation)
        return (_stretch(builder, (kind,), partial(emit_operation, builder, work)),)
    stretches = []
    for run in find_runs(work):
        names = tuple(dict.fromkeys(map(layer_name, run.steps)))
        stretches.append(_stretch(builder, names, partial(emit, builder, run)))
    return tuple(stretches)


def _stretch(builder: Builder, layers: tuple[str, ...], give: Callable[[], None]) -> Stretch:
    start, told = len(builder.commands), len(builder.choices)
    give()
    return Stretch(layers, start, len(builder.commands), tuple(builder.choices[told:]))


def _by_layer(records: Iterable[StepRecord]) -> tuple[StepRecord, ...]:
    """One record for each layer: those of the steps that it is made of are joined."""
    parts: dict[str, list[StepRecord]] = {}
    for record in records:
        parts.setdefault(owner(record.name), []).append(record)
    return tuple(_joined(name, each) for name, each in parts.items())


def _joined(name: str, parts: Sequence[StepRecord]) -> StepRecord:
    engines = dict.fromkeys(part.engine for part in parts)
    algorithms = dict.fromkeys(part.algorithm for part in parts)
    return StepRecord(name=name, engine="+".join(engines), algorithm="+".join(algorithms))


def _stage(builder: Builder, spec: TensorSpec, layouts: Mapping[str, str]) -> View:
    """A buffer in the host's order, bound to the tensor's name."""
    return builder.result(spec, last=layouts.get(spec.name) == CHANNELS_LAST)


def _deliver(builder: Builder, spec: TensorSpec, layouts: Mapping[str, str]) -> View:
    """The result as it is copied to the host: where it lies, or a copy in the host's order."""
    view = builder.value(spec.name)
    if layouts.get(spec.name) == CHANNELS_LAST:
        return builder.channels_last(view)
    return builder.contiguous(view)
