"""Networks in tiles that fit a memory limit. Flows without I/O."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import Any

from convserve.codec import from_message, network_to_message
from convserve.errors import InvalidArgumentError
from convserve.tensors import spec_to_message
from convserve.tilings import TilePlan
from convserve.v1 import tiles_pb2 as messages

from convserve_client._calls import Ask
from convserve_client._checks import check_count, check_flag
from convserve_client._flows import Flow
from convserve_client._networks import NetworkLike, as_network, input_specs
from convserve_client._session import Session
from convserve_client._shapes import DTYPE, Shapes

MAX_BYTES = 2**63 - 1
_UNITS = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_UNITS |= {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


def tiles(
    session: Session,
    network: NetworkLike,
    input_shape: Shapes = None,
    *,
    memory_limit: int | str,
    axes: Sequence[int] | None = None,
    dtype: Any = DTYPE,
    layers: bool = False,
    timeout: float | None = None,
) -> Flow[TilePlan]:
    """How to run a network in tiles, none of which needs more than `memory_limit` at its peak.

    The limit is a number of bytes, or a text such as "256MiB"; weights count. `input_shape` is
    (N, C, *L), channels first, or a dict of shapes by input name. `axes` are those that may be cut,
    numbered as the input's: 2 is the first spatial one; None are all of them. Of the grids that fit
    it is the one with the least work done again. `layers` asks for each layer's ranges too.

    Nothing is computed. Raises InvalidArgumentError with the field; TooLargeError with both numbers
    where the smallest tiles need more.
    """
    graph = as_network(network)
    specs = input_specs(graph, input_shape, dtype, "channels_first")
    request = messages.PlanTilesRequest(
        network=network_to_message(graph),
        inputs=map(spec_to_message, specs),
        memory_limit_bytes=parse_bytes(memory_limit, "memory_limit"),
        axes=[check_count(axis, "axes", 0) for axis in axes or ()],
        layers=check_flag(layers, "layers"),
    )
    return session.begin(timeout).attempt(partial(_plan_tiles, request))


def parse_bytes(value: int | str, field: str) -> int:
    """A number of bytes, or a text such as `256MiB` or `1.5GB`. Raises InvalidArgumentError."""
    if not isinstance(value, str):
        return _in_range(check_count(value, field, 1), value, field)
    found = re.fullmatch(r"(\d{1,19}(?:\.\d{1,6})?) ?([A-Za-z]*)", value.strip(), re.ASCII)
    if not found or found[2] not in _UNITS:
        raise InvalidArgumentError(
            f"{value[:40]!r} is no number of bytes; use an integer, or a text such as '256MiB', "
            f"with one of {', '.join(filter(None, _UNITS))}",
            field=field,
            metadata={"value": value[:40]},
        )
    whole, _, part = found[1].partition(".")
    bytes_of_part = int(part or 0) * _UNITS[found[2]] // 10 ** len(part)
    return _in_range(int(whole) * _UNITS[found[2]] + bytes_of_part, value, field)


def _in_range(count: int, value: object, field: str) -> int:
    if not 1 <= count <= MAX_BYTES:
        raise InvalidArgumentError(
            f"{value!r} is not from 1 to {MAX_BYTES} bytes",
            field=field,
            metadata={"value": value, "limit": MAX_BYTES},
        )
    return count


def _plan_tiles(request: messages.PlanTilesRequest) -> Ask[TilePlan]:
    return Ask("PlanTiles", request, lambda answer: from_message(answer.plan, TilePlan))
