"""How work is run, and what ran: frozen values, the same on both sides of the wire."""

from __future__ import annotations

from attrs import Attribute, field, frozen

from convserve.errors import InvalidArgumentError

MAX_PRIORITY = 100


@frozen(kw_only=True)
class StepRecord:
    """One step of a call: which engine computed it, and how."""

    name: str
    engine: str
    algorithm: str


@frozen(kw_only=True)
class CallRecord:
    """What ran, and how long each stage took in seconds."""

    request_id: str = ""
    device: str = ""
    steps: tuple[StepRecord, ...] = ()
    decode_seconds: float = 0.0
    queue_seconds: float = 0.0
    compute_seconds: float = 0.0
    encode_seconds: float = 0.0
    transfer_seconds: float = 0.0
    batch_size: int = 1
    tile_count: int = 1


def _check_priority(_: object, attribute: Attribute[int], value: int) -> None:
    if not -MAX_PRIORITY <= value <= MAX_PRIORITY:
        raise InvalidArgumentError(
            f"{value} is not from -{MAX_PRIORITY} to {MAX_PRIORITY}",
            field=attribute.name,
            metadata={"value": value, "limit": MAX_PRIORITY},
        )


@frozen(kw_only=True)
class RunOptions:
    """How to run: where, the least precision, the layout of inputs and outputs.

    `batch_invariant` keeps a call from being computed together with others; of calls that wait,
    those of higher `priority` (-100 to 100) go first.
    """

    device: str = ""
    precision: str = "strict"
    layout: str = "channels_first"
    batch_invariant: bool = False
    priority: int = field(default=0, validator=_check_priority)
