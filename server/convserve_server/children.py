"""What all child processes of the front have in common: how they follow it, and how they end."""

from __future__ import annotations

import ctypes
import signal

_PR_SET_PDEATHSIG = 1


def follow_parent() -> None:
    """Leave interrupts to the front, and end with it even in the middle of a computation.

    To be called in the child, once, at its start.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def how_it_ended(code: int) -> str:
    """The end of a child in words, by its return code: `exited with code 1`."""
    if code >= 0:
        return f"exited with code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else "a real-time signal"
    return f"was ended by signal {-code} ({name})"
