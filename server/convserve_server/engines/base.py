"""What every engine is. One suite, `tests/conformance/`, runs on all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeAlias, runtime_checkable

from attrs import field, frozen
from convserve.runs import StepRecord
from convserve.tensors import Array

from convserve_server.planning.program import Work

Index: TypeAlias = tuple[slice, ...]
STRICT = "strict"


@frozen
class EngineSpec:
    """How a worker process makes its engine: a name or `module:Class`, and the options of it.

    `environment` is all of the process's environment; None: that of the server.
    """

    name: str
    options: Mapping[str, int | str] = field(factory=dict)
    environment: Mapping[str, str] | None = None

    @property
    def lanes(self) -> int:
        """How many pieces of work it has in progress at most."""
        return int(self.options.get("lanes", 1))


class DeviceLostError(Exception):
    """The device's context is broken: nothing works in this process any more."""


class Engine(Protocol):
    """Runs work on arrays. Used by one thread of one worker process.

    Made as `Class(threads=N)`; None leaves the number to the engine.
    """

    name: str

    def run(
        self,
        work: Work,
        tensors: Mapping[str, Array],
        outputs: Mapping[str, Array],
        key: str = "",
        precision: str = STRICT,
    ) -> tuple[StepRecord, ...]:
        """Run `work` on `tensors` (inputs and weights by name) and fill `outputs`.

        All arrays are channels first; any of them may be a view that is not contiguous, and none of
        `tensors` may be written. `key` is not empty for weights that stay as they are, at the same
        addresses, until `forget(key)`: what is derived from them may be kept so long. `precision`
        is the least that is allowed; more is always right.

        Returns which engine and algorithm ran each step. Raises ConvserveError for what the values
        forbid, such as an integer result that could overflow.
        """
        ...

    def forget(self, key: str) -> None:
        """Drop everything that was kept for `key`. Unknown keys are ignored."""
        ...


@frozen
class DeviceFacts:
    """What an engine has found out about the device that it computes on.

    `memory_bytes` are those that it has taken for its work. `properties` are as the library that
    plans for the device tells them and reads them again; `library` is the version of that.
    """

    name: str
    memory_bytes: int
    compute_capability: str = ""
    properties: str = ""
    library: str = ""


@frozen(eq=False)
class Views:
    """Arrays over one part's tensors; `kept` is what of a result counts, where it is not all."""

    tensors: Mapping[str, Array]
    outputs: Mapping[str, Array]
    kept: Mapping[str, Index] = field(factory=dict)


class Running(Protocol):
    """Work that has begun."""

    def wait(self) -> None:
        """Block, without the interpreter's lock, until it is done. Any thread may call it."""
        ...

    def finish(self) -> tuple[StepRecord, ...]:
        """What `Engine.run` returns, after `wait`: the results are in their places.

        To be called once, after `wait`. Raises as `Engine.run`, and again what `wait` raised.
        """
        ...


@runtime_checkable
class LaneEngine(Engine, Protocol):
    """An engine that has several pieces of work in progress, on a device of its own.

    Made as `Class(lanes=N, ...)` with the options of its `EngineSpec`. One thread calls everything
    but `Running.wait`. Whatever finds the device broken raises DeviceLostError.
    """

    lanes: int
    facts: DeviceFacts

    def begin(self, work: Work, parts: Sequence[Views], key: str, precision: str) -> Running:
        """Begin `work` on the tensors of each part, and return at once.

        At most `lanes` are in progress. Several parts differ in the rows of their batch only, and
        weights are the first one's; `work` is the first one's too. Whether they are computed as one
        batch or one after the other is the engine's affair. The arrays stay as they are until
        `finish` returns. Raises as `run`.
        """
        ...

    def attach(self, memory: memoryview) -> None:
        """Tensors will lie in this memory, until it is detached: it may be pinned."""
        ...

    def detach(self, memory: memoryview) -> None:
        """No tensor lies in this attached memory any more; it may be unmapped from now on."""
        ...

    def close(self) -> None:
        """Give the device back. Idempotent."""
        ...
