"""A conformance case: work, and tensors made from its name. The same for engines and the wire."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from attrs import Factory, frozen
from convserve.networks import Network
from convserve.operations import Operation
from convserve.runs import StepRecord
from convserve.tensors import Array, Shape, TensorSpec, dtype_of, empty, spec_of
from convserve_server.engines.base import Engine
from convserve_server.engines.reference.engine import ReferenceEngine
from convserve_server.planning.planner import compile_network, plan_operation
from convserve_server.planning.program import Work, work_outputs

from tests.conformance.tolerances import assert_agree

POISON = 0x7F  # what outputs hold before a run, where their type has no NaN


@frozen(kw_only=True)
class Case:
    """Work, with the shapes of its inputs (in `layout`) or operands, and of its weights.

    Tensors are of `dtype` but for those that `dtypes` names. Integers are drawn from `integers`,
    both ends included, and cut to what their type holds; other numbers from a normal distribution
    around 0.5, of standard deviation `spread`. `special` puts a NaN and both infinities into the
    first input.
    """

    name: str
    work: Network | Operation
    inputs: Mapping[str, Shape]
    weights: Mapping[str, Shape] = Factory(dict)
    dtype: str = "float32"
    dtypes: Mapping[str, str] = Factory(dict)
    layout: str = "channels_first"
    integers: tuple[int, int] = (-8, 8)
    spread: float = 1.0
    special: bool = False

    def input_arrays(self) -> dict[str, Array]:
        """The inputs or operands, in the case's layout. Equal at every call."""
        arrays = {name: self._values(name, shape) for name, shape in self.inputs.items()}
        if self.special:
            first = next(iter(arrays.values())).reshape(-1)
            first[0], first[first.size // 3], first[first.size // 2] = -np.inf, np.nan, np.inf
        return arrays

    def weight_arrays(self) -> dict[str, Array]:
        """The weights by name. Equal at every call."""
        return {name: self._values(name, shape) for name, shape in self.weights.items()}

    def compile(self) -> Work:
        """The work, planned for the case's tensors."""
        specs = [spec_of(name, array) for name, array in self.input_arrays().items()]
        specs += [spec_of(name, array) for name, array in self.weight_arrays().items()]
        if isinstance(self.work, Network):
            return compile_network(self.work, specs, layout=self.layout)
        return plan_operation(self.work, specs)

    def _values(self, name: str, shape: Shape) -> Array:
        rng = np.random.default_rng(zlib.crc32(f"{self.name}/{name}".encode()))
        dtype = dtype_of(self.dtypes.get(name, self.dtype))
        if dtype.kind in "biu":
            return self._integers(rng, shape, dtype)
        values = rng.normal(0.5, self.spread, shape)
        if name.endswith(("running_var", "_scale")):
            values = np.abs(values) + 0.5
        if dtype.kind == "c":
            values = values + 1j * rng.normal(0.5, self.spread, shape)
        return np.asarray(values).astype(dtype)

    def _integers(self, rng: np.random.Generator, shape: Shape, dtype: np.dtype[Any]) -> Array:
        low, high = self.integers
        if dtype.kind == "b":
            return rng.integers(0, 2, shape).astype(dtype)
        limits = np.iinfo(dtype)
        low, high = max(low, int(limits.min)), min(high, int(limits.max))
        return rng.integers(low, high, shape, np.int64, endpoint=True).astype(dtype)


@frozen
class Result:
    """What a run gave: results in the case's layout, and the records of its steps."""

    outputs: Mapping[str, Array]
    records: tuple[StepRecord, ...]


def run_case(engine: Engine, case: Case) -> Result:
    """Run on read-only tensors, channels first as the engine wants them, into poisoned outputs."""
    work = case.compile()
    inputs, weights = case.input_arrays(), case.weight_arrays()
    for array in (*inputs.values(), *weights.values()):
        array.flags.writeable = False
    inputs = {name: channels_first(case, array) for name, array in inputs.items()}
    outputs = {spec.name: poisoned(case, spec) for spec in work_outputs(work)}
    views = {name: channels_first(case, array) for name, array in outputs.items()}
    return Result(outputs, engine.run(work, inputs | weights, views))


def check_case(engine: Engine, case: Case) -> Result:
    """Run, and check that the results agree with those of the reference engine."""
    result, expected = run_case(engine, case), reference_results(case)
    assert result.outputs.keys() == expected.keys()
    for name, array in expected.items():
        assert_agree(result.outputs[name], array)
    return result


def reference_results(case: Case) -> Mapping[str, Array]:
    """What the reference engine computes, in the case's layout."""
    return run_case(ReferenceEngine(), case).outputs


def channels_first(case: Case, array: Array) -> Array:
    """A view of an input or output with channels on axis 1."""
    if case.layout == "channels_first" or array.ndim < 3:
        return array
    return np.moveaxis(array, -1, 1)


def poisoned(case: Case, spec: TensorSpec) -> Array:
    """An output in the case's layout, full of what no result may keep."""
    array = empty(spec)
    if case.layout == "channels_last" and array.ndim >= 3:
        array = np.moveaxis(array, 1, -1).copy()
    array.reshape(-1).view(np.uint8)[...] = POISON
    if array.dtype.kind not in "biu":
        array[...] = np.nan
    return array
