"""What every engine is. One suite, `tests/conformance/`, runs on all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from convserve.runs import StepRecord
from convserve.tensors import Array

from convserve_server.planning.program import Work


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
    ) -> tuple[StepRecord, ...]:
        """Run `work` on `tensors` (inputs and weights by name) and fill `outputs`.

        All arrays are channels first; any of them may be a view that is not contiguous, and none of
        `tensors` may be written. `key` is not empty for weights that stay as they are, at the same
        addresses, until `forget(key)`: what is derived from them may be kept so long.

        Returns which engine and algorithm ran each step. Raises ConvserveError for what the values
        forbid, such as an integer result that could overflow.
        """
        ...

    def forget(self, key: str) -> None:
        """Drop everything that was kept for `key`. Unknown keys are ignored."""
        ...
