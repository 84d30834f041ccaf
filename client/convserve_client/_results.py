"""Where results land: in fresh arrays, or in the caller's own."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from attrs import evolve, frozen
from convserve.errors import DTypeError, InvalidArgumentError, ShapeError, error_at
from convserve.runs import CallRecord
from convserve.tensors import Array, TensorSpec, dtype_name, empty

Out: TypeAlias = Array | Mapping[str, Array] | None


@frozen(eq=False)
class Outcome:
    """The results of one run, and its record if somebody wants it."""

    specs: tuple[TensorSpec, ...]
    arrays: tuple[Array, ...]
    record: CallRecord | None


@frozen(eq=False)
class Target:
    """Where the results of one call go.

    `out` is an array, or a dict of arrays where there are several results. `sources` are the
    arrays being sent: one that shares memory with `out` must stay whole until the call has ended,
    for it may have to be sent again. `unbatched` results lose their batch axis of one.
    """

    out: Out = None
    sources: Collection[Array] = ()
    unbatched: bool = False

    def place(self, specs: Sequence[TensorSpec]) -> tuple[Array, ...]:
        """An array to receive each result: `out` itself where its memory can be written to."""
        return tuple(self._place(spec, self._out(specs, spec)) for spec in specs)

    def adopt(self, specs: Sequence[TensorSpec], results: Sequence[Array]) -> tuple[Array, ...]:
        """Results that are there already: themselves, or copied to `out` where that is given."""
        if self.out is None:
            first = 1 if self.unbatched else 0
            return tuple(each.reshape(each.shape[first:]) for each in results)
        placed = self.place(specs)
        for array, result in zip(placed, results, strict=True):
            array[...] = result.reshape(array.shape)
        return placed

    def deliver(self, outcome: Outcome) -> Any:
        """What the caller gets: an array, or a dict of arrays where there are several."""
        results = {}
        for spec, array in zip(outcome.specs, outcome.arrays, strict=True):
            out = self._out(outcome.specs, spec)
            if out is not None and out is not array:
                out[...] = array
            results[spec.name] = array if out is None else out
        return results if len(results) > 1 else next(iter(results.values()))

    def _out(self, specs: Sequence[TensorSpec], spec: TensorSpec) -> Array | None:
        if self.out is None or (len(specs) == 1 and not isinstance(self.out, Mapping)):
            return self.out
        names = {each.name for each in specs}
        if not isinstance(self.out, Mapping) or set(self.out) != names:
            raise InvalidArgumentError(
                f"give a dict of arrays called {', '.join(sorted(names))}", field="out"
            )
        return self.out[spec.name]

    def _place(self, spec: TensorSpec, out: Array | None) -> Array:
        if self.unbatched:
            spec = evolve(spec, shape=spec.shape[1:])
        if out is None:
            return empty(spec)
        with error_at("out"):
            _check(spec, out)
        shared = any(np.may_share_memory(out, source) for source in self.sources)
        return empty(spec) if shared or not out.flags.c_contiguous else out


def _check(spec: TensorSpec, out: Any) -> None:
    if not isinstance(out, np.ndarray) or not out.flags.writeable:
        raise InvalidArgumentError("it must be a NumPy array that can be written to")
    if out.shape != spec.shape:
        raise ShapeError(
            f"its shape is {out.shape}, but the result's is {spec.shape}",
            metadata={"given": out.shape, "expected": spec.shape},
        )
    if not out.dtype.isnative or dtype_name(out.dtype) != spec.dtype:
        raise DTypeError(
            f"its element type is {out.dtype}, but the result's is {spec.dtype}",
            metadata={"given": out.dtype, "expected": spec.dtype},
        )
