"""Arrays over the tensors of a request, in the order in which work names them."""

from __future__ import annotations

from typing import Any

import numpy as np
from attrs import frozen
from convserve.tensors import Array, Shape, TensorSpec, dtype_of

from convserve_server.cache import ByteCache
from convserve_server.engines.base import Index
from convserve_server.planning.inputs import CHANNELS_LAST, channels_first_axes, channels_last
from convserve_server.planning.program import OperationStep, Work, work_outputs, work_parameters
from convserve_server.planning.tiling import Slices
from convserve_server.workers.messages import Run, decode_work

CACHE_BYTES = 16 << 20
SLOT_BYTES = 1 << 10  # about what a slot takes in Python objects


@frozen(eq=False)
class Slot:
    """One tensor of some work, as it lies in memory; `axes` show it with its channels first.

    `shape` is without the batch where there is one: each part has its own rows.
    """

    name: str
    dtype: np.dtype[Any]
    shape: Shape
    has_batch: bool
    axes: tuple[int, ...] | None

    def view(self, memory: memoryview, address: int, request: Run, rows: int) -> Array:
        """What the request takes of the tensor at an address, channels first."""
        taken = request.taken.get(self.name)
        shape = taken.shape if taken else (rows, *self.shape) if self.has_batch else self.shape
        array: Array = np.ndarray(shape, self.dtype, memory, address)
        if self.axes is not None:
            array = array.transpose(self.axes)
        return array[index_of(taken.part, array.ndim)] if taken else array


@frozen(eq=False)
class Slots:
    """The tensors of some work: what it reads, in the order of a part's addresses, and makes."""

    work: Work
    tensors: tuple[Slot, ...]
    outputs: tuple[Slot, ...]


_slots: ByteCache[tuple[bytes, str], Slots] = ByteCache(CACHE_BYTES)


def slots_of(request: Run) -> Slots:
    """The tensors of a request's work. Those of work seen lately are remembered."""
    key = (request.work, request.layout)
    slots = _slots.get(key)
    if slots is None:
        slots = _make_slots(decode_work(request.work), request.layout)
        _slots.put(key, slots, SLOT_BYTES * (len(slots.tensors) + len(slots.outputs)))
    return slots


def index_of(part: Slices, rank: int) -> Index:
    """What takes the part out of an array."""
    wanted = [slice(None)] * rank
    for each in part:
        wanted[each.axis] = slice(each.start, each.stop)
    return tuple(wanted)


def _make_slots(work: Work, layout: str) -> Slots:
    if isinstance(work, OperationStep):
        return Slots(work, tuple(map(_fixed, work.operands)), (_fixed(work.output),))
    inputs = [_batched(spec, layout) for spec in work.inputs]
    weights = [_fixed(spec) for spec in work_parameters(work)]
    outputs = tuple(_batched(spec, layout) for spec in work_outputs(work))
    return Slots(work, (*inputs, *weights), outputs)


def _fixed(spec: TensorSpec) -> Slot:
    return Slot(spec.name, dtype_of(spec.dtype), spec.shape, has_batch=False, axes=None)


def _batched(spec: TensorSpec, layout: str) -> Slot:
    axes = None
    if layout == CHANNELS_LAST:
        spec, axes = channels_last(spec), channels_first_axes(len(spec.shape))
    return Slot(spec.name, dtype_of(spec.dtype), spec.shape[1:], has_batch=True, axes=axes)
