"""Forks of the process: which of them gRPC survives.

A child that gRPC was at work in, when it was made, hangs or crashes in its first call, whichever
channel that is for. In a child of a process where no call was in flight, a new channel works; one
that the parent had opened is the parent's, down to its socket.
"""

from __future__ import annotations

import os

from convserve.errors import FailedPreconditionError

IN_FLIGHT: set[int] = set()  # the calls of all clients of this process, by the ids of exchanges
_REMEDY = "use the spawn or forkserver start method, or fork before the first call"
_broken = False


def check_process() -> None:
    """Raise FailedPreconditionError in a child that was forked in the middle of a call."""
    if _broken:
        raise FailedPreconditionError(
            "this process was forked while its parent's clients were calling, and gRPC does not "
            f"work in it; {_REMEDY}"
        )


def check_owner(pid: int) -> None:
    """Raise FailedPreconditionError unless this is the process `pid`, which opened a channel."""
    if pid != os.getpid():
        raise FailedPreconditionError(
            f"this client was used before a fork and belongs to the process {pid}: connect in "
            "each process, or fork before the first call",
            metadata={"owner": pid},
        )


def _enter_child() -> None:
    global _broken
    _broken = _broken or bool(IN_FLIGHT)
    IN_FLIGHT.clear()


os.register_at_fork(after_in_child=_enter_child)
