"""What a worker is asked to do, and what it answered."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping

from attrs import field, frozen

from convserve_server.engines.base import STRICT
from convserve_server.planning.inputs import CHANNELS_FIRST
from convserve_server.planning.tiling import Slices
from convserve_server.workers.arena import Placement
from convserve_server.workers.memory import Owned
from convserve_server.workers.messages import Part, Steps, Taken


@frozen(eq=False, kw_only=True)
class Job:
    """One piece of work, as `encode_work` made it, on tensors that lie in shared memory.

    `tensors` are the inputs and weights, `outputs` the results, with the specs in which their bytes
    lie there: with `layout` "channels_last" the inputs and outputs are so, weights never. They are
    in the order of `work_tensors` and `work_outputs`. For a piece of work, `taken`, `kept` and
    `is_frugal` are as in `messages.Run`.

    `precision` is the least that is allowed. `key` is not empty for weights that stay in their
    places until `forget(key)`. Jobs of equal `batch_key` may be computed as one batch of all their
    `rows`; None: this one alone, and so each with `taken` or `kept`, as a batch has those of its
    first job only. Its tensors have `byte_count` bytes, and it takes `working_bytes` in its worker,
    beside them where the worker computes in their memory. Of jobs that wait, those of higher
    `priority` go first, and none begins after its `deadline` (the event loop's time). `request_id`
    is what a fault of the engine is logged under.
    """

    work: bytes
    tensors: tuple[Placement, ...]
    outputs: tuple[Placement, ...]
    taken: Mapping[str, Taken] = field(factory=dict)
    kept: Mapping[str, Slices] = field(factory=dict)
    is_frugal: bool = False
    key: str = ""
    layout: str = CHANNELS_FIRST
    precision: str = STRICT
    batch_key: Hashable | None = None
    rows: int = 1
    byte_count: int = 0
    working_bytes: int = 0
    priority: int = 0
    deadline: float = math.inf
    request_id: str = ""

    @property
    def regions(self) -> set[Owned]:
        """Where its tensors lie."""
        return {placement.region for placement in (*self.tensors, *self.outputs)}

    @property
    def part(self) -> Part:
        """What the worker is told of its tensors."""
        places = (*self.tensors, *self.outputs)
        segments = tuple(place.region.segment for place in places)
        return Part(
            self.rows,
            tuple(place.address for place in places),
            segments if any(segments) else (),
        )


@frozen
class JobResult:
    """What ran, how long the engine took (seconds), and in a batch of how many rows."""

    steps: Steps
    compute_seconds: float
    batch_rows: int
